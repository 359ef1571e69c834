#ifndef WPROXY_MAIN_WORKER_H
#define WPROXY_MAIN_WORKER_H

#include "main/generation.h"
#include "main/logs.h"
#include "main/options.h"
#include "main/sockets.h"

/*
 * The worker process, from after the fork to its end; the caller's thread only
 * listens to the master and to signals, and loads new configurations.  Takes the
 * generation over; logs and sockets stay the caller's.  channel is closed.  Returns the exit status.
 */
struct worker_start {
	const struct options *options;
	struct generation *generation;
	struct logs *logs;
	struct sockets *sockets;
	int channel;
};
int	worker_run(const struct worker_start *);

#endif
