#ifndef WPROXY_CONF_SUGGEST_H
#define WPROXY_CONF_SUGGEST_H

#include "base/str.h"
#include "base/vec.h"

/*
 * The name (struct str in names) that was probably meant: a spelling or two
 * away, or one of which wrong is a part.  Absent when nothing is near.  Pure.
 */
struct str	suggest_name(struct str wrong, const struct vec *names);

#endif
