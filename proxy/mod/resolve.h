#ifndef WPROXY_MOD_RESOLVE_H
#define WPROXY_MOD_RESOLVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "http/request.h"
#include "mod/peers.h"
#include "net/resolver.h"

/*
 * Names of back ends at run time: those that variables make, and those of groups,
 * whose addresses may change while we run.
 */
struct group;

/* The resolver that a location's "resolver" describes; the system's where there is none. */
struct resolver	*resolve_by(const struct request *);

/* A group's servers with names, and when they were asked for last. */
struct group_names {
	struct vec servers;		/* struct group_name */
	_Atomic uint64_t due;		/* monotonic ms: ask again then */
	atomic_bool asking;
};
struct group_name {
	struct str host;		/* absent: spec holds the address */
	unsigned port;
	struct peer_spec spec;
};
/*
 * Called with each request: asks again when it is due (refused: at once, but once a second).  The
 * last good addresses stay where a name cannot be resolved.
 */
void	resolve_group(const struct request *, const struct group *, bool refused);

#endif
