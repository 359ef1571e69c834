#ifndef WPROXY_MOD_SSL_CACHE_H
#define WPROXY_MOD_SSL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Sessions to resume by their id (ssl_session_cache): serialised, bounded,
 * shared by all threads; in the registry, so they outlive a reload.  The least
 * recently used goes first.  Any thread.
 */
struct ssl_cache;
struct ssl_ctx_st;

/* Of the registry; bounds of a later configuration replace the earlier ones.  0: none. */
struct ssl_cache	*ssl_cache_get(struct str name, uint64_t bytes_max, uint64_t count_max);

/* expires: seconds of the wall clock. */
void	ssl_cache_put(struct ssl_cache *, struct str id, struct str session, uint64_t expires);
/* A copy in room; its size, 0: none, or it has expired. */
size_t	ssl_cache_find(struct ssl_cache *, struct str id, uint64_t now, char *room, size_t size);
void	ssl_cache_drop(struct ssl_cache *, struct str id);
size_t	ssl_cache_count(struct ssl_cache *);

#define SSL_SESSION_BYTES_MAX	8192	/* larger ones (certificates of clients) are not kept */

/* The callbacks of a context whose site (ssl.h) has the cache, or none. */
void	ssl_cache_use(struct ssl_ctx_st *);

#endif
