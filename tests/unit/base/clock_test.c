/* proxy/base/clock.c */
#include <pthread.h>
#include <stdio.h>

#include "../unit.h"
#include "base/clock.h"

static const struct {
	const char *text;
	time_t time;
} dates[] = {
	{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
	{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
	{ "Sun Nov  6 08:49:37 1994", 784111777 },
	{ "Thu Nov 16 08:49:37 1994", 784975777 },
	{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
	{ "Thu, 31 Dec 2037 23:55:55 GMT", 2145916555 },
	{ "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
	{ "Thu, 29 Feb 2024 12:00:00 GMT", 1709208000 },
	{ "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
	{ "Monday, 01-Jan-69 00:00:00 GMT", 3124224000 },
	{ "", -1 }, { "Sun", -1 }, { "Sun, 06 Nov 1994 08:49:37", -1 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT ", -1 }, { "Sun, 6 Nov 1994 08:49:37 GMT", -1 },
	{ "sun, 06 Nov 1994 08:49:37 GMT", -1 }, { "Xyz, 06 Nov 1994 08:49:37 GMT", -1 },
	{ "Sun, 06 Nov 1994 24:49:37 GMT", -1 }, { "Sun, 06 Nov 1994 08:60:37 GMT", -1 },
	{ "Sun, 06 Nov 1994 08:49:61 GMT", -1 }, { "Sun, 00 Nov 1994 08:49:37 GMT", -1 },
	{ "Sun, 31 Nov 1994 08:49:37 GMT", -1 }, { "Sun, 30 Feb 2000 08:49:37 GMT", -1 },
	{ "Sun, 29 Feb 1900 08:49:37 GMT", -1 }, { "Sun, 29 Feb 2023 08:49:37 GMT", -1 },
	{ "Sun, 06 Nov 1969 08:49:37 GMT", -1 }, { "Sun, 06 Noc 1994 08:49:37 GMT", -1 },
	{ "Sun, 06 Nov 1994 08:49:37 CET", -1 }, { "Sun, 06 Nov -994 08:49:37 GMT", -1 },
	{ "Sun, 06-Nov-94 08:49:37 GMT", -1 }, { "784111777", -1 },
};

START_TEST(http_dates_are_read)
{
	ck_assert_int_eq(clock_parse_http(str_from(dates[_i].text)), dates[_i].time);
}
END_TEST

START_TEST(every_day_there_and_back)
{
	char text[CLOCK_HTTP_DATE_LEN + 1], want[64];
	struct tm tm;

	/* 1970 to 2200, a time of day that wanders; libc's calendar is the reference. */
	for (time_t t = 0; t < 84006LL * 86400; t += 86400 + 61) {
		clock_format_http(t, text);
		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		ck_assert_str_eq(text, want);
		ck_assert_int_eq(clock_parse_http(str_from(text)), t);
	}
	clock_format_http(-5, text);
	ck_assert_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	clock_format_http(INT64_MAX, text);
	ck_assert_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}
END_TEST

static void *
first_use(void *arg)
{
	(void)arg;
	return ((void *)(uintptr_t)(clock_wall_ms() != 0 && clock_mono_us() != 0 &&
	    clock_http_date().n == CLOCK_HTTP_DATE_LEN));
}

START_TEST(works_without_update)
{
	pthread_t thread;
	void *good;

	ck_assert_int_eq(pthread_create(&thread, NULL, first_use, NULL), 0);
	pthread_join(thread, &good);
	ck_assert_ptr_nonnull(good);
}
END_TEST

START_TEST(stands_still_until_updated)
{
	struct timespec t;
	uint64_t before = clock_mono_us();

	clock_update();
	before = clock_mono_us();
	do
		clock_gettime(CLOCK_MONOTONIC, &t);
	while ((uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000 <= before);
	ck_assert_uint_eq(clock_mono_us(), before);
	clock_update();
	ck_assert_uint_gt(clock_mono_us(), before);
	ck_assert_int_le(llabs((long long)time(NULL) - (long long)clock_wall()), 1);
}
END_TEST

static const struct {
	const char *zone, *offset, *iso;
} zones[] = {
	{ "UTC0", " +0000", "+00:00" }, { "CET-1", " +0100", "+01:00" },
	{ "NST3:30", " -0330", "-03:30" }, { "IST-5:30", " +0530", "+05:30" },
};

START_TEST(log_times)
{
	char want[64];
	struct tm tm;
	time_t t;

	setenv("TZ", zones[_i].zone, 1);
	tzset();
	clock_update();
	t = clock_wall();
	localtime_r(&t, &tm);
	strftime(want, sizeof(want), "%d/%b/%Y:%H:%M:%S", &tm);
	strcat(want, zones[_i].offset);
	ck_assert_text(clock_log_local(), want);
	strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);
	strcat(want, zones[_i].iso);
	ck_assert_text(clock_log_iso8601(), want);
	strftime(want, sizeof(want), "%Y/%m/%d %H:%M:%S", &tm);
	ck_assert_text(clock_log_error(), want);
	ck_assert_int_eq(clock_parse_http(clock_http_date()), t);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, http_dates_are_read, 0, ROWS(dates));
	tcase_add_test(tcase, every_day_there_and_back);
	tcase_add_test(tcase, works_without_update);
	tcase_add_test(tcase, stands_still_until_updated);
	tcase_add_loop_test(tcase, log_times, 0, ROWS(zones));
}

int
main(void)
{
	return (unit_main("base/clock", add));
}
