/* proxy/base/hint.c */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit.h"
#include "base/hint.h"

static char folder[64];

static void
setup(void)
{
	char path[96];
	int fd;

	snprintf(folder, sizeof(folder), "/tmp/hint_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void
teardown(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/file", folder);
	unlink(path);
	rmdir(folder);
}

/* What is said of folder + path; FOLDER stands for the folder in the texts. */
static const struct {
	const char *path;
	int error;
	const char *said;
} cases[] = {
	{ "/a/b/c", ENOENT, "there is no folder \"FOLDER/a\": make it or correct the path" },
	{ "/file/b", ENOTDIR, "\"FOLDER/file\" is no folder" },
	{ "/file/b", ENOENT, "\"FOLDER/file\" is no folder" },
	{ "/c", ENOENT, "its folder is there, the file is not: make it or correct the path" },
	{ "//c", ENOENT, "its folder is there, the file is not: make it or correct the path" },
	{ "", EISDIR, "it is a folder" },
	{ "/file", EIO, "" },
	{ "/file", 0, "" },
};

START_TEST(path_that_failed)
{
	struct pool *pool = pool_new(0);
	struct str path = pool_printf(pool, "%s%s", folder, cases[_i].path);
	struct str said = hint_path(pool, path, cases[_i].error);
	struct str want = str_from(cases[_i].said);
	size_t at = str_find(want, STR("FOLDER"));

	if (at != SIZE_MAX)
		want = pool_printf(pool, STR_FMT "%s" STR_FMT, (int)at, want.p, folder,
		    STR_ARG(str_skip(want, at + 6)));
	ck_assert_msg(str_eq(said, want), "\"" STR_FMT "\" is not \"" STR_FMT "\"", STR_ARG(said),
	    STR_ARG(want));
	ck_assert_int_eq(said.p == NULL, cases[_i].said[0] == '\0');
	pool_free(pool);
}
END_TEST

/* Root may enter everything: then nothing is barred. */
START_TEST(folder_that_bars)
{
	struct pool *pool = pool_new(0);
	struct str path = pool_printf(pool, "%s/file", folder);
	struct str want = geteuid() == 0 ? path : str_from(folder);
	struct str barred;

	ck_assert_int_eq(chmod(folder, 0), 0);
	barred = hint_barred(pool, path);
	ck_assert_int_eq(chmod(folder, 0700), 0);
	ck_assert_msg(str_eq(barred, want), "\"" STR_FMT "\"", STR_ARG(barred));
	ck_assert(str_eq(hint_barred(pool, path), path));
	pool_free(pool);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, path_that_failed, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tcase, folder_that_bars);
}

int
main(void)
{
	return (unit_main("base/hint", add));
}
