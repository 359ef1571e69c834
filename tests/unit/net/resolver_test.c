/* net/resolver.c against a small DNS server of our own on loopback. */
#define _GNU_SOURCE	/* pthread_tryjoin_np */
#include <arpa/inet.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "net/resolver.h"
#include "sockets.h"
#include "../unit.h"

static struct loop *loop;
static struct resolver *resolver;
static int dns_fd;
static struct addr dns_addr;
static pthread_t dns_thread;
static atomic_uint questions;

/* What the server says to a name; an unknown one does not exist. */
static const struct zone {
	const char *name;
	const char *v4[3];
	const char *v6;
	unsigned ttl;
	int code;	/* -1: no answer at all */
} zones[] = {
	{ "one.test", { "10.0.0.1" }, NULL, 60, 0 },
	{ "two.test", { "10.0.0.1", "10.0.0.2" }, NULL, 60, 0 },
	{ "six.test", { NULL }, "2001:db8::6", 60, 0 },
	{ "both.test", { "10.0.0.4" }, "2001:db8::4", 60, 0 },
	{ "brief.test", { "10.0.0.5" }, NULL, 1, 0 },
	{ "never.test", { "10.0.0.6" }, NULL, 0, 0 },
	{ "broken.test", { NULL }, NULL, 0, 2 },
	{ "silent.test", { NULL }, NULL, 0, -1 },
};

static size_t
put_record(unsigned char *p, unsigned type, unsigned ttl, const void *bytes, unsigned n)
{
	const unsigned char head[] = { 0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0,
		(unsigned char)(ttl >> 8), (unsigned char)ttl, 0, (unsigned char)n };

	memcpy(p, head, sizeof(head));
	memcpy(p + sizeof(head), bytes, n);
	return (sizeof(head) + n);
}

/* The question at p + 12 as a dotted name; the length of question and all before it. */
static size_t
question_name(const unsigned char *p, char *name)
{
	size_t at = 12;

	while (p[at] != 0) {
		memcpy(name, p + at + 1, p[at]);
		name += p[at];
		at += p[at] + 1u;
		*name++ = p[at] != 0 ? '.' : '\0';
	}
	return (at + 5);
}

static size_t
answer_write(unsigned char *p, size_t end, const struct zone *z)
{
	unsigned type = p[end - 3], count = 0;
	unsigned char raw[16];

	p[2] = 0x84;
	p[3] = (unsigned char)(0x80 | (z == NULL ? 3 : z->code));
	p[8] = p[9] = p[10] = p[11] = 0;
	for (int i = 0; z != NULL && type == 1 && i < 3 && z->v4[i] != NULL; i++, count++) {
		inet_pton(AF_INET, z->v4[i], raw);
		end += put_record(p + end, 1, z->ttl, raw, 4);
	}
	if (z != NULL && type == 28 && z->v6 != NULL) {
		inet_pton(AF_INET6, z->v6, raw);
		end += put_record(p + end, 28, z->ttl, raw, 16);
		count++;
	}
	p[6] = 0;
	p[7] = (unsigned char)count;
	return (end);
}

static void *
dns_run(void *arg)
{
	unsigned char packet[1024];
	char name[256];
	struct sockaddr_in from;

	(void)arg;
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(dns_fd, packet, 512, 0, (struct sockaddr *)&from, &len);
		const struct zone *z = NULL;
		size_t end;

		if (n < 17)
			return (NULL);
		end = question_name(packet, name);
		for (size_t i = 0; i < ROWS(zones); i++)
			if (strcmp(zones[i].name, name) == 0)
				z = &zones[i];
		atomic_fetch_add(&questions, 1);
		if (z != NULL && z->code == -1)
			continue;
		end = answer_write(packet, end, z);
		sendto(dns_fd, packet, end, 0, (struct sockaddr *)&from, len);
	}
}

static struct resolver_options options = { .ipv4 = true, .ipv6 = true, .timeout_ms = 5000 };

static void
setup(void)
{
	loop = loop_new(0);
	dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert(addr_parse(STR("127.0.0.1:1"), 1, &dns_addr));
	dns_addr.u.in.sin_port = 0;
	ck_assert_int_eq(bind(dns_fd, &dns_addr.u.sa, dns_addr.len), 0);
	ck_assert_int_eq(getsockname(dns_fd, &dns_addr.u.sa, &dns_addr.len), 0);
	ck_assert_int_eq(pthread_create(&dns_thread, NULL, dns_run, NULL), 0);
	options.servers = &dns_addr;
	options.server_count = 1;
	atomic_store(&questions, 0);
	resolver = resolver_new(loop, &options);
	ck_assert_ptr_nonnull(resolver);
}

static void
teardown(void)
{
	resolver_free(resolver);
	turn_idle(loop);	/* the answers of what was still asked */
	loop_free(loop);
	ck_assert_int_eq(sendto(dns_fd, "", 0, 0, &dns_addr.u.sa, dns_addr.len), 0);
	pthread_join(dns_thread, NULL);
	close(dns_fd);
}

struct asked {
	struct resolver_query query;
	int answers;
	char text[256];		/* addresses, or the error */
};

static void
note_answer(struct resolver_query *q)
{
	struct asked *a = q->arg;
	char one[ADDR_TEXT_MAX];

	a->answers++;
	if (q->error != NULL) {
		snprintf(a->text, sizeof(a->text), "%s", q->error);
		return;
	}
	a->text[0] = '\0';
	for (unsigned i = 0; i < q->count; i++) {
		addr_text(&q->addrs[i], true, one);
		snprintf(a->text + strlen(a->text), sizeof(a->text) - strlen(a->text), "%s%s",
		    i > 0 ? " " : "", one);
	}
}

static void
ask(struct asked *a, struct loop *from, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->query.loop = from;
	a->query.name = str_from(name);
	a->query.port = 80;
	a->query.answered = note_answer;
	a->query.arg = a;
	resolver_ask(resolver, &a->query);
}

static const struct answer_case {
	const char *name;
	const char *text;
	const char *rotated;	/* also right */
} answers[] = {
	{ "one.test", "10.0.0.1:80", NULL },
	{ "ONE.Test", "10.0.0.1:80", NULL },
	{ "two.test", "10.0.0.1:80 10.0.0.2:80", "10.0.0.2:80 10.0.0.1:80" },
	{ "six.test", "[2001:db8::6]:80", NULL },
	{ "both.test", "10.0.0.4:80 [2001:db8::4]:80", "[2001:db8::4]:80 10.0.0.4:80" },
	{ "missing.test", "Host not found", NULL },
	{ "broken.test", "Server failure", NULL },
	{ "192.0.2.1", "192.0.2.1:80", NULL },
	{ "", "Host not found", NULL },
};

START_TEST(names_have_addresses)
{
	const struct answer_case *c = &answers[_i];
	struct asked a;

	ask(&a, loop, c->name);
	ck_assert_int_eq(a.answers, 0);
	TURN_UNTIL(loop, a.answers > 0);
	ck_assert_msg(strcmp(a.text, c->text) == 0 ||
	    (c->rotated != NULL && strcmp(a.text, c->rotated) == 0), "%s: %s", c->name, a.text);
	ck_assert_ptr_null(a.query.state);
}
END_TEST

START_TEST(one_family_only)
{
	struct asked a;

	resolver_free(resolver);
	options.ipv6 = false;
	resolver = resolver_new(loop, &options);
	options.ipv6 = true;
	ask(&a, loop, "both.test");
	TURN_UNTIL(loop, a.answers > 0);
	ck_assert_str_eq(a.text, "10.0.0.4:80");
	ck_assert_uint_eq(atomic_load(&questions), 1);
}
END_TEST

START_TEST(answers_rotate)
{
	struct asked a, b;

	ask(&a, loop, "two.test");
	TURN_UNTIL(loop, a.answers > 0);
	ask(&b, loop, "two.test");
	TURN_UNTIL(loop, b.answers > 0);
	ck_assert_str_ne(a.text, b.text);
}
END_TEST

START_TEST(asked_at_once_is_asked_once)
{
	struct asked a[50];
	unsigned asked;

	for (size_t i = 0; i < ROWS(a); i++)
		ask(&a[i], loop, "one.test");
	TURN_UNTIL(loop, a[ROWS(a) - 1].answers > 0);
	asked = atomic_load(&questions);
	ck_assert_uint_eq(asked, 2);	/* A and AAAA */
	for (size_t i = 0; i < ROWS(a); i++)
		ck_assert_str_eq(a[i].text, "10.0.0.1:80");
	ask(&a[0], loop, "one.test");	/* known now */
	TURN_UNTIL(loop, a[0].answers > 0);
	ck_assert_uint_eq(atomic_load(&questions), asked);
}
END_TEST

START_TEST(known_until_it_expires)
{
	static const char *const names[] = { "brief.test", "never.test" };
	struct asked a;
	uint64_t until;

	ask(&a, loop, names[_i]);
	TURN_UNTIL(loop, a.answers > 0);
	ck_assert_uint_eq(atomic_load(&questions), 2);
	until = clock_mono_ms() + (_i == 0 ? 1100 : 0);
	TURN_UNTIL(loop, clock_mono_ms() >= until);
	ask(&a, loop, names[_i]);
	TURN_UNTIL(loop, a.answers > 0);
	ck_assert_uint_eq(atomic_load(&questions), 4);
}
END_TEST

START_TEST(valid_overrides)
{
	struct asked a;

	resolver_free(resolver);
	options.valid_ms = 60000;
	resolver = resolver_new(loop, &options);
	options.valid_ms = 0;
	for (int i = 0; i < 2; i++) {
		ask(&a, loop, "never.test");
		TURN_UNTIL(loop, a.answers > 0);
	}
	ck_assert_uint_eq(atomic_load(&questions), 2);
}
END_TEST

START_TEST(silence_times_out)
{
	struct asked a, b;
	uint64_t start;

	resolver_free(resolver);
	options.timeout_ms = 100;
	resolver = resolver_new(loop, &options);
	options.timeout_ms = 5000;
	clock_update();
	start = clock_mono_ms();
	ask(&a, loop, "silent.test");
	TURN_UNTIL(loop, a.answers > 0);
	ck_assert_str_eq(a.text, "Operation timed out");
	ck_assert_uint_ge(clock_mono_ms() - start, 100);
	ck_assert_uint_lt(clock_mono_ms() - start, 2000);
	ask(&b, loop, "silent.test");	/* begins anew, beside what c-ares still waits for */
	TURN_UNTIL(loop, b.answers > 0);
	ck_assert_str_eq(b.text, "Operation timed out");
}
END_TEST

START_TEST(cancelled_is_not_answered)
{
	struct asked a, b;

	ask(&a, loop, "one.test");
	ask(&b, loop, "one.test");
	resolver_cancel(&a.query);
	resolver_cancel(&a.query);
	TURN_UNTIL(loop, b.answers > 0);
	turn_idle(loop);
	ck_assert_int_eq(a.answers, 0);
	ask(&a, loop, "silent.test");
	turn_idle(loop);
	resolver_cancel(&a.query);	/* and freed with the resolver */
}
END_TEST

START_TEST(freeing_answers)
{
	struct asked a;

	ask(&a, loop, "silent.test");
	turn_idle(loop);
	resolver_free(resolver);
	TURN_UNTIL(loop, a.answers > 0);
	ck_assert_str_eq(a.text, "Unknown error");
	resolver = NULL;
}
END_TEST

/* --- from another thread --- */

struct asker {
	struct loop *loop;
	struct asked asked[200];
	unsigned answered;
	struct loop_msg start;
};

static void
asker_answered(struct resolver_query *q)
{
	struct asker *asker = q->arg;

	ck_assert_ptr_null(q->error);
	asker->answered++;
	if (asker->answered == ROWS(asker->asked) / 2)
		loop_stop(asker->loop);
}

/* Every second one is cancelled, at once or while it travels. */
static void
asker_start(struct loop_msg *m)
{
	struct asker *asker = list_item(m, struct asker, start);

	for (size_t i = 0; i < ROWS(asker->asked); i++) {
		struct resolver_query *q = &asker->asked[i].query;

		q->loop = asker->loop;
		q->name = i % 3 == 0 ? STR("one.test") : STR("never.test");
		q->answered = asker_answered;
		q->arg = asker;
		resolver_ask(resolver, q);
		if (i % 2 == 1)
			resolver_cancel(q);
	}
}

static void *
asker_run(void *arg)
{
	struct asker *asker = arg;

	loop_post(asker->loop, &asker->start);
	loop_run(asker->loop);
	return (NULL);
}

START_TEST(threads_ask)
{
	static struct asker askers[2];
	pthread_t threads[2];

	memset(askers, 0, sizeof(askers));
	for (int i = 0; i < 2; i++) {
		askers[i].loop = loop_new(1);
		askers[i].start.deliver = asker_start;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, asker_run, &askers[i]), 0);
	}
	/* The home loop turns while they ask. */
	for (int i = 0; i < 2; i++) {
		while (pthread_tryjoin_np(threads[i], NULL) != 0) {
			struct timer wake = { 0 };

			timer_arm(loop, &wake, 5, wake_only);
			loop_turn(loop, true);
			timer_cancel(&wake);
		}
	}
	turn_idle(loop);
	for (int i = 0; i < 2; i++) {
		loop_turn(askers[i].loop, false);	/* what came for the cancelled */
		ck_assert_uint_eq(askers[i].answered, 100);
		loop_free(askers[i].loop);
	}
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, names_have_addresses, 0, ROWS(answers));
	tcase_add_test(t, one_family_only);
	tcase_add_test(t, answers_rotate);
	tcase_add_test(t, asked_at_once_is_asked_once);
	tcase_add_loop_test(t, known_until_it_expires, 0, 2);
	tcase_add_test(t, valid_overrides);
	tcase_add_test(t, silence_times_out);
	tcase_add_test(t, cancelled_is_not_answered);
	tcase_add_test(t, freeing_answers);
	tcase_add_test(t, threads_ask);
}

int
main(void)
{
	return (unit_main("net/resolver", add));
}
