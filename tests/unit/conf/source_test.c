/* conf/source.c: files, the record of what was read, and its replay. */
#define _GNU_SOURCE
#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/source.h"

static struct pool *pool;
static struct str folder;

static struct str
path_of(const char *name)
{
	return (pool_printf(pool, STR_FMT "/%s", STR_ARG(folder), name));
}

static void
file_write(const char *name, struct str text)
{
	int fd = open(path_of(name).p, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text.p, text.n), (ssize_t)text.n);
	close(fd);
}

static void
setup(void)
{
	char name[] = "/tmp/source_test.XXXXXX";

	pool = pool_new(0);
	ck_assert_ptr_nonnull(mkdtemp(name));
	folder = pool_strdup(pool, str_from(name));
	file_write("b.conf", STR("bee"));
	file_write("a.conf", STR("a\0y"));
	file_write("empty", STR(""));
	ck_assert_int_eq(mkdir(path_of("sub").p, 0700), 0);
}

static void
teardown(void)
{
	static const char *const names[] = { "a.conf", "b.conf", "c.conf", "empty" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(names[i]).p);
	(void)rmdir(path_of("sub").p);
	(void)rmdir(folder.p);
	pool_free(pool);
}

static int
read_error(struct conf_source *source, const char *name)
{
	struct str bytes;

	errno = 0;
	ck_assert_int_eq(source->read(source, pool, path_of(name), &bytes), -1);
	return (errno);
}

/* What both kinds of source must answer about the folder as setup() made it. */
static void
answers_check(struct conf_source *source)
{
	struct vec names = VEC_OF(struct str);
	struct str bytes;

	ck_assert_int_eq(source->read(source, pool, path_of("b.conf"), &bytes), 0);
	ck_assert(str_eq(bytes, STR("bee")));
	ck_assert_int_eq(bytes.p[bytes.n], '\0');
	ck_assert_int_eq(source->read(source, pool, path_of("a.conf"), &bytes), 0);
	ck_assert(str_eq(bytes, STR("a\0y")));
	ck_assert_int_eq(source->read(source, pool, path_of("empty"), &bytes), 0);
	ck_assert_uint_eq(bytes.n, 0);
	ck_assert_int_eq(read_error(source, "absent"), ENOENT);
	ck_assert_int_eq(read_error(source, "sub"), EISDIR);
	ck_assert_int_eq(read_error(source, "b.conf/x"), ENOTDIR);
	ck_assert_int_eq(source->glob(source, pool, path_of("*.conf"), &names), 0);
	ck_assert_uint_eq(names.count, 2);
	ck_assert(str_eq(*vec_at(&names, struct str, 0), path_of("a.conf")));
	ck_assert(str_eq(*vec_at(&names, struct str, 1), path_of("b.conf")));
	ck_assert_int_eq(source->glob(source, pool, path_of("*.none"), &names), 0);
	ck_assert_uint_eq(names.count, 2);
}

START_TEST(files_answer)
{
	answers_check(conf_source_files(pool));
}
END_TEST

/* The second answer is the first one, whatever happened to the file. */
START_TEST(files_are_seen_once)
{
	struct conf_source *source = conf_source_files(pool);

	answers_check(source);
	file_write("b.conf", STR("changed"));
	file_write("c.conf", STR("new"));
	(void)unlink(path_of("a.conf").p);
	answers_check(source);
}
END_TEST

START_TEST(record_is_replayed)
{
	struct conf_source *files = conf_source_files(pool), *replay;
	struct vec names = VEC_OF(struct str);

	answers_check(files);
	replay = conf_source_replay(pool, conf_source_record(files, pool));
	ck_assert_ptr_nonnull(replay);
	file_write("b.conf", STR("changed"));
	(void)unlink(path_of("a.conf").p);
	answers_check(replay);
	/* Not recorded: not there, although the file system has it. */
	file_write("c.conf", STR("new"));
	ck_assert_int_eq(read_error(replay, "c.conf"), ENOENT);
	ck_assert_int_eq(replay->glob(replay, pool, path_of("c*"), &names), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* Cut anywhere between two answers' bytes, it is refused. */
START_TEST(cut_record_is_refused)
{
	struct conf_source *files = conf_source_files(pool);
	struct str record;
	unsigned accepted = 0;

	answers_check(files);
	record = conf_source_record(files, pool);
	for (size_t n = 0; n < record.n; n++) {
		/* Its own block, so that ASan sees a read behind the end. */
		char *cut = malloc(n + 1);

		memcpy(cut, record.p, n);
		accepted += conf_source_replay(pool, str_make(cut, n)) != NULL;
		free(cut);
	}
	/* After the magic, and after each answer but the last: 6 files and 2 globs. */
	ck_assert_uint_eq(accepted, 8);
	record = pool_concat(pool, 2, (struct str[]){ record, STR("x") });
	ck_assert_ptr_null(conf_source_replay(pool, record));
}
END_TEST

#define ONE	"\1\0\0\0\0\0\0\0"
#define NONE	"\0\0\0\0\0\0\0\0"
#define HUGE	"\xff\xff\xff\xff\xff\xff\xff\xff"

static const struct {
	struct str answers;
	bool valid;
} records[] = {
	{ { "\0" "\0\0\0\0" ONE "a" ONE ONE "b", 31 }, true },
	{ { "\1" "\0\0\0\0" ONE "a" NONE, 22 }, true },
	{ { "\0" "\2\0\0\0" ONE "a" NONE, 22 }, true },
	{ { "\2" "\0\0\0\0" ONE "a" ONE ONE "b", 31 }, false },	/* no such kind */
	{ { "\0" "\0\0\0\0" ONE "a" NONE, 22 }, false },	/* a file without bytes */
	{ { "\0" "\2\0\0\0" ONE "a" ONE ONE "b", 31 }, false },	/* failed, yet has bytes */
	{ { "\0" "\0\0\1\0" ONE "a" NONE, 22 }, false },	/* no such errno */
	{ { "\0" "\0\0\0\0" ONE "\0" ONE ONE "b", 31 }, false },	/* NUL in a path */
	{ { "\1" "\0\0\0\0" ONE "a" ONE ONE "\0", 31 }, false },	/* NUL in a name */
	{ { "\0" "\0\0\0\0" HUGE "a" ONE ONE "b", 31 }, false },
	{ { "\1" "\0\0\0\0" ONE "a" HUGE ONE "b", 31 }, false },
	{ { "\0" "\0\0\0\0" ONE "a" ONE HUGE "b", 31 }, false },
	{ { "\0" "\2\0\0\0" ONE "a" NONE "\0" "\2\0\0\0" ONE "a" NONE, 44 }, false },
};

START_TEST(record_is_validated)
{
	struct str record = pool_concat(pool, 2,
	    (struct str[]){ STR("wproxy-source-1\n"), records[_i].answers });

	ck_assert_int_eq(conf_source_replay(pool, record) != NULL, records[_i].valid);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf/source");
	TCase *tc = tcase_create("source");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, files_answer);
	tcase_add_test(tc, files_are_seen_once);
	tcase_add_test(tc, record_is_replayed);
	tcase_add_test(tc, cut_record_is_refused);
	tcase_add_loop_test(tc, record_is_validated, 0,
	    (int)(sizeof(records) / sizeof(records[0])));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
