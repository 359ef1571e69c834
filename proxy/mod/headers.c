/*
 * add_header, add_trailer and expires, as one filter of the response.  It runs
 * before the head is complete (conditional requests are decided, compression and
 * ranges are not); with add_trailer it also waits for the last byte.
 */
#include "http/filter.h"
#include "http/parse.h"
#include "http/request.h"
#include "http/session.h"
#include "http/site.h"
#include "http/tpl.h"
#include "mod/expires.h"
#include "mod/modules.h"

struct header_line;
typedef void (*header_apply)(struct request *, const struct header_line *, struct str value);

struct header_line {
	struct str name;
	struct tpl *value;
	header_apply apply;
	bool always;
};

struct headers_location {
	struct vec headers;	/* struct header_line */
	struct vec trailers;	/* struct header_line */
	struct expires expires;
};

static const struct headers_location *
headers_conf(const struct location *loc)
{
	return (location_conf(loc, headers_module));
}

/* --- what a name does --- */

static void
apply_line(struct request *r, const struct header_line *line, struct str value)
{
	if (value.n > 0)
		fields_add(&r->out.fields, r->pool, line->name, value);
}

static void
apply_last_modified(struct request *r, const struct header_line *line, struct str value)
{
	r->out.last_modified = (time_t)-1;
	fields_remove(&r->out.fields, FIELD_LAST_MODIFIED);
	apply_line(r, line, value);
}

static void
apply_etag(struct request *r, const struct header_line *line, struct str value)
{
	fields_remove(&r->out.fields, FIELD_ETAG);
	r->out.etag = STR_NULL;
	apply_line(r, line, value);
}

/* The names that are more than a line of text. */
static const struct {
	struct str name;
	header_apply apply;
} header_kinds[] = {
	{ { "Last-Modified", 13 }, apply_last_modified },
	{ { "ETag", 4 }, apply_etag },
};

/* Decoded paths and arguments may hold line ends: such a value is not sent. */
static void
line_apply(struct request *r, const struct header_line *line, struct str value)
{
	if (value.n > 0 && !is_field_value(value)) {
		request_log(r, LOG_ERR, 0, "control characters in the value of header \"" STR_FMT
		    "\"", STR_ARG(line->name));
		return;
	}
	line->apply(r, line, value);
}

/* --- the filter --- */

/* The statuses that headers without "always" are for. */
static bool
status_is_plain(unsigned status)
{
	static const unsigned plain[] = { 200, 201, 204, 206, 301, 302, 303, 304, 307, 308 };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (plain[i] == status)
			return (true);
	return (false);
}

static void
apply_expires(struct request *r, const struct expires *conf)
{
	struct expires_fields fields;

	if (!expires_evaluate(r, conf, r->out.last_modified, &fields))
		return;
	fields_set(&r->out.fields, r->pool, FIELD_EXPIRES, fields.expires);
	fields_set(&r->out.fields, r->pool, FIELD_CACHE_CONTROL, fields.cache_control);
}

/* Headers that a browser's script needs to see an error at all (SEMANTICS D7). */
static bool
line_is_cors(const struct header_line *line, struct str value)
{
	return (str_starts_ci(line->name, STR("Access-Control-")) ||
	    str_starts_ci(line->name, STR("Cross-Origin-")) ||
	    str_eq_ci(line->name, STR("Timing-Allow-Origin")) ||
	    (str_eq_ci(line->name, STR("Vary")) && str_eq_ci(value, STR("Origin"))));
}

static bool
has_line(const struct vec *headers, struct str name)
{
	VEC_EACH(headers, const struct header_line, line)
		if (str_eq_ci(line->name, name))
			return (true);
	return (false);
}

static void
keep_cors(struct request *r, const struct headers_location *here)
{
	if (r->failed == NULL || r->failed == r->location)
		return;
	VEC_EACH(&headers_conf(r->failed)->headers, const struct header_line, line) {
		struct str value;

		if (!line->always || has_line(&here->headers, line->name))
			continue;
		value = tpl_eval(r, line->value);
		if (line_is_cors(line, value))
			line_apply(r, line, value);
	}
}

static enum filter_verdict
headers_start(struct request *r, void **state)
{
	const struct headers_location *conf = headers_conf(r->location);
	bool plain = status_is_plain(r->out.status);

	(void)state;
	for (unsigned i = 0; i < r->authenticate.count; i++)
		fields_add_id(&r->out.fields, r->pool, FIELD_WWW_AUTHENTICATE,
		    r->authenticate.items[i].value);
	if (r->retry_after > 0)
		fields_add_id(&r->out.fields, r->pool, FIELD_RETRY_AFTER,
		    pool_printf(r->pool, "%llu", (unsigned long long)r->retry_after));
	if (plain)
		apply_expires(r, &conf->expires);
	VEC_EACH(&conf->headers, const struct header_line, line)
		if (plain || line->always)
			line_apply(r, line, tpl_eval(r, line->value));
	keep_cors(r, conf);
	VEC_EACH(&conf->trailers, const struct header_line, line)
		r->out.trailers_follow = r->out.trailers_follow || plain || line->always;
	return (r->out.trailers_follow ? FILTER_JOIN : FILTER_SKIP);
}

static int
headers_bytes(struct request *r, void *state, struct chain *in, struct chain *out, unsigned flags)
{
	const struct headers_location *conf = headers_conf(r->location);
	bool plain = status_is_plain(r->out.status);

	(void)state;
	chain_append(out, in);
	if ((flags & SEND_LAST) == 0)
		return (0);
	VEC_EACH(&conf->trailers, const struct header_line, line) {
		struct str value;

		if (!plain && !line->always)
			continue;
		value = tpl_eval(r, line->value);
		if (value.n > 0 && is_field_value(value))
			fields_add(&r->out.trailers, r->pool, line->name, value);
	}
	return (0);
}

const struct filter headers_filter = { "headers", headers_start, headers_bytes };

/* --- directives --- */

static int
line_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *lines = field;
	struct header_line *line;

	(void)row;
	if (cf->word_count == 4 && !str_eq(cf->words[3].text, STR("always")))
		return (conf_error_at(cf, 3, "invalid parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[3].text)));
	if (lines->size == 0)
		*lines = VEC_OF(struct header_line);
	line = vec_push(lines, cf->pool);
	line->name = pool_strdup(cf->pool, cf->words[1].text);
	line->always = cf->word_count == 4;
	line->apply = apply_line;
	for (size_t i = 0; i < sizeof(header_kinds) / sizeof(header_kinds[0]); i++)
		if (str_eq_ci(line->name, header_kinds[i].name))
			line->apply = header_kinds[i].apply;
	line->value = tpl_compile(cf, cf->words[2].text);
	return (line->value == NULL ? -1 : 0);
}

static const struct conf_type conf_expires = {
	"expires", sizeof(struct expires), expires_set, NULL
};

static const struct conf_row headers_rows[] = {
	{ .name = "add_header", .contexts = CTX_HSLI, .min = 2, .max = 3,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT, .type = &conf_custom_vec,
	    .offset = offsetof(struct headers_location, headers), .set = line_set },
	{ .name = "add_trailer", .contexts = CTX_HSLI, .min = 2, .max = 3,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT, .type = &conf_custom_vec,
	    .offset = offsetof(struct headers_location, trailers), .set = line_set },
	{ .name = "expires", .contexts = CTX_HSLI, .min = 1, .max = 2,
	    .scope = SCOPE_LOCATION, .type = &conf_expires,
	    .offset = offsetof(struct headers_location, expires), .dflt = "off" },
	{ .name = NULL }
};

struct module headers_module = {
	.name = "headers",
	.size = { [SCOPE_LOCATION] = sizeof(struct headers_location) },
	.rows = headers_rows,
};
