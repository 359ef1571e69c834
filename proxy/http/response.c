/*
 * How content is answered: the response's head through the filters to the
 * session, its body after it, status texts and absolute redirects.
 *
 *	r->out set -> resp_start (filters' start, head queued) -> resp_write ... LAST
 */
#include "http/response.h"

#include <assert.h>

#include "base/clock.h"
#include "base/encode.h"
#include "config.h"
#include "http/core.h"
#include "http/error_page.h"
#include "http/filter.h"
#include "http/parse.h"
#include "http/session.h"
#include "net/tls.h"

static const struct status_text {
	unsigned status;
	struct str text;
} status_texts[] = {
#define S(code, text)	{ code, { text, sizeof(text) - 1 } }
	S(100, "Continue"), S(101, "Switching Protocols"), S(103, "Early Hints"),
	S(200, "OK"), S(201, "Created"), S(202, "Accepted"), S(203, "Non-Authoritative Information"),
	S(204, "No Content"), S(206, "Partial Content"), S(207, "Multi-Status"),
	S(300, "Multiple Choices"), S(301, "Moved Permanently"), S(302, "Moved Temporarily"),
	S(303, "See Other"), S(304, "Not Modified"), S(307, "Temporary Redirect"),
	S(308, "Permanent Redirect"), S(400, "Bad Request"), S(401, "Unauthorized"),
	S(402, "Payment Required"), S(403, "Forbidden"), S(404, "Not Found"), S(405, "Not Allowed"),
	S(406, "Not Acceptable"), S(408, "Request Time-out"), S(409, "Conflict"), S(410, "Gone"),
	S(411, "Length Required"), S(412, "Precondition Failed"),
	S(413, "Request Entity Too Large"), S(414, "Request-URI Too Large"),
	S(415, "Unsupported Media Type"), S(416, "Requested Range Not Satisfiable"),
	S(421, "Misdirected Request"), S(425, "Too Early"), S(429, "Too Many Requests"),
	S(500, "Internal Server Error"), S(501, "Not Implemented"), S(502, "Bad Gateway"),
	S(503, "Service Temporarily Unavailable"), S(504, "Gateway Time-out"),
	S(505, "HTTP Version Not Supported"), S(507, "Insufficient Storage"),
#undef S
};

struct str
status_reason(unsigned status)
{
	for (size_t i = 0; i < sizeof(status_texts) / sizeof(status_texts[0]); i++)
		if (status_texts[i].status == status)
			return (status_texts[i].text);
	return (STR(""));
}

void
resp_reset(struct request *r)
{
	struct fields kept = r->out.fields;
	unsigned count = r->out.fields_kept;

	assert(!r->out.started);
	memset(&r->out, 0, sizeof(r->out));
	if (count > 0) {
		r->out.fields = kept;
		r->out.fields.count = count;
		fields_remove(&r->out.fields, FIELD_ACCEPT_RANGES);
		r->out.fields_kept = r->out.fields.count;
	}
	r->out.length = -1;
	r->out.last_modified = -1;
	r->filter_count = 0;
}

/* ---- the head ---- */

/* Where the head's text grows; its size was computed before. */
struct head_writer {
	char *p;
};

static void
put(struct head_writer *w, struct str s)
{
	if (s.n > 0)
		memcpy(w->p, s.p, s.n);
	w->p += s.n;
}

/* A line end in a value, however a variable came by it, is a blank. */
static void
put_value(struct head_writer *w, struct str value)
{
	char *p = w->p;

	put(w, value);
	if (is_field_value(value))
		return;
	for (; p < w->p; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			*p = ' ';
}

static void
put_field(struct head_writer *w, struct str name, struct str value)
{
	put(w, name);
	put(w, STR(": "));
	put_value(w, value);
	put(w, STR("\r\n"));
}

/* The same of a value that is our own text. */
static void
put_own(struct head_writer *w, struct str name, struct str value)
{
	put(w, name);
	put(w, STR(": "));
	put(w, value);
	put(w, STR("\r\n"));
}

static struct str
server_token(const struct request *r)
{
	if (r->out.server.p != NULL)
		return (r->out.server);
	return (r->location->core->server_tokens == 0 ? STR("wproxy") : STR("wproxy/" WPROXY_VERSION));
}

static struct str
connection_value(const struct request *r, bool keepalive)
{
	if (r->out.status == 101)
		return (STR("upgrade"));
	return (keepalive ? STR("keep-alive") : STR("close"));
}

#define HEAD_FIXED	640	/* room for everything whose size is not counted one by one */

static size_t
head_size(const struct request *r)
{
	const struct response *out = &r->out;
	size_t n = HEAD_FIXED + out->reason.n + out->content_type.n + out->charset.n + out->etag.n +
	    out->date.n + out->server.n;

	for (unsigned i = 0; i < out->fields.count; i++)
		n += out->fields.items[i].name.n + out->fields.items[i].value.n + 4;
	return (n);
}

static void
put_status_line(struct head_writer *w, const struct request *r)
{
	char digits[UINT_TEXT_LEN];
	struct str reason = r->out.reason.p != NULL ? r->out.reason : status_reason(r->out.status);

	put(w, STR("HTTP/1.1 "));
	for (unsigned left = 100; r->out.status < left && left > 1; left /= 10)
		put(w, STR("0"));
	put(w, str_make(digits, encode_uint(digits, r->out.status)));
	put(w, STR(" "));
	put(w, reason);
	put(w, STR("\r\n"));
}

static void
put_entity(struct head_writer *w, const struct request *r)
{
	const struct response *out = &r->out;
	char digits[UINT_TEXT_LEN], date[CLOCK_HTTP_DATE_LEN + 1];

	if (out->content_type.n > 0) {
		put(w, STR("Content-Type: "));
		put_value(w, out->content_type);
		if (out->charset.n > 0) {
			put(w, STR("; charset="));
			put_value(w, out->charset);
		}
		put(w, STR("\r\n"));
	}
	if (out->length >= 0)
		put_own(w, STR("Content-Length"),
		    str_make(digits, encode_uint(digits, (uint64_t)out->length)));
	if (out->last_modified != -1) {
		clock_format_http(out->last_modified, date);
		put_own(w, STR("Last-Modified"), str_make(date, CLOCK_HTTP_DATE_LEN));
	}
	if (out->chunked)
		put(w, STR("Transfer-Encoding: chunked\r\n"));
}

void
resp_head_text(struct request *r, struct chain *chain, bool keepalive)
{
	const struct response *out = &r->out;
	const struct core_location *core = r->location->core;
	size_t room = head_size(r);
	char *text, digits[UINT_TEXT_LEN];
	struct head_writer w;

	if (r->in.version < 10)		/* HTTP/0.9 has no head */
		return;
	w.p = text = pool_alloc(r->pool, room);
	put_status_line(&w, r);
	/* Present and empty: a back end whose own is passed on has none. */
	if (out->server.p == NULL || out->server.n > 0)
		put_field(&w, STR("Server"), server_token(r));
	if (out->date.p == NULL)
		put_own(&w, STR("Date"), clock_http_date());
	else if (out->date.n > 0)
		put_field(&w, STR("Date"), out->date);
	put_entity(&w, r);
	put_own(&w, STR("Connection"), connection_value(r, keepalive));
	if (keepalive && core->keepalive_header != 0)
		put_field(&w, STR("Keep-Alive"), pool_printf(r->pool, "timeout=" STR_FMT,
		    STR_ARG(str_make(digits, encode_uint(digits, core->keepalive_header)))));
	if (out->etag.n > 0)
		put_field(&w, STR("ETag"), out->etag);
	for (unsigned i = 0; i < out->fields.count; i++)
		put_field(&w, out->fields.items[i].name, out->fields.items[i].value);
	put(&w, STR("\r\n"));
	assert((size_t)(w.p - text) <= room);
	chain_add(chain, text, (size_t)(w.p - text), NULL);
}

/* ---- the body's framing ---- */

static enum filter_verdict
framing_start(struct request *r, void **state)
{
	bool can_chunk = r->in.version >= 11 && r->location->core->chunked_transfer_encoding;

	(void)state;
	/* An earlier filter may have made it one without a body. */
	if (r->out.no_body || r->out.status == 101 || r->out.status == 304 || r->out.status == 204)
		return (FILTER_SKIP);
	if (r->out.length >= 0 && !(can_chunk && r->out.trailers_follow))
		return (FILTER_SKIP);
	if (can_chunk) {
		r->out.length = -1;
		r->out.chunked = true;
		return (FILTER_JOIN);
	}
	r->keepalive = false;	/* the end of the connection is the end of the body */
	return (FILTER_SKIP);
}

/* The last chunk and the trailer section behind it. */
static void
add_last_chunk(struct request *r, struct chain *out)
{
	const struct fields *trailers = &r->out.trailers;

	if (trailers->count == 0) {
		chain_add_small(out, STR("0\r\n\r\n"));
		return;
	}
	chain_add_small(out, STR("0\r\n"));
	for (unsigned i = 0; i < trailers->count; i++) {
		struct str line = pool_printf(r->pool, STR_FMT ": " STR_FMT "\r\n",
		    STR_ARG(trailers->items[i].name), STR_ARG(trailers->items[i].value));

		chain_add(out, line.p, line.n, NULL);
	}
	chain_add_small(out, STR("\r\n"));
}

static int
framing_bytes(struct request *r, void *state, struct chain *in, struct chain *out, unsigned flags)
{
	char size[20];

	(void)state;
	if (in->bytes > 0) {
		size_t n = encode_uint_hex(size, in->bytes);

		size[n++] = '\r';
		size[n++] = '\n';
		chain_add_small(out, str_make(size, n));
		chain_append(out, in);
		chain_add_small(out, STR("\r\n"));
	}
	if ((flags & SEND_LAST) != 0)
		add_last_chunk(r, out);
	return (0);
}

const struct filter framing_filter = {
	.name = "framing", .start = framing_start, .bytes = framing_bytes
};

/* ---- start and write ---- */

int
resp_start(struct request *r)
{
	assert(!r->out.started);
	if (r->error_status != 0) {
		r->out.reason = STR_NULL;
		r->out.status = r->error_status;
	}
	if (r->out.status != 200 && r->out.status != 206 && r->out.status != 304)
		r->out.last_modified = -1;
	r->out.started = true;
	r->out.no_body = r->in.method == METHOD_HEAD || r->parent != NULL || r->out.status == 204 ||
	    r->out.status == 304 || (r->out.status >= 100 && r->out.status < 200);
	/* Nothing of a subrequest's answer is sent: it stays what it is. */
	for (unsigned i = 0; r->parent == NULL && filters[i] != NULL; i++) {
		struct filter_run *run = &r->filters[r->filter_count];

		run->filter = filters[i];
		run->state = NULL;
		if (filters[i]->start(r, &run->state) == FILTER_JOIN) {
			assert(r->filter_count < FILTERS_MAX);
			r->filter_count++;
		}
	}
	r->out.no_body = r->out.no_body || r->out.status == 304 || r->out.status == 204;
	if (r->out.status == 204) {	/* as nginx: we say nothing of content that is not there */
		if (r->out.reason.p == NULL)
			r->out.content_type = STR_NULL;
		r->out.length = -1;
	}
	return (r->ops->send_head(r));
}

void
resp_replace(struct request *r, unsigned status)
{
	r->out.page = error_page_text(r, status);
	r->out.status = status;
	r->out.reason = STR_NULL;
	r->out.content_type = STR("text/html");
	r->out.charset = STR_NULL;
	r->out.length = (int64_t)r->out.page.n;
	r->out.last_modified = -1;
	r->out.etag = STR_NULL;
	r->out.ranges_allowed = false;
	fields_remove(&r->out.fields, FIELD_ACCEPT_RANGES);
	fields_remove(&r->out.fields, FIELD_CONTENT_ENCODING);	/* that of a file from gzip_static */
}

void
resp_weaken_etag(struct request *r)
{
	struct str parts[2] = { STR("W/"), r->out.etag };

	if (str_starts(r->out.etag, STR("W/")))
		return;
	/* Without quotes it is none. */
	r->out.etag = str_starts(r->out.etag, STR("\"")) ? pool_concat(r->pool, 2, parts) : STR_NULL;
}

int
resp_write(struct request *r, struct chain *body, unsigned flags)
{
	struct chain stages[2] = { { 0 }, { 0 } };
	struct chain *in = body;

	assert(r->out.started && !r->out.ended);
	if ((flags & SEND_LAST) != 0)
		r->out.ended = true;
	if (r->out.page.p != NULL) {
		chain_clear(body);
		if ((flags & SEND_LAST) != 0 && !r->out.no_body)
			chain_add(body, r->out.page.p, r->out.page.n, NULL);
	}
	if (r->out.no_body) {
		chain_clear(body);
		return (flags == 0 ? 0 : r->ops->send_body(r, body, flags));
	}
	for (unsigned i = 0; i < r->filter_count; i++) {
		const struct filter *filter = r->filters[i].filter;
		struct chain *out = &stages[i % 2];

		if (filter->bytes(r, r->filters[i].state, in, out, flags) != 0) {
			chain_clear(in);
			chain_clear(out);
			r->out.ended = true;
			resp_abort(r);
			return (-1);
		}
		in = out;
	}
	r->body_bytes_sent += in->bytes;
	return (r->ops->send_body(r, in, flags));
}

void
resp_abort(struct request *r)
{
	r->out.ended = r->out.aborted = true;
	r->ops->abort(r);
}

enum step_result
request_answer(struct request *r, unsigned status, struct str content_type, struct str body)
{
	struct chain chain = { 0 };

	r->out.status = status;
	r->out.content_type = content_type;
	r->out.length = (int64_t)body.n;
	if (resp_start(r) != 0)
		return (STEP_DONE);
	if (body.n > 0)
		chain_add(&chain, body.p, body.n, NULL);
	(void)resp_write(r, &chain, SEND_LAST);
	return (STEP_DONE);
}

/* ---- redirects ---- */

struct str
resp_absolute_location(struct request *r, struct str location)
{
	const struct core_location *core = r->location->core;
	bool tls = session_is_tls(r->session);
	char text[ADDR_TEXT_MAX];
	struct str host = r->in.host, port = STR("");
	struct addr local;
	unsigned number;

	if (!core->absolute_redirect || !str_starts(location, STR("/")))
		return (location);
	conn_local_addr(session_conn(r), &local);
	number = addr_port(&local);
	if (core->server_name_in_redirect)
		host = r->server->name;
	else if (host.n == 0)
		host = pool_strdup(r->pool, str_make(text, addr_text(&local, false, text)));
	if (core->port_in_redirect && number != 0 && number != (tls ? 443u : 80u))
		port = pool_printf(r->pool, ":%u", number);
	return (pool_printf(r->pool, "%s://" STR_FMT STR_FMT STR_FMT, tls ? "https" : "http",
	    STR_ARG(host), STR_ARG(port), STR_ARG(location)));
}

enum step_result
request_answer_redirect(struct request *r, unsigned status, struct str location)
{
	r->redirect_location = resp_absolute_location(r, location);
	return (request_fail(r, status));
}
