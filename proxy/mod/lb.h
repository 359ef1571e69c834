#ifndef WPROXY_MOD_LB_H
#define WPROXY_MOD_LB_H

#include <stdint.h>

#include "mod/peers.h"

/*
 * A balancing method: one file, one record, one row in group.c.  pick runs
 * under the group's lock: it computes over the list and calls nobody.
 */
#define LB_NONE	UINT32_MAX

struct lb_method {
	const char *name;
	bool backups;		/* the method allows servers marked "backup" */
	/* For a list just made: e.g. a ring of points, in the list's pool.  May be NULL. */
	void	*(*init)(struct peer_list *, const void *conf);
	/* Before the lock: what this request is hashed by.  May be NULL. */
	void	(*prepare)(struct peer_choice *, struct request *, const void *conf);
	/* One usable slot in [from, to), or LB_NONE. */
	uint32_t (*pick)(struct peer_choice *, unsigned from, unsigned to);
};

/* What "hash" and "random" say. */
struct lb_hash_conf {
	struct tpl *key;
	bool consistent;
};
struct lb_random_conf {
	bool two;
};

extern const struct lb_method lb_round_robin;
extern const struct lb_method lb_least_conn;
extern const struct lb_method lb_ip_hash;
extern const struct lb_method lb_hash;
extern const struct lb_method lb_random;

/*
 * Up to so many slots all are looked at for each pick, in nginx's order; of more only as many as
 * it takes to find one, so that a pick among a thousand costs no more than one among ten.
 */
#define LB_SMALL	32

/*
 * The weights of the primary slots summed up, for who divides a number among them.  In the list's
 * pool.
 */
struct lb_weights {
	unsigned count;
	uint32_t total;
	uint32_t upto[];	/* of the slots [0, i] */
};
struct lb_weights	*lb_weights_new(struct peer_list *);
/* The slot that number at (< total) belongs to. */
uint32_t		 lb_weights_find(const struct lb_weights *, uint32_t at);

/* What a key is on the ring of "hash ... consistent". */
uint32_t	lb_hash_of(struct str key);
/* Smooth weighted round robin, where other methods have a tie or find nothing. */
uint32_t	lb_next(struct peer_choice *, unsigned from, unsigned to);
/* The same among the slots for which keep is true. */
uint32_t	lb_next_of(struct peer_choice *, unsigned from, unsigned to,
		    bool (*keep)(const struct peer_choice *, unsigned i, const void *arg), const void *arg);

#endif
