/*
 * Response heads (HTTP and CGI, chosen by the first byte) and trailers: inside
 * their bytes, the same however they are cut, clean where accepted.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "http/framing.h"

#define ROOM	16

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

typedef ssize_t (*parser)(const char *, size_t, size_t, struct response_head *);

static void
head_is_clean(const struct response_head *head)
{
	struct fields fields = { head->items, head->count, head->room, head->known };
	struct framing framing;

	assert(head->status >= 100 && head->status <= 999);
	assert(head->version == 10 || head->version == 11);
	assert(is_field_value(head->reason));
	assert(head->count <= ROOM);
	for (unsigned i = 0; i < head->count; i++) {
		assert(is_token(head->items[i].name));
		assert(is_field_value(head->items[i].value));
	}
	(void)framing_of_response(head->version, head->status, METHOD_GET, &fields, &framing);
}

static void
response_try(parser parse, const char *p, size_t size, size_t step)
{
	struct field items[ROOM], again[ROOM];
	struct response_head whole = { .items = items, .room = ROOM };
	struct response_head pieces = { .items = again, .room = ROOM };
	ssize_t at_once = parse(p, size, 0, &whole), result = 0;
	size_t seen = 0, n = 0;

	if (at_once > 0) {
		assert((size_t)at_once <= size);
		head_is_clean(&whole);
	}
	while (result == 0 && n < size) {
		char *copy;

		seen = n;
		n = n + step < size ? n + step : size;
		copy = malloc(n);
		memcpy(copy, p, n);
		result = parse(copy, n, seen, &pieces);
		free(copy);
	}
	assert((at_once > 0) == (result > 0) && (at_once == 0) == (result == 0));
	if (at_once > 0)
		assert(at_once == result && whole.count == pieces.count &&
		    whole.status == pieces.status);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *p = (const char *)bytes;
	size_t step;

	if (size == 0)
		return (0);
	step = 1 + bytes[size - 1] % 7;
	response_try(parse_response, p, size, step);
	response_try(parse_cgi_response, p, size, step);
	return (0);
}
