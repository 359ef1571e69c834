/*
 * limit_req: a leaky bucket for each key of a zone.  Requests over the rate wait
 * up to the burst, the rest is refused.  One mutex a zone: exact over threads.
 *
 *	excess = excess before - rate * time passed + one request
 *	excess > burst: refused; > delay: waits (excess - delay) / rate
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "http/request.h"
#include "http/site.h"
#include "http/var.h"
#include "mod/limit_zone.h"
#include "mod/modules.h"
#include "net/loop.h"

#define KEY_MAX		65535
#define NGINX_NODE	80	/* bytes of such a node in nginx, without its key */
#define IDLE_MS		60000	/* an empty bucket is forgotten after this */
#define LIMITS_MAX	16	/* limit_req lines at one level */
#define NO_DELAY	UINT64_MAX

struct bucket {
	struct limit_node node;
	struct list lru;	/* zone's, last used first */
	uint64_t last;		/* monotonic ms */
	int64_t excess;		/* thousandths of a request */
	unsigned users;		/* requests between charge and settle */
};

/* A zone's state, for the life of the process. */
struct buckets {
	pthread_mutex_t lock;	/* leaf: nothing is called under it but this file's own */
	struct limit_table table;
	struct list lru;
};

struct limit_req {
	struct limit_zone *zone;
	uint64_t burst;		/* thousandths of a request */
	uint64_t delay;		/* what may be exceeded without waiting */
};

struct limit_req_location {
	struct vec limits;	/* struct limit_req */
	unsigned log_level;
	uint64_t status;
	bool dry_run;
};

struct limit_req_main {
	struct vec zones;	/* struct limit_zone * */
	int variable;		/* $limit_req_status; assigned once a limit was looked at */
};

enum charge { CHARGE_PASS, CHARGE_HELD, CHARGE_BUSY, CHARGE_FULL };

/* What is known of the request while its limits are looked at. */
struct limit_run {
	const struct limit_req *limit;		/* the one that decides */
	uint64_t excess;
	struct bucket *held[LIMITS_MAX];	/* charged last, when all others allow it */
};

/* --- buckets --- */

static void *
buckets_new(void *arg)
{
	const struct limit_zone *zone = arg;
	struct buckets *b = xcalloc(1, sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	limit_table_init(&b->table, zone->size);
	list_init(&b->lru);
	return (b);
}

/* The threads' clocks differ by a turn. */
static int64_t
elapsed(const struct bucket *bucket, uint64_t now)
{
	int64_t ms = (int64_t)(now - bucket->last);

	if (ms < -60000)
		return (1);
	return (ms < 0 ? 0 : ms);
}

static int64_t
excess_now(const struct bucket *bucket, uint64_t rate, int64_t ms)
{
	int64_t leaked = (int64_t)rate > INT64_MAX / (ms + 1) ? INT64_MAX / 2 :
	    (int64_t)rate * ms / 1000;
	int64_t excess = bucket->excess - leaked + 1000;

	return (excess < 0 ? 0 : excess);
}

/* Forgets the one unused longest (force), and up to two that are empty and idle. */
static void
buckets_expire(struct buckets *b, uint64_t rate, uint64_t now, bool force)
{
	for (unsigned n = force ? 0 : 1; n < 3; n++) {
		struct bucket *oldest = list_item(b->lru.prev, struct bucket, lru);
		int64_t ms;

		if (list_is_empty(&b->lru) || oldest->users > 0)
			return;
		ms = elapsed(oldest, now);
		if (n > 0 && (ms < IDLE_MS || excess_now(oldest, rate, ms) > 1000))
			return;
		limit_table_remove(&b->table, &oldest->node);
		list_remove(&oldest->lru);
		free(oldest);
	}
}

/* NULL: the zone is full of buckets in use. */
static struct bucket *
bucket_new(struct buckets *b, const struct limit_zone *zone, struct str key, uint32_t hash,
    uint64_t now)
{
	uint32_t cost = limit_node_cost(NGINX_NODE + key.n);
	struct bucket *bucket;

	buckets_expire(b, zone->rate, now, false);
	if (b->table.bytes + cost > zone->budget)
		buckets_expire(b, zone->rate, now, true);
	if (b->table.bytes + cost > zone->budget)
		return (NULL);
	bucket = xcalloc(1, sizeof(*bucket) + key.n);
	memcpy(bucket + 1, key.p, key.n);
	bucket->node.key = str_make((const char *)(bucket + 1), key.n);
	bucket->node.hash = hash;
	bucket->node.cost = cost;
	limit_table_add(&b->table, &bucket->node);
	list_init(&bucket->lru);
	return (bucket);
}

/* One request against one limit.  settle: it is the last one, so the request counts at once. */
static enum charge
bucket_charge(const struct limit_req *limit, struct str key, bool settle, struct bucket **held,
    uint64_t *excess)
{
	struct buckets *b = limit->zone->shared;
	uint32_t hash = hash_bytes(key);
	uint64_t now = clock_mono_ms();
	enum charge answer = settle ? CHARGE_PASS : CHARGE_HELD;
	struct bucket *bucket;

	pthread_mutex_lock(&b->lock);
	bucket = (struct bucket *)limit_table_find(&b->table, key, hash);
	if (bucket != NULL) {
		int64_t ms = elapsed(bucket, now);

		*excess = (uint64_t)excess_now(bucket, limit->zone->rate, ms);
		if (*excess > limit->burst) {
			answer = CHARGE_BUSY;
		} else if (settle) {
			bucket->excess = (int64_t)*excess;
			if (ms > 0)
				bucket->last = now;
		}
	} else {
		*excess = 0;
		bucket = bucket_new(b, limit->zone, key, hash, now);
		if (bucket == NULL)
			answer = CHARGE_FULL;
		else
			bucket->last = settle ? now : 0;
	}
	if (answer == CHARGE_HELD) {
		bucket->users++;
		*held = bucket;
	}
	if (bucket != NULL) {
		list_remove(&bucket->lru);
		list_push_front(&b->lru, &bucket->lru);
	}
	pthread_mutex_unlock(&b->lock);
	return (answer);
}

/* The request counts in a held bucket (or, when another limit refused it, does not). */
static uint64_t
bucket_settle(const struct limit_req *limit, struct bucket *bucket, bool counts)
{
	struct buckets *b = limit->zone->shared;
	uint64_t now = clock_mono_ms();
	int64_t excess = 0;

	pthread_mutex_lock(&b->lock);
	if (counts) {
		int64_t ms = elapsed(bucket, now);

		excess = excess_now(bucket, limit->zone->rate, ms);
		bucket->excess = excess;
		if (ms > 0)
			bucket->last = now;
	}
	bucket->users--;
	pthread_mutex_unlock(&b->lock);
	return ((uint64_t)excess);
}

/* --- the step --- */

static uint64_t
wait_of(const struct limit_req *limit, uint64_t excess)
{
	if (excess <= limit->delay)
		return (0);
	return ((excess - limit->delay) * 1000 / limit->zone->rate);
}

/* All allow it: it counts everywhere.  Returns the longest wait in ms, and whose it is. */
static uint64_t
run_settle(struct limit_run *run, const struct vec *limits, bool counts)
{
	uint64_t longest = run->limit == NULL ? 0 : wait_of(run->limit, run->excess);

	for (size_t i = 0; i < limits->count; i++) {
		const struct limit_req *limit = vec_at(limits, const struct limit_req, i);
		uint64_t excess, ms;

		if (run->held[i] == NULL)
			continue;
		excess = bucket_settle(limit, run->held[i], counts);
		ms = wait_of(limit, excess);
		if (ms <= longest)
			continue;
		longest = ms;
		run->limit = limit;
		run->excess = excess;
	}
	return (longest);
}

/* Looks at all limits in order until one refuses.  False: none has a key for this request. */
static bool
run_charge(struct request *r, struct limit_run *run, const struct vec *limits, enum charge *answer)
{
	bool any = false;

	*answer = CHARGE_PASS;
	for (size_t i = 0; i < limits->count; i++) {
		const struct limit_req *limit = vec_at(limits, const struct limit_req, i);
		uint64_t excess;
		struct str key;

		if (!limit_zone_key(r, limit->zone, KEY_MAX, &key))
			continue;
		any = true;
		*answer = bucket_charge(limit, key, i + 1 == limits->count, &run->held[i], &excess);
		if (*answer == CHARGE_HELD)
			continue;
		run->limit = limit;
		run->excess = excess;
		if (*answer != CHARGE_PASS)
			break;
	}
	return (any);
}

static void
log_limit(struct request *r, const struct limit_req_location *conf, const struct limit_run *run,
    bool refused)
{
	/* A delay is said one level lower than a refusal. */
	unsigned level = refused || conf->log_level == LOG_INFO ? conf->log_level :
	    conf->log_level + 1;

	request_log(r, (enum log_level)level, 0,
	    "%s%s, excess: %llu.%03u%s by zone \"" STR_FMT "\"",
	    refused ? "limiting requests" : "delaying request", conf->dry_run ? ", dry run" : "",
	    (unsigned long long)(run->excess / 1000), (unsigned)(run->excess % 1000),
	    refused ? "" : ",", STR_ARG(run->limit->zone->name));
}

struct delayed {
	struct timer timer;
	struct request *r;
};

static void
delay_over(struct timer *timer)
{
	request_resume(list_item(timer, struct delayed, timer)->r, true);
}

static void
delay_cancel(struct request *r, void *arg)
{
	struct delayed *delayed = arg;

	(void)r;
	timer_cancel(&delayed->timer);
}

static enum step_result
request_delay(struct request *r, uint64_t ms)
{
	struct delayed *delayed = pool_new_object(r->pool, struct delayed);

	delayed->r = r;
	timer_arm(r->thread->loop, &delayed->timer, ms, delay_over);
	request_wait(r, delay_cancel, delayed);
	return (STEP_WAIT);
}

static enum step_result
limit_refuse(struct request *r, const struct limit_req_location *conf, struct limit_run *run,
    enum charge answer, int variable)
{
	if (answer == CHARGE_BUSY)
		log_limit(r, conf, run, true);
	else
		request_log(r, LOG_ALERT, 0, "could not allocate node in limit_req zone \"" STR_FMT
		    "\"", STR_ARG(run->limit->zone->name));
	(void)run_settle(run, &conf->limits, false);
	var_assign(r, variable, conf->dry_run ? STR("REJECTED_DRY_RUN") : STR("REJECTED"));
	return (conf->dry_run ? STEP_NEXT : request_fail(r, (unsigned)conf->status));
}

enum step_result
limit_req_step(struct request *r)
{
	const struct limit_req_location *conf = location_conf(r->location, limit_req_module);
	const struct limit_req_main *main = main_conf(r->http, limit_req_module);
	struct limit_run run = { 0 };
	enum charge answer;
	uint64_t ms;

	if (conf->limits.count == 0 || r->vars[main->variable].state == VAR_VALUE ||
	    !run_charge(r, &run, &conf->limits, &answer))
		return (STEP_NEXT);
	if (answer == CHARGE_BUSY || answer == CHARGE_FULL)
		return (limit_refuse(r, conf, &run, answer, main->variable));
	ms = run_settle(&run, &conf->limits, true);
	if (ms == 0) {
		var_assign(r, main->variable, STR("PASSED"));
		return (STEP_NEXT);
	}
	log_limit(r, conf, &run, false);
	var_assign(r, main->variable, conf->dry_run ? STR("DELAYED_DRY_RUN") : STR("DELAYED"));
	return (conf->dry_run ? STEP_NEXT : request_delay(r, ms));
}

/* --- directives --- */

static int
limit_req_prepare(struct conf *cf, struct http_conf *http)
{
	struct limit_req_main *main = main_conf(http, limit_req_module);

	main->variable = var_define(cf, STR("limit_req_status"), var_none, NULL, VAR_NOCACHE);
	return (main->variable < 0 ? -1 : 0);
}

/* "10r/s", "30r/m" */
static bool
rate_parse(struct str text, uint64_t *rate)
{
	uint64_t scale = 1, n;

	if (str_ends(text, STR("r/m")))
		scale = 60;
	if (scale == 60 || str_ends(text, STR("r/s")))
		text.n -= 3;
	if (!str_to_uint(text, INT64_MAX / 1000000, &n) || n == 0)
		return (false);
	*rate = n * 1000 / scale;
	return (true);
}

static int
zone_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct limit_req_main *main = main_conf(conf_http(cf), limit_req_module);
	struct limit_zone *zone = NULL;
	uint64_t rate = 1000;

	(void)row;
	(void)field;
	for (unsigned i = 2; i < cf->word_count; i++) {
		struct str word = cf->words[i].text;

		if (str_starts(word, STR("zone="))) {
			zone = limit_zone_declare(cf, &main->zones, i);
			if (zone == NULL)
				return (-1);
		} else if (!str_starts(word, STR("rate="))) {
			return (conf_error_at(cf, i, "invalid parameter \"" STR_FMT "\"",
			    STR_ARG(word)));
		} else if (!rate_parse(str_skip(word, 5), &rate)) {
			return (conf_error_at(cf, i, "invalid rate \"" STR_FMT "\"",
			    STR_ARG(word)));
		}
	}
	if (zone == NULL)
		return (conf_error(cf, "\"" STR_FMT "\" must have \"zone\" parameter",
		    STR_ARG(cf->words[0].text)));
	zone->rate = rate > 0 ? rate : 1;
	return (0);
}

/* One parameter of limit_req. */
static int
limit_word(struct conf *cf, unsigned i, struct limit_req *limit)
{
	struct limit_req_main *main = main_conf(conf_http(cf), limit_req_module);
	struct str word = cf->words[i].text;
	bool is_burst = str_starts(word, STR("burst="));
	uint64_t n;

	if (str_starts(word, STR("zone="))) {
		limit->zone = limit_zone_named(cf, &main->zones, str_skip(word, 5));
		return (0);
	}
	if (str_eq(word, STR("nodelay"))) {
		limit->delay = NO_DELAY;
		return (0);
	}
	if (!is_burst && !str_starts(word, STR("delay=")))
		return (conf_error_at(cf, i, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
	if (!str_to_uint(str_skip(word, 6), INT64_MAX / 1000, &n) || n == 0)
		return (conf_error_at(cf, i, "invalid %s value \"" STR_FMT "\"",
		    is_burst ? "burst" : "delay", STR_ARG(word)));
	*(is_burst ? &limit->burst : &limit->delay) = n * 1000;
	return (0);
}

static int
limit_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *limits = field;
	struct limit_req limit = { 0 };

	(void)row;
	for (unsigned i = 1; i < cf->word_count; i++)
		if (limit_word(cf, i, &limit) != 0)
			return (-1);
	if (limit.zone == NULL)
		return (conf_error(cf, "\"" STR_FMT "\" must have \"zone\" parameter",
		    STR_ARG(cf->words[0].text)));
	if (limits->size == 0)
		*limits = VEC_OF(struct limit_req);
	VEC_EACH(limits, const struct limit_req, other)
		if (other->zone == limit.zone)
			return (conf_error(cf, "\"limit_req\" directive is duplicate"));
	if (limits->count == LIMITS_MAX)
		return (conf_error(cf, "more than %u \"limit_req\" directives", LIMITS_MAX));
	*(struct limit_req *)vec_push(limits, cf->pool) = limit;
	return (0);
}

static int
limit_req_init(struct conf *cf, struct http_conf *http)
{
	const struct limit_req_main *main = main_conf(http, limit_req_module);

	return (limit_zones_open(cf, &main->zones, STR("limit_req"), buckets_new));
}

#define IN_LOCATION(field)						\
	.scope = SCOPE_LOCATION, .offset = offsetof(struct limit_req_location, field)

static const struct conf_row limit_req_rows[] = {
	{ .name = "limit_req_zone", .contexts = CTX_HTTP, .min = 3, .max = 3, .scope = SCOPE_MAIN,
	    .flags = CONF_REPEAT | CONF_OWN, .set = zone_set },
	{ .name = "limit_req", .contexts = CTX_HSL, .min = 1, .max = 3, .flags = CONF_REPEAT,
	    .type = &conf_custom_vec, IN_LOCATION(limits), .set = limit_set },
	{ .name = "limit_req_log_level", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_enum, IN_LOCATION(log_level), .param = limit_levels, .dflt = "error" },
	{ .name = "limit_req_status", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_uint, IN_LOCATION(status), .param = &limit_statuses, .dflt = "503" },
	{ .name = "limit_req_dry_run", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(dry_run), .dflt = "off" },
	{ .name = NULL }
};

struct module limit_req_module = {
	.name = "limit_req",
	.size = {
		[SCOPE_MAIN] = sizeof(struct limit_req_main),
		[SCOPE_LOCATION] = sizeof(struct limit_req_location),
	},
	.rows = limit_req_rows,
	.prepare = limit_req_prepare,
	.init_main = limit_req_init,
};
