/*
 * limit_conn: how many requests of one key are served at a time.  A request
 * counts from this step to its death.  One mutex a zone: exact over threads.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "http/request.h"
#include "http/site.h"
#include "http/var.h"
#include "mod/limit_zone.h"
#include "mod/modules.h"

#define KEY_MAX		255
#define NGINX_NODE	36	/* bytes of such a node in nginx, without its key */

struct conn_count {
	struct limit_node node;
	unsigned requests;
};

/* A zone's state, for the life of the process. */
struct conn_counts {
	pthread_mutex_t lock;	/* leaf */
	struct limit_table table;
};

struct limit_conn {
	struct limit_zone *zone;
	unsigned max;
};

struct limit_conn_location {
	struct vec limits;	/* struct limit_conn */
	unsigned log_level;
	uint64_t status;
	bool dry_run;
};

struct limit_conn_main {
	struct vec zones;	/* struct limit_zone * */
	int variable;		/* $limit_conn_status; assigned once a limit was looked at */
};

/* What a request holds; in its pool, given back by a cleanup. */
struct conn_hold {
	struct conn_hold *next;
	struct conn_counts *counts;
	struct conn_count *count;
};

enum take { TAKE_OK, TAKE_BUSY, TAKE_FULL };

static void *
counts_new(void *arg)
{
	const struct limit_zone *zone = arg;
	struct conn_counts *counts = xcalloc(1, sizeof(*counts));

	pthread_mutex_init(&counts->lock, NULL);
	limit_table_init(&counts->table, zone->size);
	return (counts);
}

static struct conn_count *
count_new(struct conn_counts *counts, uint64_t budget, struct str key, uint32_t hash)
{
	uint32_t cost = limit_node_cost(NGINX_NODE + key.n);
	struct conn_count *count;

	if (counts->table.bytes + cost > budget)
		return (NULL);
	count = xcalloc(1, sizeof(*count) + key.n);
	memcpy(count + 1, key.p, key.n);
	count->node.key = str_make((const char *)(count + 1), key.n);
	count->node.hash = hash;
	count->node.cost = cost;
	limit_table_add(&counts->table, &count->node);
	return (count);
}

static enum take
count_take(const struct limit_conn *limit, struct str key, struct conn_hold *hold)
{
	struct conn_counts *counts = limit->zone->shared;
	uint32_t hash = hash_bytes(key);
	enum take answer = TAKE_OK;
	struct conn_count *count;

	pthread_mutex_lock(&counts->lock);
	count = (struct conn_count *)limit_table_find(&counts->table, key, hash);
	if (count == NULL)
		count = count_new(counts, limit->zone->budget, key, hash);
	if (count == NULL)
		answer = TAKE_FULL;
	else if (count->requests >= limit->max)
		answer = TAKE_BUSY;
	else
		count->requests++;
	pthread_mutex_unlock(&counts->lock);
	hold->counts = counts;
	hold->count = count;
	return (answer);
}

static void
count_drop(struct conn_counts *counts, struct conn_count *count)
{
	pthread_mutex_lock(&counts->lock);
	if (--count->requests == 0) {
		limit_table_remove(&counts->table, &count->node);
		free(count);
	}
	pthread_mutex_unlock(&counts->lock);
}

static void
holds_drop(void *arg)
{
	for (struct conn_hold *hold = arg; hold != NULL; hold = hold->next)
		count_drop(hold->counts, hold->count);
}

static enum step_result
limit_refuse(struct request *r, const struct limit_conn_location *conf,
    const struct limit_zone *zone, enum take answer, int variable)
{
	if (answer == TAKE_BUSY)
		request_log(r, (enum log_level)conf->log_level, 0,
		    "limiting connections%s by zone \"" STR_FMT "\"",
		    conf->dry_run ? ", dry run," : "", STR_ARG(zone->name));
	else
		request_log(r, LOG_ALERT, 0, "could not allocate node in limit_conn zone \"" STR_FMT
		    "\"", STR_ARG(zone->name));
	var_assign(r, variable, conf->dry_run ? STR("REJECTED_DRY_RUN") : STR("REJECTED"));
	return (conf->dry_run ? STEP_NEXT : request_fail(r, (unsigned)conf->status));
}

enum step_result
limit_conn_step(struct request *r)
{
	const struct limit_conn_location *conf = location_conf(r->location, limit_conn_module);
	const struct limit_conn_main *main = main_conf(r->http, limit_conn_module);
	struct conn_hold *holds = NULL;

	if (conf->limits.count == 0 || r->vars[main->variable].state == VAR_VALUE)
		return (STEP_NEXT);
	VEC_EACH(&conf->limits, const struct limit_conn, limit) {
		struct conn_hold *hold;
		struct str key;
		enum take answer;

		if (!limit_zone_key(r, limit->zone, KEY_MAX, &key))
			continue;
		var_assign(r, main->variable, STR("PASSED"));
		hold = pool_new_object(r->pool, struct conn_hold);
		answer = count_take(limit, key, hold);
		if (answer != TAKE_OK) {
			holds_drop(holds);
			return (limit_refuse(r, conf, limit->zone, answer, main->variable));
		}
		hold->next = holds;
		holds = hold;
	}
	if (holds != NULL)
		pool_cleanup(r->pool, holds_drop, holds);
	return (STEP_NEXT);
}

/* --- directives --- */

static int
limit_conn_prepare(struct conf *cf, struct http_conf *http)
{
	struct limit_conn_main *main = main_conf(http, limit_conn_module);

	main->variable = var_define(cf, STR("limit_conn_status"), var_none, NULL, VAR_NOCACHE);
	return (main->variable < 0 ? -1 : 0);
}

static int
zone_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct limit_conn_main *main = main_conf(conf_http(cf), limit_conn_module);

	(void)row;
	(void)field;
	if (!str_starts(cf->words[2].text, STR("zone=")))
		return (conf_error_at(cf, 2, "invalid parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[2].text)));
	return (limit_zone_declare(cf, &main->zones, 2) == NULL ? -1 : 0);
}

static int
limit_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct limit_conn_main *main = main_conf(conf_http(cf), limit_conn_module);
	struct limit_zone *zone = limit_zone_named(cf, &main->zones, cf->words[1].text);
	struct vec *limits = field;
	struct limit_conn *limit;
	uint64_t n;

	(void)row;
	if (limits->size == 0)
		*limits = VEC_OF(struct limit_conn);
	VEC_EACH(limits, const struct limit_conn, other)
		if (other->zone == zone)
			return (conf_error(cf, "\"limit_conn\" directive is duplicate"));
	if (!str_to_uint(cf->words[2].text, INT64_MAX, &n) || n == 0)
		return (conf_error_at(cf, 2, "invalid number of connections \"" STR_FMT "\"",
		    STR_ARG(cf->words[2].text)));
	if (n > 65535)
		return (conf_error_at(cf, 2, "connection limit must be less 65536"));
	limit = vec_push(limits, cf->pool);
	limit->zone = zone;
	limit->max = (unsigned)n;
	return (0);
}

static int
limit_conn_init(struct conf *cf, struct http_conf *http)
{
	const struct limit_conn_main *main = main_conf(http, limit_conn_module);

	return (limit_zones_open(cf, &main->zones, STR("limit_conn"), counts_new));
}

#define IN_LOCATION(field)						\
	.scope = SCOPE_LOCATION, .offset = offsetof(struct limit_conn_location, field)

static const struct conf_row limit_conn_rows[] = {
	{ .name = "limit_conn_zone", .contexts = CTX_HTTP, .min = 2, .max = 2, .scope = SCOPE_MAIN,
	    .flags = CONF_REPEAT | CONF_OWN, .set = zone_set },
	{ .name = "limit_conn", .contexts = CTX_HSL, .min = 2, .max = 2, .flags = CONF_REPEAT,
	    .type = &conf_custom_vec, IN_LOCATION(limits), .set = limit_set },
	{ .name = "limit_conn_log_level", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_enum, IN_LOCATION(log_level), .param = limit_levels, .dflt = "error" },
	{ .name = "limit_conn_status", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_uint, IN_LOCATION(status), .param = &limit_statuses, .dflt = "503" },
	{ .name = "limit_conn_dry_run", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(dry_run), .dflt = "off" },
	{ .name = NULL }
};

struct module limit_conn_module = {
	.name = "limit_conn",
	.size = {
		[SCOPE_MAIN] = sizeof(struct limit_conn_main),
		[SCOPE_LOCATION] = sizeof(struct limit_conn_location),
	},
	.rows = limit_conn_rows,
	.prepare = limit_conn_prepare,
	.init_main = limit_conn_init,
};
