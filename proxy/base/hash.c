/*
 * Hash of bytes, and a map from str to pointer: entries in insertion order
 * plus an open-addressed table of their indices, at most half full.  Whoever
 * fills the map owns it; afterwards any thread may read.
 *
 *	index: [ 0 | 2 | 0 | 1 | ... ]   0: free, else entry number + 1
 */
#include "base/hash.h"
#include "base/vec.h"

#define INDEX_FIRST	16

struct entry {
	struct str key;
	void *value;
	uint32_t hash;
};

struct hash {
	struct pool *pool;
	struct vec entries;
	uint32_t *index;
	uint32_t mask;		/* size of index - 1 */
	bool ignore_case;
};

/* Multiplication spreads each bit over both halves; odd constants of no meaning. */
static inline uint64_t
mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15ULL) *
	    (b ^ 0xd6e8feb86659fd93ULL);

	return ((uint64_t)product ^ (uint64_t)(product >> 64));
}

/* Sets bit 5 of each of the eight bytes that is an upper-case letter. */
static inline uint64_t
lower8(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101ULL;
	uint64_t low7 = w & (0x7f * ones);
	uint64_t from_a = low7 + (0x80 - 'A') * ones;
	uint64_t past_z = low7 + (0x80 - 'Z' - 1) * ones;

	return (w | ((from_a & ~past_z & ~w & (0x80 * ones)) >> 2));
}

/* The next up to eight bytes, zeros behind. */
static inline uint64_t
load(const char *p, size_t n)
{
	uint64_t w = 0;

	memcpy(&w, p, n);
	return (w);
}

static inline uint32_t
hash_words(struct str s, bool lower)
{
	uint64_t h = s.n, w;

	for (; s.n >= 8; s = str_make(s.p + 8, s.n - 8)) {
		w = load(s.p, 8);
		h = mix(h, lower ? lower8(w) : w);
	}
	if (s.n > 0) {
		w = load(s.p, s.n);
		h = mix(h, lower ? lower8(w) : w);
	}
	return ((uint32_t)(h ^ (h >> 32)));
}

uint32_t
hash_bytes(struct str s)
{
	return (hash_words(s, false));
}

uint32_t
hash_bytes_ci(struct str s)
{
	return (hash_words(s, true));
}

struct hash *
hash_new(struct pool *pool, bool ignore_case)
{
	struct hash *h = pool_new_object(pool, struct hash);

	h->pool = pool;
	h->entries = VEC_OF(struct entry);
	h->index = pool_zalloc(pool, INDEX_FIRST * sizeof(*h->index));
	h->mask = INDEX_FIRST - 1;
	h->ignore_case = ignore_case;
	return (h);
}

static uint32_t
key_hash(const struct hash *h, struct str key)
{
	return (h->ignore_case ? hash_bytes_ci(key) : hash_bytes(key));
}

/* Where the key's entry number is, or would go. */
static uint32_t *
index_find(const struct hash *h, struct str key, uint32_t hash)
{
	for (uint32_t i = hash & h->mask;; i = (i + 1) & h->mask) {
		const struct entry *e;

		if (h->index[i] == 0)
			return (&h->index[i]);
		e = vec_at(&h->entries, struct entry, h->index[i] - 1);
		if (e->hash == hash &&
		    (h->ignore_case ? str_eq_ci(e->key, key) : str_eq(e->key, key)))
			return (&h->index[i]);
	}
}

static void
index_grow(struct hash *h)
{
	uint32_t size = 2 * (h->mask + 1), number = 0;

	h->index = pool_zalloc(h->pool, size * sizeof(*h->index));
	h->mask = size - 1;
	VEC_EACH(&h->entries, struct entry, e) {
		uint32_t i = e->hash & h->mask;

		while (h->index[i] != 0)
			i = (i + 1) & h->mask;
		h->index[i] = ++number;
	}
}

void **
hash_slot(struct hash *h, struct str key)
{
	uint32_t hash = key_hash(h, key);
	uint32_t *at = index_find(h, key, hash);
	struct entry *e;

	if (*at != 0)
		return (&vec_at(&h->entries, struct entry, *at - 1)->value);
	if (2 * (h->entries.count + 1) > h->mask + 1U) {
		index_grow(h);
		at = index_find(h, key, hash);
	}
	e = vec_push(&h->entries, h->pool);
	e->key = key;
	e->hash = hash;
	*at = (uint32_t)h->entries.count;
	return (&e->value);
}

void *
hash_get(const struct hash *h, struct str key)
{
	uint32_t at = *index_find(h, key, key_hash(h, key));

	return (at == 0 ? NULL : vec_at(&h->entries, struct entry, at - 1)->value);
}

size_t
hash_count(const struct hash *h)
{
	return (h->entries.count);
}

void
hash_each(const struct hash *h, void (*fn)(struct str, void *, void *), void *arg)
{
	VEC_EACH(&h->entries, struct entry, e)
		fn(e->key, e->value, arg);
}
