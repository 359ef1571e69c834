/* conf/type.c: what each type takes, and refuses in nginx's words. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

struct fields {
	bool flag;
	uint64_t number, ranged, least, size, msec, sec, place;
	struct str str;
	unsigned choice, mask;
	struct vec strs;
	struct conf_bufs bufs;
	void *ptr;
};

static const struct conf_range one_to_nine = { 1, 9 }, at_least_five = { 5, 0 };
static const struct conf_name names[] = { { "off", 0 }, { "one", 1 }, { "Two", 2 },
	{ "four", 4 }, { NULL, 0 } };

#define ROW(n, t, least, most)							\
	.name = n, .contexts = 1, .min = least, .max = most, .type = &t

static const struct conf_row rows[] = {
	{ ROW("flag", conf_flag, 1, 1), .offset = offsetof(struct fields, flag) },
	{ ROW("number", conf_uint, 1, 1), .offset = offsetof(struct fields, number) },
	{ ROW("ranged", conf_uint, 1, 1), .offset = offsetof(struct fields, ranged),
	    .param = &one_to_nine },
	{ ROW("least", conf_uint, 1, 1), .offset = offsetof(struct fields, least),
	    .param = &at_least_five },
	{ ROW("size", conf_size, 1, 1), .offset = offsetof(struct fields, size) },
	{ ROW("place", conf_offset, 1, 1), .offset = offsetof(struct fields, place) },
	{ ROW("msec", conf_msec, 1, 1), .offset = offsetof(struct fields, msec) },
	{ ROW("sec", conf_sec, 1, 1), .offset = offsetof(struct fields, sec) },
	{ ROW("str", conf_str, 1, 1), .offset = offsetof(struct fields, str) },
	{ ROW("choice", conf_enum, 1, 1), .offset = offsetof(struct fields, choice),
	    .param = names },
	{ ROW("mask", conf_mask, 1, CONF_ANY), .offset = offsetof(struct fields, mask),
	    .param = names },
	{ ROW("strs", conf_strs, 1, CONF_ANY), .offset = offsetof(struct fields, strs),
	    .flags = CONF_REPEAT },
	{ ROW("bufs", conf_bufs, 2, 2), .offset = offsetof(struct fields, bufs) },
	{ ROW("inert", conf_inert, 0, CONF_ANY) },
	{ .name = NULL }
};
static const struct conf_table table = { rows, 0 };
static const struct conf_vocabulary vocabulary = { &table, 1, NULL };

static struct conf_values *
frame_values(struct conf_frame *frame, unsigned module, unsigned scope)
{
	(void)module;
	(void)scope;
	return (frame->owner);
}

static int
text_read(struct fixture *fx, const char *text, struct fields **fields)
{
	const struct memory_file files[] = { { "/f", text }, { NULL, NULL } };
	struct conf_frame frame = { .context = 1, .values = frame_values };
	struct conf_values *values;

	fixture_init(fx, files, &vocabulary);
	frame.owner = values = conf_values_new(fx->cf.pool, rows, sizeof(struct fields));
	*fields = values->data;
	return (conf_read(&fx->cf, STR("/f"), &frame));
}

static const struct {
	const char *text, *said;
} refused[] = {
	{ "flag yes;",
	    "invalid value \"yes\" in \"flag\" directive, it must be \"on\" or \"off\"" },
	{ "flag '';", "invalid value \"\" in \"flag\" directive, it must be \"on\" or \"off\"" },
	{ "flag 1;", "invalid value \"1\" in \"flag\" directive, it must be \"on\" or \"off\"" },
	{ "number x;", "\"number\" directive invalid number" },
	{ "number -1;", "\"number\" directive invalid number" },
	{ "number +1;", "\"number\" directive invalid number" },
	{ "number 1k;", "\"number\" directive invalid number" },
	{ "number '';", "\"number\" directive invalid number" },
	{ "number ' 1';", "\"number\" directive invalid number" },
	{ "number 9223372036854775808;", "\"number\" directive invalid number" },
	{ "ranged 0;", "value must be between 1 and 9" },
	{ "ranged 10;", "value must be between 1 and 9" },
	{ "ranged a;", "\"ranged\" directive invalid number" },
	{ "least 4;", "value must be equal to or greater than 5" },
	{ "size abc;", "\"size\" directive invalid value" },
	{ "size 1kk;", "\"size\" directive invalid value" },
	{ "size -1;", "\"size\" directive invalid value" },
	{ "size 2g;", "\"size\" directive invalid value" },
	{ "size 99999999999999999m;", "\"size\" directive invalid value" },
	{ "place 99999999999999999g;", "\"place\" directive invalid value" },
	{ "msec 1x;", "\"msec\" directive invalid value" },
	{ "msec '';", "\"msec\" directive invalid value" },
	{ "msec 1m1h;", "\"msec\" directive invalid value" },
	{ "sec 100ms;", "\"sec\" directive invalid value" },
	{ "sec 1000ms;", "\"sec\" directive invalid value" },
	{ "sec x;", "\"sec\" directive invalid value" },
	{ "choice three;", "invalid value \"three\"" },
	{ "mask one three;", "invalid value \"three\"" },
	{ "bufs 0 8k;", "\"bufs\" directive invalid value" },
	{ "bufs 4 0;", "\"bufs\" directive invalid value" },
	{ "bufs x 8k;", "\"bufs\" directive invalid value" },
	{ "bufs 4 8x;", "\"bufs\" directive invalid value" },
	{ "flag on; flag on;", "\"flag\" directive is duplicate" },
	{ "number 1; number 1;", "\"number\" directive is duplicate" },
	{ "str a; str a;", "\"str\" directive is duplicate" },
	{ "bufs 1 1k; bufs 1 1k;", "\"bufs\" directive is duplicate" },
	{ "str a b;", "invalid number of arguments in \"str\" directive" },
	{ "bufs 4;", "invalid number of arguments in \"bufs\" directive" },
	{ "mask;", "invalid number of arguments in \"mask\" directive" },
	{ "inert { }", "directive \"inert\" is not terminated by \";\"" },
};

START_TEST(value_is_refused)
{
	struct fixture fx;
	struct fields *fields;
	const char *value = strchr(refused[_i].text, ' ');
	char expected[256], word[64] = "", hint[128] = "";

	ck_assert_int_eq(text_read(&fx, refused[_i].text, &fields), -1);
	/* "name value;": the value is told, without the quotes around it. */
	if (value != NULL && sscanf(value, " '%63[^']';", word) != 1)
		(void)sscanf(value, " %63[^';];", word);
	if (strstr(refused[_i].said, "directive invalid number") != NULL)
		snprintf(hint, sizeof(hint), " (\"%s\" is no whole number below 2^63)", word);
	snprintf(expected, sizeof(expected), "[emerg] %s in /f:1%s\n", refused[_i].said, hint);
	ck_assert_str_eq(fixture_said(&fx), expected);
	fixture_fini(&fx);
}
END_TEST

START_TEST(values_are_taken)
{
	struct fixture fx;
	struct fields *f;

	ck_assert_int_eq(text_read(&fx, "flag ON; number 42; ranged 9; least 5; size 8K;\n"
	    "msec '1m 30s'; sec 1h; str 'a b'; choice TWO; mask one; mask TWO; strs a b;\n"
	    "strs c; bufs 4 8k; inert any thing;", &f), 0);
	ck_assert_str_eq(fixture_said(&fx), "");
	ck_assert(f->flag);
	ck_assert_uint_eq(f->number, 42);
	ck_assert_uint_eq(f->ranged, 9);
	ck_assert_uint_eq(f->least, 5);
	ck_assert_uint_eq(f->size, 8192);
	ck_assert_uint_eq(f->msec, 90000);
	ck_assert_uint_eq(f->sec, 3600);
	ck_assert(str_eq(f->str, STR("a b")));
	ck_assert_uint_eq(f->choice, 2);
	ck_assert_uint_eq(f->mask, 3);
	ck_assert_uint_eq(f->strs.count, 3);
	ck_assert(str_eq(*vec_at(&f->strs, struct str, 2), STR("c")));
	ck_assert_uint_eq(f->bufs.count, 4);
	ck_assert_uint_eq(f->bufs.size, 8192);
	fixture_fini(&fx);
}
END_TEST

START_TEST(other_spellings)
{
	struct fixture fx;
	struct fields *f;

	ck_assert_int_eq(text_read(&fx, "flag Off; size 2m; place 2g; msec 500ms; sec 30; number 007;\n"
	    "mask off;", &f), 0);
	ck_assert(!f->flag);
	ck_assert_uint_eq(f->size, 2ULL << 20);
	ck_assert_uint_eq(f->place, 2ULL << 30);
	ck_assert_uint_eq(f->msec, 500);
	ck_assert_uint_eq(f->sec, 30);
	ck_assert_uint_eq(f->number, 7);
	ck_assert_uint_eq(f->mask, 0);
	fixture_fini(&fx);
}
END_TEST

START_TEST(mask_warns_of_a_second_time)
{
	struct fixture fx;
	struct fields *f;

	ck_assert_int_eq(text_read(&fx, "mask one two\none;\nmask two;", &f), 0);
	ck_assert_str_eq(fixture_said(&fx), "[warn] duplicate value \"one\" in /f:2\n"
	    "[warn] duplicate value \"two\" in /f:3\n");
	ck_assert_uint_eq(f->mask, 3);
	ck_assert_uint_eq(fx.cf.warnings, 2);
	fixture_fini(&fx);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf/type");
	TCase *tc = tcase_create("type");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, value_is_refused, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(tc, values_are_taken);
	tcase_add_test(tc, other_spellings);
	tcase_add_test(tc, mask_warns_of_a_second_time);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
