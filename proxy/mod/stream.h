#ifndef WPROXY_MOD_STREAM_H
#define WPROXY_MOD_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "http/request.h"
#include "http/tpl.h"
#include "mod/group.h"
#include "mod/peers.h"
#include "mod/upstream_settings.h"
#include "net/conn.h"

/*
 * stream {}: a connection is handed to a back end as it is.  Rows, variables
 * and where a connection goes: stream.c; the way there and back: forward.c.
 */
extern struct module stream_module;
struct forward;

struct stream_pass {
	struct str text;		/* as written */
	const struct group *group;	/* NULL: variables */
	struct tpl *variables;
};

/* The directives of a server. */
struct stream_settings {
	struct stream_pass *pass;
	uint64_t connect_timeout, timeout;
	uint64_t buffer_size;
	bool next;
	uint64_t next_tries, next_timeout;
	bool proxy_protocol;
	bool socket_keepalive;
	bool half_close;
	struct upstream_bind *bind;
};

/* Where a connection goes. */
struct stream_target {
	const struct group *group;	/* NULL: addrs */
	const struct addr *addrs;	/* in the request's pool */
	unsigned addr_count;
	struct str unresolved;		/* a name without address yet; absent: none */
	unsigned port;			/* of it */
	struct str text;
};
/* False after logging: variables make nothing that could be connected to. */
bool	stream_target_of(struct request *, const struct stream_pass *, struct stream_target *);

/* One try, for $upstream_*: times in ms, -1: did not come to it. */
struct stream_result {
	struct str addr;
	uint64_t sent, received;
	int64_t connect, session;
};

/* The content of a server with proxy_pass. */
enum step_result	forward_content(struct request *);
/* struct stream_result, oldest first; NULL: no try. */
const struct vec	*forward_results(const struct request *);

#endif
