#ifndef WPROXY_MOD_RELAY_H
#define WPROXY_MOD_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "http/pump.h"

struct upstream;
struct spool;

/*
 * The body of a back end's answer on its way to the client.  Unbuffered: every
 * byte at once, the back end read ahead within a window.  Buffered: as fast as
 * the back end gives it, what the client does not take goes to memory, then a file.
 */
struct relay {
	struct upstream *u;		/* whose it is, from its beginning */
	bool buffering;
	bool flush;			/* at once, also where buffered (text/event-stream) */
	bool client_gone;		/* the answer is read and dropped */
	bool over;			/* the back end is through; the spool is not */
	enum pump_result ended;		/* how, when over */
	uint64_t unflushed;		/* bytes given since the last flush */
	uint64_t received;		/* body bytes so far */

	struct spool *spool;		/* NULL: nothing is held back */
	uint64_t spool_at;		/* given to the client up to here */
	bool spool_refused;		/* no more may be held back now */
	bool spool_said;		/* "buffered to a temporary file" was logged */
	struct chain held;		/* what the spool refused */
	bool active;			/* wants more than its floor of the process' read-ahead */
	uint64_t reserved;		/* of it, bytes */
};

/* The head was sent: takes the attempt's pump over and begins. */
void	relay_start(struct relay *, bool buffering, bool flush);
/* The back end has bytes. */
void	relay_pull(struct relay *);
/* The client took some. */
void	relay_drained(struct relay *);
/*
 * The back end was silent for too long (logged): what came is sent, then the client's connection is
 * cut.
 */
void	relay_broken(struct relay *);
void	relay_clear(struct relay *);
/* Process-wide bound of all windows, bytes; set at load. */
void	relay_set_read_ahead(uint64_t total);

#endif
