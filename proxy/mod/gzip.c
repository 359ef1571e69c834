/*
 * gzip: bodies compressed on the way out, and gzip_static: files that are there
 * compressed already.  The filter stands before ranges; the step before static.
 *
 * A file whose contents are in the file cache is compressed once, whole, and the
 * result is kept with it (http/file.h): it is made anew when the file changes.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/list.h"
#include "http/core.h"
#include "http/deflate.h"
#include "http/file.h"
#include "http/filter.h"
#include "http/response.h"
#include "http/tpl.h"
#include "http/var.h"
#include "mod/mime_types.h"
#include "mod/modules.h"

enum gzip_proxied {
	PROXIED_OFF = 1, PROXIED_EXPIRED = 2, PROXIED_NO_CACHE = 4, PROXIED_NO_STORE = 8,
	PROXIED_PRIVATE = 16, PROXIED_NO_LAST_MODIFIED = 32, PROXIED_NO_ETAG = 64,
	PROXIED_AUTH = 128, PROXIED_ANY = 256
};

struct gzip_location {
	bool on;
	bool vary;
	struct mime_types types;
	uint64_t min_length, level;
	unsigned http_version;
	unsigned proxied;
	struct vec disable;	/* struct matcher * */
	unsigned static_mode;	/* 0 off, 1 on, 2 always */
};

static int
gzip_disable_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *disable = field;

	(void)row;
	if (disable->size == 0)
		*disable = VEC_OF(struct matcher *);
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct str pattern = cf->words[i].text;
		struct matcher *m;

		if (str_eq(pattern, STR("msie6")))	/* nginx's name for old MSIE */
			pattern = STR("MSIE [4-6]\\.(?!.*SV1)");
		m = matcher_new(cf, pattern, true);
		if (m == NULL)
			return (-1);
		*(struct matcher **)vec_push(disable, cf->pool) = m;
	}
	return (0);
}

/* Does Accept-Encoding take gzip (q=0 refuses it)? nginx does not read "*". */
static bool
accepts_gzip(struct str value)
{
	struct str item;

	while (str_cut(&value, ',', &item)) {
		struct str name = item, q;
		size_t semicolon = str_chr(item, ';');
		uint64_t weight = 1000;

		if (semicolon != SIZE_MAX) {
			name = str_make(item.p, semicolon);
			q = str_trim(str_skip(item, semicolon + 1));
			if (str_starts_ci(q, STR("q=")) &&
			    (!str_to_fixed(str_trim(str_skip(q, 2)), 3, &weight) || weight > 1000))
				weight = 0;
		}
		if (str_eq_ci(str_trim(name), STR("gzip")))
			return (weight > 0);
	}
	return (false);
}

/* gzip_proxied: for requests that came through another proxy (Via). */
static bool
proxied_allows(struct request *r, const struct gzip_location *conf)
{
	struct str control = fields_value(&r->out.fields, FIELD_CACHE_CONTROL), expires;
	unsigned p = conf->proxied;
	time_t date;

	if ((p & PROXIED_OFF) != 0)
		return (false);
	if ((p & PROXIED_ANY) != 0)
		return (true);
	if ((p & PROXIED_AUTH) != 0 && fields_value(&r->in.fields, FIELD_AUTHORIZATION).p != NULL)
		return (true);
	expires = fields_value(&r->out.fields, FIELD_EXPIRES);
	if (expires.p != NULL) {
		if ((p & PROXIED_EXPIRED) == 0)
			return (false);
		date = clock_parse_http(expires);
		return (date != (time_t)-1 && date < clock_wall());
	}
	if (control.p != NULL)
		return (((p & PROXIED_NO_CACHE) != 0 &&
		    fields_has_token(&r->out.fields, FIELD_CACHE_CONTROL, STR("no-cache"))) ||
		    ((p & PROXIED_NO_STORE) != 0 &&
		    fields_has_token(&r->out.fields, FIELD_CACHE_CONTROL, STR("no-store"))) ||
		    ((p & PROXIED_PRIVATE) != 0 &&
		    fields_has_token(&r->out.fields, FIELD_CACHE_CONTROL, STR("private"))));
	if ((p & PROXIED_NO_LAST_MODIFIED) != 0 && r->out.last_modified != -1)
		return (false);
	return ((p & PROXIED_NO_ETAG) == 0 || r->out.etag.n == 0);
}

/* nginx's ngx_http_gzip_ok: may this client get gzip at all? */
static bool
client_takes_gzip(struct request *r, const struct gzip_location *conf)
{
	struct str agent = fields_value(&r->in.fields, FIELD_USER_AGENT);

	if (!accepts_gzip(fields_value(&r->in.fields, FIELD_ACCEPT_ENCODING)) ||
	    r->in.version < conf->http_version)
		return (false);
	if (fields_value(&r->in.fields, FIELD_VIA).p != NULL && !proxied_allows(r, conf))
		return (false);
	VEC_EACH(&conf->disable, struct matcher *, m)
		if (agent.p != NULL && matcher_match(NULL, *m, agent) == 1)
			return (false);
	return (true);
}

/* What is sent instead of a body that is a cached file. */
struct gzip_kept {
	struct file *file;	/* held */
	struct str bytes;
};

/* Of a response: one of both. */
struct gzip_state {
	struct deflate *deflate;
	struct gzip_kept kept;
	uint64_t in, out;	/* bytes so far, for $gzip_ratio */
};

static void
gzip_drop_file(void *arg)
{
	struct file *file = arg;

	owner_drop(&file->owner);
}

/* The compressed form of the file, made now or before.  False: none can be kept. */
static bool
gzip_keep(struct request *r, struct file *file, unsigned level, struct gzip_kept *kept)
{
	struct chain in = { 0 }, out = { 0 };
	struct deflate *deflate;
	struct str bytes;

	/* A filter in front makes other bytes of it, so does a page in its place. */
	if (file == NULL || file->content == NULL || r->filter_count > 0 || r->out.page.p != NULL)
		return (false);
	bytes = file_variant(file, level);
	if (bytes.p == NULL) {
		deflate = deflate_new(r->pool, (int)level, 15, 8);
		file_chain(file, &in);
		if (deflate == NULL || deflate_chain(deflate, &in, &out, false, true) != 0) {
			chain_clear(&in);
			chain_clear(&out);
			return (false);
		}
		bytes = file_keep_variant(file, level, &out);
		chain_clear(&out);
	}
	owner_hold(&file->owner);
	pool_cleanup(r->pool, gzip_drop_file, file);
	*kept = (struct gzip_kept){ file, bytes };
	return (true);
}

/* Said once, by gzip_static or by gzip. */
static void
gzip_vary(struct request *r)
{
	const struct field *f = fields_get(&r->out.fields, FIELD_VARY);

	if (r->out.from_upstream || f == NULL || !str_eq(f->value, STR("Accept-Encoding")))
		fields_add_id(&r->out.fields, r->pool, FIELD_VARY, STR("Accept-Encoding"));
}

static enum filter_verdict
gzip_start(struct request *r, void **state)
{
	const struct gzip_location *conf = location_conf(r->location, gzip_module);
	struct gzip_state *gzip;

	if (!conf->on || (r->out.status != 200 && r->out.status != 403 && r->out.status != 404) ||
	    fields_get(&r->out.fields, FIELD_CONTENT_ENCODING) != NULL ||
	    (r->out.length != -1 && (uint64_t)r->out.length < conf->min_length) ||
	    !mime_types_have(&conf->types, r->out.content_type))
		return (FILTER_SKIP);
	if (conf->vary)
		gzip_vary(r);
	if (!client_takes_gzip(r, conf))
		return (FILTER_SKIP);
	gzip = pool_new_object(r->pool, struct gzip_state);
	if (!gzip_keep(r, r->out.file, (unsigned)conf->level, &gzip->kept)) {
		gzip->deflate = deflate_new_for(r->pool, (int)conf->level, r->out.length);
		if (gzip->deflate == NULL)
			return (FILTER_SKIP);
	}
	fields_add_id(&r->out.fields, r->pool, FIELD_CONTENT_ENCODING, STR("gzip"));
	r->out.length = -1;
	r->out.ranges_allowed = false;
	fields_remove(&r->out.fields, FIELD_ACCEPT_RANGES);
	resp_weaken_etag(r);
	*state = gzip;
	return (FILTER_JOIN);
}

static int
gzip_bytes(struct request *r, void *state, struct chain *in, struct chain *out, unsigned flags)
{
	struct gzip_state *gzip = state;

	(void)r;
	gzip->in += in->bytes;
	if (gzip->deflate != NULL) {
		uint64_t before = out->bytes;
		int rc = deflate_chain(gzip->deflate, in, out, (flags & SEND_FLUSH) != 0,
		    (flags & SEND_LAST) != 0);

		gzip->out += out->bytes - before;
		return (rc);
	}
	gzip->out = gzip->kept.bytes.n;
	chain_clear(in);
	if ((flags & SEND_LAST) == 0)
		return (0);
	owner_hold(&gzip->kept.file->owner);
	chain_add(out, gzip->kept.bytes.p, gzip->kept.bytes.n, &gzip->kept.file->owner);
	return (0);
}

const struct filter gzip_filter = { .name = "gzip", .start = gzip_start, .bytes = gzip_bytes };

/* $gzip_ratio: how many times smaller, "3.21"; the second digit is rounded as nginx does it. */
static bool
get_gzip_ratio(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct gzip_state *gzip = NULL;
	uint64_t hundredths;

	(void)param;
	(void)name;
	for (unsigned i = 0; i < r->filter_count; i++)
		if (r->filters[i].filter == &gzip_filter)
			gzip = r->filters[i].state;
	if (gzip == NULL || gzip->out == 0)
		return (false);
	hundredths = gzip->in * 100 / gzip->out;
	if (gzip->in * 1000 / gzip->out % 10 > 4)
		hundredths++;
	*value = pool_printf(r->pool, "%llu.%02llu", (unsigned long long)hundredths / 100,
	    (unsigned long long)hundredths % 100);
	return (true);
}

static const struct var_row gzip_vars[] = {
	{ .name = "gzip_ratio", .get = get_gzip_ratio, .flags = VAR_NOCACHE },
	{ .name = NULL }
};

/*
 * "file.gz" beside the file: sent as it is to clients that take gzip (always: to all).  With
 * gzip_vary the others are told that there are two.
 */
enum step_result
gzip_static_step(struct request *r)
{
	const struct gzip_location *conf = location_conf(r->location, gzip_module);
	bool takes = conf->static_mode == 2 || client_takes_gzip(r, conf);
	struct str path;
	struct file *file;
	struct chain body = { 0 };

	if (conf->static_mode == 0 || str_ends(r->uri, STR("/")) ||
	    (r->in.method != METHOD_GET && r->in.method != METHOD_HEAD))
		return (STEP_NEXT);
	if (!takes && !conf->vary)
		return (STEP_NEXT);
	if (core_map_uri(r, STR(".gz"), &path) != 0)
		return (STEP_NEXT);
	file = core_file(r, path, true);
	if (file == NULL)
		return (STEP_NEXT);
	if (file->is_regular && conf->static_mode == 1 && conf->vary)
		gzip_vary(r);
	if (!file->is_regular || !takes) {
		owner_drop(&file->owner);
		return (STEP_NEXT);
	}
	r->out.status = 200;
	r->out.length = (int64_t)file->size;
	r->out.last_modified = file->mtime;
	if (r->location->core->etag)
		r->out.etag = file->etag;
	r->out.content_type = core_content_type(r, r->uri);
	fields_add_id(&r->out.fields, r->pool, FIELD_CONTENT_ENCODING, STR("gzip"));
	if (resp_start(r) == 0) {
		file_chain(file, &body);
		(void)resp_write(r, &body, SEND_LAST);
	}
	owner_drop(&file->owner);
	return (STEP_DONE);
}

static const struct conf_name names_static[] = {
	{ "off", 0 }, { "on", 1 }, { "always", 2 }, { NULL, 0 }
};
static const struct conf_name names_version[] = { { "1.0", 10 }, { "1.1", 11 }, { NULL, 0 } };
static const struct conf_name names_proxied[] = {
	{ "off", PROXIED_OFF }, { "expired", PROXIED_EXPIRED }, { "no-cache", PROXIED_NO_CACHE },
	{ "no-store", PROXIED_NO_STORE }, { "private", PROXIED_PRIVATE },
	{ "no_last_modified", PROXIED_NO_LAST_MODIFIED }, { "no_etag", PROXIED_NO_ETAG },
	{ "auth", PROXIED_AUTH }, { "any", PROXIED_ANY }, { NULL, 0 }
};
static const struct conf_range level_range = { 1, 9 };

#define IN_LOCATION(field)						\
	.scope = SCOPE_LOCATION, .offset = offsetof(struct gzip_location, field)

static const struct conf_row gzip_rows[] = {
	{ .name = "gzip", .contexts = CTX_HSLI, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(on), .dflt = "off" },
	{ .name = "gzip_types", .contexts = CTX_HSL, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_mime_types, IN_LOCATION(types) },
	{ .name = "gzip_min_length", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_size,
	    IN_LOCATION(min_length), .dflt = "20" },
	{ .name = "gzip_comp_level", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_uint,
	    .param = &level_range, IN_LOCATION(level), .dflt = "1" },
	{ .name = "gzip_vary", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(vary), .dflt = "off" },
	{ .name = "gzip_proxied", .contexts = CTX_HSL, .min = 1, .max = CONF_ANY, .type = &conf_mask,
	    .param = names_proxied, IN_LOCATION(proxied), .dflt = "off" },
	{ .name = "gzip_http_version", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_enum,
	    .param = names_version, IN_LOCATION(http_version), .dflt = "1.1" },
	{ .name = "gzip_disable", .contexts = CTX_HSL, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_custom_vec, .set = gzip_disable_set,
	    IN_LOCATION(disable) },
	{ .name = "gzip_static", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_enum,
	    .param = names_static, IN_LOCATION(static_mode), .dflt = "off" },
	{ .name = NULL }
};

struct module gzip_module = {
	.name = "gzip",
	.size = { [SCOPE_LOCATION] = sizeof(struct gzip_location) },
	.rows = gzip_rows,
	.vars = gzip_vars,
};
