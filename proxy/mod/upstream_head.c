/*
 * The head of a back end's answer becomes the client's: what is passed, hidden,
 * rewritten, and what X-Accel-* asks of us.  Called by upstream.c when a head is
 * there.  Every field is judged once, by its id.
 */
#include "mod/upstream.h"

#include "http/response.h"
#include "http/uri.h"
#include "mod/modules.h"

/* Never passed on: the connection is ours, the length is written anew. */
#define FIELDS_OURS							\
	(FIELD_BIT(FIELD_CONNECTION) | FIELD_BIT(FIELD_KEEP_ALIVE) |	\
	FIELD_BIT(FIELD_PROXY_CONNECTION) | FIELD_BIT(FIELD_TE) |	\
	FIELD_BIT(FIELD_TRAILER) | FIELD_BIT(FIELD_TRANSFER_ENCODING) |	\
	FIELD_BIT(FIELD_UPGRADE) | FIELD_BIT(FIELD_CONTENT_LENGTH))

/* Kept through X-Accel-Redirect. */
#define FIELDS_REDIRECTED						\
	(FIELD_BIT(FIELD_SET_COOKIE) | FIELD_BIT(FIELD_CACHE_CONTROL) |	\
	FIELD_BIT(FIELD_EXPIRES) | FIELD_BIT(FIELD_ACCEPT_RANGES))

#define FIELDS_REWRITTEN						\
	(FIELD_BIT(FIELD_LOCATION) | FIELD_BIT(FIELD_REFRESH) | FIELD_BIT(FIELD_SET_COOKIE))

static bool
field_is_hidden(const struct upstream_settings *s, const struct field *f)
{
	if (f->id != FIELD_OTHER)
		return ((s->hidden & FIELD_BIT(f->id)) != 0);
	return (s->hidden_names != NULL && hash_get(s->hidden_names, f->name) != NULL);
}

static void
field_pass(struct upstream *u, const struct field *f)
{
	struct request *r = u->r;
	struct response *out = &r->out;
	struct str value = f->value;

	if ((FIELD_BIT(f->id) & FIELDS_REWRITTEN) != 0 && u->protocol->rewrite != NULL)
		value = u->protocol->rewrite(r, f->id, value);
	switch (f->id) {
	case FIELD_CONTENT_TYPE:
		out->content_type = value;
		break;
	case FIELD_ETAG:
		out->etag = value;
		break;
	case FIELD_DATE:
		out->date = value;
		break;
	case FIELD_SERVER:
		out->server = value;
		break;
	default: {
		struct field *added = fields_add(&out->fields, r->pool, f->name, value);

		added->id = f->id;
		out->fields.known |= FIELD_BIT(f->id);
	}
	}
}

static void
head_limit_rate(struct upstream *u)
{
	const struct field *f = fields_get(&u->answer, FIELD_X_ACCEL_LIMIT_RATE);
	uint64_t rate;

	if (f != NULL && (u->settings->ignore_headers & IGNORE_XA_LIMIT_RATE) == 0 &&
	    str_to_uint(f->value, INT64_MAX, &rate)) {
		u->r->limit_rate = rate;
		u->r->limit_rate_set = true;
	}
}

/* X-Accel-Charset. */
static void
head_charset(struct upstream *u)
{
	const struct field *f = fields_get(&u->answer, FIELD_X_ACCEL_CHARSET);
	struct response *out = &u->r->out;

	if (f != NULL && (u->settings->ignore_headers & IGNORE_XA_CHARSET) == 0 &&
	    out->content_type.n > 0 && str_chr(out->content_type, ';') == SIZE_MAX &&
	    charset_is_declared(u->r->http, f->value))
		out->charset = f->value;
}

/* A length that the answer to HEAD, or a 304, speaks of. */
static int64_t
head_length(const struct upstream *u, const struct framing *framing)
{
	const struct field *f;
	uint64_t n;

	if (framing->kind == FRAMING_LENGTH)
		return ((int64_t)framing->length);
	f = fields_get(&u->answer, FIELD_CONTENT_LENGTH);
	if (framing->kind != FRAMING_NONE || f == NULL || !str_to_uint(f->value, INT64_MAX, &n))
		return (-1);
	return ((int64_t)n);
}

/* Where Date and Server of the back end are passed, ours do not stand in for them (as nginx). */
static void
head_own_date(struct upstream *u)
{
	struct response *out = &u->r->out;

	if ((u->settings->hidden & FIELD_BIT(FIELD_DATE)) == 0 && out->date.p == NULL)
		out->date = STR("");
	if ((u->settings->hidden & FIELD_BIT(FIELD_SERVER)) == 0 && out->server.p == NULL)
		out->server = STR("");
}

void
upstream_head_out(struct upstream *u, const struct response_head *head,
    const struct framing *framing)
{
	struct request *r = u->r;
	struct members listed;	/* for this hop only */

	(void)fields_members(&u->answer, FIELD_CONNECTION, &listed);	/* few: attempt.c looked */
	r->out.status = head->status;
	r->out.reason = head->reason.p == NULL ? STR("") : head->reason;
	r->out.from_upstream = true;
	r->out.length = head_length(u, framing);
	for (unsigned i = 0; i < u->answer.count; i++) {
		const struct field *f = &u->answer.items[i];

		if ((FIELD_BIT(f->id) & FIELDS_OURS) != 0 && f->id != FIELD_OTHER &&
		    !(f->id == FIELD_UPGRADE && head->status == 101))
			continue;
		if (field_is_hidden(u->settings, f) ||
		    (head->status != 101 && members_have(&listed, f->name)))
			continue;
		field_pass(u, f);
	}
	head_limit_rate(u);
	head_charset(u);
	if (u->protocol->own_date)
		head_own_date(u);
}

bool
upstream_head_redirects(struct upstream *u, struct str *uri)
{
	const struct field *f = fields_get(&u->answer, FIELD_X_ACCEL_REDIRECT);

	if (f == NULL || (u->settings->ignore_headers & IGNORE_XA_REDIRECT) != 0)
		return (false);
	for (unsigned i = 0; i < u->answer.count; i++) {
		const struct field *g = &u->answer.items[i];

		if (g->id == FIELD_CONTENT_TYPE || (g->id != FIELD_OTHER &&
		    (FIELD_BIT(g->id) & FIELDS_REDIRECTED) != 0) ||
		    str_eq_ci(g->name, STR("Content-Disposition")))
			if (!field_is_hidden(u->settings, g))
				field_pass(u, g);
	}
	head_limit_rate(u);
	head_charset(u);
	u->r->out.status = 200;
	u->r->out.fields_kept = u->r->out.fields.count;
	*uri = f->value;
	return (true);
}

bool
upstream_head_streams(struct upstream *u, bool *buffering)
{
	const struct field *f = fields_get(&u->answer, FIELD_X_ACCEL_BUFFERING);

	*buffering = u->settings->buffers.buffering;
	if (f != NULL && (u->settings->ignore_headers & IGNORE_XA_BUFFERING) == 0) {
		if (str_eq_ci(f->value, STR("no")))
			*buffering = false;
		else if (str_eq_ci(f->value, STR("yes")))
			*buffering = true;
	}
	/* Events are for now, not for when a buffer is full. */
	return (!*buffering || str_starts_ci(u->r->out.content_type, STR("text/event-stream")));
}

bool
uri_unsafe_split(struct pool *pool, struct str *uri, struct str *args)
{
	size_t question = str_chr(*uri, '?');
	struct str path = *uri;

	*args = STR("");
	if (question != SIZE_MAX) {
		*args = str_skip(*uri, question + 1);
		path.n = question;
	}
	if (path.n == 0)
		return (false);
	if (str_chr(path, '%') != SIZE_MAX)
		path = uri_decode(pool, path);
	if (uri_has_dotdot(path) || memchr(path.p, '\0', path.n) != NULL)
		return (false);
	*uri = path;
	return (true);
}
