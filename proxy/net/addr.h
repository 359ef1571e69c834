#ifndef WPROXY_NET_ADDR_H
#define WPROXY_NET_ADDR_H

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "base/str.h"
#include "base/vec.h"

/* A socket address by value. */
struct addr {
	socklen_t len;		/* 0: none */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

#define ADDR_TEXT_MAX	(sizeof(struct sockaddr_un) + 8)

/*
 * A literal: "1.2.3.4", "1.2.3.4:80", "[::1]", "[::1]:80" (not "::1"), "unix:/path"; with port
 * dflt where none is written.  No names.  False when it is not one.
 */
bool		addr_parse(struct str, unsigned dflt_port, struct addr *);
/*
 * "host:port" taken apart without looking anything up; *port is 0 where none is written.
 * NULL, or what is wrong in nginx's words.
 */
const char	*addr_split(struct str, struct str *host, unsigned *port);
/*
 * Literal or name; names go through getaddrinfo (blocks: only where configuration is read).
 * Pushes struct addr to out.  NULL, or nginx's words: "host not found", "invalid port", ...
 */
const char	*addr_resolve(struct pool *, struct str text, unsigned dflt_port, struct vec *out);

/* "1.2.3.4:80", "[::1]:80", "unix:/path"; without the port: "1.2.3.4", "::1", "unix:". */
size_t		addr_text(const struct addr *, bool port, char out[static ADDR_TEXT_MAX]);
unsigned	addr_port(const struct addr *);
bool		addr_eq(const struct addr *, const struct addr *);
bool		addr_is_unix(const struct addr *);

/* A network "10.0.0.0/8", "::/0", "1.2.3.4" for allow/deny, geo, set_real_ip_from. */
struct addr_net {
	int family;		/* AF_INET, AF_INET6, AF_UNIX (all unix peers), AF_UNSPEC (all) */
	unsigned bits;
	unsigned char bytes[16];
};
/* *extra: bits below the mask were set (nginx warns "low address bits of … are meaningless"). */
bool		addr_net_parse(struct str, struct addr_net *, bool *extra);
/* IPv4-mapped IPv6 addresses match IPv4 networks. */
bool		addr_net_contains(const struct addr_net *, const struct addr *);

#endif
