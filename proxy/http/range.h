#ifndef WPROXY_HTTP_RANGE_H
#define WPROXY_HTTP_RANGE_H

#include <stdint.h>

#include "base/str.h"

/* [first, last] inclusive, already clipped to the size. */
struct byte_range {
	uint64_t first;
	uint64_t last;
};

enum { RANGE_IGNORE = 0, RANGE_UNSATISFIABLE = -1 };
/*
 * A Range value against a representation of size bytes.  > 0: number of ranges in out (at most max;
 * more than max, or a total larger than size, is RANGE_IGNORE as nginx's max_ranges and its overlap
 * defence).  RANGE_UNSATISFIABLE: 416.  Syntax that nginx answers with 416 does so here.
 */
int	range_parse(struct str value, uint64_t size, struct byte_range *out, unsigned max);

#endif
