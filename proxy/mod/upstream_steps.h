#ifndef WPROXY_MOD_UPSTREAM_STEPS_H
#define WPROXY_MOD_UPSTREAM_STEPS_H

#include "mod/upstream.h"

/* What upstream.c and upstream_answer.c need of each other; nobody else includes this. */

/* upstream.c */
struct upstream	*upstream_of(const struct attempt *);
/* In callbacks: what a step would return. */
void	upstream_go(struct upstream *, enum step_result);
/* A step's result: the next peer is tried, or the request waits, or fails. */
enum step_result	upstream_next_peer(struct upstream *);
/* The request failed for this (NEXT_ bits): may another peer have it? */
bool	upstream_may_try_next(struct upstream *, unsigned why);
enum step_result	upstream_fail(struct upstream *, unsigned status);
/*
 * Finishes the attempt, if there is one; says so when that disabled its peer.  last: no other
 * follows.
 */
void	upstream_attempt_over(struct upstream *, bool complete, enum peer_result, bool last);
void	upstream_set_over(struct upstream *);

/* upstream_answer.c */
void	upstream_on_head(struct attempt *);
/* 101 went out: both connections become one. */
void	upstream_tunnel(struct upstream *);
void	upstream_tunnel_stop(struct upstream *);

#endif
