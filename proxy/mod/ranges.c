/*
 * Range requests (RFC 9110 14) on whole representations: one range is cut from
 * the body as it passes, several become multipart/byteranges.  A filter behind
 * gzip (a compressed body has no ranges).
 */
#include <stdatomic.h>

#include "base/clock.h"
#include "http/core.h"
#include "http/filter.h"
#include "http/range.h"
#include "http/response.h"
#include "mod/modules.h"

#define RANGES_MAX	64

struct ranges {
	unsigned count;
	struct byte_range *items;
	uint64_t passed;		/* bytes of the body seen (single range) */
	struct chain whole;		/* the body, until it is complete (several ranges) */
	struct str *heads;		/* part heads; one more: the end */
};

/* If-Range (RFC 9110 13.1.5): the validator must be the same. */
static bool
if_range_holds(const struct request *r)
{
	const struct field *f = fields_get(&r->in.fields, FIELD_IF_RANGE);
	struct str value;

	if (f == NULL)
		return (true);
	value = f->value;
	if (str_ends(value, STR("\"")))
		return (r->out.etag.n > 0 && str_eq(value, r->out.etag));
	return (r->out.last_modified != -1 && clock_parse_http(value) == r->out.last_modified);
}

static struct str
content_range(struct request *r, const struct byte_range *range, uint64_t size)
{
	return (pool_printf(r->pool, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
	    (unsigned long long)range->last, (unsigned long long)size));
}

/* The text between the parts, and the length of it all. */
static void
multipart_prepare(struct request *r, struct ranges *ranges, uint64_t size)
{
	static atomic_uint_fast64_t boundaries;
	uint64_t length = 0, boundary = atomic_fetch_add(&boundaries, 1);
	struct str type = r->out.content_type;

	if (r->out.charset.n > 0)
		type = pool_printf(r->pool, STR_FMT "; charset=" STR_FMT, STR_ARG(type),
		    STR_ARG(r->out.charset));
	ranges->heads = pool_alloc(r->pool, (ranges->count + 1) * sizeof(*ranges->heads));
	for (unsigned i = 0; i < ranges->count; i++) {
		const struct byte_range *range = &ranges->items[i];

		ranges->heads[i] = pool_printf(r->pool, "\r\n--%020llu\r\n%s" STR_FMT "%s"
		    "Content-Range: " STR_FMT "\r\n\r\n", (unsigned long long)boundary,
		    type.n > 0 ? "Content-Type: " : "", STR_ARG(type), type.n > 0 ? "\r\n" : "",
		    STR_ARG(content_range(r, range, size)));
		length += ranges->heads[i].n + range->last - range->first + 1;
	}
	ranges->heads[ranges->count] = pool_printf(r->pool, "\r\n--%020llu--\r\n",
	    (unsigned long long)boundary);
	r->out.length = (int64_t)(length + ranges->heads[ranges->count].n);
	r->out.content_type = pool_printf(r->pool, "multipart/byteranges; boundary=%020llu",
	    (unsigned long long)boundary);
	r->out.charset = STR_NULL;
}

static enum filter_verdict
ranges_start(struct request *r, void **state)
{
	const struct field *f = fields_get(&r->in.fields, FIELD_RANGE);
	uint64_t size = (uint64_t)r->out.length;
	uint64_t max = r->location->core->max_ranges;
	struct ranges *ranges;
	int count;

	if (r->in.version < 10 || r->out.status != 200 || r->out.length < 0 ||
	    !r->out.ranges_allowed || max == 0)
		return (FILTER_SKIP);
	if (f == NULL || !if_range_holds(r)) {
		fields_add_id(&r->out.fields, r->pool, FIELD_ACCEPT_RANGES, STR("bytes"));
		return (FILTER_SKIP);
	}
	ranges = pool_new_object(r->pool, struct ranges);
	ranges->items = pool_alloc(r->pool, RANGES_MAX * sizeof(*ranges->items));
	count = range_parse(f->value, size, ranges->items,
	    max < RANGES_MAX ? (unsigned)max : RANGES_MAX);
	if (count == RANGE_UNSATISFIABLE) {
		resp_replace(r, 416);
		fields_add_id(&r->out.fields, r->pool, FIELD_CONTENT_RANGE,
		    pool_printf(r->pool, "bytes */%llu", (unsigned long long)size));
		return (FILTER_STOP);
	}
	if (count == RANGE_IGNORE) {
		fields_add_id(&r->out.fields, r->pool, FIELD_ACCEPT_RANGES, STR("bytes"));
		return (FILTER_SKIP);
	}
	ranges->count = (unsigned)count;
	r->out.status = 206;
	r->out.reason = STR_NULL;
	if (count == 1) {
		fields_add_id(&r->out.fields, r->pool, FIELD_CONTENT_RANGE,
		    content_range(r, ranges->items, size));
		r->out.length = (int64_t)(ranges->items->last - ranges->items->first + 1);
	} else {
		multipart_prepare(r, ranges, size);
	}
	*state = ranges;
	return (FILTER_JOIN);
}

/* What of these bytes lies in the range goes on, the rest is dropped. */
static void
single_bytes(struct ranges *ranges, struct chain *in, struct chain *out)
{
	const struct byte_range *range = ranges->items;
	uint64_t n = in->bytes, from = ranges->passed, skip = 0, take;

	ranges->passed += n;
	if (from < range->first)
		skip = range->first - from < n ? range->first - from : n;
	chain_drop(in, skip);
	take = from + skip > range->last ? 0 : range->last + 1 - (from + skip);
	chain_move(out, in, take < in->bytes ? take : in->bytes);
	chain_clear(in);
}

/* A second reference to bytes [first, last] of the chain. */
static void
chain_cut(const struct chain *whole, uint64_t first, uint64_t last, struct chain *out)
{
	uint64_t n = last - first + 1;

	for (const struct buf *b = whole->first; b != NULL && n > 0; b = b->next) {
		uint64_t part;

		if (first >= b->n) {
			first -= b->n;
			continue;
		}
		part = b->n - first < n ? b->n - first : n;
		owner_hold(b->owner);
		if (b->p != NULL) {
			chain_add(out, b->p + first, (size_t)part, b->owner);
		} else {
			chain_add_file(out, b->fd, b->offset + (off_t)first, part, b->owner);
			out->last->copy = b->copy;
		}
		n -= part;
		first = 0;
	}
}

static int
ranges_bytes(struct request *r, void *state, struct chain *in, struct chain *out, unsigned flags)
{
	struct ranges *ranges = state;

	(void)r;
	if (ranges->count == 1) {
		single_bytes(ranges, in, out);
		return (0);
	}
	chain_append(&ranges->whole, in);
	if ((flags & SEND_LAST) == 0)
		return (0);
	for (unsigned i = 0; i < ranges->count; i++) {
		chain_add(out, ranges->heads[i].p, ranges->heads[i].n, NULL);
		chain_cut(&ranges->whole, ranges->items[i].first, ranges->items[i].last, out);
	}
	chain_add(out, ranges->heads[ranges->count].p, ranges->heads[ranges->count].n, NULL);
	chain_clear(&ranges->whole);
	return (0);
}

const struct filter ranges_filter = {
	.name = "range", .start = ranges_start, .bytes = ranges_bytes
};
