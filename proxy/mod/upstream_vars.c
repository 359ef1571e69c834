/*
 * What back ends said and cost, for $upstream_*: a record of each try, begun and
 * ended by upstream.c.  The lists ("a, b : c") have one item a
 * try; " : " stands where the request began anew with back ends.
 */
#include "base/clock.h"
#include "http/var.h"
#include "http/var_give.h"
#include "mod/upstream.h"

void
upstream_result_begin(struct upstream *u, struct str addr)
{
	u->result = (struct upstream_result){ .addr = addr, .connect = -1, .header = -1,
		.response = -1, .queue = u->queued,
		.separate = u->results.count > 0 && u->results.count == u->results_before };
	u->try_us = clock_mono_us();
}

int64_t
upstream_ms_since(uint64_t from_us, uint64_t to_us)
{
	return (to_us < from_us ? 0 : (int64_t)((to_us - from_us) / 1000));
}

/* The try is over; what it was is kept. */
void
upstream_result_end(struct upstream *u, unsigned status)
{
	struct upstream_result *kept;
	const struct attempt *a = u->attempt;

	if (u->result.addr.p == NULL)
		return;
	u->result.response = upstream_ms_since(u->try_us, clock_mono_us());
	if (status != 0)
		u->result.status = status;
	if (a != NULL) {
		u->result.sent = attempt_bytes_sent(a);
		u->result.received = attempt_bytes_received(a);
		if (a->connect_us != 0)
			u->result.connect = upstream_ms_since(u->try_us, a->connect_us);
		if (a->head_us != 0)
			u->result.header = upstream_ms_since(u->try_us, a->head_us);
	}
	u->result.length = u->relay.received;
	kept = vec_push(&u->results, u->r->pool);
	*kept = u->result;
	u->result.addr = STR_NULL;
}

enum result_item { ITEM_ADDR, ITEM_STATUS, ITEM_CONNECT, ITEM_HEADER, ITEM_RESPONSE, ITEM_QUEUE,
	ITEM_LENGTH, ITEM_RECEIVED, ITEM_SENT };
static const enum result_item items[] = { ITEM_ADDR, ITEM_STATUS, ITEM_CONNECT, ITEM_HEADER,
	ITEM_RESPONSE, ITEM_QUEUE, ITEM_LENGTH, ITEM_RECEIVED, ITEM_SENT };

static struct str
time_text(struct pool *pool, int64_t ms)
{
	if (ms < 0)
		return (STR("-"));
	return (pool_printf(pool, "%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000)));
}

static struct str
count_text(struct pool *pool, uint64_t n)
{
	return (pool_printf(pool, "%llu", (unsigned long long)n));
}

static struct str
item_text(struct pool *pool, const struct upstream_result *result, enum result_item item)
{
	switch (item) {
	case ITEM_ADDR:
		return (result->addr);
	case ITEM_STATUS:
		return (result->status == 0 ? STR("-") : count_text(pool, result->status));
	case ITEM_CONNECT:
		return (time_text(pool, result->connect));
	case ITEM_HEADER:
		return (time_text(pool, result->header));
	case ITEM_RESPONSE:
		return (time_text(pool, result->response));
	case ITEM_QUEUE:
		return (time_text(pool, result->queue));
	case ITEM_LENGTH:
		return (count_text(pool, result->length));
	case ITEM_RECEIVED:
		return (count_text(pool, result->received));
	case ITEM_SENT:
		return (count_text(pool, result->sent));
	}
	return (STR("-"));
}

static bool
results_get(struct request *r, const void *param, struct str name, struct str *value)
{
	enum result_item item = *(const enum result_item *)param;
	const struct upstream *u = r->upstream;
	struct str text = STR_NULL;

	(void)name;
	if (u == NULL)
		return (false);
	/* The try under way counts too: a header may be made of it. */
	for (size_t i = 0; i < u->results.count + (u->result.addr.p != NULL); i++) {
		const struct upstream_result *result = i < u->results.count ?
		    vec_at(&u->results, struct upstream_result, i) : &u->result;
		struct str parts[3] = { text, result->separate ? STR(" : ") : STR(", "),
			item_text(r->pool, result, item) };

		text = i == 0 ? parts[2] : pool_concat(r->pool, 3, parts);
	}
	*value = text;
	return (text.p != NULL);
}

/* $upstream_http_content_type */
static bool
header_get(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct upstream *u = r->upstream;

	(void)param;
	return (u != NULL && give_named(&u->answer, name, value));
}

/* $upstream_cookie_name: of the last Set-Cookie that sets it. */
static bool
cookie_value(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct upstream *u = r->upstream;
	bool found = false;

	(void)param;
	for (unsigned i = 0; u != NULL && i < u->answer.count; i++) {
		const struct field *f = &u->answer.items[i];
		struct str rest = f->value, pair;

		if (f->id != FIELD_SET_COOKIE || !str_cut(&rest, ';', &pair) ||
		    pair.n <= name.n || pair.p[name.n] != '=' ||
		    !str_eq_ci(str_make(pair.p, name.n), name))
			continue;
		*value = str_trim(str_skip(pair, name.n + 1));
		found = true;
	}
	return (found);
}

#define RESULT(n, item)	{ .name = n, .get = results_get, .param = &items[item], .flags = VAR_NOCACHE }

const struct var_row upstream_vars[] = {
	RESULT("upstream_addr", ITEM_ADDR),
	RESULT("upstream_status", ITEM_STATUS),
	RESULT("upstream_connect_time", ITEM_CONNECT),
	RESULT("upstream_header_time", ITEM_HEADER),
	RESULT("upstream_response_time", ITEM_RESPONSE),
	RESULT("upstream_queue_time", ITEM_QUEUE),
	RESULT("upstream_response_length", ITEM_LENGTH),
	RESULT("upstream_bytes_received", ITEM_RECEIVED),
	RESULT("upstream_bytes_sent", ITEM_SENT),
	{ .name = "upstream_cache_status", .get = var_none, .flags = VAR_NOCACHE },
	{ .name = "upstream_http_", .get = header_get, .flags = VAR_PREFIX | VAR_NOCACHE },
	{ .name = "upstream_cookie_", .get = cookie_value, .flags = VAR_PREFIX | VAR_NOCACHE },
	/* Trailers of back ends are not passed on, nor merged into the headers. */
	{ .name = "upstream_trailer_", .get = var_none, .flags = VAR_PREFIX | VAR_NOCACHE },
	{ .name = NULL }
};
