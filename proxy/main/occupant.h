#ifndef WPROXY_MAIN_OCCUPANT_H
#define WPROXY_MAIN_OCCUPANT_H

#include "base/pool.h"
#include "net/addr.h"

/*
 * Who listens at an address that could not be bound: 'process 812 "nginx"', absent where /proc
 * does not tell (processes of others are open to root only).  Reads all of /proc: for the
 * message of a start that failed.
 */
struct str	occupant_find(struct pool *, const struct addr *);

#endif
