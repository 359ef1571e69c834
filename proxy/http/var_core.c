/*
 * The rows of nginx's core variables.  Each is a function from the request (and
 * the row's param: an offset, a field id) to text; var.c finds the row, caches the
 * value and knows nothing of meanings.
 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "config.h"
#include "http/core.h"
#include "http/credentials.h"
#include "http/digest.h"
#include "http/proxy_protocol.h"
#include "http/request.h"
#include "http/session.h"
#include "http/site.h"
#include "http/spool.h"
#include "http/uri.h"
#include "http/var.h"
#include "http/var_give.h"
#include "net/addr.h"
#include "net/tcp_info.h"

/* --- what the request says --- */

/* param: offset of a struct str in struct request; absent (no '?' in the target) is no value. */
static bool
get_str(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(name);
	return (give_str(*REQUEST_AT(r, struct str, param), value));
}

static bool
get_is_args(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->args.n > 0 ? STR("?") : STR("");
	return (true);
}

static void
set_args(struct request *r, const void *param, struct str value)
{
	UNUSED(param);
	r->args = value;
	r->uri_changed = true;
}

/* The target as received; of an absolute-form one what follows the authority. */
static bool
get_request_uri(struct request *r, const void *param, struct str name, struct str *value)
{
	struct str target = r->in.target, path = r->in.path;

	UNUSED(param);
	UNUSED(name);
	*value = target;
	if (path.n > 0 && path.p >= target.p && path.p < target.p + target.n)
		*value = str_skip(target, (size_t)(path.p - target.p));
	return (true);
}

/* A subrequest tells of the request that it is made for. */
static bool
get_request_method(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_str((r->parent != NULL ? r->parent : r)->in.method_name, value));
}

static bool
get_host(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->in.host.n > 0 ? r->in.host : r->server->name;
	return (true);
}

static bool
get_server_protocol(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->in.version >= 11 ? STR("HTTP/1.1") :
	    r->in.version == 10 ? STR("HTTP/1.0") : STR("HTTP/0.9");
	/* A later minor version is treated as 1.1, and named as it was written. */
	if (r->in.version >= 11 && r->in.line.n > 8 &&
	    str_starts(str_skip(r->in.line, r->in.line.n - 8), STR("HTTP/1.")))
		*value = str_skip(r->in.line, r->in.line.n - 8);
	return (true);
}

static bool
get_request_length(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_uint(r, r->in.bytes + r->body_received, value));
}

/* param: the field. */
static bool
get_field(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(name);
	return (give_field(fields_get(&r->in.fields, (enum field_id)PARAM_OF(param)), value));
}

bool
give_joined(struct request *r, const struct fields *fields, enum field_id id, struct str separator,
    struct str *value)
{
	if ((fields->known & FIELD_BIT(id)) == 0)
		return (false);
	return (give_str(fields_join(fields, r->pool, field_name_of(id), separator), value));
}

static bool
get_joined(struct request *r, const void *param, struct str name, struct str *value)
{
	enum field_id id = (enum field_id)PARAM_OF(param);

	UNUSED(name);
	return (give_joined(r, &r->in.fields, id, id == FIELD_COOKIE ? STR("; ") : STR(", "),
	    value));
}

/* "x_thing" names "X-Thing". */
static bool
field_has_name(struct str field, struct str name)
{
	if (field.n != name.n)
		return (false);
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = ascii_lower((unsigned char)field.p[i]);

		if ((c == '-' ? '_' : c) != ascii_lower((unsigned char)name.p[i]))
			return (false);
	}
	return (true);
}

bool
give_named(const struct fields *fields, struct str name, struct str *value)
{
	for (unsigned i = 0; i < fields->count; i++)
		if (field_has_name(fields->items[i].name, name))
			return (give_field(&fields->items[i], value));
	return (false);
}

static bool
get_http(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	return (give_named(&r->in.fields, name, value));
}

static bool
get_cookie(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct fields *fields = &r->in.fields;

	UNUSED(param);
	if ((fields->known & FIELD_BIT(FIELD_COOKIE)) == 0)
		return (false);
	for (unsigned i = 0; i < fields->count; i++)
		if (fields->items[i].id == FIELD_COOKIE &&
		    give_str(cookie_get(fields->items[i].value, name), value))
			return (true);
	return (false);
}

static bool
get_arg(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	return (r->args.n > 0 && give_str(args_get(r->args, name), value));
}

static bool
get_content_length(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct field *field = fields_get(&r->in.fields, FIELD_CONTENT_LENGTH);

	UNUSED(param);
	UNUSED(name);
	if (field != NULL)
		return (give_field(field, value));
	if (r->in.framing.kind == FRAMING_CHUNKED && r->body_done && !r->body_lost)
		return (give_uint(r, r->body_received, value));
	return (false);
}

/* --- the body --- */

static bool
get_request_body(struct request *r, const void *param, struct str name, struct str *value)
{
	struct chain chain = { NULL, NULL, 0 };
	char *text, *p;

	UNUSED(param);
	UNUSED(name);
	if (r->body == NULL || spool_is_file(r->body))
		return (false);
	p = text = pool_alloc(r->pool, spool_size(r->body) + 1);
	spool_read(r->body, 0, spool_size(r->body), &chain);
	for (const struct buf *b = chain.first; b != NULL; b = b->next) {
		memcpy(p, b->p, b->n);
		p += b->n;
	}
	chain_clear(&chain);
	*value = str_make(text, (size_t)(p - text));
	return (true);
}

static bool
get_request_body_file(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	if (r->body == NULL || !spool_is_file(r->body))
		return (false);
	*value = pool_strdup(r->pool, spool_path(r->body));
	return (true);
}

/* --- files --- */

static bool
get_document_root(struct request *r, const void *param, struct str name, struct str *value)
{
	struct str root = tpl_eval(r, r->location->core->root);

	UNUSED(param);
	UNUSED(name);
	if (!str_starts(root, STR("/")))
		root = pool_concat(r->pool, 3, (struct str[]){ r->http->prefix,
		    str_ends(r->http->prefix, STR("/")) ? STR("") : STR("/"), root });
	*value = root;
	return (true);
}

static bool
get_realpath_root(struct request *r, const void *param, struct str name, struct str *value)
{
	char resolved[PATH_MAX];
	struct str root;

	(void)get_document_root(r, param, name, &root);
	if (realpath(pool_cstr(r->pool, root), resolved) == NULL) {
		request_log(r, LOG_CRIT, errno, "realpath() \"" STR_FMT "\" failed", STR_ARG(root));
		return (false);
	}
	*value = pool_strdup(r->pool, str_from(resolved));
	return (true);
}

static bool
get_request_filename(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (core_map_uri(r, STR(""), value) == 0);
}

/* --- the connection --- */

static bool
give_addr(struct request *r, const struct addr *addr, struct str *value)
{
	char text[ADDR_TEXT_MAX];

	if (addr == NULL || addr->len == 0)
		return (false);
	*value = pool_strdup(r->pool, str_make(text, addr_text(addr, false, text)));
	return (true);
}

/* A unix socket, or an address told without one, has no port: an empty value. */
static bool
give_port(struct request *r, const struct addr *addr, struct str *value)
{
	if (addr == NULL || addr->len == 0)
		return (false);
	*value = STR("");
	return (addr_is_unix(addr) || addr_port(addr) == 0 || give_uint(r, addr_port(addr), value));
}

static bool
get_remote_addr(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_addr(r, session_peer(r), value));
}

static bool
get_binary_remote_addr(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct addr *peer = session_peer(r);

	UNUSED(param);
	UNUSED(name);
	if (peer == NULL || peer->len == 0)
		return (false);
	if (peer->u.sa.sa_family == AF_INET)
		*value = str_make((const char *)&peer->u.in.sin_addr, sizeof(peer->u.in.sin_addr));
	else if (peer->u.sa.sa_family == AF_INET6)
		*value = str_make((const char *)&peer->u.in6.sin6_addr,
		    sizeof(peer->u.in6.sin6_addr));
	else
		return (give_addr(r, peer, value));
	*value = pool_strdup(r->pool, *value);
	return (true);
}

static bool
get_remote_port(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_port(r, session_peer(r), value));
}

/* The address the client connected to; false for a request without a client. */
static bool
local_addr(const struct request *r, struct addr *addr)
{
	const struct conn *conn = session_conn(r);

	if (conn == NULL)
		return (false);
	conn_local_addr(conn, addr);
	return (addr->len > 0);
}

static bool
get_server_addr(struct request *r, const void *param, struct str name, struct str *value)
{
	struct addr addr = { 0 };
	char text[ADDR_TEXT_MAX];

	UNUSED(param);
	UNUSED(name);
	if (!local_addr(r, &addr))
		return (false);
	/* A socket's path is what stands for its address here. */
	*value = pool_strdup(r->pool, str_make(text, addr_text(&addr, addr_is_unix(&addr), text)));
	return (true);
}

static bool
get_server_port(struct request *r, const void *param, struct str name, struct str *value)
{
	struct addr addr = { 0 };

	UNUSED(param);
	UNUSED(name);
	return (local_addr(r, &addr) && give_port(r, &addr, value));
}

static bool
get_remote_user(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct field *field = fields_get(&r->in.fields, FIELD_AUTHORIZATION);
	struct str password;

	UNUSED(param);
	UNUSED(name);
	if (r->remote_user.n > 0)
		return (give_str(r->remote_user, value));
	return (field != NULL && credentials_basic(r->pool, field->value, value, &password));
}

static bool
is_tls(const struct request *r)
{
	return (session_conn(r) != NULL && session_is_tls(r->session));
}

static bool
get_scheme(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = is_tls(r) ? STR("https") : STR("http");
	return (true);
}

static bool
get_https(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = is_tls(r) ? STR("on") : STR("");
	return (true);
}

/* Files ask whether a client speaks HTTP/2 or 3: none here does. */
static bool
get_nothing(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(r);
	UNUSED(param);
	UNUSED(name);
	*value = STR("");
	return (true);
}

static bool
get_connection(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_uint(r, r->connection_number, value));
}

static bool
get_connection_requests(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_uint(r, r->connection_requests, value));
}

static bool
get_connection_time(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_msec(r, clock_mono_ms() - r->connection_start_ms, value));
}

static bool
get_pipe(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->pipelined ? STR("p") : STR(".");
	return (true);
}

/* param: offset in struct tcp_figures. */
static bool
get_tcpinfo(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct conn *conn = session_conn(r);
	struct tcp_figures figures;

	UNUSED(name);
	if (conn == NULL || !tcp_info_get(conn, &figures))
		return (false);
	return (give_uint(r, *(uint32_t *)((char *)&figures + PARAM_OF(param)), value));
}

/* One side of what the PROXY protocol said. */
enum proxied_part {
	PROXIED_CLIENT_ADDR, PROXIED_CLIENT_PORT, PROXIED_SERVER_ADDR, PROXIED_SERVER_PORT
};

static bool
get_proxied(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct proxied_connection *proxied;

	UNUSED(name);
	if (session_conn(r) == NULL || !(proxied = session_proxied(r))->present)
		return (false);
	switch ((enum proxied_part)PARAM_OF(param)) {
	case PROXIED_CLIENT_ADDR:
		return (give_addr(r, &proxied->client, value));
	case PROXIED_CLIENT_PORT:
		return (give_port(r, &proxied->client, value));
	case PROXIED_SERVER_ADDR:
		return (give_addr(r, &proxied->server, value));
	case PROXIED_SERVER_PORT:
		return (give_port(r, &proxied->server, value));
	}
	return (false);
}

/* --- the server and the time --- */

static bool
get_server_name(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->server->name;
	return (true);
}

static bool
get_hostname(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->http->hostname;
	return (true);
}

static bool
get_version(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(r);
	UNUSED(param);
	UNUSED(name);
	*value = STR(WPROXY_VERSION);
	return (true);
}

static bool
get_pid(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_uint(r, (uint64_t)getpid(), value));
}

static bool
get_msec(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (give_msec(r, clock_wall_ms(), value));
}

static bool
get_time_local(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = pool_strdup(r->pool, clock_log_local());
	return (true);
}

static bool
get_time_iso8601(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = pool_strdup(r->pool, clock_log_iso8601());
	return (true);
}

static bool
get_request_time(struct request *r, const void *param, struct str name, struct str *value)
{
	uint64_t now = clock_mono_us();

	UNUSED(param);
	UNUSED(name);
	return (give_msec(r, now > r->start_mono_us ? (now - r->start_mono_us) / 1000 : 0, value));
}

static bool
get_request_id(struct request *r, const void *param, struct str name, struct str *value)
{
	unsigned char id[16];

	UNUSED(param);
	UNUSED(name);
	if (digest_random(id, sizeof(id)) != 0)
		return (false);
	*value = encode_hex(r->pool, str_make((const char *)id, sizeof(id)));
	return (true);
}

#define FIGURE(field)	PARAM(offsetof(struct tcp_figures, field))

static const struct var_row var_core_rows[] = {
	/* name, getter, param, flags, setter */
	{ "uri", get_str, REQUEST_FIELD(uri), VAR_NOCACHE, NULL },
	{ "document_uri", get_str, REQUEST_FIELD(uri), VAR_NOCACHE, NULL },
	{ "args", get_str, REQUEST_FIELD(args), VAR_NOCACHE | VAR_CHANGEABLE, set_args },
	{ "query_string", get_str, REQUEST_FIELD(args), VAR_NOCACHE, NULL },
	{ "is_args", get_is_args, NULL, VAR_NOCACHE, NULL },
	{ "request", get_str, REQUEST_FIELD(in.line), 0, NULL },
	{ "request_method", get_request_method, NULL, VAR_NOCACHE, NULL },
	{ "request_uri", get_request_uri, NULL, 0, NULL },
	{ "request_length", get_request_length, NULL, VAR_NOCACHE, NULL },
	{ "request_time", get_request_time, NULL, VAR_NOCACHE, NULL },
	{ "request_id", get_request_id, NULL, 0, NULL },
	{ "request_body", get_request_body, NULL, VAR_NOCACHE, NULL },
	{ "request_body_file", get_request_body_file, NULL, VAR_NOCACHE, NULL },
	{ "request_filename", get_request_filename, NULL, VAR_NOCACHE, NULL },
	{ "document_root", get_document_root, NULL, VAR_NOCACHE, NULL },
	{ "realpath_root", get_realpath_root, NULL, VAR_NOCACHE, NULL },

	{ "host", get_host, NULL, 0, NULL },
	{ "hostname", get_hostname, NULL, VAR_STREAM, NULL },
	{ "server_name", get_server_name, NULL, 0, NULL },
	{ "server_addr", get_server_addr, NULL, VAR_STREAM, NULL },
	{ "server_port", get_server_port, NULL, VAR_STREAM, NULL },
	{ "server_protocol", get_server_protocol, NULL, 0, NULL },
	{ "remote_addr", get_remote_addr, NULL, VAR_STREAM, NULL },
	{ "binary_remote_addr", get_binary_remote_addr, NULL, VAR_STREAM, NULL },
	{ "remote_port", get_remote_port, NULL, VAR_STREAM, NULL },
	{ "remote_user", get_remote_user, NULL, 0, NULL },
	{ "proxy_protocol_addr", get_proxied, PARAM(PROXIED_CLIENT_ADDR), VAR_STREAM, NULL },
	{ "proxy_protocol_port", get_proxied, PARAM(PROXIED_CLIENT_PORT), VAR_STREAM, NULL },
	{ "proxy_protocol_server_addr", get_proxied, PARAM(PROXIED_SERVER_ADDR), VAR_STREAM, NULL },
	{ "proxy_protocol_server_port", get_proxied, PARAM(PROXIED_SERVER_PORT), VAR_STREAM, NULL },
	{ "scheme", get_scheme, NULL, 0, NULL },
	{ "https", get_https, NULL, 0, NULL },
	{ "http2", get_nothing, NULL, 0, NULL },
	{ "http3", get_nothing, NULL, 0, NULL },
	{ "connection", get_connection, NULL, VAR_STREAM, NULL },
	{ "connection_requests", get_connection_requests, NULL, 0, NULL },
	{ "connection_time", get_connection_time, NULL, VAR_NOCACHE, NULL },
	{ "pipe", get_pipe, NULL, 0, NULL },
	{ "tcpinfo_rtt", get_tcpinfo, FIGURE(rtt), VAR_NOCACHE, NULL },
	{ "tcpinfo_rttvar", get_tcpinfo, FIGURE(rttvar), VAR_NOCACHE, NULL },
	{ "tcpinfo_snd_cwnd", get_tcpinfo, FIGURE(snd_cwnd), VAR_NOCACHE, NULL },
	{ "tcpinfo_rcv_space", get_tcpinfo, FIGURE(rcv_space), VAR_NOCACHE, NULL },

	{ "nginx_version", get_version, NULL, VAR_STREAM, NULL },
	{ "pid", get_pid, NULL, VAR_STREAM, NULL },
	{ "msec", get_msec, NULL, VAR_NOCACHE | VAR_STREAM, NULL },
	{ "time_local", get_time_local, NULL, VAR_NOCACHE | VAR_STREAM, NULL },
	{ "time_iso8601", get_time_iso8601, NULL, VAR_NOCACHE | VAR_STREAM, NULL },

	{ "content_length", get_content_length, NULL, VAR_NOCACHE, NULL },
	{ "content_type", get_field, PARAM(FIELD_CONTENT_TYPE), 0, NULL },
	{ "http_host", get_field, PARAM(FIELD_HOST), 0, NULL },
	{ "http_user_agent", get_field, PARAM(FIELD_USER_AGENT), 0, NULL },
	{ "http_referer", get_field, PARAM(FIELD_REFERER), 0, NULL },
	{ "http_via", get_field, PARAM(FIELD_VIA), 0, NULL },
	{ "http_upgrade", get_field, PARAM(FIELD_UPGRADE), 0, NULL },
	{ "http_origin", get_field, PARAM(FIELD_ORIGIN), 0, NULL },
	{ "http_x_forwarded_for", get_joined, PARAM(FIELD_X_FORWARDED_FOR), 0, NULL },
	{ "http_cookie", get_joined, PARAM(FIELD_COOKIE), 0, NULL },
	{ "http_", get_http, NULL, VAR_PREFIX, NULL },
	{ "cookie_", get_cookie, NULL, VAR_PREFIX, NULL },
	{ "arg_", get_arg, NULL, VAR_PREFIX | VAR_NOCACHE, NULL },

	{ NULL, NULL, NULL, 0, NULL }
};

struct module var_module = { .name = "variables", .vars = var_core_rows };
