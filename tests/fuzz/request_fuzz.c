/*
 * Request heads: whatever the bytes, the parser stays inside them, says the
 * same however they are cut, and what it accepts is clean.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "http/framing.h"
#include "http/uri.h"

#define ROOM	16

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct parse_limits limits = { .line_max = 512, .field_max = 256 };

/* Nothing that is passed on may hold a line end or a NUL. */
static void
head_is_clean(const struct request_head *head, const char *p, size_t n)
{
	assert(head->count <= ROOM);
	assert(head->target.p >= p && head->target.p + head->target.n <= p + n);
	for (size_t i = 0; i < head->target.n; i++)
		assert((unsigned char)head->target.p[i] > 0x20 && head->target.p[i] != 0x7f);
	for (unsigned i = 0; i < head->count; i++) {
		const struct field *field = &head->items[i];

		assert(is_token(field->name));
		assert(is_field_value(field->value));
		assert(str_eq(str_trim(field->value), field->value));
		assert(field->id == field_id_of(field->name));
		assert(field->id == FIELD_OTHER || (head->known & FIELD_BIT(field->id)));
		assert(str_chr(field->name, '_') == SIZE_MAX);
	}
}

/* What a session does next with an accepted head must not fail badly, either. */
static void
head_is_used(const struct request_head *head)
{
	struct fields fields = { head->items, head->count, head->room, head->known };
	struct pool *pool = pool_new(0);
	struct uri_target target;
	struct framing framing;
	struct str path, host, port;
	int status = framing_of_request(head->version, &fields, &framing);

	assert(status == 0 || status == -400 || status == -501);
	if (uri_split(head->target, &target) == 0)
		(void)uri_normalize(pool, target.path, true, &path);
	if (fields_get(&fields, FIELD_HOST) != NULL)
		(void)host_parse(pool, fields_get(&fields, FIELD_HOST)->value, &host, &port);
	(void)fields_has_token(&fields, FIELD_CONNECTION, STR("close"));
	pool_free(pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *p = (const char *)bytes;
	struct field items[ROOM], again[ROOM];
	struct request_head whole = { .items = items, .room = ROOM };
	struct request_head pieces = { .items = again, .room = ROOM };
	unsigned skipped = 0;
	size_t seen = 0, n = 0, step = size == 0 ? 1 : 1 + bytes[size - 1] % 7;
	ssize_t at_once = parse_request(p, size, 0, &limits, &whole, &skipped), result = 0;

	if (at_once > 0) {
		assert((size_t)at_once <= size);
		head_is_clean(&whole, p, (size_t)at_once);
		head_is_used(&whole);
	}
	/* Of an exact copy each time, so that ASan sees a read past what is there. */
	while (result == 0 && n < size) {
		char *copy;

		seen = n;
		n = n + step < size ? n + step : size;
		copy = malloc(n);
		memcpy(copy, p, n);
		result = parse_request(copy, n, seen, &limits, &pieces, &skipped);
		free(copy);
	}
	/* In pieces a fault may be seen earlier, or another one first; never later. */
	assert((at_once > 0) == (result > 0) && (at_once >= 0 || result < 0));
	if (at_once > 0)
		assert(at_once == result && whole.count == pieces.count);
	return (0);
}
