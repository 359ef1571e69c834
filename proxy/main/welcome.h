#ifndef WPROXY_MAIN_WELCOME_H
#define WPROXY_MAIN_WELCOME_H

#include "main/options.h"

/*
 * To a person whose wproxy found no configuration, on stderr: what to do next.  Says nothing
 * where a file was named, or the file is there.
 */
void	welcome_print(const struct options *);

#endif
