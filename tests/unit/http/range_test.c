/* proxy/http/range.c */
#include "../unit.h"
#include "http/range.h"

#define MAX	3

static const struct {
	const char *value;
	uint64_t size;
	int count;
	struct byte_range want[MAX];
} ranges[] = {
	{ "bytes=0-0", 10, 1, { { 0, 0 } } }, { "bytes=0-", 10, 1, { { 0, 9 } } },
	{ "bytes=2-5", 10, 1, { { 2, 5 } } }, { "bytes=5-100", 10, 1, { { 5, 9 } } },
	{ "bytes=-3", 10, 1, { { 7, 9 } } }, { "bytes=-30", 10, 1, { { 0, 9 } } },
	{ "BYTES=9-", 10, 1, { { 9, 9 } } },
	{ "bytes= 1 - 2 , 4 - , -1", 10, 3, { { 1, 2 }, { 4, 9 }, { 9, 9 } } },
	{ "bytes=0-1,3-4", 10, 2, { { 0, 1 }, { 3, 4 } } },
	{ "bytes= 0-1 , 3-4 ", 10, 2, { { 0, 1 }, { 3, 4 } } },
	{ "bytes=0-1,100-200", 10, 1, { { 0, 1 } } },
	{ "bytes=100-200,0-1", 10, 1, { { 0, 1 } } },
	{ "bytes=0-0,1-1,2-2", 10, 3, { { 0, 0 }, { 1, 1 }, { 2, 2 } } },
	{ "bytes=5-3,1-1", 10, 1, { { 1, 1 } } },
	{ "bytes=0-9223372036854775807", 10, 1, { { 0, 9 } } },
	/* Ignored. */
	{ "bytes=0-0,1-1,2-2,3-3", 10, RANGE_IGNORE, { { 0 } } },
	{ "bytes=0-,0-", 10, RANGE_IGNORE, { { 0 } } },
	{ "bytes=0-9,0-0", 10, RANGE_IGNORE, { { 0 } } },
	{ "items=0-1", 10, RANGE_IGNORE, { { 0 } } }, { "bytes", 10, RANGE_IGNORE, { { 0 } } },
	{ "bytes=", 10, RANGE_IGNORE, { { 0 } } }, { "", 10, RANGE_IGNORE, { { 0 } } },
	{ "bytes =0-1", 10, RANGE_IGNORE, { { 0 } } },
	{ "bytes=0-", 0, RANGE_IGNORE, { { 0 } } }, { "bytes=0-0", 0, RANGE_IGNORE, { { 0 } } },
	/* 416 */
	{ "bytes=10-", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=10-20", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=5-3", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=-0", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=1-", 0, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=-", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=a-b", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=1", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=1-2-3", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=1-2;", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=1-2,", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=,1-2", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=1-2 3", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=--1", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=+1-2", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=0x1-2", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=1\t-2", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=- 1", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=9223372036854775808-", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=0-9223372036854775808", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=-99999999999999999999", 10, RANGE_UNSATISFIABLE, { { 0 } } },
	{ "bytes=99999999999999999999-", 10, RANGE_UNSATISFIABLE, { { 0 } } },
};

START_TEST(parsing)
{
	struct byte_range out[MAX];
	struct str value = str_from(ranges[_i].value);
	int count;

	count = range_parse(value, ranges[_i].size, out, MAX);
	ck_assert_int_eq(count, ranges[_i].count);
	for (int i = 0; i < count; i++) {
		ck_assert_uint_eq(out[i].first, ranges[_i].want[i].first);
		ck_assert_uint_eq(out[i].last, ranges[_i].want[i].last);
	}
}
END_TEST

START_TEST(huge_representation)
{
	struct byte_range out[2];

	ck_assert_int_eq(range_parse(STR("bytes=-1"), INT64_MAX, out, 2), 1);
	ck_assert_uint_eq(out[0].first, (uint64_t)INT64_MAX - 1);
	ck_assert_int_eq(range_parse(STR("bytes=1-,2-"), INT64_MAX, out, 2), RANGE_UNSATISFIABLE);
	ck_assert_int_eq(range_parse(STR("bytes=0-1"), 10, out, 0), RANGE_IGNORE);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, parsing, 0, ROWS(ranges));
	tcase_add_test(tcase, huge_representation);
}

int
main(void)
{
	return (unit_main("http/range", add));
}
