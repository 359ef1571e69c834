/* proxy/mod/peers.c and the methods lb_*.c: choice, failures, slots, waiting. */
#include <pthread.h>
#include <stdio.h>

#include "../unit.h"
#include "base/clock.h"
#include "http/request.h"
#include "mod/lb.h"
#include "mod/peers.h"

/* A group per test: the registry keeps them. */
static struct peer_set
set_of(struct pool *pool, const struct lb_method *method, const void *conf,
    const struct peer_options *options, unsigned count)
{
	static unsigned groups;
	struct peer_spec specs[64];
	struct peer_set set = { .method = method, .method_conf = conf };
	char text[32];

	snprintf(text, sizeof(text), "test-%u", groups++);
	set.group = peer_group_get(str_from(text));
	for (unsigned i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "10.0.0.%u:80", i + 1);
		specs[i].text = specs[i].server = pool_strdup(pool, str_from(text));
		ck_assert(addr_parse(specs[i].text, 80, &specs[i].addr));
		specs[i].options = options[i];
	}
	peer_set_fill(&set, specs, count);
	return (set);
}

#define PLAIN	{ .weight = 1, .max_fails = 1, .fail_timeout = 10000 }

/* Which peer (a, b, c ...) takes the next try; gives it back with this result. */
static char
pick(struct peer_set *set, struct peer_choice *choice, enum peer_result result, uint64_t now)
{
	struct peer_choice fresh = { .set = set, .prepared = true };
	struct peer_try try;
	char name;

	if (choice == NULL)
		choice = &fresh;
	choice->now = now;
	if (peer_pick(choice, NULL, &try) > PICK_DESPERATE_SAID) {
		if (choice == &fresh)
			peer_choice_end(choice);
		return ('-');
	}
	name = (char)('a' + try.peer->text.p[7] - '1');
	(void)peer_done(&try, result, false, choice == &fresh ? choice : NULL, now);
	return (name);
}

static void
picks(struct peer_set *set, unsigned count, char *out)
{
	for (unsigned i = 0; i < count; i++)
		out[i] = pick(set, NULL, PEER_OK, 1000);
	out[count] = '\0';
}

static const struct {
	const char *name;
	const struct lb_method *method;
	struct peer_options options[3];
	unsigned count;
	const char *want;
} orders[] = {
	{ "equal", &lb_round_robin, { PLAIN, PLAIN, PLAIN }, 3, "abcabcabc" },
	{ "smooth", &lb_round_robin, { { .weight = 5 }, { .weight = 1 }, { .weight = 1 } }, 3,
	    "aabacaaaabacaa" },
	{ "down", &lb_round_robin, { PLAIN, { .weight = 1, .down = true }, PLAIN }, 3, "acacac" },
	{ "backup idle", &lb_round_robin, { PLAIN, { .weight = 1, .backup = true } }, 2, "aaaa" },
	{ "only backup lives", &lb_round_robin,
	    { { .weight = 1, .down = true }, { .weight = 1, .backup = true } }, 2, "bb" },
	{ "all down", &lb_round_robin, { { .weight = 1, .down = true } }, 1, "--" },
	{ "least_conn, idle", &lb_least_conn, { PLAIN, PLAIN, PLAIN }, 3, "abcabc" },
};

START_TEST(order)
{
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, orders[_i].method, NULL, orders[_i].options,
	    orders[_i].count);
	char got[32];

	picks(&set, (unsigned)strlen(orders[_i].want), got);
	ck_assert_msg(strcmp(got, orders[_i].want) == 0, "%s: %s, not %s", orders[_i].name, got,
	    orders[_i].want);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* One failure marks a peer for fail_timeout; then one probe, and a success brings it back. */
START_TEST(failures)
{
	const struct peer_options options[] = { PLAIN, PLAIN };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_round_robin, NULL, options, 2);

	ck_assert_int_eq(pick(&set, NULL, PEER_FAILED, 1000), 'a');
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(pick(&set, NULL, PEER_OK, 2000), 'b');
	/* Its weight recovers step by step. */
	ck_assert_int_eq(pick(&set, NULL, PEER_OK, 11001), 'b');
	for (unsigned i = 0, seen = 0; seen == 0; i++) {
		ck_assert_uint_lt(i, 10);
		seen = pick(&set, NULL, PEER_OK, 11002) == 'a';
	}
	ck_assert_int_eq(pick(&set, NULL, PEER_OK, 11003), 'b');
	ck_assert_int_eq(pick(&set, NULL, PEER_OK, 11003), 'a');
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* D8: where all are marked, they are tried all the same, and that is said once a fail_timeout. */
START_TEST(desperate)
{
	const struct peer_options options[] = { PLAIN, PLAIN };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_round_robin, NULL, options, 2);
	struct peer_choice choice = { .set = &set, .prepared = true, .now = 1500 };
	struct peer_try try;

	ck_assert_int_eq(pick(&set, NULL, PEER_FAILED, 1000), 'a');
	ck_assert_int_eq(pick(&set, NULL, PEER_FAILED, 1001), 'b');
	ck_assert_int_eq(peer_pick(&choice, NULL, &try), PICK_DESPERATE);
	ck_assert_bytes(try.peer->text, "10.0.0.1:80");	/* failed longest ago */
	(void)peer_done(&try, PEER_FAILED, false, NULL, 1500);
	ck_assert_int_eq(peer_pick(&choice, NULL, &try), PICK_DESPERATE_SAID);
	ck_assert_bytes(try.peer->text, "10.0.0.2:80");
	(void)peer_done(&try, PEER_FAILED, false, NULL, 1500);
	ck_assert_int_eq(peer_pick(&choice, NULL, &try), PICK_NONE);
	peer_choice_end(&choice);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* A single peer is never marked; fail_timeout=0 and max_fails=0 never mark either. */
START_TEST(never_marked)
{
	static const struct peer_options kinds[3][2] = {
		{ PLAIN },
		{ { .weight = 1, .max_fails = 1, .fail_timeout = 0 }, { .weight = 1, .down = true } },
		{ { .weight = 1, .max_fails = 0, .fail_timeout = 9000 }, { .weight = 1, .down = true } },
	};
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_round_robin, NULL, kinds[_i], _i == 0 ? 1 : 2);

	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(pick(&set, NULL, PEER_FAILED, 1000 + i), 'a');
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* A choice never picks a peer twice. */
START_TEST(each_once)
{
	const struct peer_options options[] = { PLAIN, PLAIN, PLAIN };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_round_robin, NULL, options, 3);
	struct peer_choice choice = { .set = &set, .prepared = true };
	unsigned seen = 0;

	ck_assert_uint_eq(peer_choice_size(&choice), 3);
	for (unsigned i = 0; i < 3; i++)
		seen |= 1u << (pick(&set, &choice, PEER_FAILED, 1000) - 'a');
	ck_assert_uint_eq(seen, 7);
	ck_assert_int_eq(pick(&set, &choice, PEER_FAILED, 1000), '-');
	peer_choice_restart(&choice);
	ck_assert_int_ne(pick(&set, &choice, PEER_OK, 1000), '-');
	peer_choice_end(&choice);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

START_TEST(slots)
{
	const struct peer_options options[] = {
		{ .weight = 1, .max_conns = 2 }, { .weight = 1, .max_conns = 1 } };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_round_robin, NULL, options, 2);
	struct peer_choice choices[4];
	struct peer_try tries[4];

	for (unsigned i = 0; i < 4; i++)
		choices[i] = (struct peer_choice){ .set = &set, .prepared = true };
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(peer_pick(&choices[i], NULL, &tries[i]), PICK_OK);
	ck_assert_int_eq(peer_pick(&choices[3], NULL, &tries[3]), PICK_BUSY);
	(void)peer_done(&tries[0], PEER_OK, false, &choices[0], 1);
	ck_assert_int_eq(peer_pick(&choices[3], NULL, &tries[3]), PICK_OK);
	for (unsigned i = 1; i < 4; i++)
		(void)peer_done(&tries[i], PEER_OK, false, &choices[i], 1);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* --- waiting --- */

struct queue_fixture {
	struct loop *loop;
	struct peer_set set;
	char order[16];
	unsigned granted;
};

static void
on_granted(struct peer_waiter *waiter)
{
	struct queue_fixture *q = waiter->arg;

	q->order[q->granted++] = (char)('0' + waiter->choice->hash);
	(void)peer_done(&waiter->try, PEER_OK, false, waiter->choice, 1);
	peer_waiter_free(waiter);
}

/* The oldest takes the slot that is given back; who left is passed over; a full queue refuses. */
START_TEST(waiting)
{
	const struct peer_options options[] = { { .weight = 1, .max_conns = 1 } };
	struct pool *pool = pool_new(0);
	struct queue_fixture q = { .loop = loop_new(0) };
	struct peer_choice choices[5];
	struct peer_waiter *waiters[5];
	struct peer_try try, none;

	q.set = set_of(pool, &lb_round_robin, NULL, options, 1);
	for (unsigned i = 0; i < 5; i++) {
		choices[i] = (struct peer_choice){ .set = &q.set, .prepared = true, .hash = i };
		waiters[i] = peer_waiter_new(q.loop, on_granted, &q);
	}
	ck_assert_int_eq(peer_pick(&choices[0], NULL, &try), PICK_OK);
	for (unsigned i = 1; i < 4; i++)
		ck_assert_int_eq(peer_pick_or_wait(&choices[i], NULL, &none, waiters[i], 3), PICK_WAIT);
	ck_assert_int_eq(peer_pick_or_wait(&choices[4], NULL, &none, waiters[4], 3), PICK_FULL);
	peer_choice_end(&choices[4]);
	peer_waiter_free(waiters[4]);
	peer_waiter_free(waiters[0]);
	peer_waiter_cancel(waiters[2]);
	peer_choice_end(&choices[2]);
	(void)peer_done(&try, PEER_OK, false, &choices[0], 1);
	for (unsigned i = 0; i < 10 && q.granted < 2; i++)
		loop_turn(q.loop, true);
	ck_assert_str_eq(q.order, "13");
	peer_set_release(&q.set);
	loop_free(q.loop);
	pool_free(pool);
}
END_TEST

/* Granted, then abandoned before the message came: the slot goes on. */
START_TEST(abandoned)
{
	const struct peer_options options[] = { { .weight = 1, .max_conns = 1 } };
	struct pool *pool = pool_new(0);
	struct queue_fixture q = { .loop = loop_new(0) };
	struct peer_choice choices[3];
	struct peer_waiter *waiters[3];
	struct peer_try try, none;

	q.set = set_of(pool, &lb_round_robin, NULL, options, 1);
	for (unsigned i = 0; i < 3; i++)
		choices[i] = (struct peer_choice){ .set = &q.set, .prepared = true, .hash = i };
	ck_assert_int_eq(peer_pick(&choices[0], NULL, &try), PICK_OK);
	for (unsigned i = 1; i < 3; i++) {
		waiters[i] = peer_waiter_new(q.loop, on_granted, &q);
		ck_assert_int_eq(peer_pick_or_wait(&choices[i], NULL, &none, waiters[i], 3), PICK_WAIT);
	}
	(void)peer_done(&try, PEER_OK, false, &choices[0], 1);
	peer_waiter_cancel(waiters[1]);
	peer_choice_end(&choices[1]);
	for (unsigned i = 0; i < 10 && q.granted < 1; i++)
		loop_turn(q.loop, true);
	ck_assert_str_eq(q.order, "2");
	peer_set_release(&q.set);
	loop_free(q.loop);
	pool_free(pool);
}
END_TEST

/* A new list adopts the counters of the addresses that it shares with the old one. */
START_TEST(adoption)
{
	const struct peer_options options[] = { PLAIN, PLAIN, PLAIN };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_round_robin, NULL, options, 2), second = set;
	struct peer_spec specs[2];

	ck_assert_int_eq(pick(&set, NULL, PEER_FAILED, 1000), 'a');
	for (unsigned i = 0; i < 2; i++) {
		specs[i].text = specs[i].server = i == 0 ? STR("10.0.0.1:80") : STR("10.0.0.9:80");
		ck_assert(addr_parse(specs[i].text, 80, &specs[i].addr));
		specs[i].options = options[i];
	}
	second.list = NULL;
	ck_assert(!peer_set_equals(&set, specs, 2));
	peer_set_fill(&second, specs, 2);
	peer_set_release(&set);
	ck_assert(peer_set_equals(&second, specs, 2));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(pick(&second, NULL, PEER_OK, 1100), 'i');
	peer_set_release(&second);
	pool_free(pool);
}
END_TEST

/* Addresses of servers "a" and "b"; the set has the first row's. */
static const struct {
	const char *addrs[3], *servers[3];
	bool equal;
} resolved[] = {
	{ { "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80" }, { "a", "a", "b" }, true },
	{ { "10.0.0.3:80", "10.0.0.2:80", "10.0.0.1:80" }, { "b", "a", "a" }, true },
	{ { "10.0.0.1:80", "10.0.0.1:80", "10.0.0.3:80" }, { "a", "a", "b" }, false },
	{ { "10.0.0.1:80", "10.0.0.3:80", "10.0.0.2:80" }, { "a", "a", "b" }, false },
	{ { "10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80" }, { "a", "a", "b" }, false },
};

static void
specs_of(unsigned row, struct peer_spec specs[static 3])
{
	for (unsigned i = 0; i < 3; i++) {
		specs[i] = (struct peer_spec){ .text = str_from(resolved[row].addrs[i]),
			.server = str_from(resolved[row].servers[i]), .options = PLAIN };
		ck_assert(addr_parse(specs[i].text, 80, &specs[i].addr));
	}
}

/* Order is nothing, but whose address it is, and how often, is. */
START_TEST(equality)
{
	struct peer_set set = { .group = peer_group_get(STR("equality")), .method = &lb_round_robin };
	struct peer_spec specs[3];

	specs_of(0, specs);
	peer_set_fill(&set, specs, 3);
	specs_of((unsigned)_i, specs);
	ck_assert(peer_set_equals(&set, specs, 3) == resolved[_i].equal);
	ck_assert(!peer_set_equals(&set, specs, 2));
	peer_set_release(&set);
}
END_TEST

/* --- methods --- */

/* The share of keys that a hash gives to each of three peers, and how many move when one goes. */
static unsigned
keys_moved(struct peer_set *set, struct peer_set *less, unsigned *shares)
{
	unsigned moved = 0;

	for (unsigned i = 0; i < 3000; i++) {
		char key[16], all, two;
		struct peer_choice a = { .set = set }, b = { .set = less };

		a.key = b.key = str_make(key, (size_t)snprintf(key, sizeof(key), "key-%u", i));
		a.prepared = b.prepared = true;
		a.hash = b.hash = lb_hash_of(a.key);
		all = pick(set, &a, PEER_OK, 1);
		two = pick(less, &b, PEER_OK, 1);
		peer_choice_end(&a);
		peer_choice_end(&b);
		ck_assert(all >= 'a' && all <= 'c');
		shares[all - 'a']++;
		moved += all != two && all != 'c';
	}
	return (moved);
}

START_TEST(hashing)
{
	const struct lb_hash_conf conf = { .consistent = _i == 1 };
	const struct peer_options options[] = { PLAIN, PLAIN, PLAIN };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_hash, &conf, options, 3);
	struct peer_set less = set_of(pool, &lb_hash, &conf, options, 2);
	unsigned shares[3] = { 0 }, moved = keys_moved(&set, &less, shares);

	for (unsigned i = 0; i < 3; i++)
		ck_assert_msg(shares[i] > 700 && shares[i] < 1300, "share %u is %u", i, shares[i]);
	if (conf.consistent)
		ck_assert_uint_eq(moved, 0);
	else
		ck_assert_uint_gt(moved, 500);
	peer_set_release(&set);
	peer_set_release(&less);
	pool_free(pool);
}
END_TEST

START_TEST(random_method)
{
	const struct lb_random_conf conf = { .two = _i == 1 };
	const struct peer_options options[] = { { .weight = 3 }, { .weight = 1 } };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_random, &conf, options, 2);
	unsigned a = 0;

	for (unsigned i = 0; i < 4000; i++)
		a += pick(&set, NULL, PEER_OK, 1) == 'a';
	ck_assert_msg(a > 2600, "%u of 4000", a);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* Tries are held: least_conn fills by weight. */
START_TEST(least_conn_held)
{
	const struct peer_options options[] = { { .weight = 2 }, { .weight = 1 } };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_least_conn, NULL, options, 2);
	struct peer_choice choices[9];
	struct peer_try tries[9];
	unsigned a = 0;

	for (unsigned i = 0; i < 9; i++) {
		choices[i] = (struct peer_choice){ .set = &set, .prepared = true };
		ck_assert_int_eq(peer_pick(&choices[i], NULL, &tries[i]), PICK_OK);
		a += str_eq(tries[i].peer->text, STR("10.0.0.1:80"));
	}
	ck_assert_uint_eq(a, 6);
	for (unsigned i = 0; i < 9; i++)
		(void)peer_done(&tries[i], PEER_OK, false, &choices[i], 1);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* --- many peers: the same answers without looking at all of them --- */

#define MANY	60	/* more than LB_SMALL */

static struct peer_set
many_of(struct pool *pool, const struct lb_method *method, const void *conf, unsigned weights)
{
	struct peer_options options[MANY];

	for (unsigned i = 0; i < MANY; i++)
		options[i] = (struct peer_options){ .weight = 1 + i % weights, .max_fails = 1,
			.fail_timeout = 10000 };
	return (set_of(pool, method, conf, options, MANY));
}

static unsigned
number_of(const struct peer_set *set, const struct peer *peer)
{
	for (unsigned i = 0; i < MANY; i++)
		if (set->list->slots[i].peer == peer)
			return (i);
	ck_abort_msg("a peer that is not of the set");
	return (0);
}

/* The number of the peer that takes the next try, which ends with this result. */
static unsigned
pick_number(struct peer_set *set, enum peer_result result, uint64_t now)
{
	struct peer_choice choice = { .set = set, .prepared = true, .now = now };
	struct peer_try try;
	unsigned i;

	ck_assert_int_eq(peer_pick(&choice, NULL, &try), PICK_OK);
	i = number_of(set, try.peer);
	(void)peer_done(&try, result, false, &choice, now);
	return (i);
}

START_TEST(many_in_turn)
{
	struct pool *pool = pool_new(0);
	unsigned weights = (unsigned)_i, total = 0, picked[MANY] = { 0 };
	struct peer_set set = many_of(pool, &lb_round_robin, NULL, weights);

	for (unsigned i = 0; i < MANY; i++)
		total += 1 + i % weights;
	for (unsigned i = 0; i < 2 * total; i++)
		picked[pick_number(&set, PEER_OK, 1)]++;
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_uint_eq(picked[i], 2 * (1 + i % weights));
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* One that failed has no turn, then takes its share again. */
START_TEST(many_one_fails)
{
	struct pool *pool = pool_new(0);
	struct peer_set set = many_of(pool, &lb_round_robin, NULL, 1);
	unsigned failed = pick_number(&set, PEER_FAILED, 1000), picked = 0;

	for (unsigned i = 0; i < 5 * MANY; i++)
		ck_assert_uint_ne(pick_number(&set, PEER_OK, 2000), failed);
	for (unsigned i = 0; i < 10 * MANY; i++)
		picked += pick_number(&set, PEER_OK, 20000) == failed;
	ck_assert_msg(picked >= 7 && picked <= 11, "%u turns", picked);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* Never is one taken while another has fewer. */
START_TEST(many_least)
{
	static struct peer_choice choices[5 * MANY];
	static struct peer_try tries[5 * MANY];
	struct pool *pool = pool_new(0);
	struct peer_set set = many_of(pool, &lb_least_conn, NULL, 1);
	unsigned conns[MANY] = { 0 };

	memset(tries, 0, sizeof(tries));
	for (unsigned n = 0; n < 20 * MANY; n++) {
		unsigned at = (n * 7919u) % (5 * MANY), i, least = UINT32_MAX;

		if (tries[at].peer != NULL) {
			conns[number_of(&set, tries[at].peer)]--;
			(void)peer_done(&tries[at], PEER_OK, false, &choices[at], 1);
			continue;
		}
		choices[at] = (struct peer_choice){ .set = &set, .prepared = true, .now = 1 };
		ck_assert_int_eq(peer_pick(&choices[at], NULL, &tries[at]), PICK_OK);
		for (unsigned k = 0; k < MANY; k++)
			least = conns[k] < least ? conns[k] : least;
		i = number_of(&set, tries[at].peer);
		ck_assert_uint_eq(conns[i]++, least);
	}
	for (unsigned at = 0; at < 5 * MANY; at++)
		if (tries[at].peer != NULL)
			(void)peer_done(&tries[at], PEER_OK, false, &choices[at], 1);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* Shares by weight; a peer that fails is avoided. */
START_TEST(many_by_chance)
{
	const struct lb_random_conf conf = { .two = _i == 1 };
	struct pool *pool = pool_new(0);
	struct peer_set set = many_of(pool, &lb_random, &conf, 2);
	unsigned failed = pick_number(&set, PEER_FAILED, 1000), heavy = 0;

	for (unsigned i = 0; i < 6000; i++) {
		unsigned number = pick_number(&set, PEER_OK, 2000);

		ck_assert_uint_ne(number, failed);
		heavy += number % 2;
	}
	ck_assert_msg(heavy > 3600 && heavy < 4400, "%u of 6000", heavy);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

START_TEST(many_hashed)
{
	const struct lb_hash_conf conf = { .consistent = _i == 1 };
	struct pool *pool = pool_new(0);
	struct peer_set set = many_of(pool, &lb_hash, &conf, 3);
	unsigned picked[MANY] = { 0 };
	char text[16];

	for (unsigned i = 0; i < 20000; i++) {
		unsigned both[2];

		snprintf(text, sizeof(text), "/key/%u", i % 10000);
		for (unsigned k = 0; k < 2; k++) {
			struct peer_choice choice = { .set = &set, .prepared = true, .now = 1,
				.key = str_from(text), .hash = lb_hash_of(str_from(text)) };
			struct peer_try try;

			ck_assert_int_eq(peer_pick(&choice, NULL, &try), PICK_OK);
			both[k] = number_of(&set, try.peer);
			(void)peer_done(&try, PEER_OK, false, &choice, 1);
		}
		ck_assert_uint_eq(both[0], both[1]);
		picked[both[0]]++;
	}
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_msg(picked[i] > 60 * (1 + i % 3) && picked[i] < 340 * (1 + i % 3),
		    "%u: %u", i, picked[i]);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

/* --- threads --- */

static void *
hammer(void *arg)
{
	struct peer_set *set = arg;

	for (unsigned i = 0; i < 20000; i++)
		(void)pick(set, NULL, i % 7 == 0 ? PEER_FAILED : PEER_OK, 1000 + i);
	return (NULL);
}

START_TEST(threads)
{
	const struct peer_options options[] = { PLAIN, PLAIN, PLAIN };
	struct pool *pool = pool_new(0);
	struct peer_set set = set_of(pool, &lb_least_conn, NULL, options, 3);
	struct peer_choice choice = { .set = &set, .prepared = true, .now = 1000000 };
	pthread_t workers[3];
	struct peer_try tries[3];

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&workers[i], NULL, hammer, &set), 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(workers[i], NULL);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_le(peer_pick(&choice, NULL, &tries[i]), PICK_DESPERATE_SAID);
		ck_assert_uint_eq(tries[i].peer->conns, 1);
	}
	for (unsigned i = 0; i < 3; i++)
		(void)peer_done(&tries[i], PEER_OK, false, NULL, 1000000);
	peer_choice_end(&choice);
	peer_set_release(&set);
	pool_free(pool);
}
END_TEST

static void
add(TCase *tcase)
{
	clock_update();
	tcase_add_loop_test(tcase, order, 0, ROWS(orders));
	tcase_add_test(tcase, failures);
	tcase_add_test(tcase, desperate);
	tcase_add_loop_test(tcase, never_marked, 0, 3);
	tcase_add_test(tcase, each_once);
	tcase_add_test(tcase, slots);
	tcase_add_test(tcase, waiting);
	tcase_add_test(tcase, abandoned);
	tcase_add_test(tcase, adoption);
	tcase_add_loop_test(tcase, equality, 0, ROWS(resolved));
	tcase_add_loop_test(tcase, hashing, 0, 2);
	tcase_add_loop_test(tcase, random_method, 0, 2);
	tcase_add_test(tcase, least_conn_held);
	tcase_add_loop_test(tcase, many_in_turn, 1, 5);
	tcase_add_test(tcase, many_one_fails);
	tcase_add_test(tcase, many_least);
	tcase_add_loop_test(tcase, many_by_chance, 0, 2);
	tcase_add_loop_test(tcase, many_hashed, 0, 2);
	tcase_add_test(tcase, threads);
}

int
main(void)
{
	return (unit_main("peers", add));
}
