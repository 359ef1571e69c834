/*
 * stream {}: the directives of its servers, where proxy_pass sends a
 * connection, and the variables that only connections have.  The blocks
 * themselves are http/site.c's, upstream {} is group.c's, forward.c forwards.
 */
#include "mod/stream.h"

#include "base/clock.h"
#include "http/session.h"
#include "http/site.h"
#include "http/var.h"
#include "http/var_give.h"
#include "mod/modules.h"

/* --- proxy_pass --- */

/* NULL, or what is wrong with it in nginx's words. */
static const char *
pass_split(struct str text, struct str *host, unsigned *port)
{
	*port = 0;
	*host = text;
	if (str_starts_ci(text, STR("unix:")))
		return (text.n == 5 ? "no path in the unix domain socket" : NULL);
	if (str_chr(text, '/') != SIZE_MAX)
		return ("invalid host");
	return (addr_split(text, host, port));
}

static int
pass_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct stream_pass *pass = pool_new_object(cf->pool, struct stream_pass);
	const char *wrong;
	struct str host;
	unsigned port;

	(void)row;
	*(struct stream_pass **)field = pass;
	conf_location(cf)->content = forward_content;
	pass->text = pool_strdup(cf->pool, cf->words[1].text);
	if (str_chr(pass->text, '$') != SIZE_MAX) {
		pass->variables = tpl_compile(cf, pass->text);
		return (pass->variables == NULL ? -1 : 0);
	}
	wrong = pass_split(pass->text, &host, &port);
	if (wrong != NULL)
		return (conf_error_at(cf, 1, "%s in upstream \"" STR_FMT "\"", wrong,
		    STR_ARG(pass->text)));
	pass->group = group_refer(cf, host, port, 0, pass->text);
	return (pass->group == NULL ? -1 : 0);
}

bool
stream_target_of(struct request *r, const struct stream_pass *pass, struct stream_target *target)
{
	struct addr *addr;
	const char *wrong;
	struct str host;

	*target = (struct stream_target){ .group = pass->group, .text = pass->text };
	if (pass->group != NULL)
		return (true);
	target->text = tpl_eval(r, pass->variables);
	wrong = pass_split(target->text, &host, &target->port);
	if (wrong == NULL) {
		target->group = group_find(r->http, host, target->port);
		if (target->group != NULL)
			return (true);
		addr = pool_new_object(r->pool, struct addr);
		if (!addr_parse(target->text, 0, addr))
			target->unresolved = host;
		else
			target->addrs = addr;
		target->addr_count = target->addrs != NULL;
		if (target->port == 0 && (addr->len == 0 || !addr_is_unix(addr)))
			wrong = "no port";
	}
	if (wrong == NULL)
		return (true);
	request_log(r, LOG_ERR, 0, "%s in upstream \"" STR_FMT "\"", wrong, STR_ARG(target->text));
	return (false);
}

/* --- rows --- */

/* An end is always passed on alone: what the other side still says is heard. */
static int
half_close_set(struct conf *cf, const struct conf_row *row, void *field)
{
	if (conf_flag.set(cf, row, field) != 0)
		return (-1);
	if (!*(bool *)field)
		conf_warn(cf, "\"proxy_half_close off\" is ignored: each direction ends by itself");
	return (0);
}

static int
stream_init_server(struct conf *cf, struct server *server)
{
	const struct stream_settings *settings = location_conf(server->root, stream_module);

	if (settings->pass == NULL)
		return (conf_error_in(cf, &(struct conf_position){ server->file, server->line, 1 },
		    "no handler for server"));
	return (0);
}

#define ROW(n, kind, field, text)						\
	{ .name = n, .contexts = CTX_STREAMS, .min = 1, .max = 1, .type = &kind,	\
	    .scope = SCOPE_LOCATION, .offset = offsetof(struct stream_settings, field),	\
	    .dflt = text }

static const struct conf_row stream_rows[] = {
	{ .name = "proxy_pass", .contexts = CTX_STREAM_SERVER, .min = 1, .max = 1,
	    .flags = CONF_OWN, .type = &conf_custom_ptr, .scope = SCOPE_LOCATION,
	    .offset = offsetof(struct stream_settings, pass), .set = pass_set },
	ROW("proxy_connect_timeout", conf_msec, connect_timeout, "60s"),
	ROW("proxy_timeout", conf_msec, timeout, "10m"),
	ROW("proxy_buffer_size", conf_size, buffer_size, "64k"),
	ROW("proxy_next_upstream", conf_flag, next, "on"),
	ROW("proxy_next_upstream_tries", conf_uint, next_tries, "0"),
	ROW("proxy_next_upstream_timeout", conf_msec, next_timeout, "0"),
	ROW("proxy_protocol", conf_flag, proxy_protocol, "off"),
	ROW("proxy_socket_keepalive", conf_flag, socket_keepalive, "off"),
	{ .name = "proxy_half_close", .contexts = CTX_STREAMS, .min = 1, .max = 1,
	    .type = &conf_flag, .set = half_close_set, .scope = SCOPE_LOCATION,
	    .offset = offsetof(struct stream_settings, half_close), .dflt = "on" },
	{ .name = "proxy_bind", .contexts = CTX_STREAMS, .min = 1, .max = 2,
	    .type = &conf_upstream_bind, .scope = SCOPE_LOCATION,
	    .offset = offsetof(struct stream_settings, bind), .dflt = "off" },
	{ .name = NULL }
};

/* --- variables --- */

static bool
get_protocol(struct request *r, const void *param, struct str name, struct str *value)
{
	(void)r;
	(void)param;
	(void)name;
	*value = STR("TCP");
	return (true);
}

static bool
get_bytes_received(struct request *r, const void *param, struct str name, struct str *value)
{
	(void)param;
	(void)name;
	return (give_uint(r, session_conn(r)->received, value));
}

static bool
get_session_time(struct request *r, const void *param, struct str name, struct str *value)
{
	(void)param;
	(void)name;
	return (give_msec(r, clock_mono_ms() - r->connection_start_ms, value));
}

/* What of each try: param of the row. */
enum result_part { RESULT_ADDR, RESULT_SENT, RESULT_RECEIVED, RESULT_CONNECT, RESULT_SESSION };

static struct str
result_text(struct request *r, const struct stream_result *result, enum result_part part)
{
	int64_t msec = part == RESULT_CONNECT ? result->connect : result->session;
	struct str text = STR("-");

	switch (part) {
	case RESULT_ADDR:
		return (result->addr);
	case RESULT_SENT:
		(void)give_uint(r, result->sent, &text);
		break;
	case RESULT_RECEIVED:
		(void)give_uint(r, result->received, &text);
		break;
	case RESULT_CONNECT:
	case RESULT_SESSION:
		if (msec >= 0)
			(void)give_msec(r, (uint64_t)msec, &text);
		break;
	}
	return (text);
}

static bool
get_result(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct vec *results = forward_results(r);

	(void)name;
	if (results == NULL || results->count == 0)
		return (false);
	*value = STR("");
	VEC_EACH(results, const struct stream_result, it) {
		struct str parts[3] = { *value, value->n > 0 ? STR(", ") : STR(""),
			result_text(r, it, (enum result_part)PARAM_OF(param)) };

		*value = pool_concat(r->pool, 3, parts);
	}
	return (true);
}

static const struct var_row stream_vars[] = {
	{ "protocol", get_protocol, NULL, 0, NULL },
	{ "bytes_received", get_bytes_received, NULL, VAR_NOCACHE, NULL },
	{ "session_time", get_session_time, NULL, VAR_NOCACHE, NULL },
	{ "upstream_addr", get_result, PARAM(RESULT_ADDR), VAR_NOCACHE, NULL },
	{ "upstream_bytes_sent", get_result, PARAM(RESULT_SENT), VAR_NOCACHE, NULL },
	{ "upstream_bytes_received", get_result, PARAM(RESULT_RECEIVED), VAR_NOCACHE, NULL },
	{ "upstream_connect_time", get_result, PARAM(RESULT_CONNECT), VAR_NOCACHE, NULL },
	{ "upstream_session_time", get_result, PARAM(RESULT_SESSION), VAR_NOCACHE, NULL },
	{ NULL, NULL, NULL, 0, NULL }
};

struct module stream_module = {
	.name = "stream",
	.sites = SITE_STREAM,
	.size = { [SCOPE_LOCATION] = sizeof(struct stream_settings) },
	.rows = stream_rows,
	.vars = stream_vars,
	.init_server = stream_init_server,
};
