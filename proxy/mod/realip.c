/*
 * realip: the client's address as a trusted proxy tells it.  What a request says
 * holds for that request only: each begins with the address of its connection.
 * The two steps are the server's and the location's settings.
 */
#include "http/proxy_protocol.h"
#include "http/request.h"
#include "http/session.h"
#include "http/site.h"
#include "http/tpl.h"
#include "http/var.h"
#include "http/var_give.h"
#include "mod/forwarded.h"
#include "mod/modules.h"

struct realip_header {
	struct str name;
	bool is_list;		/* X-Forwarded-For: all fields of that name are one list */
	bool proxy_protocol;
};

struct realip_location {
	struct vec from;	/* struct addr_net */
	struct realip_header header;
	bool recursive;
};

/* The address that a believed neighbour tells. */
static bool
told_addr(struct request *r, const struct realip_location *conf, struct addr *addr)
{
	const struct proxied_connection *proxied = session_proxied(r);
	const struct field *field;
	struct str list;

	if (conf->header.proxy_protocol) {
		if (!proxied->present || proxied->client.len == 0 ||
		    !nets_contain(&conf->from, addr))
			return (false);
		*addr = proxied->client;
		return (true);
	}
	if (conf->header.is_list)
		list = fields_join(&r->in.fields, r->pool, conf->header.name, STR(", "));
	else if ((field = fields_find(&r->in.fields, conf->header.name)) != NULL)
		list = field->value;
	else
		return (false);
	return (list.n > 0 && forwarded_addr(addr, &list, 1, &conf->from, conf->recursive));
}

/* The address of the connection itself; NULL for a request without a client. */
static const struct addr *
socket_addr(const struct request *r)
{
	const struct conn *conn = session_conn(r);

	return (conn == NULL ? NULL : &conn->peer);
}

static void
addr_replace(struct request *r, const struct realip_location *conf, const struct addr *socket)
{
	struct addr addr = *socket;

	if (conf->from.count > 0 && told_addr(r, conf, &addr))
		session_set_peer(r->session, &addr);
}

enum step_result
realip_step(struct request *r)
{
	const struct addr *socket = socket_addr(r);

	if (socket == NULL)
		return (STEP_NEXT);
	/* An earlier request of this connection may have told another address. */
	if (!addr_eq(session_peer(r), socket))
		session_set_peer(r->session, socket);
	addr_replace(r, location_conf(r->location, realip_module), socket);
	return (STEP_NEXT);
}

enum step_result
realip_location_step(struct request *r)
{
	const struct addr *socket = socket_addr(r);

	if (socket != NULL && addr_eq(session_peer(r), socket))
		addr_replace(r, location_conf(r->location, realip_module), socket);
	return (STEP_NEXT);
}

/* --- variables --- */

static bool
get_socket_addr(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct addr *addr = socket_addr(r);
	char text[ADDR_TEXT_MAX];

	(void)param;
	(void)name;
	if (addr == NULL)
		return (false);
	*value = pool_strdup(r->pool, str_make(text, addr_text(addr, false, text)));
	return (true);
}

static bool
get_socket_port(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct addr *addr = socket_addr(r);

	(void)param;
	(void)name;
	*value = STR("");
	return (addr != NULL && (addr_is_unix(addr) || give_uint(r, addr_port(addr), value)));
}

static const struct var_row realip_vars[] = {
	{ "realip_remote_addr", get_socket_addr, NULL, 0, NULL },
	{ "realip_remote_port", get_socket_port, NULL, 0, NULL },
	{ NULL, NULL, NULL, 0, NULL }
};

/* --- directives --- */

/* A name stands for all addresses it has when the file is read. */
static int
from_name(struct conf *cf, struct vec *from, struct str text)
{
	struct vec addrs = VEC_OF(struct addr);
	const char *error = addr_resolve(cf->temp, text, 0, &addrs);

	if (error != NULL)
		return (conf_error_at(cf, 1, "%s in set_real_ip_from \"" STR_FMT "\"", error,
		    STR_ARG(text)));
	VEC_EACH(&addrs, const struct addr, addr) {
		char name[ADDR_TEXT_MAX];
		bool extra;

		(void)addr_net_parse(str_make(name, addr_text(addr, false, name)),
		    vec_push(from, cf->pool), &extra);
	}
	return (0);
}

static int
from_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *from = field;
	struct str text = cf->words[1].text;
	struct addr_net net;
	bool extra;

	(void)row;
	if (from->size == 0)
		*from = VEC_OF(struct addr_net);
	if (!addr_net_parse(text, &net, &extra) || net.family == AF_UNSPEC)
		return (from_name(cf, from, text));
	if (extra)
		conf_warn_at(cf, 1, "low address bits of " STR_FMT " are meaningless",
		    STR_ARG(text));
	*(struct addr_net *)vec_push(from, cf->pool) = net;
	return (0);
}

static int
header_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct realip_header *header = field;

	(void)row;
	header->name = pool_strdup(cf->pool, cf->words[1].text);
	header->is_list = str_eq_ci(header->name, STR("X-Forwarded-For"));
	header->proxy_protocol = str_eq(header->name, STR("proxy_protocol"));
	return (0);
}

static const struct conf_type conf_realip_header = {
	"header", sizeof(struct realip_header), header_set, NULL
};

static const struct conf_row realip_rows[] = {
	{ .name = "set_real_ip_from", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT, .type = &conf_custom_vec,
	    .offset = offsetof(struct realip_location, from), .set = from_set },
	{ .name = "real_ip_header", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .type = &conf_realip_header,
	    .offset = offsetof(struct realip_location, header), .dflt = "X-Real-IP" },
	{ .name = "real_ip_recursive", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .type = &conf_flag,
	    .offset = offsetof(struct realip_location, recursive), .dflt = "off" },
	{ .name = NULL }
};

struct module realip_module = {
	.name = "realip",
	.size = { [SCOPE_LOCATION] = sizeof(struct realip_location) },
	.rows = realip_rows,
	.vars = realip_vars,
};
