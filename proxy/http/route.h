#ifndef WPROXY_HTTP_ROUTE_H
#define WPROXY_HTTP_ROUTE_H

#include "http/request.h"
#include "http/site.h"

/* Which server and which location: compiled when http {} closes, read by all threads. */

/*
 * Compiles listen->hosts from the servers' names; nginx's "conflicting server name" warnings.  -1
 * after conf_error.
 */
int	route_compile_hosts(struct conf *, struct listen *) __attribute__((warn_unused_result));
/* Compiles loc->route from loc->children, recursively; 'duplicate location "/"'. */
int	route_compile_locations(struct conf *, struct location *)
	    __attribute__((warn_unused_result));

/*
 * The server for a host (lower case, no port): exact, longest "*.x", longest "x.*", first regex,
 * else the default.  r takes the regex's captures; NULL (SNI) is allowed.
 */
struct server	*route_server(struct request *, const struct listen *, struct str host);
/* The same; NULL where no server has the name. */
struct server	*route_server_named(struct request *, const struct listen *, struct str host);

/*
 * SEMANTICS e2: sets r->location by r->uri, starting at the server.  0; 1: r->location is an
 * auto_redirect location whose name is uri + "/"; -1: a regex failed (500).
 */
int	route_location(struct request *);
/* The same by an "@name"; NULL when there is none. */
struct location	*route_named(const struct server *, struct str name);

#endif
