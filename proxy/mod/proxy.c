/*
 * proxy_pass as content: the request as an HTTP/1 back end gets it, written
 * anew from what was parsed, and the rows of all proxy_* directives.
 *
 *	proxy_content -> (body read whole) -> proxy_begin -> upstream_begin
 *
 * The client can neither add to nor take away from what the configuration
 * sets: fields it names in Connection, hop-by-hop fields and those that
 * proxy_set_header sets are dropped from its own, one length is written, and no
 * value can end a line.
 */
#include "mod/proxy.h"

#include "base/encode.h"
#include "http/body.h"
#include "http/response.h"
#include "http/session.h"
#include "http/site.h"
#include "http/spool.h"
#include "http/var.h"
#include "mod/modules.h"

/* Client fields that are never passed as they are. */
#define FIELDS_HOP_BY_HOP						\
	(FIELD_BIT(FIELD_HOST) | FIELD_BIT(FIELD_CONNECTION) |		\
	FIELD_BIT(FIELD_CONTENT_LENGTH) | FIELD_BIT(FIELD_TRANSFER_ENCODING) |	\
	FIELD_BIT(FIELD_TE) | FIELD_BIT(FIELD_TRAILER) | FIELD_BIT(FIELD_KEEP_ALIVE) |	\
	FIELD_BIT(FIELD_PROXY_CONNECTION) | FIELD_BIT(FIELD_EXPECT) | FIELD_BIT(FIELD_UPGRADE))

static const char *const proxy_hidden[] = {
	"Date", "Server", "X-Pad", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate",
	"X-Accel-Buffering", "X-Accel-Charset", NULL
};

static const struct conf_name http_versions[] = { { "1.0", 10 }, { "1.1", 11 }, { NULL, 0 } };

/* --- the request's text --- */

struct writer {
	char *p;
	char *at;
};

static void
put(struct writer *w, struct str s)
{
	if (s.n > 0)
		memcpy(w->at, s.p, s.n);
	w->at += s.n;
}

static void
put_field(struct writer *w, struct str name, struct str value)
{
	put(w, name);
	put(w, STR(": "));
	put(w, value);
	put(w, STR("\r\n"));
}

/* A line end in a value, however it came there, is a blank. */
static struct str
value_make_safe(struct pool *pool, struct str value)
{
	char *p;

	if (is_field_value(value))
		return (value);
	p = pool_cstr(pool, value);
	for (size_t i = 0; i < value.n; i++)
		if (p[i] == '\r' || p[i] == '\n' || p[i] == '\0')
			p[i] = ' ';
	return (str_make(p, value.n));
}

/* Everything the head is made of, evaluated; then written in one go. */
struct proxy_head {
	struct str method, uri, host, connection;
	struct str *values;		/* of conf->set_headers */
	char length[UINT_TEXT_LEN];
	size_t length_n;		/* 0: no Content-Length */
	bool chunked;
	bool pass_client;
};

static bool
name_passes(const struct proxy_location *conf, enum field_id id, struct str name)
{
	if (id != FIELD_OTHER)
		return ((conf->drop & FIELD_BIT(id)) == 0);
	VEC_EACH(&conf->drop_names, struct str, dropped)
		if (str_eq_ci(*dropped, name))
			return (false);
	return (true);
}

/*
 * WSGI and CGI read '_' as '-': where underscores_in_headers lets such a name in, it must not
 * shadow what would be dropped under its other spelling.
 */
static bool
client_field_passes(const struct proxy_location *conf, struct pool *pool, const struct field *f)
{
	char *plain;

	if (!name_passes(conf, f->id, f->name))
		return (false);
	if (f->id != FIELD_OTHER || memchr(f->name.p, '_', f->name.n) == NULL)
		return (true);
	plain = pool_cstr(pool, f->name);
	for (size_t i = 0; i < f->name.n; i++)
		if (plain[i] == '_')
			plain[i] = '-';
	return (name_passes(conf, field_id_of(str_make(plain, f->name.n)), str_make(plain, f->name.n)));
}

static size_t
head_size(const struct proxy_location *conf, const struct request *r, const struct proxy_head *h)
{
	size_t n = h->method.n + h->uri.n + h->host.n + h->connection.n + 160;

	for (size_t i = 0; i < conf->set_headers.count; i++)
		n += vec_at(&conf->set_headers, struct proxy_header, i)->name.n + h->values[i].n + 4;
	for (unsigned i = 0; h->pass_client && i < r->in.fields.count; i++)
		n += r->in.fields.items[i].name.n + r->in.fields.items[i].value.n + 4;
	return (n);
}

static void
put_set_headers(struct writer *w, const struct proxy_location *conf, const struct proxy_head *h)
{
	for (size_t i = 0; i < conf->set_headers.count; i++) {
		const struct proxy_header *header = vec_at(&conf->set_headers, struct proxy_header, i);

		/* The length and its kin are ours: one framing, the right one. */
		if (h->values[i].n > 0 && header->id != FIELD_CONTENT_LENGTH &&
		    header->id != FIELD_TRANSFER_ENCODING)
			put_field(w, header->name, h->values[i]);
	}
}

static void
put_client_fields(struct writer *w, const struct proxy_location *conf, const struct request *r)
{
	struct members listed;	/* only for this hop (RFC 9110 7.6.1) */

	(void)fields_members(&r->in.fields, FIELD_CONNECTION, &listed);	/* few: the head was accepted */
	for (unsigned i = 0; i < r->in.fields.count; i++) {
		const struct field *f = &r->in.fields.items[i];

		if (client_field_passes(conf, r->pool, f) && !members_have(&listed, f->name))
			put_field(w, f->name, f->value);
	}
}

static struct str
head_write(const struct proxy_location *conf, struct request *r, const struct proxy_head *h)
{
	struct writer w;

	w.p = w.at = pool_alloc(r->pool, head_size(conf, r, h));
	put(&w, h->method);
	put(&w, STR(" "));
	put(&w, h->uri);
	put(&w, conf->http_version == 11 ? STR(" HTTP/1.1\r\n") : STR(" HTTP/1.0\r\n"));
	put_set_headers(&w, conf, h);
	if (h->host.n > 0)
		put_field(&w, STR("Host"), h->host);
	if (h->connection.n > 0)
		put_field(&w, STR("Connection"), h->connection);
	if (h->chunked)
		put(&w, STR("Transfer-Encoding: chunked\r\n"));
	else if (h->length_n > 0)
		put_field(&w, STR("Content-Length"), str_make(h->length, h->length_n));
	if (h->pass_client)
		put_client_fields(&w, conf, r);
	put(&w, STR("\r\n"));
	return (str_make(w.p, (size_t)(w.at - w.p)));
}

/* --- what goes into it --- */

/* One length for what is sent (RFC 9112 6). */
static void
head_frame(struct proxy_head *h, struct upstream *u)
{
	const struct request *r = u->r;
	uint64_t length;

	if (!u->settings->pass_request_body)
		return;
	if (u->streaming && r->in.framing.kind == FRAMING_CHUNKED) {
		h->chunked = true;
		return;
	}
	if (u->streaming)
		length = r->in.framing.length;
	else if (r->body != NULL)
		length = spool_size(r->body);
	else if ((r->in.fields.known & (FIELD_BIT(FIELD_CONTENT_LENGTH) |
	    FIELD_BIT(FIELD_TRANSFER_ENCODING))) != 0)
		length = 0;
	else
		return;
	h->length_n = encode_uint(h->length, length);
}

static void
head_evaluate(struct proxy_head *h, struct upstream *u, const struct proxy_location *conf,
    const struct proxy_request *names)
{
	struct request *r = u->r;
	const struct field *upgrade = fields_get(&r->in.fields, FIELD_UPGRADE);

	h->values = pool_alloc(r->pool, conf->set_headers.count * sizeof(struct str));
	for (size_t i = 0; i < conf->set_headers.count; i++) {
		const struct proxy_header *header = vec_at(&conf->set_headers, struct proxy_header, i);

		h->values[i] = value_make_safe(r->pool, tpl_eval(r, header->value));
		if (header->id == FIELD_UPGRADE && h->values[i].n > 0)
			u->upgrade = upgrade != NULL && r->in.version >= 11;
		/* A back end always gets a Host. */
		if (header->id == FIELD_HOST && h->values[i].n == 0)
			h->host = value_make_safe(r->pool, names->host);
	}
	if (!conf->host_is_set)
		h->host = value_make_safe(r->pool, names->host);
	if (!conf->connection_is_set && u->plan.close)
		h->connection = STR("close");
}

static struct str
request_method(struct request *r, const struct proxy_location *conf)
{
	struct str method = conf->method == NULL ? STR("") : tpl_eval(r, conf->method);

	return (is_token(method) ? method : r->in.method_name);
}

/* --- the content handler --- */

/* A streamed body in the framing of its head. */
static void
proxy_frame_body(struct upstream *u, struct chain *body, bool last)
{
	char size[20];
	struct chain framed = { 0 };

	if (u->r->in.framing.kind != FRAMING_CHUNKED)
		return;
	if (body->bytes > 0) {
		size_t n = encode_uint_hex(size, body->bytes);

		size[n++] = '\r';
		size[n++] = '\n';
		chain_add_small(&framed, str_make(size, n));
		chain_append(&framed, body);
		chain_add_small(&framed, STR("\r\n"));
	}
	if (last)
		chain_add_small(&framed, STR("0\r\n\r\n"));
	*body = framed;
}

static const struct upstream_protocol proxy_protocol = {
	.parse = parse_response,
	.frame_body = proxy_frame_body,
	.rewrite = proxy_rewrite,
	.own_date = true,
};

/* The body is there, or is streamed: the request goes to a back end. */
static enum step_result
proxy_begin(struct request *r)
{
	const struct proxy_location *conf = location_conf(r->location, proxy_module);
	struct proxy_request *names = pool_new_object(r->pool, struct proxy_request);
	struct upstream *u = upstream_new(r, &proxy_protocol, &conf->up);
	struct proxy_head head = { .pass_client = conf->up.pass_request_headers };
	unsigned status = 500;
	struct str uri;

	body_pass(r);
	request_state(r, proxy_module) = names;
	if (!proxy_pass_target(r, conf->pass, &u->target, names, &uri, &status))
		return (request_fail(r, status));
	u->streaming = r->body == NULL && body_is_open(r) && conf->up.pass_request_body;
	head.method = request_method(r, conf);
	head.uri = u->target.uri = proxy_pass_uri(r, conf->pass, uri);
	upstream_plan(u);
	u->plan.method = method_of(head.method);
	u->plan.close = conf->http_version == 10 || u->plan.limits.connections == 0;
	head_evaluate(&head, u, conf, names);
	head_frame(&head, u);
	u->head = head_write(conf, r, &head);
	/* What the configuration says of the connection is said by the answer again. */
	u->plan.close = u->plan.close && !conf->connection_is_set;
	return (upstream_begin(u));
}

static void
proxy_body_ready(struct request *r)
{
	enum step_result result = proxy_begin(r);

	if (result != STEP_WAIT)
		request_go(r, result);
}

enum step_result
proxy_content(struct request *r)
{
	const struct proxy_location *conf = location_conf(r->location, proxy_module);
	enum step_result result;

	if (!conf->up.buffers.request_buffering &&
	    (conf->http_version == 11 || r->in.framing.kind != FRAMING_CHUNKED))
		return (proxy_begin(r));
	result = body_read(r, proxy_body_ready);
	return (result == STEP_NEXT ? proxy_begin(r) : result);
}

/* --- rows --- */

static int
set_header_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *headers = field;
	struct proxy_header *header;
	struct tpl *value = tpl_compile(cf, cf->words[2].text);

	(void)row;
	if (value == NULL)
		return (-1);
	if (!is_token(cf->words[1].text))
		return (conf_error_at(cf, 1, "invalid header name \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	if (tpl_is_literal(value) && !is_field_value(cf->words[2].text))
		return (conf_error_at(cf, 2, "a header's value cannot hold control characters"));
	if (headers->size == 0)
		*headers = VEC_OF(struct proxy_header);
	header = vec_push(headers, cf->pool);
	header->name = pool_strdup(cf->pool, cf->words[1].text);
	header->id = field_id_of(header->name);
	header->value = value;
	return (0);
}

/* Inside "if" and limit_except the level around tells where to go. */
static void
proxy_pass_inherit(struct location *loc, struct proxy_location *conf)
{
	const struct proxy_location *around;

	if (loc->parent == NULL || conf->pass != NULL ||
	    (loc->kind != LOCATION_IF && loc->kind != LOCATION_LIMIT_EXCEPT))
		return;
	around = location_conf(loc->parent, proxy_module);
	conf->pass = around->pass;
}

static void
headers_compile(struct conf *cf, struct proxy_location *conf)
{
	conf->drop = FIELDS_HOP_BY_HOP;
	conf->drop_names = VEC_OF(struct str);
	VEC_EACH(&conf->set_headers, struct proxy_header, header) {
		conf->host_is_set = conf->host_is_set || header->id == FIELD_HOST;
		conf->connection_is_set = conf->connection_is_set || header->id == FIELD_CONNECTION;
		if (header->id != FIELD_OTHER)
			conf->drop |= FIELD_BIT(header->id);
		else
			*(struct str *)vec_push(&conf->drop_names, cf->pool) = header->name;
	}
}

static int
proxy_init_location(struct conf *cf, struct location *loc)
{
	struct proxy_location *conf = location_conf(loc, proxy_module);
	const struct proxy_location *parent = loc->parent == NULL ? NULL :
	    location_conf(loc->parent, proxy_module);
	bool tls;

	proxy_pass_inherit(loc, conf);
	headers_compile(cf, conf);
	if (upstream_buffers_check(cf, &conf->up.buffers, "proxy") != 0 ||
	    proxy_redirect_init(cf, conf, parent) != 0)
		return (-1);
	tls = conf->pass != NULL && (conf->pass->tls || conf->pass->variables != NULL);
	return (upstream_settings_init(cf, &conf->up, parent == NULL ? NULL : &parent->up,
	    proxy_hidden, tls));
}

/* --- variables --- */

static bool
proxy_name_get(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct proxy_request *names = request_state(r, proxy_module);

	(void)name;
	if (names == NULL)
		return (false);
	*value = param == NULL ? names->host : names->port;
	return (true);
}

/* The client's lines, then who it is. */
static bool
forwarded_for_get(struct request *r, const void *param, struct str name, struct str *value)
{
	struct str parts[3] = { STR_NULL, STR(", "), STR_NULL };
	char text[ADDR_TEXT_MAX];

	(void)param;
	(void)name;
	parts[0] = fields_join(&r->in.fields, r->pool, STR("X-Forwarded-For"), STR(", "));
	parts[2] = str_make(text, addr_text(session_peer(r), false, text));
	*value = parts[0].p == NULL ? pool_strdup(r->pool, parts[2]) : pool_concat(r->pool, 3, parts);
	return (true);
}

static const struct var_row proxy_vars[] = {
	{ .name = "proxy_host", .get = proxy_name_get, .flags = VAR_NOCACHE },
	{ .name = "proxy_port", .get = proxy_name_get, .param = &proxy_hidden,
	    .flags = VAR_NOCACHE },
	{ .name = "proxy_add_x_forwarded_for", .get = forwarded_for_get, .flags = VAR_NOCACHE },
	{ .name = NULL }
};

#define IN_LOCATION(field)	.scope = SCOPE_LOCATION, .offset = offsetof(struct proxy_location, field)

static const struct conf_row proxy_rows[] = {
	{ .name = "proxy_pass", .contexts = CTX_LOCATION | CTX_IF_LOCATION | CTX_LIMIT_EXCEPT,
	    .min = 1, .max = 1, .flags = CONF_OWN, .type = &conf_custom_ptr, .set = proxy_pass_set,
	    IN_LOCATION(pass) },
	{ .name = "proxy_set_header", .contexts = CTX_HSL, .min = 2, .max = 2, .flags = CONF_REPEAT,
	    .type = &conf_custom_vec, .set = set_header_set, IN_LOCATION(set_headers) },
	{ .name = "proxy_redirect", .contexts = CTX_HSL, .min = 1, .max = 2, .flags = CONF_REPEAT,
	    .type = &conf_proxy_rules, .set = proxy_redirect_set, IN_LOCATION(redirects) },
	{ .name = "proxy_cookie_domain", .contexts = CTX_HSL, .min = 1, .max = 2,
	    .flags = CONF_REPEAT, .type = &conf_proxy_rules, .set = proxy_cookie_set,
	    IN_LOCATION(cookie_domains) },
	{ .name = "proxy_cookie_path", .contexts = CTX_HSL, .min = 1, .max = 2,
	    .flags = CONF_REPEAT, .type = &conf_proxy_rules, .set = proxy_cookie_set,
	    IN_LOCATION(cookie_paths) },
	{ .name = "proxy_cookie_flags", .contexts = CTX_HSL, .min = 1, .max = 4,
	    .flags = CONF_REPEAT, .type = &conf_proxy_rules, .set = proxy_cookie_flags_set,
	    IN_LOCATION(cookie_flags) },
	{ .name = "proxy_http_version", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_enum, .param = http_versions, .dflt = "1.1", IN_LOCATION(http_version) },
	{ .name = "proxy_method", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_tpl,
	    IN_LOCATION(method) },
	{ .name = "proxy_read_ahead", .contexts = CTX_HSL, .min = 1, .max = 2, .type = &conf_offset,
	    .set = upstream_read_ahead_set, .dflt = "1m", IN_LOCATION(up.buffers.read_ahead) },
	UPSTREAM_ROWS("proxy_", struct proxy_location),
	{ .name = NULL }
};

struct module proxy_module = {
	.name = "proxy",
	.size = { [SCOPE_LOCATION] = sizeof(struct proxy_location) },
	.rows = proxy_rows,
	.vars = proxy_vars,
	.init_location = proxy_init_location,
};
