#ifndef WPROXY_MAIN_PRIVILEGE_H
#define WPROXY_MAIN_PRIVILEGE_H

#include "http/site.h"
#include "main/core.h"

/*
 * What differs between the master and the worker process: limits, priority, the
 * user.  Before threads are started.  -1 after logging: the worker must not go on.
 */
int	worker_settle(const struct process_settings *) __attribute__((warn_unused_result));
/* worker_rlimit_nofile, or as much as the connections need and may have.  A failure is logged. */
void	limit_descriptors(const struct process_settings *);
/* How many more descriptors this process may open, about. */
uint64_t	descriptors_left(void);
/*
 * Makes the folders for temporary files and gives them to the worker's user.  What fails is
 * logged once and served on without.
 */
void	temp_folders_make(const struct http_conf *, const struct process_user *);

#endif
