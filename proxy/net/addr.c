/*
 * Socket addresses as values: parsing, printing, comparing, networks.  Owns
 * nothing.  Used by everybody who names a socket; the only function that may
 * block is addr_resolve(), which configuration reading alone calls.
 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <stdio.h>
#include <string.h>

#include "base/encode.h"

static const char unix_prefix[] = "unix:";
enum { UNIX_PREFIX_LEN = sizeof(unix_prefix) - 1 };

static bool
text_is_unix(struct str text)
{
	return (str_starts_ci(text, str_make(unix_prefix, UNIX_PREFIX_LEN)));
}

/* NULL, or what is wrong, in nginx's words. */
static const char *
unix_parse(struct str text, struct addr *out)
{
	struct str path = str_skip(text, UNIX_PREFIX_LEN);

	if (path.n == 0)
		return ("no path in the unix domain socket");
	if (path.n >= sizeof(out->u.un.sun_path))
		return ("too long path in the unix domain socket");
	memset(out, 0, sizeof(*out));
	out->u.un.sun_family = AF_UNIX;
	memcpy(out->u.un.sun_path, path.p, path.n);
	out->len = sizeof(out->u.un);
	return (NULL);
}

/* inet_pton() wants a NUL. */
static bool
ip_parse(int family, struct str text, void *bytes)
{
	char z[INET6_ADDRSTRLEN];

	if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n) != NULL)
		return (false);
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	return (inet_pton(family, z, bytes) == 1);
}

static void
addr_set_port(struct addr *a, unsigned port)
{
	if (a->u.sa.sa_family == AF_INET)
		a->u.in.sin_port = htons((uint16_t)port);
	else if (a->u.sa.sa_family == AF_INET6)
		a->u.in6.sin6_port = htons((uint16_t)port);
}

/* host: an IPv4 literal, or an IPv6 one in brackets. */
static bool
literal_parse(struct str host, unsigned port, struct addr *out)
{
	memset(out, 0, sizeof(*out));
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		if (!ip_parse(AF_INET6, str_make(host.p + 1, host.n - 2), &out->u.in6.sin6_addr))
			return (false);
		out->u.in6.sin6_family = AF_INET6;
		out->len = sizeof(out->u.in6);
	} else {
		if (!ip_parse(AF_INET, host, &out->u.in.sin_addr))
			return (false);
		out->u.in.sin_family = AF_INET;
		out->len = sizeof(out->u.in);
	}
	addr_set_port(out, port);
	return (true);
}

const char *
addr_split(struct str text, struct str *host, unsigned *port)
{
	uint64_t value = 0;
	size_t end;

	if (text.n > 0 && text.p[0] == '[') {
		end = str_chr(text, ']');
		if (end == 1)
			return ("no host");
		if (end == SIZE_MAX || (end + 1 < text.n && text.p[end + 1] != ':'))
			return ("invalid host");
		end++;
	} else {
		if (str_chr(text, '/') != SIZE_MAX)
			return ("invalid host");
		end = str_chr(text, ':');
		if (end == SIZE_MAX)
			end = text.n;
	}
	if (end == 0)
		return ("no host");
	if (end < text.n && (text.p[end] != ':' ||
	    !str_to_uint(str_skip(text, end + 1), 65535, &value) || value == 0))
		return ("invalid port");
	*host = str_make(text.p, end);
	*port = (unsigned)value;
	return (NULL);
}

bool
addr_parse(struct str text, unsigned dflt_port, struct addr *out)
{
	struct str host;
	unsigned port;

	if (text_is_unix(text))
		return (unix_parse(text, out) == NULL);
	if (addr_split(text, &host, &port) != NULL)
		return (false);
	return (literal_parse(host, port != 0 ? port : dflt_port, out));
}

static const char *
name_resolve(struct pool *pool, struct str host, unsigned port, struct vec *out)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list, *ai;

	if (host.p[0] == '[')
		return ("invalid IPv6 address");
	if (memchr(host.p, '\0', host.n) != NULL)
		return ("invalid host");
	if (getaddrinfo(pool_cstr(pool, host), NULL, &hints, &list) != 0)
		return ("host not found");
	for (ai = list; ai != NULL; ai = ai->ai_next) {
		struct addr *a;

		if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
			continue;
		a = vec_push(out, pool);
		memcpy(&a->u, ai->ai_addr, ai->ai_addrlen);
		a->len = ai->ai_addrlen;
		addr_set_port(a, port);
	}
	freeaddrinfo(list);
	return (out->count > 0 ? NULL : "host not found");
}

const char *
addr_resolve(struct pool *pool, struct str text, unsigned dflt_port, struct vec *out)
{
	const char *wrong;
	struct addr literal;
	struct str host;
	unsigned port;

	if (text_is_unix(text)) {
		if ((wrong = unix_parse(text, &literal)) != NULL)
			return (wrong);
	} else {
		if ((wrong = addr_split(text, &host, &port)) != NULL)
			return (wrong);
		if (port == 0)
			port = dflt_port;
		if (!literal_parse(host, port, &literal))
			return (name_resolve(pool, host, port, out));
	}
	*(struct addr *)vec_push(out, pool) = literal;
	return (NULL);
}

/* A path in sun_path needs no NUL where it fills the array. */
static size_t
unix_path_len(const struct addr *a)
{
	const size_t base = offsetof(struct sockaddr_un, sun_path);

	if (a->len <= base)
		return (0);	/* an unnamed client */
	return (strnlen(a->u.un.sun_path, a->len - base));
}

/* Written for every request that is passed on: no printf. */
static size_t
ipv4_text(const struct sockaddr_in *in, bool port, char *out)
{
	const unsigned char *bytes = (const unsigned char *)&in->sin_addr;
	size_t n = 0;

	for (int i = 0; i < 4; i++) {
		if (i > 0)
			out[n++] = '.';
		n += encode_uint(out + n, bytes[i]);
	}
	if (port) {
		out[n++] = ':';
		n += encode_uint(out + n, ntohs(in->sin_port));
	}
	out[n] = '\0';
	return (n);
}

size_t
addr_text(const struct addr *a, bool port, char out[static ADDR_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN] = "";
	int n;

	out[0] = '\0';
	if (a->len == 0)
		return (0);
	switch (a->u.sa.sa_family) {
	case AF_UNIX:
		n = snprintf(out, ADDR_TEXT_MAX, "%s%.*s", unix_prefix,
		    port ? (int)unix_path_len(a) : 0, a->u.un.sun_path);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a->u.in6.sin6_addr, ip, sizeof(ip));
		n = port ? snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", ip, addr_port(a)) :
		    snprintf(out, ADDR_TEXT_MAX, "%s", ip);
		break;
	case AF_INET:
		return (ipv4_text(&a->u.in, port, out));
	default:
		return (0);
	}
	return (n < 0 ? 0 : (size_t)n);
}

unsigned
addr_port(const struct addr *a)
{
	if (a->len == 0)
		return (0);
	if (a->u.sa.sa_family == AF_INET)
		return (ntohs(a->u.in.sin_port));
	if (a->u.sa.sa_family == AF_INET6)
		return (ntohs(a->u.in6.sin6_port));
	return (0);
}

bool
addr_eq(const struct addr *a, const struct addr *b)
{
	if (a->len == 0 || b->len == 0)
		return (a->len == b->len);
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return (false);
	switch (a->u.sa.sa_family) {
	case AF_INET:
		return (a->u.in.sin_port == b->u.in.sin_port &&
		    a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr);
	case AF_INET6:
		return (a->u.in6.sin6_port == b->u.in6.sin6_port &&
		    a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
		    memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, 16) == 0);
	case AF_UNIX:
		return (str_eq(str_make(a->u.un.sun_path, unix_path_len(a)),
		    str_make(b->u.un.sun_path, unix_path_len(b))));
	default:
		return (false);
	}
}

bool
addr_is_unix(const struct addr *a)
{
	return (a->len != 0 && a->u.sa.sa_family == AF_UNIX);
}

/* Clears the bits behind the first `bits`; true when one was set. */
static bool
net_mask(struct addr_net *net, unsigned size)
{
	bool extra = false;

	for (unsigned i = 0; i < size; i++) {
		unsigned kept = net->bits > i * 8 ? net->bits - i * 8 : 0;
		unsigned char mask = kept >= 8 ? 0xff : (unsigned char)(0xff00 >> kept);

		extra |= (net->bytes[i] & ~mask) != 0;
		net->bytes[i] &= mask;
	}
	return (extra);
}

bool
addr_net_parse(struct str text, struct addr_net *net, bool *extra)
{
	size_t slash = str_chr(text, '/');
	struct str host = slash == SIZE_MAX ? text : str_make(text.p, slash);
	unsigned size;
	uint64_t bits;

	memset(net, 0, sizeof(*net));
	*extra = false;
	if (str_eq(text, STR("all"))) {
		net->family = AF_UNSPEC;
		return (true);
	}
	if (str_eq(text, STR("unix:"))) {
		net->family = AF_UNIX;
		return (true);
	}
	if (ip_parse(AF_INET, host, net->bytes)) {
		net->family = AF_INET;
		size = 4;
	} else if (ip_parse(AF_INET6, host, net->bytes)) {
		net->family = AF_INET6;
		size = 16;
	} else
		return (false);
	bits = size * 8;
	if (slash != SIZE_MAX && !str_to_uint(str_skip(text, slash + 1), size * 8, &bits))
		return (false);
	net->bits = (unsigned)bits;
	*extra = net_mask(net, size);
	return (true);
}

bool
addr_net_contains(const struct addr_net *net, const struct addr *a)
{
	const unsigned char *bytes;
	int family;
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (net->family == AF_UNSPEC)
		return (true);
	if (a->len == 0)
		return (false);
	family = a->u.sa.sa_family;
	if (net->family == AF_UNIX || family == AF_UNIX)
		return (net->family == family);
	if (family == AF_INET)
		bytes = (const unsigned char *)&a->u.in.sin_addr;
	else if (family == AF_INET6)
		bytes = a->u.in6.sin6_addr.s6_addr;
	else
		return (false);
	if (family == AF_INET6 && net->family == AF_INET &&
	    IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) {
		bytes += 12;
		family = AF_INET;
	}
	if (family != net->family || memcmp(bytes, net->bytes, whole) != 0)
		return (false);
	return (rest == 0 || ((bytes[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0);
}
