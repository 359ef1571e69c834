#ifndef WPROXY_MOD_QUEUE_H
#define WPROXY_MOD_QUEUE_H

#include <stdbool.h>

#include "mod/peers.h"

struct upstream;

/*
 * queue N of upstream {}: requests wait for a slot (max_conns) in the order they
 * came, and for a group whose peers all refuse, which is what a restart looks like.
 */

/*
 * peer_pick(), or PICK_WAIT: upstream_granted() or upstream_waited_out() follows.  PICK_FULL is
 * logged.
 */
enum pick_result	queue_pick(struct upstream *, struct peer_try *);
/* All peers refused: true, and upstream_again() or upstream_waited_out() follows. */
bool			queue_bridge(struct upstream *);
/*
 * The process has no descriptor for a connection: true, and upstream_again() follows shortly; false
 * when that has gone on for connect_timeout.
 */
bool			queue_await_descriptor(struct upstream *);
/* The request goes, or waits no longer. */
void			queue_leave(struct upstream *);

#endif
