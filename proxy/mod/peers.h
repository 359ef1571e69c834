#ifndef WPROXY_MOD_PEERS_H
#define WPROXY_MOD_PEERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/str.h"
#include "net/addr.h"
#include "net/loop.h"

/*
 * A group of back ends and which of them takes the next try.
 *
 *	registry:    peer_group (by name) -> peers (by address), with their counters
 *	generation:  peer_set -> peer_list (what the file or the resolver says now)
 *	request:     peer_choice: the list it began with, what it tried
 *
 * Counters are exact over threads and outlive generations: a list refers to
 * the group's peer of that address.  All of it is under the group's one leaf lock.
 */
struct request;
struct peer_group;
struct lb_method;

struct peer {
	struct peer_group *group;
	struct addr addr;		/* constant, as are its hash, text and twin */
	uint32_t hash;
	struct str text;		/* "127.0.0.1:4080", "unix:/path": $upstream_addr */
	unsigned twin;			/* of several equal addresses in one group: which */
	struct list link;		/* among the group's */
	unsigned refs;			/* by lists, tries and idle connections */

	unsigned conns;			/* tries under way */
	unsigned fails;
	uint64_t accessed, checked;	/* monotonic ms */
	uint64_t recovered;		/* when it came back, for slow_start; 0: long ago */
	int64_t current_weight;		/* smooth weighted round robin */
	int64_t effective_weight;
	bool seen;			/* the weights above were set */

	_Atomic uint32_t idle_limit;	/* ms: then it closes idle connections; 0: not known */
};

struct peer_options {
	unsigned weight;
	unsigned max_fails;
	uint64_t fail_timeout;		/* ms */
	unsigned max_conns;		/* 0: no limit */
	uint64_t slow_start;		/* ms */
	bool backup;
	bool down;
};

struct peer_slot {
	struct peer *peer;
	struct peer_options options;
	struct str server;		/* as the file says, for hash */
};

/*
 * Frozen once made, but for the method's state; all under the group's lock.  Slots [0, primary)
 * and, as backup, [primary, count).
 */
struct peer_list {
	unsigned refs;
	unsigned count;
	unsigned primary;
	unsigned up;			/* not "down" */
	void *method_state;		/* by the method's init; in pool */
	struct pool *pool;
	struct peer_slot slots[];
};

/* One generation's view of a group; lives in its pool. */
struct peer_set {
	struct peer_group *group;
	const struct lb_method *method;
	const void *method_conf;	/* what the directive said */
	struct peer_list *list;		/* under the lock */
};

/* A request's way through a set.  Zeroed but for set before the first pick. */
struct peer_choice {
	struct peer_set *set;
	struct peer_list *list;
	uint64_t tried_few;		/* bits of the first 64 slots */
	uint64_t *tried_many;		/* all, where there are more */
	struct peer_failure {
		uint32_t slot;
		uint64_t again_at;	/* monotonic ms: may be asked once more from then on */
	} failures[4];			/* the first */
	unsigned failure_count;
	bool prepared;
	struct str key;			/* by the method's prepare; lives as long as the request */
	uint32_t hash;			/* the method's */
	uint64_t now;			/* monotonic ms */
};

/* A slot in use: by an attempt.  Holds refs references to the peer. */
struct peer_try {
	struct peer *peer;		/* NULL: none */
	struct peer_options options;
	uint32_t slot;			/* of the choice's list */
	unsigned refs;
	bool alone;			/* the only peer: never marked failed */
};

enum peer_result { PEER_OK, PEER_FAILED, PEER_UNTESTED };

enum pick_result {
	PICK_OK,
	PICK_DESPERATE,		/* all are marked failed: one that is (D8) */
	PICK_DESPERATE_SAID,	/* the same, and it was said within fail_timeout */
	PICK_WAIT,		/* max_conns stands in the way: the waiter will be granted a slot */
	PICK_FULL,		/* the same, and as many wait as may */
	PICK_BUSY,		/* the same, and nobody may wait */
	PICK_NONE
};

/*
 * A request that waits for a slot.  Oldest first, over all threads.
 *
 *	waiting -> granted (by whoever freed the slot, under the lock, then posted) -> on_granted
 *	    \-> cancelled       \-> abandoned: the slot is handed on
 */
struct peer_waiter {
	struct loop_msg msg;
	struct loop *loop;		/* of the request */
	struct list link;		/* group's */
	struct peer_choice *choice;	/* the request's: under the lock while it waits */
	struct peer_try try;		/* granted */
	bool granted;			/* under the lock */
	bool abandoned;			/* on the request's thread */
	/* On the request's thread: takes try over (or gives it back) and frees the waiter. */
	void (*on_granted)(struct peer_waiter *);
	void *arg;
};
struct peer_waiter	*peer_waiter_new(struct loop *, void (*on_granted)(struct peer_waiter *),
			    void *arg);
/* The request goes: no call follows; the waiter is freed, now or when its message came. */
void			 peer_waiter_cancel(struct peer_waiter *);
void			 peer_waiter_free(struct peer_waiter *);	/* granted, or never queued */
/* One more (fewer) request waits for the group to come back; false: more than max would. */
bool			 peer_group_wait_begin(struct peer_group *, unsigned max);
void			 peer_group_wait_end(struct peer_group *);

/* The group of that name, made if need be; never freed. */
struct peer_group	*peer_group_get(struct str name);
/* A small number, unique in the process. */
unsigned		 peer_group_index(const struct peer_group *);

/* A server of a list under construction.  text: how the address is shown; server: as written. */
struct peer_spec {
	struct addr addr;
	struct str text;
	struct str server;
	struct peer_options options;
};
/*
 * Replaces the set's list, backups last; any thread that may change the set.  Peers of
 * addresses that the group knows are adopted with their counters.
 */
void	peer_set_fill(struct peer_set *, const struct peer_spec *, unsigned count);
/* Are these its peers already, address by address of each server, in whatever order? */
bool	peer_set_equals(const struct peer_set *, const struct peer_spec *, unsigned count);
/* The generation goes: a cleanup function for its pool. */
void	peer_set_release(void *set);

/*
 * The next peer for this request.  On OK and DESPERATE* the try is filled: give it back with
 * peer_done().  Any thread.
 */
enum pick_result	peer_pick(struct peer_choice *, struct request *, struct peer_try *);
/*
 * The same, behind those that wait; the waiter joins them where there is no free slot, if fewer
 * than max do.
 */
enum pick_result	peer_pick_or_wait(struct peer_choice *, struct request *, struct peer_try *,
			    struct peer_waiter *, unsigned max);
/* How many peers there are to try, of the list that the choice holds or would take. */
unsigned		peer_choice_size(struct peer_choice *);
/* This failure counts now, though the slot is kept (detached attempts).  True as peer_done(). */
bool	peer_fail(struct peer_try *, uint64_t now);
/* A try at an address that belongs to no set (computed by variables). */
void	peer_try_alone(struct peer_try *, struct peer_group *, const struct addr *, struct str text);
/*
 * The try is over.  keep: one reference goes on with an idle connection.  ended: the choice of
 * the request, which is over too (NULL: it goes on, or is gone).  True: this failure has just
 * disabled the peer (nginx's "upstream server temporarily disabled" is due).
 */
bool	peer_done(struct peer_try *, enum peer_result, bool keep, struct peer_choice *ended, uint64_t now);
void	peer_choice_end(struct peer_choice *);
/* Nobody was tried yet; the list is the newest. */
void	peer_choice_restart(struct peer_choice *);
/*
 * The peer did not answer.  When all were asked and the last of them died with the request, those
 * whose time has come by now are to be asked once more, for they may be back: how many.
 */
void	peer_choice_failed(struct peer_choice *, const struct peer_try *, uint64_t again_at);
unsigned	peer_choice_again(struct peer_choice *, uint64_t now);
/* The try has succeeded so far, and goes on: whatever failed before is over. */
void	peer_works(const struct peer_try *, uint64_t now);
/* An idle connection is closed. */
void	peer_drop(struct peer *);
/* An idle connection's reference goes from one peer to another of the same group and address. */
void	peer_swap(struct peer *from, struct peer *to);

/* For methods, under the lock: may slot i be picked now? */
bool	peer_usable(const struct peer_choice *, unsigned i);
/* A slot's weight now, in hundredths: less while it starts slowly.  Not 0. */
int64_t	peer_weight(const struct peer_choice *, unsigned i);
/*
 * No peer of the group that is not down has fewer tries under way: what was set, lowered as tries
 * end.
 */
unsigned	peer_least_conns(const struct peer_choice *);
void	peer_set_least_conns(const struct peer_choice *, unsigned);

#endif
