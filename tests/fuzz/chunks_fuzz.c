/*
 * Chunked framing.  The decoder's verdict does not depend on how the bytes are
 * cut, and agrees with a plain reader of whole streams that is written here
 * from the grammar: size CRLF data CRLF ... 0 CRLF trailers CRLF.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Body into out; 1 complete (used: its length), 0 partial, -400. */
static int
decode(const char *p, size_t size, size_t step, char *out, size_t *length, size_t *used)
{
	static const struct framing chunked = { FRAMING_CHUNKED, 0 };
	struct framing_decoder d;
	size_t skip, data, n;
	int result = 0;

	framing_decoder_init(&d, &chunked);
	*used = *length = 0;
	while (result == 0 && *used < size) {
		char *copy;

		n = size - *used < step ? size - *used : step;
		copy = malloc(n);
		memcpy(copy, p + *used, n);
		result = framing_decode(&d, copy, n, &skip, &data);
		if (result >= 0) {
			assert(skip + data <= n && (result == 1 || skip + data > 0));
			memcpy(out + *length, copy + skip, data);
			*length += data;
			*used += skip + data;
			assert(d.done == (result == 1));
		}
		free(copy);
	}
	assert(framing_decode_eof(&d) == (result == 1 ? 0 : -1));
	return (result);
}

/* Reads the simple streams: no extensions, no trailers.  -1: not one of them. */
static int
simple_read(const char *p, size_t size, char *out, size_t *length, size_t *used)
{
	size_t at = 0;

	for (*length = 0;;) {
		size_t digits = 0;
		uint64_t n;

		while (at + digits < size && p[at + digits] != '\0' &&
		    strchr("0123456789abcdefABCDEF", p[at + digits]) != NULL)
			digits++;
		if (!str_to_hex(str_make(p + at, digits), size, &n) ||
		    !str_starts(str_make(p + at + digits, size - at - digits), STR("\r\n")))
			return (-1);
		at += digits + 2;
		if (n > size - at || !str_starts(str_make(p + at + n, size - at - n), STR("\r\n")))
			return (-1);
		memcpy(out + *length, p + at, n);
		*length += n;
		at += n + 2;
		if (n == 0) {
			*used = at;
			return (1);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *p = (const char *)bytes;
	char *first = malloc(size + 1), *second = malloc(size + 1);
	size_t length, again, used, used_again;
	int whole = decode(p, size, size + 1, first, &length, &used), result;

	for (size_t step = 1; step <= 9; step += 4) {
		result = decode(p, size, step, second, &again, &used_again);
		assert(result == whole);
		if (whole >= 0)
			assert(length == again && used == used_again &&
			    memcmp(first, second, length) == 0);
	}
	/* Lines of zeros beyond the bound are the decoder's alone to refuse. */
	if (size < 1000 && simple_read(p, size, second, &again, &used_again) == 1)
		assert(whole == 1 && length == again && used == used_again &&
		    memcmp(first, second, length) == 0);
	free(first);
	free(second);
	return (0);
}
