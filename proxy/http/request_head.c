/*
 * From a parsed head to a request: target, Host, framing, keep-alive, server.
 * Called by sessions, once per request; all bytes it refers to are copied into
 * the request's arena by the session first.
 */
#include <assert.h>

#include "base/clock.h"
#include "http/core.h"
#include "http/request.h"
#include "http/route.h"
#include "http/session.h"
#include "http/uri.h"

struct request *
request_new(struct http_thread *thread, struct session *session, const struct session_ops *ops,
    const struct listen *listen)
{
	struct pool *pool = pool_new(0);
	struct request *r = pool_new_object(pool, struct request);
	struct http_conf *http = listen->http;

	r->magic = REQUEST_MAGIC;
	r->pool = pool;
	r->thread = thread;
	r->http = http;
	http_conf_pin(http, loop_index(thread->loop));
	r->session = session;
	r->ops = ops;
	r->server = listen->default_server;
	r->location = r->server->root;
	r->state = pool_zalloc(pool, module_count * sizeof(*r->state));
	r->vars = pool_zalloc(pool, var_count(http) * sizeof(*r->vars));
	r->out.length = -1;
	r->out.last_modified = -1;
	r->in.version = 11;
	r->in.host = STR("");
	r->start_mono_us = clock_mono_us();
	return (r);
}

/* Fields that nginx takes only once: of two, a back end might believe the other one. */
#define FIELDS_SINGLE							\
	(FIELD_BIT(FIELD_HOST) | FIELD_BIT(FIELD_AUTHORIZATION) |	\
	FIELD_BIT(FIELD_EXPECT) | FIELD_BIT(FIELD_CONTENT_RANGE) |	\
	FIELD_BIT(FIELD_IF_MATCH) | FIELD_BIT(FIELD_IF_NONE_MATCH) |	\
	FIELD_BIT(FIELD_IF_RANGE) | FIELD_BIT(FIELD_IF_MODIFIED_SINCE) |	\
	FIELD_BIT(FIELD_IF_UNMODIFIED_SINCE))

static bool
fields_are_single(const struct fields *fields)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < fields->count; i++) {
		uint64_t bit = FIELD_BIT(fields->items[i].id) & FIELDS_SINGLE;

		if ((seen & bit) != 0)
			return (false);
		seen |= bit;
	}
	return (true);
}

/* The Host that counts: the target's authority before the field (RFC 9112 3.2.2). 0 or 400. */
static int
accept_host(struct request *r, const struct uri_target *target)
{
	struct field *host = fields_get(&r->in.fields, FIELD_HOST);
	struct str port;

	if (host == NULL && r->in.version >= 11)
		return (400);
	if (host != NULL && host->value.n > 0 &&
	    host_parse(r->pool, host->value, &r->in.host, &port) != 0)
		return (400);
	if (target->authority.p != NULL) {
		if (host_parse(r->pool, target->authority, &r->in.host, &port) != 0)
			return (400);
		fields_set(&r->in.fields, r->pool, FIELD_HOST, target->authority);
		r->in.absolute = true;
		return (0);
	}
	if (host != NULL && host->value.n == 0)
		return (400);
	return (0);
}

static int
accept_target(struct request *r)
{
	struct uri_target target;
	int rc = uri_split(r->in.target, &target);

	if (rc != 0)
		return (-rc);
	rc = accept_host(r, &target);
	if (rc != 0)
		return (rc);
	if (str_eq(target.path, STR("*"))) {
		if (r->in.method != METHOD_OPTIONS)
			return (400);
		target.path = STR("/");
	}
	r->in.path = target.path;
	r->args = target.args.n > 0 ? target.args : STR_NULL;
	rc = uri_normalize(r->pool, target.path, r->server->core->merge_slashes, &r->uri);
	return (-rc);
}

/* RFC 9112 9.3, and nginx's keepalive_disable for browsers that get it wrong. */
static bool
keepalive_wanted(const struct request *r)
{
	const struct core_location *core = r->location->core;
	const struct field *agent;

	if (fields_has_token(&r->in.fields, FIELD_CONNECTION, STR("close")))
		return (false);
	if (r->in.version < 11 &&
	    !fields_has_token(&r->in.fields, FIELD_CONNECTION, STR("keep-alive")))
		return (false);
	if (core->keepalive_disable == 0)
		return (true);
	agent = fields_get(&r->in.fields, FIELD_USER_AGENT);
	if (agent == NULL)
		return (true);
	if ((core->keepalive_disable & 1) != 0 && r->in.method == METHOD_POST &&
	    (str_find(agent->value, STR("MSIE 5.")) != SIZE_MAX ||
	    str_find(agent->value, STR("MSIE 6.")) != SIZE_MAX))
		return (false);
	return ((core->keepalive_disable & 2) == 0 ||
	    str_find(agent->value, STR("Safari/")) == SIZE_MAX ||
	    str_find(agent->value, STR("Chrome/")) != SIZE_MAX ||
	    str_find(agent->value, STR("Mac OS X")) == SIZE_MAX);
}

/* A list that nobody needs this long is only there to cost time. */
static bool
connection_is_sane(const struct request *r)
{
	struct members members;

	return (fields_members(&r->in.fields, FIELD_CONNECTION, &members));
}

int
request_accept_head(struct request *r, const struct listen *listen, const struct request_head *head)
{
	int rc;

	r->in.line = head->line;
	r->in.method = head->method;
	r->in.method_name = head->method_name;
	r->in.target = head->target;
	r->in.version = head->version;
	r->in.fields.items = pool_alloc(r->pool, (head->count + 2) * sizeof(*head->items));
	memcpy(r->in.fields.items, head->items, head->count * sizeof(*head->items));
	r->in.fields.count = head->count;
	r->in.fields.room = head->count + 2;
	r->in.fields.known = head->known;
	if (!fields_are_single(&r->in.fields))
		return (400);
	rc = accept_target(r);
	if (rc != 0)
		return (rc);
	rc = framing_of_request(r->in.version, &r->in.fields, &r->in.framing);
	if (rc != 0)
		return (-rc);
	if (!connection_is_sane(r))
		return (400);
	r->server = route_server(r, listen, r->in.host);
	r->location = r->server->root;
	r->body_done = r->in.framing.kind == FRAMING_NONE;
	r->keepalive = r->in.version >= 10 && keepalive_wanted(r);
	if (r->in.method == METHOD_CONNECT || r->in.method == METHOD_TRACE) {
		r->keepalive = false;
		return (405);
	}
	return (0);
}
