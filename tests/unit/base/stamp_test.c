/* proxy/base/stamp.c */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit.h"
#include "base/stamp.h"

static char folder[64], path[96], other[96];

static void
file_write(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/stamp_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	file_write(path, "same");
}

static void
teardown(void)
{
	unlink(path);
	unlink(other);
	rmdir(folder);
}

static void
edit_times(void)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 5 } };

	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
edit_size(void)
{
	file_write(path, "longer");
}

static void
edit_by_rename(void)
{
	struct stat st;
	struct timespec times[2];

	ck_assert_int_eq(stat(path, &st), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	file_write(other, "amse");
	ck_assert_int_eq(utimensat(AT_FDCWD, other, times, 0), 0);
	ck_assert_int_eq(rename(other, path), 0);
}

static void
edit_remove(void)
{
	ck_assert_int_eq(unlink(path), 0);
}

static void (*const edits[])(void) = { edit_times, edit_size, edit_by_rename, edit_remove };

START_TEST(every_edit_is_seen)
{
	struct stamp before = stamp_take(path), same = stamp_take(path), after;

	ck_assert_int_eq(before.error, 0);
	ck_assert(stamp_eq(&before, &same));
	edits[_i]();
	after = stamp_take(path);
	ck_assert(!stamp_eq(&before, &after));
}
END_TEST

START_TEST(what_is_not_there_has_a_reason)
{
	struct stamp missing = stamp_take(other), again = stamp_take(other);

	ck_assert_int_eq(missing.error, ENOENT);
	ck_assert(stamp_eq(&missing, &again));
	snprintf(other, sizeof(other), "%s/file/below", folder);
	again = stamp_take(other);
	ck_assert_int_eq(again.error, ENOTDIR);
	ck_assert(!stamp_eq(&missing, &again));
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, every_edit_is_seen, 0, sizeof(edits) / sizeof(edits[0]));
	tcase_add_test(t, what_is_not_there_has_a_reason);
}

int
main(void)
{
	return (unit_main("base/stamp", add));
}
