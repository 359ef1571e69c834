/* proxy/mod/ssl_cache.c: what is kept, and what goes first. */
#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "mod/ssl_cache.h"

static struct str
id_of(unsigned i, char room[static 32])
{
	memset(room, 0, 32);
	(void)snprintf(room, 32, "%u", i * 2654435761u);
	return (str_make(room, 32));
}

static size_t
find(struct ssl_cache *cache, unsigned i, uint64_t now)
{
	char id[32], room[256];

	return (ssl_cache_find(cache, id_of(i, id), now, room, sizeof(room)));
}

static void
put(struct ssl_cache *cache, unsigned i, uint64_t expires)
{
	char id[32];

	ssl_cache_put(cache, id_of(i, id), STR("a session"), expires);
}

START_TEST(kept)
{
	struct ssl_cache *cache = ssl_cache_get(STR("kept"), 1 << 20, 0);
	char id[32], room[256], small[4];

	ck_assert_ptr_eq(cache, ssl_cache_get(STR("kept"), 1 << 20, 0));
	ck_assert_ptr_ne(cache, ssl_cache_get(STR("other"), 1 << 20, 0));
	put(cache, 1, 100);
	put(cache, 1, 100);
	ck_assert_uint_eq(ssl_cache_count(cache), 1);
	ck_assert_uint_eq(ssl_cache_find(cache, id_of(1, id), 50, room, sizeof(room)), 9);
	ck_assert_mem_eq(room, "a session", 9);
	ck_assert_uint_eq(ssl_cache_find(cache, id_of(1, id), 50, small, sizeof(small)), 0);
	ck_assert_uint_eq(find(cache, 2, 50), 0);
	/* Expired: gone. */
	ck_assert_uint_eq(find(cache, 1, 100), 0);
	ck_assert_uint_eq(ssl_cache_count(cache), 0);
	put(cache, 1, 100);
	ssl_cache_drop(cache, id_of(1, id));
	ssl_cache_drop(cache, id_of(7, id));
	ck_assert_uint_eq(find(cache, 1, 50), 0);
}
END_TEST

/* What no client has is refused: no id, a long one, a huge session. */
START_TEST(refused)
{
	struct ssl_cache *cache = ssl_cache_get(STR("refused"), 0, 0);
	char long_id[64] = "x", huge[SSL_SESSION_BYTES_MAX + 1] = "x";

	ssl_cache_put(cache, STR(""), STR("s"), 100);
	ssl_cache_put(cache, str_make(long_id, 33), STR("s"), 100);
	ssl_cache_put(cache, STR("id"), str_make(huge, sizeof(huge)), 100);
	ck_assert_uint_eq(ssl_cache_count(cache), 0);
	ck_assert_uint_eq(ssl_cache_find(cache, str_make(long_id, 33), 1, huge, sizeof(huge)), 0);
	ssl_cache_put(cache, STR("i"), STR("s"), 100);
	ck_assert_uint_eq(ssl_cache_count(cache), 1);
}
END_TEST

START_TEST(least_recently_used)
{
	struct ssl_cache *cache = ssl_cache_get(STR("lru"), 0, 100);

	for (unsigned i = 0; i < 100; i++)
		put(cache, i, 100);
	ck_assert_uint_gt(find(cache, 0, 1), 0);	/* used again */
	put(cache, 100, 100);
	ck_assert_uint_eq(ssl_cache_count(cache), 100);
	ck_assert_uint_gt(find(cache, 0, 1), 0);
	ck_assert_uint_eq(find(cache, 1, 1), 0);
	ck_assert_uint_gt(find(cache, 100, 1), 0);
}
END_TEST

START_TEST(bytes_are_bounded)
{
	struct ssl_cache *cache = ssl_cache_get(STR("bytes"), 32768, 0);
	size_t before;

	for (unsigned i = 0; i < 5000; i++) {
		put(cache, i, 100);
		ck_assert_uint_gt(find(cache, i, 1), 0);
	}
	before = ssl_cache_count(cache);
	ck_assert_uint_gt(before, 100);
	ck_assert_uint_lt(before, 400);
	/* A later configuration's bound counts. */
	(void)ssl_cache_get(STR("bytes"), 16384, 0);
	ck_assert_uint_le(ssl_cache_count(cache), before / 2 + 1);
	ck_assert_uint_gt(find(cache, 4999, 1), 0);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, kept);
	tcase_add_test(tcase, refused);
	tcase_add_test(tcase, least_recently_used);
	tcase_add_test(tcase, bytes_are_bounded);
}

int
main(void)
{
	return (unit_main("ssl_cache", add));
}
