/* proxy/main/syslog_target.c */
#include "../unit.h"

#include "main/syslog_target.h"

static struct pool *pool;

static void
setup(void)
{
	pool = pool_new(0);
}

static void
teardown(void)
{
	pool_free(pool);
}

static const struct refused {
	const char *text, *why;
} refused[] = {
	{ "", "unknown syslog parameter \"\"" },
	{ "server=127.0.0.1,", "unknown syslog parameter \"\"" },
	{ "facility=local1", "no syslog server specified" },
	{ "server=127.0.0.1,server=127.0.0.2", "duplicate syslog \"server\"" },
	{ "server=127.0.0.1:0", "invalid port in syslog server \"127.0.0.1:0\"" },
	{ "server=127.0.0.1,facility=x", "unknown syslog facility \"x\"" },
	{ "server=127.0.0.1,severity=err", "unknown syslog severity \"err\"" },
	{ "server=127.0.0.1,tag=a-b",
	    "syslog \"tag\" only allows alphanumeric characters and underscore" },
	{ "server=127.0.0.1,tag=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "syslog tag length exceeds 32" },
	{ "server=127.0.0.1,nohost", "unknown syslog parameter \"nohost\"" },
};

START_TEST(wrong_ones)
{
	struct syslog target;
	struct str text = pool_printf(pool, "syslog:%s", refused[_i].text);
	const char *why = syslog_target_parse(pool, text, &target);

	ck_assert_ptr_nonnull(why);
	ck_assert_str_eq(why, refused[_i].why);
}
END_TEST

START_TEST(defaults)
{
	struct syslog target;

	ck_assert_ptr_null(syslog_target_parse(pool, STR("syslog:server=unix:/dev/log"), &target));
	ck_assert_int_eq(target.addr.ss_family, AF_UNIX);
	ck_assert_uint_eq(target.facility, 23);
	ck_assert_uint_eq(target.severity, 6);
	ck_assert_str_eq(target.tag, "wproxy");
	ck_assert_uint_ne(strlen(target.hostname), 0);
}
END_TEST

START_TEST(all_said)
{
	struct syslog target;

	ck_assert_ptr_null(syslog_target_parse(pool, STR("syslog:nohostname,tag=My_app1,"
	    "severity=warn,facility=auth,server=[::1]"), &target));
	ck_assert_int_eq(target.addr.ss_family, AF_INET6);
	ck_assert_uint_eq(target.facility, 4);
	ck_assert_uint_eq(target.severity, 4);
	ck_assert_str_eq(target.tag, "My_app1");
	ck_assert_str_eq(target.hostname, "");
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, wrong_ones, 0, ROWS(refused));
	tcase_add_test(t, defaults);
	tcase_add_test(t, all_said);
}

int
main(void)
{
	return (unit_main("main/syslog_target", add));
}
