#ifndef WPROXY_HTTP_MODULE_H
#define WPROXY_HTTP_MODULE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/*
 * What a module is: rows, variables, and what it does when the configuration is
 * complete.  The tables below are defined in mod/modules.c, the composition root.
 */
struct request;
struct http_conf;
struct server;
struct location;
struct var_row;

/* Where a directive may stand. */
enum conf_context {
	CTX_MAIN = 1, CTX_EVENTS = 2, CTX_HTTP = 4, CTX_SERVER = 8, CTX_LOCATION = 16,
	CTX_UPSTREAM = 32, CTX_IF_SERVER = 64, CTX_IF_LOCATION = 128, CTX_LIMIT_EXCEPT = 256,
	CTX_STREAM = 512, CTX_STREAM_SERVER = 1024, CTX_STREAM_UPSTREAM = 2048
};
#define CTX_HSL		(CTX_HTTP | CTX_SERVER | CTX_LOCATION)
#define CTX_HSLI	(CTX_HSL | CTX_IF_LOCATION)
#define CTX_STREAMS	(CTX_STREAM | CTX_STREAM_SERVER)
extern const struct conf_name context_names[];	/* in http/site.c */

/* Which of a module's structs a row's field lives in. */
enum module_scope {
	SCOPE_PROCESS,	/* main level and events: one per configuration */
	SCOPE_MAIN,	/* one per http {}, stream {} */
	SCOPE_SERVER,	/* http and server level, inherited */
	SCOPE_LOCATION,	/* http, server, location, if, limit_except level, inherited */
	SCOPE_UPSTREAM,	/* upstream {} */
	SCOPE_COUNT
};

/* Which blocks a module has structs, variables and functions for. */
enum module_sites { SITE_HTTP = 1, SITE_STREAM = 2 };

struct module {
	const char *name;
	unsigned sites;			/* bits; 0: http {} alone */
	unsigned index;			/* set once by modules_number() */
	size_t size[SCOPE_COUNT];	/* of the module's structs, 0: none */
	const struct conf_row *rows;
	const struct var_row *vars;	/* ends with name NULL; may be NULL */

	/* Before the first directive of http {} or stream {} is read (e.g. to define variables). */
	int (*prepare)(struct conf *, struct http_conf *);
	/*
	 * After the block closed and everything is inherited, in this order: for every location
	 * (the server's own level, "if" and "limit_except" blocks included, parents first), every
	 * server, then once.
	 */
	int (*init_location)(struct conf *, struct location *);
	int (*init_server)(struct conf *, struct server *);
	int (*init_main)(struct conf *, struct http_conf *);
};

extern struct module *const modules[];
extern const unsigned module_count;
void	modules_number(void);		/* once, before threads */

/* What a request goes through, in order (mod/modules.c). */
enum step_result {
	STEP_NEXT,	/* go on with the next step */
	/* somebody holds request_wait()'s cancel handle and will call request_resume() */
	STEP_WAIT,
	STEP_DONE,	/* the response is started or finished, or is under somebody's care */
	STEP_REROUTE	/* request_redirect/relocate/named was called: go on from there */
};
enum req_entry {
	ENTRY_NONE,
	ENTRY_REDIRECT,	/* request_redirect() starts here */
	ENTRY_RELOCATE,	/* request_relocate() */
	ENTRY_NAMED	/* request_named() */
};
struct req_step {
	const char *name;
	enum step_result (*run)(struct request *);
	bool once;		/* skipped when a redirect passes it again */
	enum req_entry entry;
};
extern const struct req_step req_steps[];	/* ends with name NULL */
extern const struct req_step stream_steps[];	/* of connections of stream {} */

/* What a response goes through, in order (mod/modules.c). See http/filter.h. */
struct filter;
extern const struct filter *const filters[];	/* ends with NULL */

#endif
