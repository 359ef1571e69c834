#ifndef WPROXY_MAIN_CHECK_H
#define WPROXY_MAIN_CHECK_H

#include "main/generation.h"

/*
 * -s check, for health checks of containers and monitors: the process of the pid file lives and
 * every TCP and unix address of the configuration takes a connection within CHECK_WAIT_MS.  0; -1
 * after saying on the main log what is wrong.  Blocks; for the command line only.
 */
#define CHECK_WAIT_MS	2000
int	check_running(const struct generation *) __attribute__((warn_unused_result));

#endif
