#ifndef WPROXY_HTTP_REGISTRY_H
#define WPROXY_HTTP_REGISTRY_H

#include "base/str.h"

/*
 * What outlives a configuration: objects by kind and name, for the life of the
 * process (limit zones and the like).  Objects are never removed: a later
 * configuration that names one again goes on with it.
 */

/* The smallest zone that nginx takes, for the bookkeeping of its pages. */
#define ZONE_MIN	(8 * 4096)

/*
 * The object, made by make(arg) when the name is new.  make runs under the registry's lock:
 * it takes no lock and calls nothing of the registry.  Any thread.
 */
void	*registry_get(struct str kind, struct str name, void *(*make)(void *arg), void *arg);

#endif
