/*
 * The cache of TLS sessions: a hash of ids and a list by use, under one short
 * lock each.  Filled and asked by OpenSSL's callbacks below, which serve TLS 1.2
 * ids and TLS 1.3 without tickets.
 */
#include "mod/ssl_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/pool.h"
#include "http/registry.h"
#include "mod/ssl.h"

#define BUCKETS		4096
#define ID_MAX		32
/* A session takes this much besides its bytes: node, lists, malloc. */
#define NODE_COST	(sizeof(struct cached) + 16)

struct cached {
	struct cached *next;	/* of the bucket */
	struct list used;	/* most recent first */
	uint64_t expires;
	uint32_t hash;
	uint32_t size;
	uint8_t id_size;
	unsigned char id[ID_MAX];
	char bytes[];
};

struct ssl_cache {
	pthread_mutex_t lock;	/* leaf */
	struct list used;
	uint64_t bytes, bytes_max;
	uint64_t count, count_max;
	struct cached *buckets[BUCKETS];
};

/* --- the cache --- */

/* Ids are random bytes: some of them are hash enough. */
static uint32_t
id_hash(struct str id)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < 4 && i < id.n; i++)
		hash = hash << 8 | (unsigned char)id.p[i];
	return (hash);
}

static struct cached **
cached_at(struct ssl_cache *cache, struct str id)
{
	uint32_t hash = id_hash(id);
	struct cached **at = &cache->buckets[hash % BUCKETS];

	while (*at != NULL && ((*at)->hash != hash || (*at)->id_size != id.n ||
	    memcmp((*at)->id, id.p, id.n) != 0))
		at = &(*at)->next;
	return (at);
}

static void
cached_remove(struct ssl_cache *cache, struct cached **at)
{
	struct cached *c = *at;

	*at = c->next;
	list_remove(&c->used);
	cache->bytes -= c->size + NODE_COST;
	cache->count--;
	OPENSSL_cleanse(c->bytes, c->size);	/* it holds a master secret */
	free(c);
}

static void
cache_trim(struct ssl_cache *cache)
{
	while (!list_is_empty(&cache->used) &&
	    ((cache->bytes_max != 0 && cache->bytes > cache->bytes_max) ||
	    (cache->count_max != 0 && cache->count > cache->count_max))) {
		struct cached *c = list_item(cache->used.prev, struct cached, used);

		cached_remove(cache, cached_at(cache, str_make((char *)c->id, c->id_size)));
	}
}

static void *
cache_make(void *arg)
{
	struct ssl_cache *cache = xcalloc(1, sizeof(*cache));

	(void)arg;
	pthread_mutex_init(&cache->lock, NULL);
	list_init(&cache->used);
	return (cache);
}

struct ssl_cache *
ssl_cache_get(struct str name, uint64_t bytes_max, uint64_t count_max)
{
	struct ssl_cache *cache = registry_get(STR("ssl_sessions"), name, cache_make, NULL);

	pthread_mutex_lock(&cache->lock);
	cache->bytes_max = bytes_max;
	cache->count_max = count_max;
	cache_trim(cache);
	pthread_mutex_unlock(&cache->lock);
	return (cache);
}

void
ssl_cache_put(struct ssl_cache *cache, struct str id, struct str session, uint64_t expires)
{
	struct cached *c, **at;

	if (id.n == 0 || id.n > ID_MAX || session.n > SSL_SESSION_BYTES_MAX)
		return;
	c = xmalloc(sizeof(*c) + session.n);
	list_init(&c->used);
	c->expires = expires;
	c->hash = id_hash(id);
	c->size = (uint32_t)session.n;
	c->id_size = (uint8_t)id.n;
	memcpy(c->id, id.p, id.n);
	memcpy(c->bytes, session.p, session.n);
	pthread_mutex_lock(&cache->lock);
	at = cached_at(cache, id);
	if (*at != NULL)
		cached_remove(cache, at);
	at = &cache->buckets[c->hash % BUCKETS];
	c->next = *at;
	*at = c;
	list_push_front(&cache->used, &c->used);
	cache->bytes += c->size + NODE_COST;
	cache->count++;
	cache_trim(cache);
	pthread_mutex_unlock(&cache->lock);
}

size_t
ssl_cache_find(struct ssl_cache *cache, struct str id, uint64_t now, char *room, size_t size)
{
	struct cached **at;
	size_t n = 0;

	if (id.n > ID_MAX)
		return (0);
	pthread_mutex_lock(&cache->lock);
	at = cached_at(cache, id);
	if (*at != NULL && (*at)->expires <= now) {
		cached_remove(cache, at);
	} else if (*at != NULL && (*at)->size <= size) {
		n = (*at)->size;
		memcpy(room, (*at)->bytes, n);
		list_remove(&(*at)->used);
		list_push_front(&cache->used, &(*at)->used);
	}
	pthread_mutex_unlock(&cache->lock);
	return (n);
}

void
ssl_cache_drop(struct ssl_cache *cache, struct str id)
{
	struct cached **at;

	if (id.n > ID_MAX)
		return;
	pthread_mutex_lock(&cache->lock);
	at = cached_at(cache, id);
	if (*at != NULL)
		cached_remove(cache, at);
	pthread_mutex_unlock(&cache->lock);
}

size_t
ssl_cache_count(struct ssl_cache *cache)
{
	size_t n;

	pthread_mutex_lock(&cache->lock);
	n = (size_t)cache->count;
	pthread_mutex_unlock(&cache->lock);
	return (n);
}

/* --- OpenSSL's side --- */

static struct str
session_id(const SSL_SESSION *session)
{
	unsigned n;
	const unsigned char *id = SSL_SESSION_get_id(session, &n);

	return (str_make((const char *)id, n));
}

/* Returns 0: the reference stays OpenSSL's. */
static int
session_made(SSL *ssl, SSL_SESSION *session)
{
	const struct ssl_site *site = ssl_site_of(ssl);
	unsigned char bytes[SSL_SESSION_BYTES_MAX], *p = bytes;
	int n;

	if (site->cache == NULL)
		return (0);
	/* Where a ticket says it all the id is not used again. */
	if (SSL_version(ssl) == TLS1_3_VERSION && site->tickets)
		return (0);
	n = i2d_SSL_SESSION(session, NULL);
	if (n <= 0 || n > SSL_SESSION_BYTES_MAX)
		return (0);
	(void)i2d_SSL_SESSION(session, &p);
	ssl_cache_put(site->cache, session_id(session), str_make((char *)bytes, (size_t)n),
	    (uint64_t)clock_wall() + (uint64_t)SSL_SESSION_get_timeout(session));
	OPENSSL_cleanse(bytes, (size_t)n);
	return (0);
}

static SSL_SESSION *
session_wanted(SSL *ssl, const unsigned char *id, int id_size, int *copy)
{
	const struct ssl_site *site = ssl_site_of(ssl);
	unsigned char bytes[SSL_SESSION_BYTES_MAX];
	const unsigned char *p = bytes;
	SSL_SESSION *session = NULL;
	size_t n;

	*copy = 0;
	if (site->cache == NULL)
		return (NULL);
	n = ssl_cache_find(site->cache, str_make((const char *)id, (size_t)id_size),
	    (uint64_t)clock_wall(), (char *)bytes, sizeof(bytes));
	if (n > 0)
		session = d2i_SSL_SESSION(NULL, &p, (long)n);
	OPENSSL_cleanse(bytes, n);
	return (session);
}

static void
session_removed(SSL_CTX *ctx, SSL_SESSION *session)
{
	const struct ssl_site *site = ssl_site_of_context(ctx);

	if (site != NULL && site->cache != NULL)
		ssl_cache_drop(site->cache, session_id(session));
}

/*
 * Which site counts is known only once the SNI name was read, and OpenSSL asks the context that
 * the connection began with: so every context has the callbacks.
 */
void
ssl_cache_use(struct ssl_ctx_st *ctx)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_AUTO_CLEAR |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, session_made);
	SSL_CTX_sess_set_get_cb(ctx, session_wanted);
	SSL_CTX_sess_set_remove_cb(ctx, session_removed);
}
