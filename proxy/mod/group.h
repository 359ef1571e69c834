#ifndef WPROXY_MOD_GROUP_H
#define WPROXY_MOD_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "http/module.h"
#include "mod/idle.h"
#include "mod/lb.h"
#include "mod/peers.h"

/*
 * A group of one configuration: upstream {}, or the implicit one of a host that
 * proxy_pass names.  Complete when http {} closes; read-only afterwards but
 * for the set, which has its own lock.
 */
struct group_server;

/* The fields that rows of upstream {} fill. */
struct group_settings {
	uint64_t keepalive;
	uint64_t keepalive_requests;
	uint64_t keepalive_time;
	uint64_t keepalive_timeout;
};

/* queue N [timeout=] [status=] [retry_after=]: requests that may wait for a slot. */
struct group_queue {
	unsigned max;			/* 0: none */
	uint64_t timeout;		/* ms */
	unsigned status;
	uint64_t retry_after;		/* s; 0: no such header */
};

struct group {
	struct str name;		/* the host: also what Host: says */
	unsigned port;			/* written behind the host of an implicit one; 0: none */
	bool implicit;
	struct str file;		/* where it was declared, or first referred to */
	unsigned line;
	unsigned default_port;		/* of the scheme, for an implicit one */
	struct str url;			/* an implicit one's host:port as written */
	struct vec servers;		/* struct group_server */
	struct conf_values **values;	/* SCOPE_UPSTREAM, by module index */
	struct group_settings *settings;
	struct lb_hash_conf hash;
	struct lb_random_conf random;
	struct group_queue queue;
	struct peer_set set;
	bool has_names;
	struct group_names *names;	/* NULL: all its servers are addresses */
	struct idle_limits limits;
};

extern struct module upstream_module;

/*
 * The group that "host[:port]" of a *_pass refers to: a declared one, now or later in the file, or
 * an implicit one.  default_port: the scheme's.  NULL after conf_error().
 */
struct group	*group_refer(struct conf *, struct str host, unsigned port, unsigned default_port,
		    struct str url);
/* The same at run time; port 0: none written.  NULL: there is no such group. */
struct group	*group_find(const struct http_conf *, struct str host, unsigned port);
/* For addresses that variables name: kept connections without a set. */
struct peer_group	*group_of_addresses(void);
extern const struct idle_limits group_default_limits;

#endif
