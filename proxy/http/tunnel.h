#ifndef WPROXY_HTTP_TUNNEL_H
#define WPROXY_HTTP_TUNNEL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/pool.h"
#include "net/conn.h"

/*
 * Two connections that are one from now on (after a 101): bytes go both ways
 * with back-pressure, an end is passed on as a half close.  Neither
 * connection is closed here.
 */
struct tunnel;

enum tunnel_end { TUNNEL_ENDED, TUNNEL_BROKEN, TUNNEL_TIMED_OUT };

/*
 * to_back, to_client: what was read already and belongs to the other side (taken).  timeout:
 * ms without a byte in either direction.  over is called once, later, from the loop: then
 * tunnel_stop().
 */
struct tunnel	*tunnel_start(struct pool *, struct conn *client, struct conn *back,
		    struct chain *to_back, struct chain *to_client, uint64_t timeout,
		    void (*over)(void *arg, enum tunnel_end), void *arg);
/* How many bytes may be on their way in one direction; before any event. */
void		 tunnel_set_room(struct tunnel *, size_t);
/* No call follows; the connections have no handler any more. */
void		 tunnel_stop(struct tunnel *);
/* Bytes that came from the back end. */
uint64_t	 tunnel_received(const struct tunnel *);

#endif
