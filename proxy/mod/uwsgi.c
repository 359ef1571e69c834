/*
 * uwsgi_pass: the request as a uwsgi packet (modifier 0, length, name and value
 * pairs with little-endian lengths), the answer as CGI or HTTP gives it.
 *
 *	0 | length lo hi | 0 | { name length, name, value length, value } ... | body
 *
 * Variables come from uwsgi_param, then HTTP_* from the client's fields.  A name
 * that uwsgi_param sets is not sent again from the client, so that HTTP_X_FORWARDED_PROTO and
 * the like cannot be faked (nginx sends both).
 */
#include "mod/uwsgi.h"

#include "http/body.h"
#include "http/site.h"
#include "http/spool.h"
#include "http/tpl.h"
#include "mod/modules.h"
#include "mod/upstream.h"
#include "net/addr.h"

#define PACKET_MAX	65535	/* its length is 16 bits */

struct uwsgi_param {
	struct str name;
	struct tpl *value;
	bool if_not_empty;
};

struct uwsgi_location {
	struct upstream_settings up;
	struct group *group;		/* NULL: no uwsgi_pass here */
	struct tpl *variables;		/* uwsgi_pass with variables */
	struct vec params;		/* struct uwsgi_param */
	uint64_t modifier1, modifier2;
	struct hash *client_names;	/* "HTTP_X" that uwsgi_param sets */
	bool tls;
	struct str pass;		/* as written */
};


static const char *const uwsgi_hidden[] = {
	"X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering",
	"X-Accel-Charset", NULL
};

/* --- the packet --- */

void
uwsgi_packet_begin(struct uwsgi_packet *packet, char *room, size_t size)
{
	*packet = (struct uwsgi_packet){ .p = room, .size = size, .used = 4 };
}

static void
packet_put(struct uwsgi_packet *packet, struct str s)
{
	packet->p[packet->used++] = (char)(s.n & 0xff);
	packet->p[packet->used++] = (char)(s.n >> 8);
	if (s.n > 0)
		memcpy(packet->p + packet->used, s.p, s.n);
	packet->used += s.n;
}

void
uwsgi_packet_add(struct uwsgi_packet *packet, struct str name, struct str value)
{
	if (packet->overflow || name.n > PACKET_MAX || value.n > PACKET_MAX ||
	    packet->used + name.n + value.n + 4 > packet->size) {
		packet->overflow = true;
		return;
	}
	packet_put(packet, name);
	packet_put(packet, value);
}

bool
uwsgi_packet_end(struct uwsgi_packet *packet, unsigned char modifier1, unsigned char modifier2)
{
	size_t n = packet->used - 4;

	if (packet->overflow || n > PACKET_MAX)
		return (false);
	packet->p[0] = (char)modifier1;
	packet->p[1] = (char)(n & 0xff);
	packet->p[2] = (char)(n >> 8);
	packet->p[3] = (char)modifier2;
	return (true);
}

size_t
uwsgi_header_name(struct str name, char *out)
{
	size_t n = 5;

	memcpy(out, "HTTP_", 5);
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		out[n++] = (char)(c >= 'a' && c <= 'z' ? c & ~0x20 : c == '-' ? '_' : c);
	}
	return (n);
}

/* A client's field that occurs several times is one variable, as CGI has it. */
static bool
field_is_repeated(const struct fields *fields, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (str_eq_ci(fields->items[i].name, fields->items[at].name))
			return (true);
	return (false);
}

static void
packet_add_client(struct uwsgi_packet *packet, struct request *r, const struct uwsgi_location *conf)
{
	const struct fields *fields = &r->in.fields;
	struct members listed;

	(void)fields_members(fields, FIELD_CONNECTION, &listed);	/* few: the head was accepted */
	for (unsigned i = 0; i < fields->count; i++) {
		const struct field *f = &fields->items[i];
		char *name = pool_alloc(r->pool, f->name.n + 5);
		struct str variable = str_make(name, uwsgi_header_name(f->name, name));

		/* The body goes as it is, its length by itself; HTTP_PROXY is CVE-2016-5385. */
		if (f->id == FIELD_TRANSFER_ENCODING || str_eq(variable, STR("HTTP_PROXY")) ||
		    field_is_repeated(fields, i) ||
		    (members_have(&listed, f->name) && f->id != FIELD_UPGRADE) ||
		    (conf->client_names != NULL && hash_get(conf->client_names, variable) != NULL))
			continue;
		uwsgi_packet_add(packet, variable, fields_join(fields, r->pool, f->name,
		    f->id == FIELD_COOKIE ? STR("; ") : STR(", ")));
	}
}

/* Room enough for all of it; what is over the protocol's limit is found out when it is written. */
static size_t
packet_room(const struct request *r, const struct uwsgi_location *conf, const struct str *values)
{
	size_t n = 4;

	for (size_t i = 0; i < conf->params.count; i++)
		n += vec_at(&conf->params, struct uwsgi_param, i)->name.n + values[i].n + 4;
	for (unsigned i = 0; i < r->in.fields.count; i++)
		n += r->in.fields.items[i].name.n + r->in.fields.items[i].value.n + 11;
	return (n);
}

/* False: what the client sent does not fit into a packet. */
static bool
packet_write(struct upstream *u, const struct uwsgi_location *conf)
{
	struct request *r = u->r;
	struct str *values = pool_alloc(r->pool, conf->params.count * sizeof(*values));
	struct uwsgi_packet packet;
	size_t room;

	for (size_t i = 0; i < conf->params.count; i++)
		values[i] = tpl_eval(r, vec_at(&conf->params, struct uwsgi_param, i)->value);
	room = packet_room(r, conf, values);
	uwsgi_packet_begin(&packet, pool_alloc(r->pool, room), room);
	for (size_t i = 0; i < conf->params.count; i++) {
		const struct uwsgi_param *param = vec_at(&conf->params, struct uwsgi_param, i);

		if (values[i].n > 0 || !param->if_not_empty)
			uwsgi_packet_add(&packet, param->name, values[i]);
	}
	if (conf->up.pass_request_headers)
		packet_add_client(&packet, r, conf);
	if (!uwsgi_packet_end(&packet, (unsigned char)conf->modifier1,
	    (unsigned char)conf->modifier2))
		return (false);
	u->head = str_make(packet.p, packet.used);
	return (true);
}

/* --- the content handler --- */

static void
uwsgi_frame_body(struct upstream *u, struct chain *body, bool last)
{
	(void)u;
	(void)body;
	(void)last;	/* the length is in CONTENT_LENGTH */
}

static const struct upstream_protocol uwsgi_protocol = {
	.parse = parse_cgi_response,
	.frame_body = uwsgi_frame_body,
};

/* "[uwsgi://|suwsgi://]host:port" or "unix:path": where that is.  NULL: wrong. */
static const char *
pass_split(struct str text, bool *tls, struct str *authority, struct str *host, unsigned *port)
{
	*tls = str_starts_ci(text, STR("suwsgi://"));
	*authority = str_skip(text, *tls ? 9 : str_starts_ci(text, STR("uwsgi://")) ? 8 : 0);
	*port = 0;
	*host = *authority;
	if (str_starts_ci(*authority, STR("unix:"))) {
		*host = str_skip(*authority, 5);
		return (host->n == 0 ? "no path in the unix domain socket" : NULL);
	}
	if (authority->n == 0)
		return ("no host");
	return (addr_split(*authority, host, port));
}

static bool
target_evaluate(struct request *r, const struct uwsgi_location *conf, struct upstream_target *target)
{
	struct str text, authority, host;
	struct addr *addr;
	unsigned port;
	const char *wrong;

	if (conf->variables == NULL) {
		target->group = conf->group;
		target->tls = conf->tls;
		target->name = target->tls_name = conf->group->name;
		return (true);
	}
	text = tpl_eval(r, conf->variables);
	wrong = pass_split(text, &target->tls, &authority, &host, &port);
	if (wrong != NULL) {
		request_log(r, LOG_ERR, 0, "%s in upstream \"" STR_FMT "\"", wrong, STR_ARG(text));
		return (false);
	}
	target->name = authority;
	target->tls_name = host;
	target->group = group_find(r->http, host, port);
	if (target->group != NULL)
		return (true);
	addr = pool_new_object(r->pool, struct addr);
	target->port = port;
	if (!addr_parse(authority, port, addr)) {
		target->unresolved = host;
		return (true);
	}
	target->addrs = addr;
	target->addr_count = 1;
	if (addr_is_unix(addr))
		target->addr_text = authority;
	return (true);
}

static enum step_result
uwsgi_begin(struct request *r)
{
	const struct uwsgi_location *conf = location_conf(r->location, uwsgi_module);
	struct upstream *u = upstream_new(r, &uwsgi_protocol, &conf->up);

	body_pass(r);
	if (!target_evaluate(r, conf, &u->target))
		return (request_fail(r, 500));
	u->target.scheme = u->target.tls ? STR("suwsgi://") : STR("uwsgi://");
	u->streaming = r->body == NULL && body_is_open(r) &&
	    r->in.framing.kind == FRAMING_LENGTH && conf->up.pass_request_body;
	upstream_plan(u);
	u->upgrade = r->in.version >= 11 && fields_get(&r->in.fields, FIELD_UPGRADE) != NULL;
	u->plan.close = true;
	u->plan.limits.connections = 0;
	if (!packet_write(u, conf)) {
		request_log(r, LOG_ERR, 0, "the request's headers do not fit into a uwsgi packet");
		return (request_fail(r, 494));
	}
	return (upstream_begin(u));
}

static void
uwsgi_body_ready(struct request *r)
{
	enum step_result result = uwsgi_begin(r);

	if (result != STEP_WAIT)
		request_go(r, result);
}

static enum step_result
uwsgi_content(struct request *r)
{
	const struct uwsgi_location *conf = location_conf(r->location, uwsgi_module);
	enum step_result result;

	/* The protocol wants the length first. */
	if (!conf->up.buffers.request_buffering && r->in.framing.kind != FRAMING_CHUNKED)
		return (uwsgi_begin(r));
	result = body_read(r, uwsgi_body_ready);
	return (result == STEP_NEXT ? uwsgi_begin(r) : result);
}

/* --- rows --- */

static int
uwsgi_pass_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct uwsgi_location *conf = field;
	struct location *loc = conf_location(cf);
	struct str text = cf->words[1].text, authority, host;
	const char *wrong;
	unsigned port;

	(void)row;
	if (conf->group != NULL || conf->variables != NULL)
		return (conf_error(cf, "\"uwsgi_pass\" directive is duplicate"));
	loc->content = uwsgi_content;
	loc->auto_redirect = loc->name.n > 0 && loc->name.p[loc->name.n - 1] == '/';
	conf->pass = pool_strdup(cf->pool, text);
	if (str_chr(text, '$') != SIZE_MAX) {
		conf->variables = tpl_compile(cf, text);
		return (conf->variables == NULL ? -1 : 0);
	}
	wrong = pass_split(conf->pass, &conf->tls, &authority, &host, &port);
	if (wrong != NULL)
		return (conf_error_at(cf, 1, "%s in upstream \"" STR_FMT "\"", wrong, STR_ARG(text)));
	conf->group = group_refer(cf, host, port, 0, authority);
	return (conf->group == NULL ? -1 : 0);
}

static int
uwsgi_param_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *params = field;
	struct uwsgi_param *param;
	struct tpl *value = tpl_compile(cf, cf->words[2].text);

	(void)row;
	if (value == NULL)
		return (-1);
	if (params->size == 0)
		*params = VEC_OF(struct uwsgi_param);
	param = vec_push(params, cf->pool);
	param->name = pool_strdup(cf->pool, cf->words[1].text);
	param->value = value;
	if (cf->word_count == 3)
		return (0);
	if (!str_eq(cf->words[3].text, STR("if_not_empty")))
		return (conf_error_at(cf, 3, "invalid parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[3].text)));
	param->if_not_empty = true;
	return (0);
}

static int
uwsgi_init_location(struct conf *cf, struct location *loc)
{
	struct uwsgi_location *conf = location_conf(loc, uwsgi_module);
	const struct uwsgi_location *parent = loc->parent == NULL ? NULL :
	    location_conf(loc->parent, uwsgi_module);

	if (parent != NULL && conf->group == NULL && conf->variables == NULL &&
	    (loc->kind == LOCATION_IF || loc->kind == LOCATION_LIMIT_EXCEPT)) {
		conf->group = parent->group;
		conf->variables = parent->variables;
		conf->tls = parent->tls;
		conf->pass = parent->pass;
	}
	if (upstream_buffers_check(cf, &conf->up.buffers, "uwsgi") != 0)
		return (-1);
	VEC_EACH(&conf->params, struct uwsgi_param, param) {
		if (!str_starts(param->name, STR("HTTP_")))
			continue;
		if (conf->client_names == NULL)
			conf->client_names = hash_new(cf->pool, false);
		*hash_slot(conf->client_names, param->name) = param;
	}
	return (upstream_settings_init(cf, &conf->up, parent == NULL ? NULL : &parent->up,
	    uwsgi_hidden, conf->tls || conf->variables != NULL));
}

static const struct conf_range modifier_range = { 0, 255 };

#define IN_LOCATION(field)	.scope = SCOPE_LOCATION, .offset = offsetof(struct uwsgi_location, field)

static const struct conf_row uwsgi_rows[] = {
	{ .name = "uwsgi_pass", .contexts = CTX_LOCATION | CTX_IF_LOCATION, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .flags = CONF_OWN | CONF_REPEAT, .set = uwsgi_pass_set },
	{ .name = "uwsgi_param", .contexts = CTX_HSL, .min = 2, .max = 3, .flags = CONF_REPEAT,
	    .type = &conf_custom_vec, .set = uwsgi_param_set, IN_LOCATION(params) },
	{ .name = "uwsgi_modifier1", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_uint,
	    .param = &modifier_range, .dflt = "0", IN_LOCATION(modifier1) },
	{ .name = "uwsgi_modifier2", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_uint,
	    .param = &modifier_range, .dflt = "0", IN_LOCATION(modifier2) },
	{ .name = "uwsgi_read_ahead", .contexts = CTX_HSL, .min = 1, .max = 2, .type = &conf_offset,
	    .set = upstream_read_ahead_set, .dflt = "1m", IN_LOCATION(up.buffers.read_ahead) },
	UPSTREAM_ROWS("uwsgi_", struct uwsgi_location),
	{ .name = NULL }
};

struct module uwsgi_module = {
	.name = "uwsgi",
	.size = { [SCOPE_LOCATION] = sizeof(struct uwsgi_location) },
	.rows = uwsgi_rows,
	.init_location = uwsgi_init_location,
};
