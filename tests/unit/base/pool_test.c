/* proxy/base/pool.c and vec.c */
#include <stdalign.h>
#include <stdio.h>

#include "../unit.h"
#include "base/pool.h"
#include "base/vec.h"

START_TEST(aligned_and_apart)
{
	struct pool *pool = pool_new(0);
	size_t sizes[] = { 0, 1, 7, 16, 100, 4095, 4096, 5000, 100000 };
	char *blocks[200];

	for (unsigned i = 0; i < ROWS(blocks); i++) {
		size_t n = sizes[i % ROWS(sizes)];

		blocks[i] = pool_alloc(pool, n);
		ck_assert_ptr_nonnull(blocks[i]);
		ck_assert_uint_eq((uintptr_t)blocks[i] % alignof(max_align_t), 0);
		memset(blocks[i], (int)i, n);
	}
	for (unsigned i = 0; i < ROWS(blocks); i++) {
		size_t at = 0;

		while (at < sizes[i % ROWS(sizes)] && (unsigned char)blocks[i][at] == i)
			at++;
		ck_assert_uint_eq(at, sizes[i % ROWS(sizes)]);
	}
	pool_free(pool);
}
END_TEST

START_TEST(small_footprint)
{
	struct pool *pool = pool_new(0);
	size_t first = pool_footprint(pool);

	ck_assert_uint_lt(first, 8192 + 256);
	for (int i = 0; i < 50; i++)
		(void)pool_alloc(pool, 32);
	ck_assert_uint_eq(pool_footprint(pool), first);
	for (int i = 0; i < 10000; i++)
		(void)pool_alloc(pool, 32);
	/* 16 KiB blocks with a part for the sanitizer's gaps. */
	ck_assert_uint_lt(pool_footprint(pool), 2 * 10000 * 32);
	pool_free(pool);
	pool_free(NULL);
}
END_TEST

START_TEST(zeroed)
{
	struct pool *pool = pool_new(64);
	char *p = pool_zalloc(pool, 3000);

	for (int i = 0; i < 3000; i++)
		ck_assert_int_eq(p[i], 0);
	/* A small first block, then all sizes. */
	for (size_t n = 0; n < 6000; n += 37)
		memset(pool_alloc(pool, n), 1, n);
	pool_free(pool);
}
END_TEST

START_TEST(texts)
{
	struct pool *pool = pool_new(0);
	struct str parts[] = { STR("ab"), STR_NULL, STR("c") }, s;

	s = pool_strdup(pool, STR("a\0b"));
	ck_assert_bytes(s, "a\0b");
	ck_assert_int_eq(s.p[3], '\0');
	ck_assert_str_eq(pool_cstr(pool, STR_NULL), "");
	s = pool_concat(pool, ROWS(parts), parts);
	ck_assert_bytes(s, "abc");
	ck_assert_int_eq(s.p[s.n], '\0');
	ck_assert_bytes(pool_printf(pool, "%d-%s", 42, "x"), "42-x");
	/* Longer than the space that is tried first. */
	for (int n = 250; n < 260; n++) {
		s = pool_printf(pool, "%0*d", n, 7);
		ck_assert_uint_eq(s.n, (size_t)n);
		ck_assert_int_eq(s.p[n - 1], '7');
		ck_assert_int_eq(s.p[n], '\0');
	}
	pool_free(pool);
}
END_TEST

static char order[8];
static struct pool *dying;

static void
note(void *arg)
{
	char *name = arg;

	strncat(order, name, 1);
	if (*name == 'b')	/* a cleanup may use the arena */
		pool_cleanup(dying, note, pool_cstr(dying, STR("z")));
}

START_TEST(cleanups_last_first)
{
	dying = pool_new(0);
	pool_cleanup(dying, note, (char[]){ "a" });
	pool_cleanup(dying, note, (char[]){ "b" });
	pool_cleanup(dying, note, (char[]){ "c" });
	ck_assert_str_eq(order, "");
	pool_free(dying);
	ck_assert_str_eq(order, "cbza");
}
END_TEST

START_TEST(vec_grows)
{
	struct pool *pool = pool_new(0);
	struct vec v = VEC_OF(int);
	int sum = 0;

	VEC_EACH(&v, int, it)
		ck_abort_msg("an empty vec has an element");
	for (int i = 0; i < 1000; i++) {
		int *last = vec_push(&v, pool);

		ck_assert_int_eq(*last, 0);
		*last = i;
	}
	ck_assert_uint_eq(v.count, 1000);
	ck_assert_int_eq(*vec_at(&v, int, 500), 500);
	VEC_EACH(&v, int, it)
		sum += *it;
	ck_assert_int_eq(sum, 499500);
	pool_free(pool);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, aligned_and_apart);
	tcase_add_test(tcase, small_footprint);
	tcase_add_test(tcase, zeroed);
	tcase_add_test(tcase, texts);
	tcase_add_test(tcase, cleanups_last_first);
	tcase_add_test(tcase, vec_grows);
}

int
main(void)
{
	return (unit_main("base/pool", add));
}
