#ifndef WPROXY_HTTP_PUMP_H
#define WPROXY_HTTP_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/framing.h"
#include "net/conn.h"

/*
 * Back-pressure in one function: bytes go from a connection to a sink, and the
 * connection is not read while the sink has no room.  A response's body goes
 * through one, a tunnel through two.
 */
struct pump {
	struct conn *from;
	struct framing_decoder *decoder;	/* NULL: bytes as they are, until the end */
	struct chain in;			/* read, not decoded yet */
	struct chain body;			/* decoded, not taken yet */
	bool unflushed;				/* something was taken since the last flush */

	/*
	 * How many bytes the sink takes now; 0: full, it calls pump_run() again when it has room.
	 */
	uint64_t (*room)(void *arg);
	/* Takes all of the chain (may be empty with flush).  -1: gone; the pump may be gone too. */
	int (*take)(void *arg, struct chain *, bool flush);
	void *arg;
};

enum pump_result {
	PUMP_WAIT,	/* nothing more to read now: run again at a READ event */
	PUMP_FULL,	/* run again when the sink has room */
	PUMP_END,	/* complete; body holds the last bytes, in what came behind the end */
	PUMP_CUT,	/* the connection ended in the middle; body as above */
	PUMP_FAILED,	/* reading failed: from->error; body as above */
	PUMP_MALFORMED,	/* the framing is broken */
	PUMP_GONE	/* the sink is gone: touch nothing */
};

/* Moves what there is, within the sink's room and a fair share of the turn. */
enum pump_result	pump_run(struct pump *);
/* Releases what it holds. */
void			pump_clear(struct pump *);

#endif
