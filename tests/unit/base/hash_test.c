/* proxy/base/hash.c */
#include <stdio.h>

#include "../unit.h"
#include "base/hash.h"

START_TEST(slots)
{
	struct pool *pool = pool_new(0);
	struct hash *h = hash_new(pool, false);

	ck_assert_ptr_null(hash_get(h, STR("a")));
	*hash_slot(h, STR("a")) = "1";
	*hash_slot(h, STR("A")) = "2";
	*hash_slot(h, STR_NULL) = "3";
	*hash_slot(h, STR("a")) = "4";
	ck_assert_str_eq(hash_get(h, STR("a")), "4");
	ck_assert_str_eq(hash_get(h, STR("A")), "2");
	ck_assert_str_eq(hash_get(h, STR("")), "3");
	ck_assert_ptr_null(hash_get(h, STR("b")));
	ck_assert_uint_eq(hash_count(h), 3);
	pool_free(pool);
}
END_TEST

START_TEST(ignoring_case)
{
	struct pool *pool = pool_new(0);
	struct hash *h = hash_new(pool, true);

	*hash_slot(h, STR("Content-Type-And-More")) = "1";
	ck_assert_str_eq(hash_get(h, STR("content-tYPE-and-MORE")), "1");
	ck_assert_ptr_null(hash_get(h, STR("content_type_and_more")));
	*hash_slot(h, STR("@")) = "2";
	ck_assert_ptr_null(hash_get(h, STR("`")));
	pool_free(pool);
}
END_TEST

static void
in_order(struct str key, void *value, void *arg)
{
	int *next = arg;
	char text[16];

	snprintf(text, sizeof(text), "key%d", *next);
	ck_assert_text(key, text);
	ck_assert_int_eq(*(int *)value, *next);
	(*next)++;
}

START_TEST(many)
{
	struct pool *pool = pool_new(0);
	struct hash *h = hash_new(pool, false);
	int numbers[5000], next = 0;

	for (int i = 0; i < 5000; i++) {
		numbers[i] = i;
		*hash_slot(h, pool_printf(pool, "key%d", i)) = &numbers[i];
	}
	for (int i = 0; i < 5000; i++)
		ck_assert_ptr_eq(hash_get(h, pool_printf(pool, "key%d", i)), &numbers[i]);
	ck_assert_ptr_null(hash_get(h, STR("key5000")));
	hash_each(h, in_order, &next);
	ck_assert_int_eq(next, 5000);
	pool_free(pool);
}
END_TEST

START_TEST(case_folding_of_every_byte)
{
	/* Eight at once and one by one must agree with ascii_lower. */
	for (int c = 0; c < 256; c++)
		for (size_t n = 1; n <= 17; n += 4) {
			char s[17], lower[17];

			for (size_t i = 0; i < n; i++) {
				s[i] = (char)(c + (int)i * 31);
				lower[i] = (char)ascii_lower((unsigned char)s[i]);
			}
			ck_assert_uint_eq(hash_bytes_ci(str_make(s, n)),
			    hash_bytes_ci(str_make(lower, n)));
			ck_assert_uint_eq(hash_bytes_ci(str_make(s, n)),
			    hash_bytes(str_make(lower, n)));
		}
}
END_TEST

START_TEST(spread)
{
	unsigned buckets[256] = { 0 };
	char text[32];

	for (int i = 0; i < 25600; i++) {
		int n = snprintf(text, sizeof(text), "/tiles/%d/%d.jpg", i / 160, i % 160);

		buckets[hash_bytes(str_make(text, (size_t)n)) & 255]++;
	}
	for (int i = 0; i < 256; i++) {
		ck_assert_uint_gt(buckets[i], 40);
		ck_assert_uint_lt(buckets[i], 180);
	}
	/* Length counts: trailing zeros are not padding. */
	ck_assert_uint_ne(hash_bytes(STR("a")), hash_bytes(STR("a\0")));
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, slots);
	tcase_add_test(tcase, ignoring_case);
	tcase_add_test(tcase, many);
	tcase_add_test(tcase, case_folding_of_every_byte);
	tcase_add_test(tcase, spread);
}

int
main(void)
{
	return (unit_main("base/hash", add));
}
