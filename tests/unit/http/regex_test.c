/* proxy/http/regex.c */
#include <pthread.h>

#include "../unit.h"
#include "http/regex.h"

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

static const struct {
	const char *pattern;
	bool ignore_case;
	const char *subject;
	int result;
	unsigned count;
	const char *group[4];
} matches[] = {
	{ "^/a", false, "/ab", 1, 1, { "/a" } }, { "^/a", false, "/b", 0, 0, { "" } },
	{ "\\.JPG$", true, "/x.jpg", 1, 1, { ".jpg" } },
	{ "\\.JPG$", false, "/x.jpg", 0, 0, { "" } },
	{ "/tiles/dataset/(.*)$", false, "/prefix/tiles/dataset/1/2", 1, 2,
	    { "/tiles/dataset/1/2", "1/2" } },
	{ "^/(?!config)", false, "/config", 0, 0, { "" } },
	{ "^/(?!config)", false, "/x", 1, 1, { "/" } },
	{ "(a)|(b)|(c)", false, "b", 1, 4, { "b", "", "b", "" } },
	{ "(a)(b)?", false, "a", 1, 3, { "a", "a", "" } },
	{ "", false, "anything", 1, 1, { "" } }, { "", false, "", 1, 1, { "" } },
	{ "(.+?)x", false, "abxx", 1, 2, { "abx", "ab" } },
	{ "/api/*", false, "/api", 1, 1, { "/api" } },
	{ "(?<n>\\d+)", false, "a12", 1, 2, { "12", "12" } },
	{ "a\\Kb", false, "ab", 1, 1, { "b" } },
};

START_TEST(matching)
{
	struct captures captures;
	struct str error;
	struct regex *regex = regex_compile(pool, str_from(matches[_i].pattern),
	    matches[_i].ignore_case, &error);

	ck_assert_ptr_nonnull(regex);
	ck_assert_text(regex_pattern(regex), matches[_i].pattern);
	ck_assert_int_eq(regex_match(regex, str_from(matches[_i].subject), NULL),
	    matches[_i].result);
	ck_assert_int_eq(regex_match(regex, str_from(matches[_i].subject), &captures),
	    matches[_i].result);
	if (matches[_i].result != 1)
		return;
	ck_assert_uint_eq(captures.count, matches[_i].count);
	for (unsigned i = 0; i < captures.count; i++)
		ck_assert_text(captures.group[i], matches[_i].group[i]);
}
END_TEST

START_TEST(errors_in_nginx_words)
{
	struct str error = STR_NULL;

	ck_assert_ptr_null(regex_compile(pool, STR("a(b"), false, &error));
	ck_assert_bytes(error, "pcre2_compile() failed: missing closing parenthesis in \"a(b\"");
	ck_assert_ptr_null(regex_compile(pool, STR("a)b"), false, &error));
	ck_assert_bytes(error,
	    "pcre2_compile() failed: unmatched closing parenthesis in \"a)b\" at \")b\"");
	ck_assert_ptr_null(regex_compile(pool, STR("*"), false, &error));
	ck_assert(str_starts(error, STR("pcre2_compile() failed: ")));
}
END_TEST

START_TEST(a_limit_ends_it)
{
	struct str error;
	struct regex *regex = regex_compile(pool, STR("^(a+)+$"), false, &error);
	char subject[64];

	memset(subject, 'a', sizeof(subject));
	subject[63] = '!';
	ck_assert_int_eq(regex_match(regex, str_make(subject, sizeof(subject)), NULL), -1);
	ck_assert_str_ne(regex_error(), "no error");
	ck_assert_int_eq(regex_match(regex, STR("aaa"), NULL), 1);
}
END_TEST

START_TEST(more_groups_than_room)
{
	struct captures captures;
	struct str error, pattern = STR("");
	struct regex *regex;

	for (int i = 0; i < 40; i++) {
		struct str parts[] = { pattern, STR("(.)") };

		pattern = pool_concat(pool, 2, parts);
	}
	regex = regex_compile(pool, pattern, false, &error);
	ck_assert_int_eq(regex_match(regex, STR("0123456789012345678901234567890123456789"),
	    &captures), 1);
	ck_assert_uint_eq(captures.count, REGEX_GROUPS_MAX);
	ck_assert_bytes(captures.group[31], "0");
}
END_TEST

static void
name_seen(struct str name, unsigned group, void *arg)
{
	unsigned *seen = arg;

	if (str_eq(name, STR("year")))
		seen[0] = group;
	if (str_eq(name, STR("month")))
		seen[1] = group;
	seen[2]++;
}

START_TEST(named_groups)
{
	struct str error;
	struct regex *regex = regex_compile(pool, STR("(x)(?<year>\\d+)-(?P<month>\\d+)"), false,
	    &error);
	unsigned seen[3] = { 0, 0, 0 };

	regex_names(regex, name_seen, seen);
	ck_assert_uint_eq(seen[0], 2);
	ck_assert_uint_eq(seen[1], 3);
	ck_assert_uint_eq(seen[2], 2);
	regex_names(regex_compile(pool, STR("x"), false, &error), name_seen, seen);
	ck_assert_uint_eq(seen[2], 2);
}
END_TEST

static void *
match_often(void *arg)
{
	struct captures captures;

	for (int i = 0; i < 20000; i++)
		if (regex_match(arg, STR("/a/17/b"), &captures) != 1 ||
		    !str_eq(captures.group[1], STR("17")))
			return (arg);
	return (NULL);
}

START_TEST(shared_by_threads)
{
	struct str error;
	struct regex *regex = regex_compile(pool, STR("^/a/(\\d+)/"), false, &error);
	pthread_t threads[4];
	void *failed;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, match_often, regex), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, matching, 0, ROWS(matches));
	tcase_add_test(tcase, errors_in_nginx_words);
	tcase_add_test(tcase, a_limit_ends_it);
	tcase_add_test(tcase, more_groups_than_room);
	tcase_add_test(tcase, named_groups);
	tcase_add_test(tcase, shared_by_threads);
}

int
main(void)
{
	return (unit_main("http/regex", add));
}
