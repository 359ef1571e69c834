#ifndef WPROXY_MAIN_START_H
#define WPROXY_MAIN_START_H

#include "main/options.h"

/* Everything after the command line was read: -t, -T, -s, or the service.  The exit status. */
int	start_run(const struct options *);

#endif
