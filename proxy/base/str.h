#ifndef WPROXY_BASE_STR_H
#define WPROXY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A length-counted string by value.  It owns nothing; whoever made the bytes
 * says how long they live.  p may be NULL only where n is 0 ("absent").
 * All functions are pure and may be called from any thread.
 */
struct str {
	const char *p;
	size_t n;
};

#define STR(literal)	((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NULL	((struct str){ NULL, 0 })
#define STR_FMT		"%.*s"
#define STR_ARG(s)	(int)(s).n, (s).n > 0 ? (s).p : ""

static inline struct str
str_make(const char *p, size_t n)
{
	return ((struct str){ p, n });
}

static inline struct str
str_from(const char *z)
{
	return ((struct str){ z, z == NULL ? 0 : strlen(z) });
}

static inline bool
str_eq(struct str a, struct str b)
{
	return (a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0));
}

static inline bool
str_starts(struct str s, struct str prefix)
{
	return (s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0));
}

static inline bool
str_ends(struct str s, struct str suffix)
{
	return (s.n >= suffix.n &&
	    (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0));
}

/* The rest of s after its first n bytes; n is clipped to s.n. */
static inline struct str
str_skip(struct str s, size_t n)
{
	if (n > s.n)
		n = s.n;
	return (str_make(s.p + n, s.n - n));
}

/* ASCII case only, whatever the locale. */
static inline unsigned char
ascii_lower(unsigned char c)
{
	return (c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c);
}

bool	str_eq_ci(struct str, struct str);
bool	str_starts_ci(struct str, struct str prefix);
int	str_cmp(struct str, struct str);	/* memcmp order, shorter first */

/* Index of the first c (last for str_rchr), or SIZE_MAX. */
size_t	str_chr(struct str, char c);
size_t	str_rchr(struct str, char c);
size_t	str_find(struct str, struct str needle);

/* Without blanks and tabs at both ends (RFC 9110 OWS). */
struct str	str_trim(struct str);

/*
 * Cuts the next item off *rest at the separator: returns it, and *rest is what
 * follows.  False when *rest was absent (p == NULL); after the last item *rest
 * becomes absent.
 */
bool	str_cut(struct str *rest, char separator, struct str *item);

/*
 * Strict numbers, the one way in for integers from outside: digits only, no
 * sign, no blanks, no prefix, whole string, overflow and more than max refused.
 * False leaves *value alone.
 */
bool	str_to_uint(struct str, uint64_t max, uint64_t *value);
bool	str_to_hex(struct str, uint64_t max, uint64_t *value);

/* nginx's sizes: "8k", "1m" (any case), plain bytes; of a place in a file or body also "2G". */
bool	str_to_size(struct str, uint64_t *bytes);
bool	str_to_offset(struct str, uint64_t *bytes);
/*
 * nginx's times: "1h 30m", "30" (unit seconds).  In milliseconds weeks are the longest unit
 * ("500ms"); in seconds years are ("1y 2M"), and there are no milliseconds.
 */
bool	str_to_msec(struct str, uint64_t *msec);
bool	str_to_sec(struct str, uint64_t *sec);
/* A fixed-point decimal with up to `digits` fractional digits, e.g. "0.001" with 3 -> 1. */
bool	str_to_fixed(struct str, unsigned digits, uint64_t *value);

/* Levenshtein distance, bounded: names longer than 63 bytes count as far. */
unsigned	str_distance(struct str, struct str);

#endif
