#ifndef WPROXY_HTTP_URI_H
#define WPROXY_HTTP_URI_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"

/* Request targets, paths and hosts.  Pure but for the pool results live in. */

/* Taken apart, not decoded.  Absent parts have p NULL. */
struct uri_target {
	struct str scheme;	/* absolute-form only */
	struct str authority;	/* absolute-form only (userinfo is refused) */
	struct str path;	/* starts with '/', or "*" (asterisk-form) */
	struct str args;	/* after the first '?', may be empty but present */
	bool has_args;
};
/* 0, or -400.  Blanks, controls and '#' are refused. */
int		uri_split(struct str target, struct uri_target *);

/*
 * nginx's $uri: %XX decoded, "//" merged (merge_slashes), "." and ".." resolved, "?" and "#" never
 * in it.  0; -400 for a bad escape, %00, or leaving the root.  *out is path itself where nothing
 * changes.
 */
int		uri_normalize(struct pool *, struct str path, bool merge_slashes, struct str *out);
/* After the last '.' of the last segment, "" when none. */
struct str	uri_extension(struct str path);
/* True when a path segment of s is "..", decoded form. */
bool		uri_has_dotdot(struct str);

/*
 * A Host value or authority: reg-name, IPv4, [IPv6], optional :port (RFC 9110 7.2, 3986 3.2.2).
 * *host: lower-cased in pool where needed, without port and without one trailing dot; *port as
 * written (absent when none).  0, or -400.
 */
int		host_parse(struct pool *, struct str value, struct str *host, struct str *port);

/* %XX decoded once; bad escapes are kept as they are. */
struct str	uri_decode(struct pool *, struct str);
/*
 * The value of name in a query string ("a=1&b=2"), undecoded; absent: p NULL.  Name in any case, as
 * nginx's $arg_.
 */
struct str	args_get(struct str args, struct str name);
/* The value of name in a Cookie value; absent: p NULL. */
struct str	cookie_get(struct str cookies, struct str name);

#endif
