#ifndef WPROXY_MAIN_LOGS_H
#define WPROXY_MAIN_LOGS_H

#include <sys/types.h>

#include <stdbool.h>

#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "conf/conf.h"

/*
 * The log files of a process by path: one object per path whatever the number
 * of configurations that name it.  The master opens them; the worker has them
 * from the fork, or is handed their descriptors (logs_offer()).  For the
 * process' first thread only; the files themselves are shared.
 */
struct logs;

enum logs_mode {
	LOGS_OPEN,	/* a new path is opened (master) */
	LOGS_HANDED,	/* a new path must have been offered (worker) */
	LOGS_NONE	/* nothing is opened: all are stderr (-s) */
};

struct logs	*logs_new(enum logs_mode);
void		 logs_set_mode(struct logs *, enum logs_mode);
/* Closes all. */
void		 logs_free(struct logs *);

/*
 * The file of an absolute path or "stderr"; used counts the caller's use in a list of
 * its own (items: void *) until logs_release(). NULL with errno.
 */
struct log_file	*logs_use(struct logs *, struct str path, struct vec *used, struct pool *);
/* Files that were made belong to this account from now on: who starts next may not be root. */
void		 logs_give(struct logs *, uid_t);
/* Ends the uses in the list; files of no use stay until logs_sweep(). */
void		 logs_release(struct logs *, struct vec *used);
void		 logs_sweep(struct logs *);

/* A descriptor for a path that the next configuration will ask for; taken over. */
void		 logs_offer(struct logs *, struct str path, int fd);
/*
 * Opens every file again (USR1) and calls fn with the path and the new descriptor, which stays
 * the file's.  What cannot be opened is logged and keeps its old descriptor.
 */
void		 logs_reopen(struct logs *, void (*fn)(struct str path, int fd, void *arg), void *arg);
/* The worker's side: swaps the descriptor of a path for fd, which is taken over. */
void		 logs_replace(struct logs *, struct str path, int fd);
/* Each path and descriptor, "stderr" left out. */
void		 logs_each(struct logs *, void (*fn)(struct str path, int fd, void *arg), void *arg);

#endif
