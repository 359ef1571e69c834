/* proxy/base/str.c */
#include <limits.h>

#include "../unit.h"

static const struct {
	const char *text;
	uint64_t max;
	bool good;
	uint64_t value;
} uints[] = {
	{ "0", 10, true, 0 }, { "10", 10, true, 10 }, { "11", 10, false, 0 },
	{ "007", 10, true, 7 }, { "", 10, false, 0 }, { "+1", 10, false, 0 },
	{ "-1", 10, false, 0 }, { " 1", 10, false, 0 }, { "1 ", 10, false, 0 },
	{ "0x1", 10, false, 0 }, { "1e1", 100, false, 0 }, { "1_0", 100, false, 0 },
	{ "1a", 100, false, 0 },
	{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
	{ "18446744073709551616", UINT64_MAX, false, 0 },
	{ "99999999999999999999", UINT64_MAX, false, 0 },
	{ "9223372036854775808", INT64_MAX, false, 0 },
};

START_TEST(uint_is_strict)
{
	uint64_t value = 77;

	ck_assert_int_eq(str_to_uint(str_from(uints[_i].text), uints[_i].max, &value),
	    uints[_i].good);
	ck_assert_uint_eq(value, uints[_i].good ? uints[_i].value : 77);
}
END_TEST

static const struct {
	const char *text;
	bool good;
	uint64_t value;
} hexes[] = {
	{ "0", true, 0 }, { "fF", true, 255 }, { "ffffffffffffffff", true, UINT64_MAX },
	{ "10000000000000000", false, 0 }, { "", false, 0 }, { "g", false, 0 }, { "0x1", false, 0 },
	{ "-1", false, 0 }, { "1 ", false, 0 }, { ":", false, 0 }, { "@", false, 0 },
	{ "`", false, 0 }, { "/", false, 0 },
};

START_TEST(hex_is_strict)
{
	uint64_t value = 77;

	ck_assert_int_eq(str_to_hex(str_from(hexes[_i].text), UINT64_MAX, &value), hexes[_i].good);
	ck_assert_uint_eq(value, hexes[_i].good ? hexes[_i].value : 77);
}
END_TEST

static const struct {
	const char *text;
	bool good;
	uint64_t bytes;
} sizes[] = {
	{ "0", true, 0 }, { "1", true, 1 }, { "8k", true, 8192 }, { "8K", true, 8192 },
	{ "1m", true, 1048576 }, { "20M", true, 20971520 }, { "4G", true, 4294967296 },
	{ "100g", true, 107374182400 }, { "", false, 0 }, { "k", false, 0 }, { "8kb", false, 0 },
	{ "8 k", false, 0 }, { "-1", false, 0 }, { "1.5m", false, 0 }, { "8t", false, 0 },
	{ "9223372036854775807", true, INT64_MAX }, { "9223372036854775808", false, 0 },
	{ "8589934591g", true, 8589934591ULL << 30 }, { "8589934592g", false, 0 },
	{ "18014398509481984k", false, 0 },
};

START_TEST(size_as_nginx)
{
	uint64_t bytes = 77;

	bool giga = strpbrk(sizes[_i].text, "gG") != NULL;

	ck_assert_int_eq(str_to_offset(str_from(sizes[_i].text), &bytes), sizes[_i].good);
	ck_assert_uint_eq(bytes, sizes[_i].good ? sizes[_i].bytes : 77);
	bytes = 77;
	ck_assert_int_eq(str_to_size(str_from(sizes[_i].text), &bytes), sizes[_i].good && !giga);
	ck_assert_uint_eq(bytes, sizes[_i].good && !giga ? sizes[_i].bytes : 77);
}
END_TEST

static const struct {
	const char *text;
	bool good;
	uint64_t msec;
} times[] = {
	{ "30", true, 30000 }, { "0", true, 0 }, { "60s", true, 60000 }, { "500ms", true, 500 },
	{ "1h 30m", true, 5400000 }, { "1h30m", true, 5400000 }, { "1m 1s 5ms", true, 61005 },
	{ "1d", true, 86400000 }, { "2w", true, 1209600000 }, { "1M", false, 0 },
	{ "1y", false, 0 }, { "1y 2M", false, 0 }, { "1h 30", true, 3630000 },
	{ "", false, 0 }, { "s", false, 0 }, { "1m 1h", false, 0 }, { "1s 1s", false, 0 },
	{ "30 30", false, 0 }, { "30 1ms", false, 0 }, { "1x", false, 0 }, { "1hs", false, 0 },
	{ "-1", false, 0 },
	{ "1.5s", false, 0 }, { " 1s", false, 0 }, { "1S", false, 0 }, { "1 s", false, 0 },
	{ "9223372036854775807ms", true, INT64_MAX }, { "9223372036854775807s", false, 0 },
	{ "9223372036854775807", false, 0 }, { "9223372036854775s 808ms", false, 0 },
};

START_TEST(time_as_nginx)
{
	uint64_t msec = 77;

	ck_assert_int_eq(str_to_msec(str_from(times[_i].text), &msec), times[_i].good);
	ck_assert_uint_eq(msec, times[_i].good ? times[_i].msec : 77);
}
END_TEST

static const struct {
	const char *text;
	bool good;
	uint64_t sec;
} seconds[] = {
	{ "30", true, 30 }, { "1M", true, 2592000 }, { "1y", true, 31536000 },
	{ "1y 2M 1w", true, 37324800 }, { "1h30m", true, 5400 }, { "500ms", false, 0 },
	{ "1s 1ms", false, 0 }, { "1M 1y", false, 0 }, { "", false, 0 }, { "M", false, 0 },
	{ "9223372036854775s", true, 9223372036854775 }, { "9223372036854776s", false, 0 },
};

START_TEST(seconds_as_nginx)
{
	uint64_t sec = 77;

	ck_assert_int_eq(str_to_sec(str_from(seconds[_i].text), &sec), seconds[_i].good);
	ck_assert_uint_eq(sec, seconds[_i].good ? seconds[_i].sec : 77);
}
END_TEST

static const struct {
	const char *text;
	unsigned digits;
	bool good;
	uint64_t value;
} fixeds[] = {
	{ "0.001", 3, true, 1 }, { "1", 3, true, 1000 }, { "1.5", 3, true, 1500 },
	{ "1.", 3, true, 1000 }, { "0.0001", 3, false, 0 }, { ".5", 3, false, 0 },
	{ "1.5.2", 3, false, 0 }, { "-1.5", 3, false, 0 }, { "1.-5", 3, false, 0 },
	{ "1.+5", 3, false, 0 }, { "", 3, false, 0 }, { ".", 3, false, 0 }, { "7", 0, true, 7 },
	{ "18446744073709551.615", 3, true, UINT64_MAX },
	{ "18446744073709551.616", 3, false, 0 }, { "18446744073709552", 3, false, 0 },
};

START_TEST(fixed_point)
{
	uint64_t value = 77;

	ck_assert_int_eq(str_to_fixed(str_from(fixeds[_i].text), fixeds[_i].digits, &value),
	    fixeds[_i].good);
	ck_assert_uint_eq(value, fixeds[_i].good ? fixeds[_i].value : 77);
}
END_TEST

START_TEST(comparing)
{
	ck_assert(str_eq(STR_NULL, STR("")));
	ck_assert(str_eq_ci(STR("HoSt"), STR("hOsT")));
	ck_assert(!str_eq_ci(STR("hos"), STR("host")));
	/* Bytes that differ from a letter by the case bit only. */
	ck_assert(!str_eq_ci(STR("@["), STR("`{")));
	ck_assert(str_starts_ci(STR("BYTES=1"), STR("bytes=")));
	ck_assert(!str_starts_ci(STR("byte"), STR("bytes=")));
	ck_assert(str_starts(STR("abc"), STR_NULL));
	ck_assert(str_ends(STR("abc"), STR("bc")));
	ck_assert(!str_ends(STR("c"), STR("bc")));
	ck_assert_int_lt(str_cmp(STR("a"), STR("ab")), 0);
	ck_assert_int_gt(str_cmp(STR("b"), STR("ab")), 0);
	ck_assert_int_eq(str_cmp(STR_NULL, STR("")), 0);
	ck_assert_int_gt(str_cmp(STR("\xff"), STR("a")), 0);
}
END_TEST

START_TEST(searching)
{
	ck_assert_uint_eq(str_chr(STR("a.b.c"), '.'), 1);
	ck_assert_uint_eq(str_rchr(STR("a.b.c"), '.'), 3);
	ck_assert_uint_eq(str_chr(STR_NULL, '.'), SIZE_MAX);
	ck_assert_uint_eq(str_rchr(STR("abc"), '.'), SIZE_MAX);
	ck_assert_uint_eq(str_find(STR("aaab"), STR("ab")), 2);
	ck_assert_uint_eq(str_find(STR("ab"), STR("ab")), 0);
	ck_assert_uint_eq(str_find(STR("a"), STR("ab")), SIZE_MAX);
	ck_assert_uint_eq(str_find(STR("xaxa"), STR("ab")), SIZE_MAX);
	ck_assert_uint_eq(str_find(STR("abc"), STR("")), 0);
	ck_assert_bytes(str_trim(STR(" \ta b\t ")), "a b");
	ck_assert_bytes(str_trim(STR(" \t ")), "");
	ck_assert_bytes(str_trim(STR("\r\n")), "\r\n");
	ck_assert_bytes(str_skip(STR("ab"), 1), "b");
	ck_assert_bytes(str_skip(STR("ab"), 9), "");
}
END_TEST

START_TEST(cutting)
{
	struct str rest = STR("a,,b,"), item;

	ck_assert(str_cut(&rest, ',', &item));
	ck_assert_bytes(item, "a");
	ck_assert(str_cut(&rest, ',', &item));
	ck_assert_bytes(item, "");
	ck_assert(str_cut(&rest, ',', &item));
	ck_assert_bytes(item, "b");
	ck_assert(str_cut(&rest, ',', &item));
	ck_assert_bytes(item, "");
	ck_assert(!str_cut(&rest, ',', &item));
	rest = STR("");
	ck_assert(str_cut(&rest, ',', &item));
	ck_assert_uint_eq(item.n, 0);
	ck_assert(!str_cut(&rest, ',', &item));
}
END_TEST

START_TEST(distance)
{
	char far[70];

	memset(far, 'x', sizeof(far));
	ck_assert_uint_eq(str_distance(STR("kitten"), STR("sitting")), 3);
	ck_assert_uint_eq(str_distance(STR(""), STR("abc")), 3);
	ck_assert_uint_eq(str_distance(STR("abc"), STR("")), 3);
	ck_assert_uint_eq(str_distance(STR("same"), STR("same")), 0);
	ck_assert_uint_eq(str_distance(str_make(far, 64), STR("x")), UINT_MAX);
	ck_assert_uint_eq(str_distance(str_make(far, 63), str_make(far, 62)), 1);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, uint_is_strict, 0, ROWS(uints));
	tcase_add_loop_test(tcase, hex_is_strict, 0, ROWS(hexes));
	tcase_add_loop_test(tcase, size_as_nginx, 0, ROWS(sizes));
	tcase_add_loop_test(tcase, time_as_nginx, 0, ROWS(times));
	tcase_add_loop_test(tcase, seconds_as_nginx, 0, ROWS(seconds));
	tcase_add_loop_test(tcase, fixed_point, 0, ROWS(fixeds));
	tcase_add_test(tcase, comparing);
	tcase_add_test(tcase, searching);
	tcase_add_test(tcase, cutting);
	tcase_add_test(tcase, distance);
}

int
main(void)
{
	return (unit_main("base/str", add));
}
