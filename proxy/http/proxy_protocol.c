/*
 * The PROXY protocol's header (versions 1 and 2, HAProxy's specification), read
 * before anything else on a "listen … proxy_protocol".  Called by session.c.
 *
 *	v1:	PROXY TCP4 1.2.3.4 5.6.7.8 1000 80 CR LF	(at most 107 bytes)
 *	v2:	signature 12 | version, command | family, transport | length u16 | addresses | TLVs
 */
#include "http/proxy_protocol.h"

#include <arpa/inet.h>

#include "base/str.h"

#define V1_MAX		107
#define V2_HEAD		16
#define V2_INET		12	/* two addresses, two ports */
#define V2_INET6	36

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static bool
address_set(struct addr *addr, int family, struct str text, struct str port)
{
	char z[INET6_ADDRSTRLEN];
	uint64_t number;

	if (text.n == 0 || text.n >= sizeof(z) || !str_to_uint(port, 65535, &number))
		return (false);
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	*addr = (struct addr){ 0 };
	addr->u.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		addr->len = sizeof(addr->u.in);
		addr->u.in.sin_port = htons((uint16_t)number);
		return (inet_pton(AF_INET, z, &addr->u.in.sin_addr) == 1);
	}
	addr->len = sizeof(addr->u.in6);
	addr->u.in6.sin6_port = htons((uint16_t)number);
	return (inet_pton(AF_INET6, z, &addr->u.in6.sin6_addr) == 1);
}

/* "TCP4 1.2.3.4 5.6.7.8 1000 80" or "UNKNOWN ...".  False: neither. */
static bool
v1_line(struct str line, struct proxied_connection *p)
{
	struct str kind, part[4];
	int family;

	if (!str_cut(&line, ' ', &kind))
		return (false);
	if (str_eq(kind, STR("UNKNOWN")))
		return (true);
	family = str_eq(kind, STR("TCP4")) ? AF_INET : str_eq(kind, STR("TCP6")) ? AF_INET6 : 0;
	if (family == 0)
		return (false);
	for (int i = 0; i < 4; i++)
		if (!str_cut(&line, ' ', &part[i]))
			return (false);
	return (line.p == NULL && address_set(&p->client, family, part[0], part[2]) &&
	    address_set(&p->server, family, part[1], part[3]));
}

static ssize_t
v1_parse(struct str head, struct proxied_connection *p)
{
	size_t end = str_find(head, STR("\r\n"));

	if (end == SIZE_MAX)
		return (head.n < V1_MAX ? 0 : -1);
	if (end + 2 > V1_MAX || !v1_line(str_make(head.p + 6, end - 6), p))
		return (-1);
	p->present = true;
	return ((ssize_t)end + 2);
}

static void
v2_addresses(struct proxied_connection *p, int family, const char *bytes)
{
	size_t size = family == AF_INET ? 4 : 16;
	struct addr *ends[2] = { &p->client, &p->server };

	for (int i = 0; i < 2; i++) {
		struct addr *a = ends[i];
		const char *port = bytes + 2 * size + 2 * (size_t)i;

		*a = (struct addr){ 0 };
		a->u.sa.sa_family = (sa_family_t)family;
		a->len = family == AF_INET ? sizeof(a->u.in) : sizeof(a->u.in6);
		memcpy(family == AF_INET ? (void *)&a->u.in.sin_addr : (void *)&a->u.in6.sin6_addr,
		    bytes + (size_t)i * size, size);
		memcpy(family == AF_INET ? &a->u.in.sin_port : &a->u.in6.sin6_port, port, 2);
	}
}

static ssize_t
v2_parse(struct str head, struct proxied_connection *p)
{
	const unsigned char *h = (const unsigned char *)head.p;
	size_t length, needed;
	int family;

	if (head.n < V2_HEAD)
		return (0);
	length = (size_t)h[14] << 8 | h[15];
	/* Version 2; LOCAL, the balancer's own check, or PROXY. */
	if (h[12] >> 4 != 2 || (h[12] & 15) > 1)
		return (-1);
	family = h[13] == 0x11 ? AF_INET : h[13] == 0x21 ? AF_INET6 : AF_UNSPEC;
	if ((h[12] & 15) == 0)
		family = AF_UNSPEC;
	needed = family == AF_INET ? V2_INET : family == AF_INET6 ? V2_INET6 : 0;
	if (length < needed)
		return (-1);
	if (head.n < V2_HEAD + needed)
		return (0);
	if (family != AF_UNSPEC)
		v2_addresses(p, family, head.p + V2_HEAD);
	p->present = true;
	return ((ssize_t)(V2_HEAD + length));
}

/* As much of it as there is agrees with the text. */
static bool
begins_as(struct str head, struct str text)
{
	return (str_starts(head.n < text.n ? text : head, head.n < text.n ? head : text));
}

ssize_t
proxy_protocol_parse(const char *bytes, size_t n, struct proxied_connection *p)
{
	struct str head = str_make(bytes, n);

	if (begins_as(head, STR("PROXY ")))
		return (n < 6 ? 0 : v1_parse(head, p));
	if (begins_as(head, str_make(v2_signature, sizeof(v2_signature))))
		return (v2_parse(head, p));
	return (-1);
}

/* > 0; 0: wait; -1. */
static ssize_t
bytes_take(struct conn *conn, char *room, size_t size)
{
	struct iovec iov = { room, size };
	ssize_t n = conn_recv(conn, &iov, 1);

	return (n == CONN_AGAIN ? 0 : n <= 0 ? -1 : n);
}

static int
rest_skip(struct conn *conn, struct proxied_connection *p)
{
	while (p->skip > 0) {
		ssize_t n = bytes_take(conn, loop_scratch(conn->loop),
		    p->skip < LOOP_SCRATCH ? p->skip : LOOP_SCRATCH);

		if (n <= 0)
			return ((int)n);
		p->skip -= (size_t)n;
	}
	return (1);
}

int
proxy_protocol_read(struct conn *conn, struct proxied_connection *p)
{
	while (!p->present) {
		ssize_t n = bytes_take(conn, p->held + p->held_used,
		    sizeof(p->held) - p->held_used), length;

		if (n <= 0)
			return ((int)n);
		p->held_used += (size_t)n;
		length = proxy_protocol_parse(p->held, p->held_used, p);
		if (length < 0)
			return (-1);
		if (length > 0 && (size_t)length < p->held_used)
			conn_unread(conn, str_make(p->held + length,
			    p->held_used - (size_t)length));
		else if (length > 0)
			p->skip = (size_t)length - p->held_used;
	}
	return (rest_skip(conn, p));
}
