#ifndef WPROXY_MAIN_THREAD_H
#define WPROXY_MAIN_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/request.h"
#include "main/generation.h"
#include "main/sockets.h"
#include "net/loop.h"

/*
 * One thread of the worker: a loop, the listeners on it, the sessions they
 * open.  The functions are for the worker's first thread; what they post runs
 * on the loop.
 */
struct crew;

/* What the first thread wants of a loop, besides a new configuration. */
enum order_kind {
	ORDER_DRAIN,	/* no new connections; crew->serving falls with its last session */
	ORDER_STOP,	/* the loop ends now */
	ORDER_FLUSH,	/* log lines held back go out (before files are swapped) */
	ORDER_KINDS
};

struct order {
	struct loop_msg msg;
	struct thread *thread;
};

struct thread {
	struct http_thread http;	/* the loop's owner */
	struct loop *loop;
	struct crew *crew;
	unsigned index;
	pthread_t id;
	bool started;

	struct list acceptors;		/* loop only */
	bool full;			/* connections_max was reached */
	uint64_t full_said_ms;
	bool drained;			/* the last session ended after ORDER_DRAIN */

	struct order orders[ORDER_KINDS];
	unsigned ordered;		/* bits: an order is posted once; first thread only */
};

/* All of them.  What the loops tell the first thread comes as a count and a wake-up. */
struct crew {
	struct thread *threads;
	unsigned count;
	const struct sockets *sockets;	/* constant while a configuration is being adopted */
	int wake_fd;			/* eventfd, written by loops */
	uint64_t descriptors;		/* a thread's share of what the limit leaves, for clients */
	atomic_uint running;		/* threads that did not end yet */
	atomic_uint flushing;		/* loops that did not flush yet */
	atomic_uint accepting;		/* loops that may still use the sockets */
	atomic_uint serving;		/* loops that are not drained yet */
};

/* Sets loops up, not running.  -1 after logging. */
int	crew_init(struct crew *, unsigned count, const struct sockets *) __attribute__((warn_unused_result));
/* Starts the threads.  -1 after logging. */
int	crew_start(struct crew *) __attribute__((warn_unused_result));
/*
 * Says how many descriptors the threads may use: what one takes for its clients, another cannot
 * have, and back ends and files need some too.  Before the first crew_adopt().
 */
void	crew_share_descriptors(struct crew *, uint64_t left);
/* Every loop takes the generation; when gen->adopting is 0 all have, and wake_fd is written. */
void	crew_adopt(struct crew *, struct generation *);
/* A flush may be ordered again once crew->flushing is 0; the others once. */
void	crew_order(struct crew *, enum order_kind);
/* Waits for the threads' end and frees the loops. */
void	crew_fini(struct crew *);

#endif
