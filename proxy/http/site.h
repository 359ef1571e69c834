#ifndef WPROXY_HTTP_SITE_H
#define WPROXY_HTTP_SITE_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/vec.h"
#include "conf/conf.h"
#include "http/module.h"
#include "net/addr.h"
#include "net/listener.h"

/*
 * One configuration's http {}: servers, locations, listen addresses.  Made by
 * the builder (site.c) while the file is read, frozen afterwards and read by
 * all threads without a lock.  Lives in its own pool.
 *
 * stream {} is another one of the same make: each of its connections is one
 * request without a head, at the only location that its server has.
 */
struct http_conf;
struct route;
struct matcher;
struct ssl_ctx_st;

enum location_kind {
	LOCATION_LEVEL,		/* http or server level itself */
	LOCATION_PREFIX,
	LOCATION_EXACT,
	LOCATION_REGEX,
	LOCATION_NAMED,
	LOCATION_IF,		/* the inside of "if" */
	LOCATION_LIMIT_EXCEPT
};

struct location {
	enum location_kind kind;
	struct str name;		/* "/static", "@app", the regex's text */
	struct conf_position at;	/* where it is written */
	bool no_regex;			/* ^~ */
	bool in_named;			/* it, or one around it, is a named location */
	bool in_regex;			/* it, or one around it, is a regex location */
	struct matcher *matcher;	/* regex locations */

	struct http_conf *http;
	struct server *server;		/* NULL at http level */
	struct location *parent;	/* the level around it; NULL at http level */
	struct vec children;		/* struct location *: all inside, in file order */
	struct route *route;		/* compiled from children (route.c) */

	/* by module index, SCOPE_LOCATION; NULL where the module has none */
	struct conf_values **values;
	void **conf;			/* values[i]->data */
	struct core_location *core;	/* conf of the core module */

	/*
	 * What answers here unless an earlier step did; set by the module that owns e.g.
	 * proxy_pass. NULL: files.
	 */
	enum step_result (*content)(struct request *);
	bool auto_redirect;		/* "/x/" with a content handler: "/x" is redirected */
};
#define location_conf(loc, mod)	((loc)->conf[(mod).index])

struct server_name {
	struct str name;		/* as written, lower case; "" , "*.x", ".x", "x.*" */
	struct matcher *matcher;	/* "~..." */
};

struct server {
	struct http_conf *http;
	struct str file;		/* where it was declared */
	unsigned line;
	struct vec names;		/* struct server_name */
	struct str name;		/* the first: $server_name */
	struct conf_values **values;	/* by module index, SCOPE_SERVER */
	void **conf;
	struct core_server *core;
	struct location *root;		/* its own level */
	struct hash *named;		/* "@app" -> struct location */
	struct vec listens;		/* struct listen * */
	struct ssl_ctx_st *tls;		/* set by mod/ssl.c; NULL without certificate */
};
#define server_conf(srv, mod)	((srv)->conf[(mod).index])

/* One listen address and the servers behind it. */
struct listen {
	struct addr addr;
	struct str text;		/* as in the file, for messages */
	struct conf_position at;	/* where it is written first; the server's, where nowhere */
	struct listen_options options;
	bool options_set;
	bool ssl;
	bool http2;			/* accepted, one warning */
	bool proxy_protocol;
	bool is_default_set;
	bool reuseport;
	struct server *default_server;
	struct vec servers;		/* struct server *, in file order */
	struct virtual_hosts *hosts;	/* names -> server (route.c) */
	/* *:port of the same port: has the socket; NULL: own socket */
	struct listen *wildcard;
	/* struct listen * that this wildcard's socket also serves */
	struct vec covered;
	bool bind;			/* "bind" or a socket option was given: own socket always */
	struct http_conf *http;
};

struct site_kind {
	enum module_sites site;
	unsigned context, server_context;
	const struct req_step *steps;
	bool headless;		/* nothing is read: the request begins with the connection */
};

struct http_conf {
	const struct site_kind *kind;
	struct http_conf *next;		/* the other kind of site that the file had before; NULL */
	struct pool *pool;
	void *generation;		/* the owner above (main/) */
	struct conf_values **main_values;	/* SCOPE_MAIN, by module index */
	void **main;
	struct conf_values **server_values;	/* SCOPE_SERVER at http level */
	struct location *root;		/* http level */
	struct vec servers;		/* struct server * */
	/* struct listen *; of http {}: stream {}'s too (site_complete) */
	struct vec listens;
	struct var_table *vars;
	struct vec temp_paths;		/* struct temp_path *: folders to make at start */
	struct str prefix;
	struct str hostname;		/* gethostname() at load */
	bool http2_warned;
	bool complete;
	unsigned *pins;			/* per loop: sessions and requests that use it */
	/* Called on a loop when its count falls to 0 and the configuration is no longer current. */
	void (*unpinned)(struct http_conf *, unsigned loop_index);
	bool *retired;			/* per loop: a newer one is current there */
};
#define main_conf(http, mod)	((http)->main[(mod).index])

/* The rows of http {}, server {} and location {} belong to this module (site.c). */
extern struct module site_module;
/* The http {} or stream {} under construction. */
static inline struct http_conf *
conf_http(struct conf *cf)
{
	return (cf->user);
}
/*
 * The complete http {} or stream {} of a configuration that was read; NULL when the file has none.
 */
struct http_conf	*http_conf_of(struct conf *, enum module_sites);
/* When all was read, there is an http {}: what stream {} listens on is listened on. */
int	site_complete(struct conf *) __attribute__((warn_unused_result));
/* Does a module have to do with a site? */
bool	module_serves(const struct module *, const struct http_conf *);
/* The location (server, ...) whose level is being read; walks outwards; NULL when there is none. */
struct location	*conf_location(struct conf *);
struct server	*conf_server(struct conf *);
/*
 * For blocks of other modules that open a level ("if", "limit_except"): a child of the level
 * under way; then conf_block() with the frame.  Values of SCOPE_LOCATION are its own.
 */
struct location	*location_new(struct conf *, struct location *parent, enum location_kind,
		    struct str name);
void		 location_frame(struct location *, struct conf_frame *, unsigned context);

static inline void
http_conf_pin(struct http_conf *http, unsigned loop_index)
{
	http->pins[loop_index]++;
}
void	http_conf_unpin(struct http_conf *, unsigned loop_index);

#endif
