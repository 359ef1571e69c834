#ifndef WPROXY_MAIN_SOCKETS_H
#define WPROXY_MAIN_SOCKETS_H

#include <stdbool.h>

#include "base/list.h"
#include "main/generation.h"
#include "net/addr.h"
#include "net/listener.h"

/*
 * The listening sockets of a process by address.  The master binds them and
 * keeps them while their address is configured, so that no worker's end closes
 * one; the worker has them from the fork or is handed them.  For the process' first thread
 * (thread.c reads them while that one waits).
 */
struct socket_group {
	struct list link;
	struct addr addr;
	int *fds;
	unsigned count;
	bool ours;	/* made by a wproxy, not systemd: a unix socket's path goes with it */
	bool fresh;	/* for a configuration that is not yet in force */
};

struct sockets {
	struct list groups;
};

void	sockets_init(struct sockets *);
/* Adds descriptors, which are taken over, to the group of the address, made if need be. */
struct socket_group	*sockets_add(struct sockets *, const struct addr *, const int *fds,
			    unsigned count);
struct socket_group	*sockets_find(const struct sockets *, const struct addr *);

enum sockets_effort {
	SOCKETS_TEST,	/* -t: an address in use is no error */
	SOCKETS_ONCE,	/* one try (reload) */
	SOCKETS_TRY	/* nginx's five tries, 500 ms apart (start) */
};
/*
 * Binds what the generation listens on and is not there yet, `threads` sockets each, marked
 * fresh; applies changed options to the others.  -1 after logging; then sockets_abandon().
 */
int	sockets_bind(struct sockets *, const struct generation *, enum sockets_effort)
	    __attribute__((warn_unused_result));
/* The fresh ones are here to stay; those the generation does not listen on are closed. */
void	sockets_commit(struct sockets *, const struct generation *, bool remove_paths);
/* The fresh ones are closed. */
void	sockets_abandon(struct sockets *, bool remove_paths);
void	sockets_close(struct sockets *, bool remove_paths);

/*
 * Descriptors inherited through "6;7;8;" (a binary upgrade) or counted from first.  -1: malformed.
 */
int	sockets_inherit(struct sockets *, struct str list);
void	sockets_inherit_range(struct sockets *, int first, unsigned count);
/* "6;7;8;" of all, in pool. */
struct str	sockets_list(const struct sockets *, struct pool *);
/* Clears close-on-exec of all: in the child that becomes the new binary. */
void	sockets_keep_on_exec(const struct sockets *);

#endif
