/*
 * The Range field (RFC 9110 14.2), judged as nginx judges it: what is not
 * "bytes=" is ignored, what is malformed or wholly outside is 416.  Pure; called
 * by the range filter.
 */
#include "http/range.h"

/* As nginx's off_t: an offset beyond it is malformed. */
#define OFFSET_MAX	((uint64_t)INT64_MAX)

static struct str
skip_blanks(struct str s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = str_skip(s, 1);
	return (s);
}

/* Takes digits off *rest. */
static bool
offset_cut(struct str *rest, uint64_t *value)
{
	size_t n = 0;

	while (n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9')
		n++;
	if (!str_to_uint(str_make(rest->p, n), OFFSET_MAX, value))
		return (false);
	*rest = skip_blanks(str_skip(*rest, n));
	return (true);
}

/* One "first-last", "first-" or "-suffix" as [start, end); start >= end: outside. */
static bool
spec_read(struct str s, uint64_t size, uint64_t *start, uint64_t *end)
{
	uint64_t last;

	s = skip_blanks(s);
	if (s.n > 0 && s.p[0] == '-') {
		s = str_skip(s, 1);
		if (!offset_cut(&s, &last) || s.n != 0)
			return (false);
		*start = last < size ? size - last : 0;
		*end = size;
		return (true);
	}
	if (!offset_cut(&s, start) || s.n == 0 || s.p[0] != '-')
		return (false);
	s = skip_blanks(str_skip(s, 1));
	*end = size;
	if (s.n == 0)
		return (true);
	if (!offset_cut(&s, &last) || s.n != 0)
		return (false);
	if (last < size)
		*end = last + 1;
	return (true);
}

int
range_parse(struct str value, uint64_t size, struct byte_range *out, unsigned max)
{
	struct str rest = str_skip(value, 6), spec;
	uint64_t start, end, total = 0;
	unsigned count = 0;

	if (value.n < 7 || !str_starts_ci(value, STR("bytes=")))
		return (RANGE_IGNORE);
	while (str_cut(&rest, ',', &spec)) {
		if (!spec_read(spec, size, &start, &end))
			return (RANGE_UNSATISFIABLE);
		if (start >= end) {
			/* All of nothing: the empty representation is sent as it is. */
			if (start == 0)
				return (RANGE_IGNORE);
			continue;
		}
		if (count == max)
			return (RANGE_IGNORE);
		if (end - start > OFFSET_MAX - total)
			return (RANGE_UNSATISFIABLE);
		total += end - start;
		out[count++] = (struct byte_range){ start, end - 1 };
	}
	if (count == 0)
		return (RANGE_UNSATISFIABLE);
	return (total > size ? RANGE_IGNORE : (int)count);
}
