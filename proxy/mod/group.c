/*
 * upstream {}, in http {} and in stream {}: its rows, its servers and their
 * names, and the implicit groups of hosts that proxy_pass and uwsgi_pass name.
 * Names are looked up when the block around closes, so that a group may stand
 * behind its first use.
 *
 *	upstream {} | group_refer() -> main->groups -> (http closes) addresses -> peer_set
 */
#include "mod/group.h"

#include "http/registry.h"
#include "http/request.h"
#include "http/site.h"
#include "http/tpl.h"
#include "mod/resolve.h"
#include "mod/upstream.h"
#include "net/addr.h"

struct upstream_main {
	struct vec groups;	/* struct group * */
};

/* A server line. */
struct group_server {
	struct str address;
	struct str file;
	unsigned line;
	bool resolve;		/* its name may have no address yet */
	struct peer_options options;
};

const struct idle_limits group_default_limits = {
	.connections = 32, .requests = TURNOVER_REQUESTS, .time = TURNOVER_MS, .timeout = 60000,
	.turnover = true
};

struct peer_group *
group_of_addresses(void)
{
	return (peer_group_get(STR("")));
}

/* While a configuration is read: later it is frozen. */
static struct vec *
groups_of(const struct http_conf *http)
{
	struct upstream_main *main = main_conf(http, upstream_module);

	if (main->groups.size == 0)
		main->groups = VEC_OF(struct group *);
	return (&main->groups);
}

static struct group *
group_new(struct conf *cf, struct str name)
{
	struct group *group = pool_new_object(cf->pool, struct group);

	group->name = pool_strdup(cf->pool, name);
	group->file = cf->words[0].at.file;
	group->line = cf->words[0].at.line;
	group->servers = VEC_OF(struct group_server);
	group->values = pool_zalloc(cf->pool, module_count * sizeof(*group->values));
	for (unsigned i = 0; i < module_count; i++)
		if (modules[i]->size[SCOPE_UPSTREAM] != 0)
			group->values[i] = conf_values_new(cf->pool, modules[i]->rows,
			    modules[i]->size[SCOPE_UPSTREAM]);
	group->settings = group->values[upstream_module.index]->data;
	*(struct group **)vec_push(groups_of(conf_http(cf)), cf->pool) = group;
	return (group);
}

/* --- references --- */

/* A declared group has no port; implicit ones differ by it. */
static bool
group_is(const struct group *group, struct str host, unsigned port)
{
	return (str_eq_ci(group->name, host) &&
	    (!group->implicit || group->port == port));
}

struct group *
group_find(const struct http_conf *http, struct str host, unsigned port)
{
	const struct upstream_main *main = main_conf(http, upstream_module);

	VEC_EACH(&main->groups, struct group *, it)
		if (group_is(*it, host, port) && ((*it)->implicit || port == 0))
			return (*it);
	return (NULL);
}

struct group *
group_refer(struct conf *cf, struct str host, unsigned port, unsigned default_port, struct str url)
{
	struct group *group;

	VEC_EACH(groups_of(conf_http(cf)), struct group *, it) {
		group = *it;
		if (!group_is(group, host, port))
			continue;
		if (!group->implicit && port != 0) {
			conf_error(cf, "upstream \"" STR_FMT "\" may not have port %u",
			    STR_ARG(host), port);
			return (NULL);
		}
		if (!group->implicit || group->default_port == default_port)
			return (group);
	}
	group = group_new(cf, host);
	group->implicit = true;
	group->port = port;
	group->default_port = default_port;
	group->url = pool_strdup(cf->pool, url);
	return (group);
}

/* --- upstream {} --- */

static struct conf_values *
group_values(struct conf_frame *frame, unsigned module, unsigned scope)
{
	struct group *group = frame->owner;

	return (scope == SCOPE_UPSTREAM ? group->values[module] : NULL);
}

/* An implicit group that was referred to before becomes the declared one. */
static struct group *
group_declare(struct conf *cf, struct str name)
{
	VEC_EACH(groups_of(conf_http(cf)), struct group *, it) {
		struct group *group = *it;

		if (!str_eq_ci(group->name, name))
			continue;
		if (!group->implicit) {
			conf_error(cf, "duplicate upstream \"" STR_FMT "\"", STR_ARG(name));
			return (NULL);
		}
		if (group->port != 0) {
			conf_error(cf, "upstream \"" STR_FMT "\" may not have port %u in " STR_FMT
			    ":%u", STR_ARG(name), group->port, STR_ARG(group->file), group->line);
			return (NULL);
		}
		group->implicit = false;
		return (group);
	}
	return (group_new(cf, name));
}

static int
upstream_block(struct conf *cf, const struct conf_row *row, void *field)
{
	struct group *group = group_declare(cf, cf->words[1].text);
	struct conf_frame frame;

	(void)row;
	(void)field;
	if (group == NULL)
		return (-1);
	frame = (struct conf_frame){ .values = group_values, .owner = group,
	    .context = cf->frame->context == CTX_STREAM ? CTX_STREAM_UPSTREAM : CTX_UPSTREAM };
	if (conf_block(cf, &frame) != 0)
		return (-1);
	if (group->servers.count == 0)
		return (conf_error(cf, "no servers are inside upstream"));
	return (0);
}

/* --- server --- */

enum option_kind { OPTION_FLAG, OPTION_COUNT, OPTION_COUNT32, OPTION_TIME };

static const struct server_option {
	struct str name;	/* with '=' where a value follows */
	enum option_kind kind;
	uint64_t min;
	size_t offset;
	bool backup;		/* only with methods that know backups */
} server_options[] = {
#define OPTION(text, k, least, field, b) \
	{ { text, sizeof(text) - 1 }, k, least, offsetof(struct peer_options, field), b }
	OPTION("weight=", OPTION_COUNT32, 1, weight, false),
	OPTION("max_conns=", OPTION_COUNT32, 0, max_conns, false),
	OPTION("max_fails=", OPTION_COUNT32, 0, max_fails, false),
	OPTION("fail_timeout=", OPTION_TIME, 0, fail_timeout, false),
	OPTION("slow_start=", OPTION_TIME, 0, slow_start, false),
	OPTION("backup", OPTION_FLAG, 0, backup, true),
	OPTION("down", OPTION_FLAG, 0, down, false),
	OPTION("drain", OPTION_FLAG, 0, down, false),
#undef OPTION
};

/* 1: set; 0: the value is wrong, or there is no such option. */
static int
server_option_set(struct peer_options *options, struct str word, const struct lb_method *method,
    bool *unsupported)
{
	for (size_t i = 0; i < sizeof(server_options) / sizeof(server_options[0]); i++) {
		const struct server_option *o = &server_options[i];
		void *field = (char *)options + o->offset;
		struct str value = str_skip(word, o->name.n);
		uint64_t n;

		if (o->kind == OPTION_FLAG ? !str_eq(word, o->name) : !str_starts(word, o->name))
			continue;
		*unsupported = o->backup && method != NULL && !method->backups;
		if (*unsupported)
			return (0);
		if (o->kind == OPTION_FLAG) {
			*(bool *)field = true;
			return (1);
		}
		if (o->kind == OPTION_TIME ? !str_to_sec(value, &n) :
		    !str_to_uint(value, 1000000, &n) || n < o->min)
			return (0);
		if (o->kind == OPTION_TIME)
			*(uint64_t *)field = n * 1000;	/* written in seconds, kept in milliseconds */
		else
			*(unsigned *)field = (unsigned)n;
		return (1);
	}
	return (0);
}

static int
server_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct group *group = cf->frame->owner;
	struct group_server *server = vec_push(&group->servers, cf->pool);

	(void)row;
	(void)field;
	server->address = pool_strdup(cf->pool, cf->words[1].text);
	server->file = cf->words[0].at.file;
	server->line = cf->words[0].at.line;
	server->options = (struct peer_options){ .weight = 1, .max_fails = 1, .fail_timeout = 10000 };
	for (unsigned i = 2; i < cf->word_count; i++) {
		struct str word = cf->words[i].text;
		bool unsupported = false;

		if (str_eq(word, STR("resolve"))) {
			server->resolve = true;
			continue;
		}
		if (server_option_set(&server->options, word, group->set.method, &unsupported) == 1)
			continue;
		if (unsupported)
			return (conf_error_at(cf, i,
			    "balancing method does not support parameter \"" STR_FMT "\"",
			    STR_ARG(word)));
		return (conf_error_at(cf, i, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
	}
	return (0);
}

/* --- methods --- */

static int
method_choose(struct conf *cf, const struct conf_row *row, const void *method_conf)
{
	struct group *group = cf->frame->owner;

	if (group->set.method != NULL)
		conf_warn(cf, "load balancing method redefined");
	group->set.method = row->param;
	group->set.method_conf = method_conf;
	return (0);
}

static int
method_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)field;
	return (method_choose(cf, row, NULL));
}

static int
hash_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct group *group = cf->frame->owner;

	(void)field;
	group->hash.key = tpl_compile(cf, cf->words[1].text);
	if (group->hash.key == NULL)
		return (-1);
	if (cf->word_count == 3) {
		if (!str_eq(cf->words[2].text, STR("consistent")))
			return (conf_error_at(cf, 2, "invalid parameter \"" STR_FMT "\"",
			    STR_ARG(cf->words[2].text)));
		group->hash.consistent = true;
	}
	return (method_choose(cf, row, &group->hash));
}

static int
random_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct group *group = cf->frame->owner;

	(void)field;
	if (cf->word_count > 1) {
		if (!str_eq(cf->words[1].text, STR("two")))
			return (conf_error_at(cf, 1, "invalid parameter \"" STR_FMT "\"",
			    STR_ARG(cf->words[1].text)));
		group->random.two = true;
	}
	if (cf->word_count > 2 && !str_eq(cf->words[2].text, STR("least_conn")))
		return (conf_error_at(cf, 2, "invalid parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[2].text)));
	return (method_choose(cf, row, &group->random));
}

/* --- queue --- */

static int
queue_option(struct conf *cf, unsigned at, struct group_queue *queue)
{
	struct str word = cf->words[at].text;
	uint64_t n;

	if (str_starts(word, STR("timeout=")) && str_to_msec(str_skip(word, 8), &queue->timeout))
		return (0);
	if (str_starts(word, STR("status=")) && str_to_uint(str_skip(word, 7), 599, &n) &&
	    n >= 500) {
		queue->status = (unsigned)n;
		return (0);
	}
	if (str_starts(word, STR("retry_after=")) && str_to_msec(str_skip(word, 12), &n)) {
		queue->retry_after = n / 1000;
		return (0);
	}
	return (conf_error_at(cf, at, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
}

static int
queue_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct group *group = cf->frame->owner;
	uint64_t n;

	(void)row;
	(void)field;
	if (!str_to_uint(cf->words[1].text, 1000000, &n) || n == 0)
		return (conf_error_at(cf, 1, "invalid value \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	group->queue = (struct group_queue){ .max = (unsigned)n, .timeout = 60000, .status = 502 };
	for (unsigned i = 2; i < cf->word_count; i++)
		if (queue_option(cf, i, &group->queue) != 0)
			return (-1);
	return (0);
}

/* --- when http {} or stream {} closes --- */

static void
spec_add(struct conf *cf, struct vec *specs, const struct addr *addr, struct str address,
    const struct peer_options *options)
{
	struct peer_spec *spec = vec_push(specs, cf->temp);
	char text[ADDR_TEXT_MAX];

	spec->addr = *addr;
	/* A unix socket is shown as it was written. */
	spec->text = addr_is_unix(addr) ? address :
	    pool_strdup(cf->temp, str_make(text, addr_text(addr, true, text)));
	spec->server = address;
	spec->options = *options;
}

/* A name that is asked for again while we run; "localhost" stays where it is. */
static bool
name_moves(struct str address, unsigned dflt_port, struct str *host, unsigned *port)
{
	struct addr literal;

	if (addr_parse(address, dflt_port, &literal) || addr_split(address, host, port) != NULL ||
	    str_eq_ci(*host, STR("localhost")))
		return (false);
	if (*port == 0)
		*port = dflt_port;
	return (true);
}

/* Keeps what a server line gave, for the day when a name of the group has other addresses. */
static void
names_keep(struct conf *cf, struct group *group, const struct vec *specs, size_t first)
{
	struct str address = vec_at(specs, struct peer_spec, first)->server, host;
	unsigned port;
	bool moves = name_moves(address, group->implicit ? group->default_port : 80, &host, &port);

	for (size_t i = first; i < specs->count && (i == first || !moves); i++) {
		struct group_name *name;

		if (group->names->servers.size == 0)
			group->names->servers = VEC_OF(struct group_name);
		name = vec_push(&group->names->servers, cf->pool);
		name->spec = *vec_at(specs, struct peer_spec, i);
		name->spec.text = pool_strdup(cf->pool, name->spec.text);
		if (moves) {
			name->host = host;
			name->port = port;
		}
	}
	group->has_names = group->has_names || moves;
}

/* What stands for the addresses of a name that has none yet, or is not asked for. */
static void
addrs_push_nowhere(struct conf *cf, struct vec *addrs)
{
	(void)addr_parse(STR("0.0.0.0:1"), 0, vec_push(addrs, cf->temp));
}

/* NULL, or why not, in nginx's words.  Only HTTP has a port of its own. */
static const char *
server_addresses(struct conf *cf, const struct group *group, const struct group_server *server,
    struct vec *addrs)
{
	bool needed = conf_http(cf)->kind->headless || (group->implicit && group->default_port == 0);
	struct str host;
	unsigned port;

	if (needed && addr_split(server->address, &host, &port) == NULL && port == 0 &&
	    !str_starts_ci(server->address, STR("unix:")))
		return ("no port");
	if (cf->nameless && name_moves(server->address, 80, &host, &port)) {
		addrs_push_nowhere(cf, addrs);
		return (NULL);
	}
	return (addr_resolve(cf->temp, server->address,
	    group->implicit ? group->default_port : 80, addrs));
}

/* NULL: it has nothing to do with the name. */
static const char *
absence_hint(const struct group *group, const char *why)
{
	if (!str_eq(str_from(why), STR("host not found")))
		return (NULL);
	return (group->implicit ?
	    "there is no \"upstream\" of that name, and neither /etc/hosts nor DNS knows it" :
	    "neither /etc/hosts nor DNS knows it; with \"resolve\" behind it the start does not "
	    "wait for that");
}

/* A name that "resolve" stands behind need not have an address when the file is read. */
static bool
server_may_wait(const struct group_server *server, const char *hint)
{
	struct str host;
	unsigned port;

	return (server->resolve && hint != NULL &&
	    name_moves(server->address, 80, &host, &port));
}

static int
server_resolve(struct conf *cf, struct group *group, const struct group_server *server,
    struct vec *specs)
{
	const struct conf_position at = { server->file, server->line, 1 };
	struct vec addrs = VEC_OF(struct addr);
	const char *why = server_addresses(cf, group, server, &addrs);
	const char *hint = why == NULL ? NULL : absence_hint(group, why);
	size_t first = specs->count;

	if (why != NULL && !server_may_wait(server, hint))
		return (conf_error_in_hint(cf, &at, hint, "%s in upstream \"" STR_FMT "\"", why,
		    STR_ARG(server->address)));
	if (why != NULL) {
		conf_warn_in(cf, &at, "%s in upstream \"" STR_FMT "\", it is asked for again", why,
		    STR_ARG(server->address));
		addrs_push_nowhere(cf, &addrs);
	}
	VEC_EACH(&addrs, struct addr, addr)
		spec_add(cf, specs, addr, server->address, &server->options);
	names_keep(cf, group, specs, first);
	/* Nobody asks it; resolve.c puts the addresses that it finds in its place. */
	if (why != NULL)
		vec_at(specs, struct peer_spec, first)->options.down = true;
	return (0);
}

/* The registry's name: groups of stream {} are others than those of http {}. */
static struct str
group_key(struct conf *cf, const struct group *group)
{
	struct str name = group->implicit ? group->url : group->name;

	if (!conf_http(cf)->kind->headless)
		return (name);
	return (pool_printf(cf->temp, "stream " STR_FMT, STR_ARG(name)));
}

static bool
group_says(const struct group *group, size_t offset)
{
	return (conf_is_set(group->values[upstream_module.index], SCOPE_UPSTREAM, offset) == 2);
}

/* For how long connections are kept: as the file says, else so that they move on. */
static void
group_limit(struct group *group)
{
	const struct group_settings *settings = group->settings;

	group->limits = (struct idle_limits){ settings->keepalive, settings->keepalive_requests,
		settings->keepalive_time, settings->keepalive_timeout, false };
	if (group_says(group, offsetof(struct group_settings, keepalive_requests)) ||
	    group_says(group, offsetof(struct group_settings, keepalive_time)))
		return;
	group->limits.requests = TURNOVER_REQUESTS;
	group->limits.time = TURNOVER_MS;
	group->limits.turnover = true;
}

static int
group_complete(struct conf *cf, struct group *group)
{
	struct vec specs = VEC_OF(struct peer_spec);

	group->names = pool_new_object(cf->pool, struct group_names);
	for (unsigned i = 0; i < module_count; i++)
		if (group->values[i] != NULL &&
		    conf_inherit(cf, group->values[i], NULL, SCOPE_UPSTREAM) != 0)
			return (-1);
	group_limit(group);
	if (group->implicit) {
		struct group_server *server = vec_push(&group->servers, cf->pool);

		server->address = group->url;
		server->file = group->file;
		server->line = group->line;
		server->options = (struct peer_options){ .weight = 1, .max_fails = 1,
			.fail_timeout = 10000 };
	}
	VEC_EACH(&group->servers, struct group_server, server)
		if (server_resolve(cf, group, server, &specs) != 0)
			return (-1);
	if (!group->has_names)
		group->names = NULL;
	if (group->set.method == NULL)
		group->set.method = &lb_round_robin;
	group->set.group = peer_group_get(group_key(cf, group));
	peer_set_fill(&group->set, specs.items, (unsigned)specs.count);
	pool_cleanup(cf->pool, peer_set_release, &group->set);
	return (0);
}

static int
upstream_init_main(struct conf *cf, struct http_conf *http)
{
	VEC_EACH(groups_of(http), struct group *, it)
		if (group_complete(cf, *it) != 0)
			return (-1);
	return (0);
}

/* 0 closes each connection after its answer. */
static int
keepalive_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str value = cf->words[1].text;

	(void)row;
	if (!str_to_uint(value, INT32_MAX, field))
		return (conf_error_at(cf, 1, "invalid value \"" STR_FMT "\" in \"" STR_FMT
		    "\" directive", STR_ARG(value), STR_ARG(cf->words[0].text)));
	return (0);
}

/* zone name [size]; what it is for in nginx, one state for all workers, is so here without it. */
static int
zone_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str name = cf->words[1].text;
	uint64_t size;

	(void)row;
	(void)field;
	if (name.n == 0)
		return (conf_error_at(cf, 1, "invalid zone name \"" STR_FMT "\"", STR_ARG(name)));
	if (cf->word_count == 2)
		return (0);
	if (!str_to_size(cf->words[2].text, &size))
		return (conf_error_at(cf, 2, "invalid zone size \"" STR_FMT "\"",
		    STR_ARG(cf->words[2].text)));
	if (size < ZONE_MIN)
		return (conf_error_at(cf, 2, "zone \"" STR_FMT "\" is too small", STR_ARG(name)));
	return (0);
}

#define IN_UPSTREAM(field)						\
	.scope = SCOPE_UPSTREAM, .offset = offsetof(struct group_settings, field)
#define CTX_GROUPS	(CTX_UPSTREAM | CTX_STREAM_UPSTREAM)
#define METHOD(n, where, least, most, how, method)			\
	{ .name = n, .contexts = where, .min = least, .max = most,		\
	    .flags = CONF_OWN | CONF_REPEAT, .set = how, .param = method }

static const struct conf_row upstream_rows[] = {
	{ .name = "upstream", .contexts = CTX_HTTP | CTX_STREAM, .min = 1, .max = 1,
	    .flags = CONF_BLOCK | CONF_OWN | CONF_REPEAT, .set = upstream_block },
	{ .name = "server", .contexts = CTX_GROUPS, .min = 1, .max = CONF_ANY,
	    .flags = CONF_OWN | CONF_REPEAT, .set = server_set },
	METHOD("least_conn", CTX_GROUPS, 0, 0, method_set, &lb_least_conn),
	METHOD("ip_hash", CTX_UPSTREAM, 0, 0, method_set, &lb_ip_hash),
	METHOD("hash", CTX_GROUPS, 1, 2, hash_set, &lb_hash),
	METHOD("random", CTX_GROUPS, 0, 2, random_set, &lb_random),
	{ .name = "queue", .contexts = CTX_UPSTREAM, .min = 1, .max = 4, .flags = CONF_OWN,
	    .set = queue_set },
	{ .name = "zone", .contexts = CTX_GROUPS, .min = 1, .max = 2, .type = &conf_inert,
	    .set = zone_set },
	{ .name = "keepalive", .contexts = CTX_UPSTREAM, .min = 1, .max = 1,
	    .type = &conf_uint, .set = keepalive_set, IN_UPSTREAM(keepalive), .dflt = "128" },
	{ .name = "keepalive_requests", .contexts = CTX_UPSTREAM, .min = 1, .max = 1,
	    .type = &conf_uint, IN_UPSTREAM(keepalive_requests), .dflt = "1000" },
	{ .name = "keepalive_time", .contexts = CTX_UPSTREAM, .min = 1, .max = 1,
	    .type = &conf_msec, IN_UPSTREAM(keepalive_time), .dflt = "1h" },
	{ .name = "keepalive_timeout", .contexts = CTX_UPSTREAM, .min = 1, .max = 1,
	    .type = &conf_msec, IN_UPSTREAM(keepalive_timeout), .dflt = "60s" },
	{ .name = NULL }
};

struct module upstream_module = {
	.name = "upstream",
	.sites = SITE_HTTP | SITE_STREAM,
	.size = { [SCOPE_MAIN] = sizeof(struct upstream_main),
	    [SCOPE_UPSTREAM] = sizeof(struct group_settings) },
	.rows = upstream_rows,
	.vars = upstream_vars,
	.init_main = upstream_init_main,
};
