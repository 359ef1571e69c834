#ifndef WPROXY_NET_OFFLOAD_H
#define WPROXY_NET_OFFLOAD_H

#include "net/loop.h"

/*
 * One helper thread per process for what would block a loop: password hashes,
 * folders that are read.  Jobs run in order; results come back by mailbox.
 */
struct offload_job {
	struct loop_msg msg;
	struct loop *loop;			/* where done() runs */
	void (*work)(struct offload_job *);	/* on the helper thread */
	void (*done)(struct offload_job *);	/* on loop; not called after a cancel */
	bool cancelled;				/* written on loop only */
	struct offload_job *next;
};

int	offload_start(void);			/* -1 with errno */
/* the job must stay alive until done() or freed() */
void	offload_submit(struct offload_job *);
/*
 * After this done() is not called; released(job) is, once nothing refers to the job any more, on
 * loop.
 */
void	offload_cancel(struct offload_job *, void (*released)(struct offload_job *));
void	offload_stop(void);			/* waits for the job under way */

#endif
