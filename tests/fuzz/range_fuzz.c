/*
 * Range values against sizes of all magnitudes (the first byte chooses): what
 * is accepted lies inside the representation and sums to no more than it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "http/range.h"

#define MAX	8

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct byte_range out[MAX];
	uint64_t total = 0, length;
	unsigned max;
	int count;

	if (size == 0)
		return (0);
	length = bytes[0] < 64 ? (UINT64_C(1) << bytes[0]) - 1 : bytes[0];
	if (length > INT64_MAX)
		length = INT64_MAX;
	max = bytes[0] % (MAX + 1);
	count = range_parse(str_make((const char *)bytes + 1, size - 1), length, out, max);
	assert(count >= RANGE_UNSATISFIABLE && count <= (int)max);
	for (int i = 0; i < count; i++) {
		assert(out[i].first <= out[i].last && out[i].last < length);
		total += out[i].last - out[i].first + 1;
	}
	assert(total <= length);
	return (0);
}
