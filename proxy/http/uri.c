/*
 * Request targets, paths, hosts, query strings and cookies: taken apart and
 * brought to the one form that locations, files and back ends see.  Pure; used
 * by sessions, rewrites and variables.
 */
#include <arpa/inet.h>

#include "base/encode.h"
#include "http/uri.h"

/* Bytes of a reg-name besides %XX: unreserved and sub-delims of RFC 3986. */
static const bool host_bytes[256] = {
	['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
	['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true,
	['!'] = true, ['$'] = true, ['&'] = true, ['\''] = true, ['('] = true, [')'] = true,
	['*'] = true, ['+'] = true, [','] = true, [';'] = true, ['='] = true,
};

#define PORT_MAX	65535

/* %XX at the beginning of s: its byte, or -1. */
static inline int
escape_value(struct str s)
{
	int high, low;

	if (s.n < 3 || s.p[0] != '%' || (high = hex_digit((unsigned char)s.p[1])) < 0 ||
	    (low = hex_digit((unsigned char)s.p[2])) < 0)
		return (-1);
	return (high << 4 | low);
}

/* Length of the [IPv6] that s begins with, 0 when it is none. */
static size_t
ipv6_scan(struct str s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char address[16];
	size_t end = str_chr(s, ']');

	if (end == SIZE_MAX || end - 1 >= sizeof(text))
		return (0);
	memcpy(text, s.p + 1, end - 1);
	text[end - 1] = '\0';
	if (strlen(text) != end - 1 || inet_pton(AF_INET6, text, address) != 1)
		return (0);
	return (end + 1);
}

/* Length of the reg-name or IPv4 address that s begins with; 0 when it is none. */
static size_t
name_scan(struct str s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] != ':') {
		if (s.p[i] == '%') {
			/* An escaped ASCII byte would be read otherwise by others. */
			if (escape_value(str_skip(s, i)) < 0x80)
				return (0);
			i += 3;
			continue;
		}
		if (!host_bytes[(unsigned char)s.p[i]])
			return (0);
		if (s.p[i] == '.' && i > 0 && s.p[i - 1] == '.')
			return (0);
		i++;
	}
	return (i);
}

/* Cuts an authority without userinfo at its port; neither is copied. */
static bool
authority_split(struct str value, struct str *host, struct str *port)
{
	uint64_t number;
	size_t n;

	if (value.n == 0)
		return (false);
	n = value.p[0] == '[' ? ipv6_scan(value) : name_scan(value);
	if (n == 0)
		return (false);
	*host = str_make(value.p, n);
	*port = STR_NULL;
	if (n == value.n)
		return (true);
	if (value.p[n] != ':')
		return (false);
	*port = str_skip(value, n + 1);
	/* RFC 3986: the digits may be left out. */
	return (port->n == 0 || (port->n <= 5 && str_to_uint(*port, PORT_MAX, &number)));
}

int
host_parse(struct pool *pool, struct str value, struct str *host, struct str *port)
{
	struct str name;
	char *lower;

	if (!authority_split(value, &name, port))
		return (-400);
	if (name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0)
		return (-400);
	*host = name;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] < 'A' || name.p[i] > 'Z')
			continue;
		lower = pool_cstr(pool, name);
		for (; i < name.n; i++)
			lower[i] = (char)ascii_lower((unsigned char)name.p[i]);
		*host = str_make(lower, name.n);
	}
	return (0);
}

/* "http://authority" in front of a path: taken off *rest. */
static bool
absolute_split(struct str *rest, struct uri_target *target)
{
	static const struct str schemes[] = { { "http", 4 }, { "https", 5 } };
	size_t colon = str_chr(*rest, ':'), n = 0;
	struct str host, port, scheme;

	if (colon == SIZE_MAX)
		return (false);
	scheme = str_make(rest->p, colon);
	if (!str_eq_ci(scheme, schemes[0]) && !str_eq_ci(scheme, schemes[1]))
		return (false);
	*rest = str_skip(*rest, colon + 1);
	if (!str_starts(*rest, STR("//")))
		return (false);
	*rest = str_skip(*rest, 2);
	while (n < rest->n && rest->p[n] != '/' && rest->p[n] != '?')
		n++;
	target->scheme = scheme;
	target->authority = str_make(rest->p, n);
	*rest = str_skip(*rest, n);
	return (authority_split(target->authority, &host, &port));
}

int
uri_split(struct str s, struct uri_target *target)
{
	size_t at;

	*target = (struct uri_target){ .has_args = false };
	if (s.n == 0)
		return (-400);
	/* No fragment (RFC 9112 3.2): a back end could take for the path what we do not look at. */
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f || s.p[i] == '#')
			return (-400);
	if (str_eq(s, STR("*"))) {
		target->path = s;
		return (0);
	}
	if (s.p[0] != '/' && !absolute_split(&s, target))
		return (-400);
	if ((at = str_chr(s, '?')) != SIZE_MAX) {
		target->args = str_skip(s, at + 1);
		target->has_args = true;
		s.n = at;
	}
	/* Only an absolute-form may leave the path out. */
	target->path = s.n == 0 ? STR("/") : s;
	return (0);
}

/* Is path its own normal form?  Perhaps not said of some that are: those with "/.". */
static bool
path_is_plain(struct str path, bool merge_slashes)
{
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '%' || path.p[i] == '\0')
			return (false);
		if (path.p[i] != '/' || i + 1 == path.n)
			continue;
		if (path.p[i + 1] == '.' || (merge_slashes && path.p[i + 1] == '/'))
			return (false);
	}
	return (true);
}

/*
 * A segment has ended in out[0..n), which begins with '/': "." and ".." are
 * taken off.  The new length, with *absorbed set when it ends in the slash that
 * is to come; SIZE_MAX when ".." leaves the root.
 */
static size_t
segment_end(const char *out, size_t n, bool *absorbed)
{
	*absorbed = false;
	if (out[n - 1] != '.')
		return (n);
	if (out[n - 2] == '/') {
		*absorbed = true;
		return (n - 1);
	}
	if (out[n - 2] != '.' || out[n - 3] != '/')
		return (n);
	*absorbed = true;
	/* "/a/..": back over the slash, then to the one before. */
	n -= 3;
	while (n > 0 && out[n - 1] != '/')
		n--;
	return (n == 0 ? SIZE_MAX : n);
}

int
uri_normalize(struct pool *pool, struct str path, bool merge_slashes, struct str *result)
{
	size_t n = 0;
	bool absorbed;
	char *out;
	int c;

	if (path.n == 0 || (path.p[0] != '/' && !str_eq(path, STR("*"))))
		return (-400);
	if (path_is_plain(path, merge_slashes)) {
		*result = path;
		return (0);
	}
	out = pool_alloc(pool, path.n + 1);
	out[n++] = '/';
	for (size_t i = 1; i < path.n; i++) {
		c = (unsigned char)path.p[i];
		if (c == '%') {
			c = escape_value(str_skip(path, i));
			i += 2;
		}
		/* No escape, %00, or a NUL that somebody decoded before. */
		if (c <= 0)
			return (-400);
		if (c == '/') {
			if ((n = segment_end(out, n, &absorbed)) == SIZE_MAX)
				return (-400);
			if (absorbed || (merge_slashes && out[n - 1] == '/'))
				continue;
		}
		out[n++] = (char)(unsigned char)c;
	}
	if ((n = segment_end(out, n, &absorbed)) == SIZE_MAX)
		return (-400);
	out[n] = '\0';
	*result = str_make(out, n);
	return (0);
}

struct str
uri_extension(struct str path)
{
	/* As nginx: the dot of a file that is all extension ("/.profile") is none. */
	for (size_t i = path.n; i > 1 && path.p[i - 1] != '/'; i--)
		if (path.p[i - 1] == '.' && path.p[i - 2] != '/')
			return (str_skip(path, i));
	return (STR(""));
}

bool
uri_has_dotdot(struct str s)
{
	struct str segment;

	while (str_cut(&s, '/', &segment))
		if (str_eq(segment, STR("..")))
			return (true);
	return (false);
}

struct str
uri_decode(struct pool *pool, struct str s)
{
	size_t n = str_chr(s, '%');
	char *out;
	int c;

	if (n == SIZE_MAX)
		return (s);
	out = pool_alloc(pool, s.n + 1);
	memcpy(out, s.p, n);
	for (size_t i = n; i < s.n; i++) {
		c = escape_value(str_skip(s, i));
		if (c >= 0)
			i += 2;
		out[n++] = c >= 0 ? (char)(unsigned char)c : s.p[i];
	}
	out[n] = '\0';
	return (str_make(out, n));
}

struct str
args_get(struct str args, struct str name)
{
	struct str item;

	if (name.n == 0)
		return (STR_NULL);
	while (str_cut(&args, '&', &item))
		if (item.n > name.n && item.p[name.n] == '=' && str_starts_ci(item, name))
			return (str_skip(item, name.n + 1));
	return (STR_NULL);
}

static struct str
skip_blanks(struct str s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = str_skip(s, 1);
	return (s);
}

struct str
cookie_get(struct str s, struct str name)
{
	struct str rest;
	size_t end;

	/* As nginx: pairs are separated by ';' or ',', but a value ends only at ';'. */
	while (name.n > 0 && s.n > 0) {
		s = skip_blanks(s);
		rest = skip_blanks(str_skip(s, name.n));
		if (str_starts_ci(s, name) && rest.n > 0 && rest.p[0] == '=') {
			rest = skip_blanks(str_skip(rest, 1));
			end = str_chr(rest, ';');
			return (end == SIZE_MAX ? rest : str_make(rest.p, end));
		}
		for (end = 0; end < s.n && s.p[end] != ';' && s.p[end] != ','; end++)
			;
		s = str_skip(s, end + 1);
	}
	return (STR_NULL);
}
