/*
 * Conversions of bytes to text and back: escapes of URIs, logs and HTML,
 * base64, hex, decimal.  Pure; called by http/ and mod/ (variables, redirects,
 * logs, digests).  Which byte is escaped is a bit in a table of 256.
 */
#include "base/encode.h"

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

struct byte_set {
	uint32_t bits[8];
};

#define CONTROLS	0xffffffff	/* 0x00 to 0x1f */
#define HIGH		0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff

/* As nginx 1.21.1 and later; bit n of word w is the byte 32 * w + n. */
static const struct byte_set escape_sets[] = {
	/* blank " # % < > ? \ ^ ` { | } DEL */
	[ESCAPE_URI] = { { CONTROLS, 0xd000002d, 0x50000000, 0xb8000001, HIGH } },
	/* the same, and & + ; */
	[ESCAPE_ARGS] = { { CONTROLS, 0xd800086d, 0x50000000, 0xb8000001, HIGH } },
	/* all but letters, digits, - . _ ~ */
	[ESCAPE_URI_COMPONENT] = { { CONTROLS, 0xfc009fff, 0x78000001, 0xb8000001, HIGH } },
};

/* '"', '\', controls, DEL and above */
static const struct byte_set log_default_set = { { CONTROLS, 0x00000004, 0x10000000, 0x80000000,
	HIGH } };

static const struct byte_set log_controls_set = { { CONTROLS, 0, 0, 0x80000000, 0, 0, 0, 0 } };

static inline bool
set_has(const struct byte_set *set, unsigned char c)
{
	return ((set->bits[c >> 5] >> (c & 31)) & 1);
}

static size_t
set_count(const struct byte_set *set, struct str s)
{
	size_t count = 0;

	for (size_t i = 0; i < s.n; i++)
		count += set_has(set, (unsigned char)s.p[i]);
	return (count);
}

/* Each byte of the set becomes lead + two upper-case hex digits. */
static struct str
encode_set(struct pool *pool, struct str s, const struct byte_set *set, struct str lead)
{
	size_t count = set_count(set, s);
	char *out, *p;

	if (count == 0)
		return (s);
	p = out = pool_alloc(pool, s.n + count * (lead.n + 1) + 1);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!set_has(set, c)) {
			*p++ = s.p[i];
			continue;
		}
		memcpy(p, lead.p, lead.n);
		p += lead.n;
		*p++ = hex_upper[c >> 4];
		*p++ = hex_upper[c & 15];
	}
	*p = '\0';
	return (str_make(out, (size_t)(p - out)));
}

struct str
encode_uri(struct pool *pool, struct str s, enum escape_set set)
{
	return (encode_set(pool, s, &escape_sets[set], STR("%")));
}

/* What one byte is replaced by; absent: itself. */
static struct str
json_text(unsigned char c, char space[static 8])
{
	static const char letters[] = "\b\t\n\f\r\"\\", names[] = "btnfr\"\\";
	const char *hit;

	if (c > 0x1f && c != '"' && c != '\\')
		return (STR_NULL);
	hit = c == 0 ? NULL : strchr(letters, c);
	if (hit != NULL) {
		space[0] = '\\';
		space[1] = names[hit - letters];
		return (str_make(space, 2));
	}
	memcpy(space, "\\u00", 4);
	space[4] = hex_upper[c >> 4];
	space[5] = hex_upper[c & 15];
	return (str_make(space, 6));
}

static struct str
html_text(unsigned char c, char space[static 8])
{
	(void)space;
	switch (c) {
	case '&':
		return (STR("&amp;"));
	case '<':
		return (STR("&lt;"));
	case '>':
		return (STR("&gt;"));
	case '"':
		return (STR("&quot;"));
	default:
		return (STR_NULL);
	}
}

/* Each byte becomes its text. */
static struct str
encode_each(struct pool *pool, struct str s,
    struct str (*text)(unsigned char, char space[static 8]))
{
	char space[8], *out, *p;
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		struct str t = text((unsigned char)s.p[i], space);

		n += t.p == NULL ? 1 : t.n;
	}
	if (n == s.n)
		return (s);
	p = out = pool_alloc(pool, n + 1);
	for (size_t i = 0; i < s.n; i++) {
		struct str t = text((unsigned char)s.p[i], space);

		if (t.p == NULL) {
			*p++ = s.p[i];
		} else {
			memcpy(p, t.p, t.n);
			p += t.n;
		}
	}
	*p = '\0';
	return (str_make(out, n));
}

struct str
encode_html(struct pool *pool, struct str s)
{
	return (encode_each(pool, s, html_text));
}

struct str
encode_log(struct pool *pool, struct str s, enum log_escape escape)
{
	switch (escape) {
	case LOG_ESCAPE_DEFAULT:
		return (encode_set(pool, s, &log_default_set, STR("\\x")));
	case LOG_ESCAPE_CONTROLS:
		return (encode_set(pool, s, &log_controls_set, STR("\\x")));
	case LOG_ESCAPE_JSON:
		return (encode_each(pool, s, json_text));
	default:
		return (s);
	}
}

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct str
encode_base64(struct pool *pool, struct str s)
{
	size_t n = (s.n + 2) / 3 * 4;
	char *out = pool_alloc(pool, n + 1), *p = out;

	for (; s.n > 0; s = str_skip(s, 3)) {
		uint32_t w = (uint32_t)(unsigned char)s.p[0] << 16;

		if (s.n > 1)
			w |= (uint32_t)(unsigned char)s.p[1] << 8;
		if (s.n > 2)
			w |= (unsigned char)s.p[2];
		*p++ = base64_letters[w >> 18];
		*p++ = base64_letters[(w >> 12) & 63];
		*p++ = s.n > 1 ? base64_letters[(w >> 6) & 63] : '=';
		*p++ = s.n > 2 ? base64_letters[w & 63] : '=';
	}
	*p = '\0';
	return (str_make(out, n));
}

static int
base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	return (c == '+' ? 62 : c == '/' ? 63 : -1);
}

bool
decode_base64(struct pool *pool, struct str s, struct str *out)
{
	size_t pads = 0, n = 0;
	uint32_t w = 0;
	char *p;

	while (pads < 2 && s.n > 0 && s.p[s.n - 1] == '=') {
		pads++;
		s.n--;
	}
	/* Padding may be left out; where there is some, it must be right. */
	if (s.n % 4 == 1 || (pads > 0 && (s.n + pads) % 4 != 0))
		return (false);
	p = pool_alloc(pool, s.n / 4 * 3 + 3);
	for (size_t i = 0; i < s.n; i++) {
		int v = base64_value((unsigned char)s.p[i]);

		if (v < 0)
			return (false);
		w = w << 6 | (uint32_t)v;
		if (i % 4 == 0)
			continue;
		p[n++] = (char)(unsigned char)(w >> (6 - 2 * (i % 4)));
	}
	p[n] = '\0';
	*out = str_make(p, n);
	return (true);
}

struct str
encode_hex(struct pool *pool, struct str s)
{
	char *out = pool_alloc(pool, 2 * s.n + 1);

	for (size_t i = 0; i < s.n; i++) {
		out[2 * i] = hex_lower[(unsigned char)s.p[i] >> 4];
		out[2 * i + 1] = hex_lower[(unsigned char)s.p[i] & 15];
	}
	out[2 * s.n] = '\0';
	return (str_make(out, 2 * s.n));
}

size_t
encode_uint(char out[static UINT_TEXT_LEN], uint64_t v)
{
	char digits[UINT_TEXT_LEN];
	size_t n = 0;

	do
		digits[UINT_TEXT_LEN - ++n] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	memcpy(out, digits + UINT_TEXT_LEN - n, n);
	return (n);
}

size_t
encode_uint_hex(char out[static 16], uint64_t v)
{
	size_t n = 1;

	while (n < 16 && v >> (4 * n) != 0)
		n++;
	for (size_t i = 0; i < n; i++)
		out[i] = hex_lower[(v >> (4 * (n - 1 - i))) & 15];
	return (n);
}

int
hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}
