/*
 * The rows of the variables about the answer: status, counters, header fields and
 * trailers as they will be sent or were.  They change while a request is served,
 * so none is cached.
 */
#include "base/clock.h"
#include "http/core.h"
#include "http/request.h"
#include "http/site.h"
#include "http/var.h"
#include "http/var_give.h"

static bool
get_status(struct request *r, const void *param, struct str name, struct str *value)
{
	unsigned status = r->error_status != 0 && !r->out.started ? r->error_status : r->out.status;

	UNUSED(param);
	UNUSED(name);
	if (r->in.version == 9 && status == 0)
		status = 9;
	*value = pool_printf(r->pool, "%03u", status);
	return (true);
}

/* param: offset of a uint64_t in struct request. */
static bool
get_counter(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(name);
	return (give_uint(r, *REQUEST_AT(r, uint64_t, param), value));
}

static bool
get_completion(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->out.ended && !r->out.aborted ? STR("OK") : STR("");
	return (true);
}

static void
set_limit_rate(struct request *r, const void *param, struct str value)
{
	uint64_t rate;

	UNUSED(param);
	if (!str_to_size(value, &rate)) {
		request_log(r, LOG_ERR, 0, "invalid $limit_rate \"" STR_FMT "\"", STR_ARG(value));
		return;
	}
	r->limit_rate = rate;
	r->limit_rate_set = true;
}

static bool
get_sent_content_type(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct response *out = &r->out;

	UNUSED(param);
	UNUSED(name);
	if (out->content_type.n == 0)
		return (give_named(&out->fields, STR("content_type"), value));
	*value = out->content_type;
	if (out->started && out->charset.n > 0)
		*value = pool_printf(r->pool, STR_FMT "; charset=" STR_FMT,
		    STR_ARG(out->content_type), STR_ARG(out->charset));
	return (true);
}

static bool
get_sent_content_length(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (r->out.length >= 0 && give_uint(r, (uint64_t)r->out.length, value));
}

static bool
get_sent_last_modified(struct request *r, const void *param, struct str name, struct str *value)
{
	char text[CLOCK_HTTP_DATE_LEN + 1];

	UNUSED(param);
	UNUSED(name);
	if (r->out.last_modified == (time_t)-1)
		return (give_named(&r->out.fields, STR("last_modified"), value));
	clock_format_http(r->out.last_modified, text);
	*value = pool_strdup(r->pool, str_make(text, CLOCK_HTTP_DATE_LEN));
	return (true);
}

static bool
get_sent_etag(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	return (r->out.etag.n > 0 ? give_str(r->out.etag, value) :
	    give_named(&r->out.fields, STR("etag"), value));
}

static bool
get_sent_accept_ranges(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	if (!r->out.ranges_allowed)
		return (give_named(&r->out.fields, STR("accept_ranges"), value));
	*value = STR("bytes");
	return (true);
}

static bool
get_sent_connection(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	*value = r->out.status == 101 ? STR("upgrade") : r->keepalive ? STR("keep-alive") :
	    STR("close");
	return (true);
}

static bool
get_sent_keep_alive(struct request *r, const void *param, struct str name, struct str *value)
{
	uint64_t seconds = r->location->core->keepalive_header;

	UNUSED(param);
	UNUSED(name);
	if (!r->keepalive || seconds == 0)
		return (false);
	*value = pool_printf(r->pool, "timeout=%llu", (unsigned long long)seconds);
	return (true);
}

static bool
get_sent_transfer_encoding(struct request *r, const void *param, struct str name,
    struct str *value)
{
	UNUSED(param);
	UNUSED(name);
	if (!r->out.chunked)
		return (false);
	*value = STR("chunked");
	return (true);
}

/* param: the field. */
static bool
get_sent_joined(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(name);
	return (give_joined(r, &r->out.fields, (enum field_id)PARAM_OF(param), STR(", "), value));
}

/* param: offset of a struct fields in struct request. */
static bool
get_sent_field(struct request *r, const void *param, struct str name, struct str *value)
{
	return (give_named(REQUEST_AT(r, struct fields, param), name, value));
}

static const struct var_row var_sent_rows[] = {
	/* name, getter, param, flags, setter */
	{ "status", get_status, NULL, VAR_NOCACHE | VAR_STREAM, NULL },
	{ "request_completion", get_completion, NULL, VAR_NOCACHE, NULL },
	{ "bytes_sent", get_counter, REQUEST_FIELD(bytes_sent), VAR_NOCACHE | VAR_STREAM, NULL },
	{ "body_bytes_sent", get_counter, REQUEST_FIELD(body_bytes_sent), VAR_NOCACHE, NULL },
	{ "limit_rate", get_counter, REQUEST_FIELD(limit_rate), VAR_NOCACHE | VAR_CHANGEABLE,
	    set_limit_rate },
	{ "sent_http_content_type", get_sent_content_type, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_content_length", get_sent_content_length, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_last_modified", get_sent_last_modified, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_etag", get_sent_etag, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_accept_ranges", get_sent_accept_ranges, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_connection", get_sent_connection, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_keep_alive", get_sent_keep_alive, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_transfer_encoding", get_sent_transfer_encoding, NULL, VAR_NOCACHE, NULL },
	{ "sent_http_cache_control", get_sent_joined, PARAM(FIELD_CACHE_CONTROL), VAR_NOCACHE,
	    NULL },
	{ "sent_http_link", get_sent_joined, PARAM(FIELD_LINK), VAR_NOCACHE, NULL },
	{ "sent_http_", get_sent_field, REQUEST_FIELD(out.fields), VAR_PREFIX | VAR_NOCACHE, NULL },
	{ "sent_trailer_", get_sent_field, REQUEST_FIELD(out.trailers), VAR_PREFIX | VAR_NOCACHE,
	    NULL },
	{ NULL, NULL, NULL, 0, NULL }
};

struct module var_sent_module = { .name = "variables of the answer", .vars = var_sent_rows };
