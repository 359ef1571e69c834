/*
 * The PROXY protocol's header (versions 1 and 2, HAProxy's specification), read
 * before anything else on a "listen … proxy_protocol".  Called by session.c.
 * Bytes are peeked at and taken exactly, so that none of what follows is touched.
 */
#include "http/proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/str.h"

#define V1_MAX		107
#define V2_HEAD		16

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* One more byte run from the socket, at most up to `want` bytes in all. 1 there, 0 wait, -1 failed. */
static int
header_take(struct conn *conn, struct proxied_connection *p, size_t want)
{
	while (p->held_used < want) {
		struct iovec iov = { p->held + p->held_used, want - p->held_used };
		ssize_t n = conn_recv(conn, &iov, 1);

		if (n == CONN_AGAIN)
			return (0);
		if (n <= 0)
			return (-1);
		p->held_used += (size_t)n;
	}
	return (1);
}

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

/* "TCP4 1.2.3.4 5.6.7.8 1000 80" or "UNKNOWN ..." */
static int
v1_parse(struct str line, struct proxied_connection *p)
{
	struct str kind, part[4];
	int family;

	if (!str_starts(line, STR("PROXY ")))
		return (-1);
	line = str_skip(line, 6);
	if (!str_cut(&line, ' ', &kind))
		return (-1);
	p->present = true;
	if (str_eq(kind, STR("UNKNOWN")))
		return (1);
	family = str_eq(kind, STR("TCP4")) ? AF_INET : str_eq(kind, STR("TCP6")) ? AF_INET6 : 0;
	if (family == 0)
		return (-1);
	for (int i = 0; i < 4; i++)
		if (!str_cut(&line, ' ', &part[i]))
			return (-1);
	if (line.p != NULL || !address_set(&p->client, family, part[0], part[2]) ||
	    !address_set(&p->server, family, part[1], part[3]))
		return (-1);
	return (1);
}

/* Byte by byte behind the first bytes, so that nothing after the line end is taken. */
static int
v1_read(struct conn *conn, struct proxied_connection *p)
{
	for (;;) {
		struct str line = str_make(p->held, p->held_used);
		int rc;

		if (line.n >= 2 && line.p[line.n - 2] == '\r' && line.p[line.n - 1] == '\n')
			return (v1_parse(str_make(line.p, line.n - 2), p));
		if (line.n >= V1_MAX)
			return (-1);
		rc = header_take(conn, p, p->held_used + 1);
		if (rc != 1)
			return (rc);
	}
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

static int
v2_read(struct conn *conn, struct proxied_connection *p)
{
	const unsigned char *head = (const unsigned char *)p->held;
	size_t length;
	int rc, family;

	rc = header_take(conn, p, V2_HEAD);
	if (rc != 1)
		return (rc);
	length = (size_t)head[14] << 8 | head[15];
	if (head[12] >> 4 != 2 || (head[12] & 15) > 1)
		return (-1);
	if (V2_HEAD + length > sizeof(p->held))
		return (-1);
	rc = header_take(conn, p, V2_HEAD + length);
	if (rc != 1)
		return (rc);
	p->present = true;
	if ((head[12] & 15) == 0)	/* LOCAL: the balancer's own check */
		return (1);
	family = head[13] == 0x11 ? AF_INET : head[13] == 0x21 ? AF_INET6 : 0;
	if (family != 0 && length < (family == AF_INET ? 12u : 36u))
		return (-1);
	if (family != 0)
		v2_addresses(p, family, p->held + V2_HEAD);
	return (1);
}

int
proxy_protocol_read(struct conn *conn, struct addr *peer, struct proxied_connection *p)
{
	int rc = 1;

	(void)peer;	/* nginx: the connection's own address stays, realip may replace it */
	/* Fewer bytes than the shortest version 1 line has tell the versions apart. */
	if (p->held_used < 8)
		rc = header_take(conn, p, 8);
	if (rc != 1)
		return (rc);
	if (memcmp(p->held, v2_signature, 8) != 0)
		return (v1_read(conn, p));
	rc = header_take(conn, p, sizeof(v2_signature));
	if (rc == 1 && memcmp(p->held, v2_signature, sizeof(v2_signature)) != 0)
		rc = -1;
	return (rc == 1 ? v2_read(conn, p) : rc);
}
