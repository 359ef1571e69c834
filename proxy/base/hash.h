#ifndef WPROXY_BASE_HASH_H
#define WPROXY_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/str.h"

uint32_t	hash_bytes(struct str);		/* as given */
uint32_t	hash_bytes_ci(struct str);	/* as if lower-cased (ASCII) */

/*
 * Map from str to pointer, filled while a configuration is read (or under the
 * owner's lock), read-only afterwards: then any thread may read.  Keys are not
 * copied.  Lives in a pool.
 */
struct hash;

struct hash	*hash_new(struct pool *, bool ignore_case);
/* The slot of key, made with NULL in it when absent.  Valid until the next hash_slot(). */
void		**hash_slot(struct hash *, struct str key);
/* NULL when absent. */
void		*hash_get(const struct hash *, struct str key);
size_t		 hash_count(const struct hash *);
/* Visits in insertion order. */
void		 hash_each(const struct hash *, void (*fn)(struct str key, void *value, void *arg),
		    void *arg);

#endif
