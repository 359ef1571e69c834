#ifndef WPROXY_BASE_HINT_H
#define WPROXY_BASE_HINT_H

#include "base/pool.h"
#include "base/str.h"

/*
 * What helps a person whose file could not be used, for the end of a message: which part of
 * the path is missing, or keeps this account out.  They look at the disk: for where a
 * configuration is read, or a request for a file was refused.
 */

/* After a failed call on an absolute path: a clause without a full stop, absent: nothing to add. */
struct str	hint_path(struct pool *, struct str path, int error);
/* The first folder on the way that may not be entered; the path itself where all may. */
struct str	hint_barred(struct pool *, struct str path);

#endif
