#ifndef WPROXY_MAIN_MASTER_H
#define WPROXY_MAIN_MASTER_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "main/generation.h"
#include "main/handover.h"
#include "main/logs.h"
#include "main/options.h"
#include "main/renewal.h"
#include "main/sockets.h"

/*
 * The supervisor, single-threaded.  master.c has its life, reload.c what HUP and USR1
 * do, upgrade.c what USR2 does, start.c what comes before.
 */
enum master_state {
	MASTER_STARTING,	/* the first worker is not ready: no pid file yet */
	MASTER_RUNNING,		/* a worker is there, or will be again */
	MASTER_IDLE,		/* WINCH: the worker drains or is gone, the sockets are kept */
	MASTER_QUITTING,	/* the worker finishes what is in flight */
	MASTER_STOPPING,
	MASTER_ENDED
};

struct master_worker {
	pid_t pid;		/* 0: none */
	int channel;		/* -1: none */
	bool ready;
	uint64_t born_ms;
	uint64_t ready_by_ms;	/* 0: it is */
	unsigned crashes;	/* soon after birth, one after the other */
	uint64_t respawn_ms;	/* when none is there and one is wanted; 0 */
};

struct master_reload {
	struct generation *gen;	/* offered to the worker, not committed */
	bool adopting;		/* committed: the worker's loops are switching */
	uint32_t serial;
	uint64_t until_ms;	/* 0: none under way */
	bool again;		/* HUP came meanwhile */
};

struct master {
	const struct options *options;
	struct logs *logs;
	struct sockets sockets;
	struct generation *generation;	/* in force: what a respawned worker runs */

	enum master_state state;
	struct master_worker worker;
	struct master_reload reload;
	struct renewal *renewal;	/* NULL: no certificates */
	pid_t new_binary;		/* USR2's child, 0: none */
	uint64_t kill_ms;		/* the worker ought to have ended by then; 0 */

	int signal_fd;
	int starter_fd;			/* who waits for READY before it exits (daemon on); -1 */
	bool detached;			/* daemon on: SIGWINCH is no window's */
	bool inherited;			/* started by an older master's USR2 ... */
	pid_t parent;			/* ... which is this one as long as it lives */
	bool is_worker;			/* this is the forked child, on its way out */
	int exit_status;
};

/* Blocks the signals that signal_fd reads.  -1 after logging. */
int	master_init(struct master *, const struct options *, struct logs *)
	    __attribute__((warn_unused_result));
/*
 * From the first fork to the end.  The generation is loaded, its sockets bound.  Returns the
 * exit status, in the worker process too.
 */
int	master_run(struct master *);
void	master_fini(struct master *);

/* For reload.c and upgrade.c. */
/* The channel broke: the worker is of no use. */
void	master_kill_worker(struct master *);

/* reload.c */
void	reload_start(struct master *);
void	reload_answer(struct master *, const struct parcel *);	/* LOADED, REFUSED, ADOPTED */
void	reload_timeout(struct master *);
void	reload_abandon(struct master *);	/* the worker died; nothing is logged */
void	reopen_logs(struct master *);
/* The configuration in force with some files' bytes replaced.  False: it stays as it was. */
bool	reload_renew(struct master *, struct conf_source *) __attribute__((warn_unused_result));

/* upgrade.c */
#define UPGRADE_ENVIRONMENT	"WPROXY_SOCKETS"
void	upgrade_start(struct master *);
void	upgrade_ended(struct master *);		/* the new binary's process is gone */
struct str	pidfile_old(struct pool *, struct str path);

#endif
