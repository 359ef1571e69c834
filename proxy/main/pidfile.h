#ifndef WPROXY_MAIN_PIDFILE_H
#define WPROXY_MAIN_PIDFILE_H

#include <sys/types.h>

#include "conf/conf.h"

/*
 * The file that holds the master's number.  -1 after logging; at: of the directive,
 * line 0: it is the build's default.
 */
int	pidfile_write(struct str path, pid_t, const struct conf_position *at)
	    __attribute__((warn_unused_result));
int	pidfile_read(struct str path, pid_t *) __attribute__((warn_unused_result));
int	pidfile_rename(struct str from, struct str to) __attribute__((warn_unused_result));
/* Only while it holds this pid: another master may have taken the name. */
void	pidfile_remove(struct str path, pid_t);

#endif
