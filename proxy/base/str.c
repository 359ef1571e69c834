/*
 * Length-counted strings and the one strict way in for numbers, sizes and
 * times that come from outside.  Pure functions; called from everywhere.
 */
#include <limits.h>

#include "base/encode.h"
#include "base/str.h"

bool
str_eq_ci(struct str a, struct str b)
{
	return (a.n == b.n && str_starts_ci(a, b));
}

bool
str_starts_ci(struct str s, struct str prefix)
{
	if (s.n < prefix.n)
		return (false);
	/* Mostly both are spelled the usual way. */
	if (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0)
		return (true);
	for (size_t i = 0; i < prefix.n; i++)
		if (ascii_lower((unsigned char)s.p[i]) != ascii_lower((unsigned char)prefix.p[i]))
			return (false);
	return (true);
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (order != 0)
		return (order);
	return ((a.n > b.n) - (a.n < b.n));
}

size_t
str_chr(struct str s, char c)
{
	const char *hit = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return (hit == NULL ? SIZE_MAX : (size_t)(hit - s.p));
}

size_t
str_rchr(struct str s, char c)
{
	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == c)
			return (i - 1);
	return (SIZE_MAX);
}

size_t
str_find(struct str s, struct str needle)
{
	if (needle.n == 0)
		return (0);
	for (size_t at = 0; at + needle.n <= s.n; at++) {
		size_t step = str_chr(str_make(s.p + at, s.n - at - needle.n + 1), needle.p[0]);

		if (step == SIZE_MAX)
			return (SIZE_MAX);
		at += step;
		if (memcmp(s.p + at, needle.p, needle.n) == 0)
			return (at);
	}
	return (SIZE_MAX);
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return (s);
}

bool
str_cut(struct str *rest, char separator, struct str *item)
{
	size_t at;

	if (rest->p == NULL)
		return (false);
	if ((at = str_chr(*rest, separator)) == SIZE_MAX) {
		*item = *rest;
		*rest = STR_NULL;
	} else {
		*item = str_make(rest->p, at);
		*rest = str_skip(*rest, at + 1);
	}
	return (true);
}

static bool
str_to_number(struct str s, unsigned base, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (s.n == 0)
		return (false);
	for (size_t i = 0; i < s.n; i++) {
		unsigned d = (unsigned)hex_digit((unsigned char)s.p[i]);

		/* No digit at all is -1, the largest there is. */
		if (d >= base || v > (UINT64_MAX - d) / base)
			return (false);
		v = v * base + d;
	}
	if (v > max)
		return (false);
	*value = v;
	return (true);
}

bool
str_to_uint(struct str s, uint64_t max, uint64_t *value)
{
	return (str_to_number(s, 10, max, value));
}

bool
str_to_hex(struct str s, uint64_t max, uint64_t *value)
{
	return (str_to_number(s, 16, max, value));
}

/* How many bits to shift by what a letter at the end of a size stands for; 0: no such letter. */
static unsigned
size_shift(struct str s)
{
	switch (s.n == 0 ? '\0' : ascii_lower((unsigned char)s.p[s.n - 1])) {
	case 'k':
		return (10);
	case 'm':
		return (20);
	case 'g':
		return (30);
	default:
		return (0);
	}
}

bool
str_to_offset(struct str s, uint64_t *bytes)
{
	unsigned shift = size_shift(s);
	uint64_t v;

	if (shift != 0)
		s.n--;
	/* As off_t: a size beyond it could never be compared with a file's. */
	if (!str_to_uint(s, (uint64_t)INT64_MAX >> shift, &v))
		return (false);
	*bytes = v << shift;
	return (true);
}

bool
str_to_size(struct str s, uint64_t *bytes)
{
	return (size_shift(s) < 30 && str_to_offset(s, bytes));
}

/* Largest first: as in nginx, units must come in this order, each at most once. */
static const struct {
	struct str name;
	uint64_t msec;
} time_units[] = {
	{ { "y", 1 }, 365ULL * 24 * 3600 * 1000 },
	{ { "M", 1 }, 30ULL * 24 * 3600 * 1000 },
	{ { "w", 1 }, 7ULL * 24 * 3600 * 1000 },
	{ { "d", 1 }, 24ULL * 3600 * 1000 },
	{ { "h", 1 }, 3600ULL * 1000 },
	{ { "m", 1 }, 60ULL * 1000 },
	{ { "s", 1 }, 1000 },
	{ { "ms", 2 }, 1 },
};
#define TIME_UNITS	(sizeof(time_units) / sizeof(time_units[0]))
#define TIME_WEEK	2
#define TIME_SECOND	6	/* the unit of a bare number, which must be the last */

/* The unit that s begins with (of letters only), from row first on; TIME_UNITS when none. */
static size_t
time_unit(struct str s, size_t first, size_t *length)
{
	struct str word = s;

	word.n = 0;
	while (word.n < s.n && ascii_lower((unsigned char)s.p[word.n]) >= 'a' &&
	    ascii_lower((unsigned char)s.p[word.n]) <= 'z')
		word.n++;
	/* "1h30m": the letters end where the next number begins. */
	*length = word.n;
	if (word.n == 0)
		return (first <= TIME_SECOND && s.n == 0 ? TIME_SECOND : TIME_UNITS);
	for (size_t i = first; i < TIME_UNITS; i++)
		if (str_eq(word, time_units[i].name))
			return (i);
	return (TIME_UNITS);
}

/* Of the units from row next to row last. */
static bool
time_parse(struct str s, size_t next, size_t last, uint64_t *msec)
{
	uint64_t total = 0, v;

	if (s.n == 0)
		return (false);
	while (s.n > 0) {
		struct str digits = str_make(s.p, 0);
		size_t length, unit;

		while (digits.n < s.n && s.p[digits.n] >= '0' && s.p[digits.n] <= '9')
			digits.n++;
		s = str_skip(s, digits.n);
		if (!str_to_uint(digits, INT64_MAX, &v) ||
		    (unit = time_unit(s, next, &length)) > last ||
		    v > ((uint64_t)INT64_MAX - total) / time_units[unit].msec)
			return (false);
		total += v * time_units[unit].msec;
		next = unit + 1;
		s = str_skip(s, length);
		while (s.n > 0 && s.p[0] == ' ')
			s = str_skip(s, 1);
	}
	*msec = total;
	return (true);
}

bool
str_to_msec(struct str s, uint64_t *msec)
{
	return (time_parse(s, TIME_WEEK, TIME_UNITS - 1, msec));
}

bool
str_to_sec(struct str s, uint64_t *sec)
{
	uint64_t msec;

	if (!time_parse(s, 0, TIME_SECOND, &msec))
		return (false);
	*sec = msec / 1000;
	return (true);
}

bool
str_to_fixed(struct str s, unsigned digits, uint64_t *value)
{
	size_t dot = str_chr(s, '.');
	struct str fraction = dot == SIZE_MAX ? STR_NULL : str_skip(s, dot + 1);
	uint64_t whole, part = 0;

	if (dot != SIZE_MAX)
		s.n = dot;
	if (!str_to_uint(s, UINT64_MAX, &whole) || fraction.n > digits ||
	    (fraction.n > 0 && !str_to_uint(fraction, UINT64_MAX, &part)))
		return (false);
	for (unsigned i = 0; i < digits; i++) {
		if (whole > UINT64_MAX / 10)
			return (false);
		whole *= 10;
		if (i >= fraction.n)
			part *= 10;
	}
	if (whole > UINT64_MAX - part)
		return (false);
	*value = whole + part;
	return (true);
}

#define DISTANCE_MAX	63

unsigned
str_distance(struct str a, struct str b)
{
	unsigned row[DISTANCE_MAX + 1];

	if (a.n > DISTANCE_MAX || b.n > DISTANCE_MAX)
		return (UINT_MAX);
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			unsigned best = diagonal + (a.p[i - 1] != b.p[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return (row[b.n]);
}
