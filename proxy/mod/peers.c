/*
 * Groups of back ends: their peers and counters, and the choice of the next
 * one.  Groups live in the registry and outlive generations; a generation's
 * set refers to a counted list of slots, which a re-resolved name replaces.
 * Called by upstream.c and attempt.c from any thread.
 *
 *	peer:  unused -> usable -> (fails >= max_fails) failed -> (fail_timeout passed,
 *	       one success) usable
 *
 * One leaf lock per group: taken and released in each function here; methods
 * (lb_*.c) run under it and call nobody.
 */
#include "mod/peers.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "http/registry.h"
#include "http/request.h"
#include "mod/lb.h"

struct peer_group {
	pthread_mutex_t lock;
	unsigned index;
	struct list peers;	/* struct peer */
	struct list waiters;	/* struct peer_waiter, oldest first */
	unsigned waiting;	/* they, and those of peer_group_wait_begin() */
	unsigned least_conns;	/* see peer_least_conns() */
	uint64_t said;		/* when "no live upstreams" was said last, monotonic ms */
};

static atomic_uint group_counter;

static void *
group_make(void *arg)
{
	struct peer_group *group = xcalloc(1, sizeof(*group));

	(void)arg;
	pthread_mutex_init(&group->lock, NULL);
	group->index = atomic_fetch_add(&group_counter, 1);
	list_init(&group->peers);
	list_init(&group->waiters);
	return (group);
}

struct peer_group *
peer_group_get(struct str name)
{
	return (registry_get(STR("group"), name, group_make, NULL));
}

unsigned
peer_group_index(const struct peer_group *group)
{
	return (group->index);
}

/* --- lists; what takes a group works under its lock --- */

static struct peer *
peer_new(struct peer_group *group, const struct addr *addr, struct str text)
{
	struct peer *peer = xcalloc(1, sizeof(*peer) + text.n + 1);
	char *p = (char *)(peer + 1);

	memcpy(p, text.p, text.n);
	peer->group = group;
	peer->addr = *addr;
	peer->hash = hash_bytes(str_make((const char *)&addr->u, addr->len));
	peer->text = str_make(p, text.n);
	list_init(&peer->link);
	return (peer);
}

/* Drops n references; the last one frees. */
static void
peer_unref(struct peer *peer, unsigned n)
{
	assert(peer->refs >= n);
	peer->refs -= n;
	if (peer->refs > 0)
		return;
	list_remove(&peer->link);
	free(peer);
}

static struct peer *
group_peer(struct peer_group *group, const struct peer_spec *spec, unsigned twin)
{
	struct peer *peer;

	LIST_EACH(&group->peers, it) {
		peer = list_item(it, struct peer, link);
		if (peer->twin == twin && addr_eq(&peer->addr, &spec->addr) &&
		    str_eq(peer->text, spec->text))
			return (peer);
	}
	peer = peer_new(group, &spec->addr, spec->text);
	peer->twin = twin;
	list_push_back(&group->peers, &peer->link);
	return (peer);
}

/* How many slots before this one have the same address. */
static unsigned
spec_twin(const struct peer_list *list, unsigned filled, const struct peer_spec *spec)
{
	unsigned twin = 0;

	for (unsigned i = 0; i < filled; i++)
		if (addr_eq(&list->slots[i].peer->addr, &spec->addr))
			twin++;
	return (twin);
}

static void
slot_fill(struct peer_group *group, struct peer_list *list, unsigned at,
    const struct peer_spec *spec)
{
	struct peer_slot *slot = &list->slots[at];

	slot->peer = group_peer(group, spec, spec_twin(list, at, spec));
	slot->peer->refs++;
	slot->options = spec->options;
	slot->server = pool_strdup(list->pool, spec->server);
}

static struct peer_list *
list_new(const struct peer_spec *specs, unsigned count)
{
	size_t size = sizeof(struct peer_list) + count * sizeof(struct peer_slot);
	struct pool *pool = pool_new(size + 64);
	struct peer_list *list = pool_zalloc(pool, size);

	list->pool = pool;
	list->refs = 1;
	list->count = count;
	for (unsigned i = 0; i < count; i++) {
		list->primary += !specs[i].options.backup;
		list->up += !specs[i].options.down;
	}
	return (list);
}

/* Drops a reference; the list to free afterwards, when it was the last. */
static struct peer_list *
list_unref(struct peer_list *list)
{
	if (list == NULL || --list->refs > 0)
		return (NULL);
	for (unsigned i = 0; i < list->count; i++)
		peer_unref(list->slots[i].peer, 1);
	return (list);
}

static void
list_free(struct peer_list *list)
{
	if (list != NULL)
		pool_free(list->pool);
}

void
peer_set_fill(struct peer_set *set, const struct peer_spec *specs, unsigned count)
{
	struct peer_list *list = list_new(specs, count), *old;
	unsigned first = 0, backup = list->primary;

	pthread_mutex_lock(&set->group->lock);
	for (unsigned i = 0; i < count; i++)
		if (!specs[i].options.backup)
			slot_fill(set->group, list, first++, &specs[i]);
	for (unsigned i = 0; i < count; i++)
		if (specs[i].options.backup)
			slot_fill(set->group, list, backup++, &specs[i]);
	if (set->method->init != NULL)
		list->method_state = set->method->init(list, set->method_conf);
	set->group->least_conns = 0;
	old = list_unref(set->list);
	set->list = list;
	pthread_mutex_unlock(&set->group->lock);
	list_free(old);
}

static bool
slot_is_of(const struct peer_slot *slot, const struct peer_spec *spec)
{
	return (addr_eq(&slot->peer->addr, &spec->addr) && str_eq(slot->server, spec->server));
}

/* Are there as many slots like this spec as there are specs? */
static bool
spec_is_known(const struct peer_list *list, const struct peer_spec *specs, unsigned count,
    const struct peer_spec *spec)
{
	unsigned slots = 0, equals = 0;

	for (unsigned i = 0; i < count; i++) {
		slots += slot_is_of(&list->slots[i], spec);
		equals += addr_eq(&specs[i].addr, &spec->addr) &&
		    str_eq(specs[i].server, spec->server);
	}
	return (slots == equals);
}

bool
peer_set_equals(const struct peer_set *set, const struct peer_spec *specs, unsigned count)
{
	bool equal;

	pthread_mutex_lock(&set->group->lock);
	equal = set->list != NULL && set->list->count == count;
	for (unsigned i = 0; equal && i < count; i++)
		equal = spec_is_known(set->list, specs, count, &specs[i]);
	pthread_mutex_unlock(&set->group->lock);
	return (equal);
}

void
peer_set_release(void *arg)
{
	struct peer_set *set = arg;
	struct peer_list *old;

	pthread_mutex_lock(&set->group->lock);
	old = list_unref(set->list);
	set->list = NULL;
	pthread_mutex_unlock(&set->group->lock);
	list_free(old);
}

/* --- the choice --- */

static bool
choice_tried(const struct peer_choice *choice, unsigned i)
{
	if (choice->tried_many != NULL)
		return ((choice->tried_many[i / 64] >> (i % 64) & 1) != 0);
	return ((choice->tried_few >> i & 1) != 0);
}

static void
choice_mark(struct peer_choice *choice, unsigned i)
{
	if (choice->tried_many != NULL)
		choice->tried_many[i / 64] |= UINT64_C(1) << (i % 64);
	else
		choice->tried_few |= UINT64_C(1) << i;
}

static void
choice_unmark(struct peer_choice *choice, unsigned i)
{
	if (choice->tried_many != NULL)
		choice->tried_many[i / 64] &= ~(UINT64_C(1) << (i % 64));
	else
		choice->tried_few &= ~(UINT64_C(1) << i);
}

void
peer_choice_failed(struct peer_choice *choice, const struct peer_try *t, uint64_t again_at)
{
	if (choice->failure_count < sizeof(choice->failures) / sizeof(choice->failures[0]))
		choice->failures[choice->failure_count++] =
		    (struct peer_failure){ t->slot, again_at };
}

unsigned
peer_choice_again(struct peer_choice *choice, uint64_t now)
{
	unsigned count = 0;

	for (unsigned k = 0; k < choice->failure_count; k++) {
		struct peer_failure *failure = &choice->failures[k];

		if (failure->again_at > now)
			continue;
		choice_unmark(choice, failure->slot);
		failure->again_at = UINT64_MAX;
		count++;
	}
	return (count);
}

static bool
slot_is_full(const struct peer_slot *slot)
{
	return (slot->options.max_conns != 0 && slot->peer->conns >= slot->options.max_conns);
}

static bool
slot_is_failed(const struct peer_choice *choice, const struct peer_slot *slot)
{
	const struct peer *peer = slot->peer;

	return (choice->list->count > 1 && slot->options.max_fails != 0 &&
	    peer->fails >= slot->options.max_fails &&
	    choice->now - peer->checked <= slot->options.fail_timeout);
}

bool
peer_usable(const struct peer_choice *choice, unsigned i)
{
	const struct peer_slot *slot = &choice->list->slots[i];

	return (!choice_tried(choice, i) && !slot->options.down && !slot_is_full(slot) &&
	    !slot_is_failed(choice, slot));
}

int64_t
peer_weight(const struct peer_choice *choice, unsigned i)
{
	const struct peer_slot *slot = &choice->list->slots[i];
	const struct peer *peer = slot->peer;
	int64_t weight = (int64_t)slot->options.weight * 100;
	uint64_t age;

	if (slot->options.slow_start == 0 || peer->recovered == 0)
		return (weight);
	age = choice->now - peer->recovered;
	if (age >= slot->options.slow_start)
		return (weight);
	weight = weight * (int64_t)age / (int64_t)slot->options.slow_start;
	return (weight < 1 ? 1 : weight);
}

unsigned
peer_least_conns(const struct peer_choice *choice)
{
	return (choice->set->group->least_conns);
}

void
peer_set_least_conns(const struct peer_choice *choice, unsigned conns)
{
	choice->set->group->least_conns = conns;
}

/* D8: nobody is live, but somebody is there: the one that failed longest ago. */
static uint32_t
pick_desperate(const struct peer_choice *choice, bool *busy)
{
	uint32_t best = LB_NONE;

	for (unsigned i = 0; i < choice->list->count; i++) {
		const struct peer_slot *slot = &choice->list->slots[i];

		if (choice_tried(choice, i) || slot->options.down)
			continue;
		if (slot_is_full(slot))
			*busy = true;
		else if (best == LB_NONE ||
		    slot->peer->checked < choice->list->slots[best].peer->checked)
			best = i;
	}
	return (best);
}

static uint32_t
pick_live(struct peer_choice *choice)
{
	const struct peer_list *list = choice->list;
	const struct lb_method *method = choice->set->method;
	uint32_t at = method->pick(choice, 0, list->primary);

	if (at == LB_NONE && list->primary < list->count)
		at = method->pick(choice, list->primary, list->count);
	return (at);
}

static enum pick_result
desperation(struct peer_group *group, uint64_t fail_timeout, uint64_t now)
{
	if (group->said != 0 && now - group->said < fail_timeout)
		return (PICK_DESPERATE_SAID);
	group->said = now;
	return (PICK_DESPERATE);
}

static void
try_begin(struct peer_choice *choice, uint32_t at, struct peer_try *out)
{
	struct peer_slot *slot = &choice->list->slots[at];
	struct peer *peer = slot->peer;

	choice_mark(choice, at);
	/* The probe of a peer whose fail_timeout passed: the others wait for its result. */
	if (choice->now - peer->checked > slot->options.fail_timeout)
		peer->checked = choice->now;
	peer->conns++;
	peer->refs++;
	*out = (struct peer_try){ .peer = peer, .options = slot->options, .slot = at, .refs = 1,
		.alone = choice->list->count == 1 };
}

static void
choice_take_list(struct peer_choice *choice)
{
	if (choice->list != NULL)
		return;
	choice->list = choice->set->list;
	choice->list->refs++;
}

static void
choice_prepare(struct peer_choice *choice, struct request *r)
{
	const struct lb_method *method = choice->set->method;

	if (method->prepare != NULL && !choice->prepared)
		method->prepare(choice, r, choice->set->method_conf);
	choice->prepared = true;
}

/* The bits of what was tried, where there are more than fit. */
static void
choice_make_room(struct peer_choice *choice, struct request *r)
{
	if (choice->list->count > 64 && choice->tried_many == NULL)
		choice->tried_many = pool_zalloc(r->pool, (choice->list->count + 63) / 64 * 8);
}

/* Under the lock. */
static enum pick_result
choice_pick(struct peer_choice *choice, struct peer_try *out)
{
	struct peer_group *group = choice->set->group;
	bool busy = false;
	uint32_t at = pick_live(choice);

	if (at != LB_NONE) {
		try_begin(choice, at, out);
		return (PICK_OK);
	}
	at = pick_desperate(choice, &busy);
	if (at == LB_NONE)
		return (busy ? PICK_BUSY : PICK_NONE);
	try_begin(choice, at, out);
	return (desperation(group, choice->list->slots[at].options.fail_timeout, choice->now));
}

enum pick_result
peer_pick(struct peer_choice *choice, struct request *r, struct peer_try *out)
{
	struct peer_group *group = choice->set->group;
	enum pick_result result;

	choice_prepare(choice, r);
	out->peer = NULL;
	pthread_mutex_lock(&group->lock);
	choice_take_list(choice);
	choice_make_room(choice, r);
	result = choice_pick(choice, out);
	pthread_mutex_unlock(&group->lock);
	return (result);
}

/* Slots are free: the oldest that may use them have them.  Under the lock; posted behind it. */
static void
group_grant(struct peer_group *group, uint64_t now, struct list *granted)
{
	LIST_EACH_SAFE(&group->waiters, it, after) {
		struct peer_waiter *waiter = list_item(it, struct peer_waiter, link);
		uint32_t at;

		waiter->choice->now = now;
		at = pick_live(waiter->choice);
		if (at == LB_NONE)
			continue;
		try_begin(waiter->choice, at, &waiter->try);
		waiter->granted = true;
		list_remove(&waiter->link);
		group->waiting--;
		list_push_back(granted, &waiter->link);
	}
}

/* Behind the lock: each belongs to its thread once it is posted. */
static void
granted_post(struct list *granted)
{
	struct list *it;

	while ((it = list_pop(granted)) != NULL) {
		struct peer_waiter *waiter = list_item(it, struct peer_waiter, link);

		loop_post(waiter->loop, &waiter->msg);
	}
}

enum pick_result
peer_pick_or_wait(struct peer_choice *choice, struct request *r, struct peer_try *out,
    struct peer_waiter *waiter, unsigned max)
{
	struct peer_group *group = choice->set->group;
	enum pick_result result = PICK_BUSY;
	struct list granted = LIST_INIT(granted);

	choice_prepare(choice, r);
	out->peer = NULL;
	pthread_mutex_lock(&group->lock);
	choice_take_list(choice);
	choice_make_room(choice, r);
	if (list_is_empty(&group->waiters))
		result = choice_pick(choice, out);
	if (result == PICK_BUSY && group->waiting >= max) {
		result = PICK_FULL;
	} else if (result == PICK_BUSY) {
		result = PICK_WAIT;
		waiter->choice = choice;
		group->waiting++;
		list_push_back(&group->waiters, &waiter->link);
		/* A reload may have made room that nobody gave back. */
		group_grant(group, choice->now, &granted);
	}
	pthread_mutex_unlock(&group->lock);
	granted_post(&granted);
	return (result);
}

/* --- waiting --- */

static void
waiter_deliver(struct loop_msg *msg)
{
	struct peer_waiter *waiter = list_item(msg, struct peer_waiter, msg);

	if (!waiter->abandoned) {
		waiter->on_granted(waiter);
		return;
	}
	(void)peer_done(&waiter->try, PEER_UNTESTED, false, NULL, clock_mono_ms());
	free(waiter);
}

struct peer_waiter *
peer_waiter_new(struct loop *loop, void (*on_granted)(struct peer_waiter *), void *arg)
{
	struct peer_waiter *waiter = xcalloc(1, sizeof(*waiter));

	waiter->msg.deliver = waiter_deliver;
	waiter->loop = loop;
	waiter->on_granted = on_granted;
	waiter->arg = arg;
	list_init(&waiter->link);
	return (waiter);
}

void
peer_waiter_free(struct peer_waiter *waiter)
{
	free(waiter);
}

void
peer_waiter_cancel(struct peer_waiter *waiter)
{
	struct peer_group *group = waiter->choice->set->group;
	bool granted;

	pthread_mutex_lock(&group->lock);
	granted = waiter->granted;
	if (!granted) {
		list_remove(&waiter->link);
		group->waiting--;
	}
	pthread_mutex_unlock(&group->lock);
	waiter->abandoned = true;
	if (!granted)
		free(waiter);
}

bool
peer_group_wait_begin(struct peer_group *group, unsigned max)
{
	bool may;

	pthread_mutex_lock(&group->lock);
	may = group->waiting < max;
	if (may)
		group->waiting++;
	pthread_mutex_unlock(&group->lock);
	return (may);
}

void
peer_group_wait_end(struct peer_group *group)
{
	pthread_mutex_lock(&group->lock);
	group->waiting--;
	pthread_mutex_unlock(&group->lock);
}

unsigned
peer_choice_size(struct peer_choice *choice)
{
	unsigned count;

	pthread_mutex_lock(&choice->set->group->lock);
	choice_take_list(choice);
	count = choice->list->up;
	pthread_mutex_unlock(&choice->set->group->lock);
	return (count);
}

void
peer_try_alone(struct peer_try *out, struct peer_group *group, const struct addr *addr,
    struct str text)
{
	struct peer *peer = peer_new(group, addr, text);

	peer->conns = peer->refs = 1;
	*out = (struct peer_try){ .peer = peer, .refs = 1, .alone = true,
		.options = { .weight = 1, .max_fails = 1 } };
}

static bool
try_failed(const struct peer_try *t, uint64_t now)
{
	struct peer *peer = t->peer;

	peer->accessed = peer->checked = now;
	peer->fails++;
	if (t->options.max_fails == 0)
		return (false);
	peer->effective_weight -= (int64_t)t->options.weight * 100 / t->options.max_fails;
	if (peer->effective_weight < 0)
		peer->effective_weight = 0;
	return (peer->fails == t->options.max_fails);
}

/* A success behind the last check: whatever failed before is over. */
static void
try_succeeded(const struct peer_try *t, uint64_t now)
{
	struct peer *peer = t->peer;

	if (peer->fails == 0 || peer->accessed >= peer->checked)
		return;
	if (t->options.max_fails != 0 && peer->fails >= t->options.max_fails)
		peer->recovered = now;
	peer->fails = 0;
}

bool
peer_fail(struct peer_try *t, uint64_t now)
{
	struct peer_group *group = t->peer->group;
	bool disabled;

	if (t->alone)
		return (false);
	pthread_mutex_lock(&group->lock);
	disabled = try_failed(t, now);
	pthread_mutex_unlock(&group->lock);
	return (disabled);
}

bool
peer_done(struct peer_try *t, enum peer_result result, bool keep, struct peer_choice *ended,
    uint64_t now)
{
	struct peer_group *group = t->peer->group;
	struct peer_list *old = NULL;
	struct list granted = LIST_INIT(granted);
	bool disabled = false;

	pthread_mutex_lock(&group->lock);
	t->peer->conns--;
	if (t->peer->conns < group->least_conns)
		group->least_conns = t->peer->conns;
	if (!t->alone && result == PEER_FAILED)
		disabled = try_failed(t, now);
	else if (!t->alone && result == PEER_OK)
		try_succeeded(t, now);
	if (ended != NULL)
		old = list_unref(ended->list);
	if (t->refs > (keep ? 1u : 0u))
		peer_unref(t->peer, t->refs - (keep ? 1 : 0));
	if (!list_is_empty(&group->waiters))
		group_grant(group, now, &granted);
	pthread_mutex_unlock(&group->lock);
	granted_post(&granted);
	t->peer = NULL;
	if (ended != NULL)
		ended->list = NULL;
	list_free(old);
	return (disabled);
}

void
peer_works(const struct peer_try *t, uint64_t now)
{
	struct peer_group *group = t->peer->group;

	pthread_mutex_lock(&group->lock);
	if (!t->alone)
		try_succeeded(t, now);
	pthread_mutex_unlock(&group->lock);
}

void
peer_choice_end(struct peer_choice *choice)
{
	struct peer_list *old;

	if (choice->list == NULL)
		return;
	pthread_mutex_lock(&choice->set->group->lock);
	old = list_unref(choice->list);
	pthread_mutex_unlock(&choice->set->group->lock);
	choice->list = NULL;
	list_free(old);
}

void
peer_choice_restart(struct peer_choice *choice)
{
	peer_choice_end(choice);
	choice->tried_few = 0;
	choice->tried_many = NULL;
	choice->failure_count = 0;
}

void
peer_drop(struct peer *peer)
{
	struct peer_group *group = peer->group;

	pthread_mutex_lock(&group->lock);
	peer_unref(peer, 1);
	pthread_mutex_unlock(&group->lock);
}

void
peer_swap(struct peer *from, struct peer *to)
{
	struct peer_group *group = from->group;

	pthread_mutex_lock(&group->lock);
	to->refs++;
	peer_unref(from, 1);
	pthread_mutex_unlock(&group->lock);
}
