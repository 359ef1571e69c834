#ifndef WPROXY_MOD_FORWARDED_H
#define WPROXY_MOD_FORWARDED_H

#include <stdbool.h>

#include "base/str.h"
#include "base/vec.h"
#include "net/addr.h"

/* Is the address in one of these struct addr_net? */
bool	nets_contain(const struct vec *nets, const struct addr *);

/*
 * The client's address as proxies in front tell it in list-valued fields.  values: the lists in
 * field order ("a, b"); nets: struct addr_net of those that are believed.  *addr is the
 * address that spoke to us, and on true the one to use instead: the last of the list, or
 * (recursive) the last one that is no such proxy.  False: *addr is as it was.
 */
bool	forwarded_addr(struct addr *addr, const struct str *values, unsigned count,
	    const struct vec *nets, bool recursive);

#endif
