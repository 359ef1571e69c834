/* mod/folder.c: order, kinds, what is left out, the budget, leaving in every state. */
#define _GNU_SOURCE
#include "../net/sockets.h"
#include "../unit.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>

#include "mod/folder.h"
#include "net/offload.h"

static struct loop *loop;
static char top[64];
static struct folder *got;

static void
setup(void)
{
	loop = loop_new(0);
	got = NULL;
	strcpy(top, "/tmp/folder-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert_int_eq(offload_start(), 0);
}

static void
teardown(void)
{
	char command[96];

	offload_stop();
	(void)loop_deliver_rest(loop);
	loop_free(loop);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	ck_assert_int_eq(system(command), 0);
}

static const char *
path_of(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	return (path);
}

static void
make_files(const char *prefix, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char name[300];
		int fd;

		(void)snprintf(name, sizeof(name), "%s%05u", prefix, i);
		fd = open(path_of(name), O_WRONLY | O_CREAT, 0600);
		ck_assert_int_ge(fd, 0);
		(void)close(fd);
	}
}

static void
take(struct folder *folder, void *arg)
{
	ck_assert_ptr_eq(arg, &got);
	got = folder;
}

static struct folder *
begin(bool names, uint64_t most)
{
	return (folder_read(loop, str_from(top), names, most, take, &got));
}

START_TEST(sorted_and_told_apart)
{
	make_files("b", 1);
	make_files(".hidden", 1);
	ck_assert_int_eq(mkdir(path_of("z"), 0700), 0);
	ck_assert_int_eq(mkdir(path_of("B"), 0700), 0);
	ck_assert_int_eq(symlink("nowhere", path_of("a-broken")), 0);
	ck_assert_int_eq(symlink("z", path_of("y")), 0);
	begin(true, FOLDERS_BYTES);
	TURN_UNTIL(loop, got != NULL);
	ck_assert_int_eq(got->error, 0);
	ck_assert_uint_eq(got->count, 5);
	ck_assert_bytes(got->entries[0]->name, "B");
	ck_assert_bytes(got->entries[1]->name, "y");
	ck_assert_int_eq(got->entries[1]->kind, FOLDER_DIRECTORY);
	ck_assert_bytes(got->entries[2]->name, "z");
	ck_assert_bytes(got->entries[3]->name, "a-broken");
	ck_assert_int_eq(got->entries[3]->kind, FOLDER_OTHER);
	ck_assert_int_eq(got->entries[4]->kind, FOLDER_FILE);
	folder_free(got);
}
END_TEST

START_TEST(several_slices)
{
	make_files("n", 2500);
	begin(true, FOLDERS_BYTES);
	TURN_UNTIL(loop, got != NULL);
	ck_assert_uint_eq(got->count, 2500);
	for (size_t i = 1; i < got->count; i++)
		ck_assert_int_lt(str_cmp(got->entries[i - 1]->name, got->entries[i]->name), 0);
	folder_free(got);
}
END_TEST

START_TEST(no_names_wanted)
{
	make_files("n", 3);
	begin(false, 0);
	TURN_UNTIL(loop, got != NULL);
	ck_assert_int_eq(got->error, 0);
	ck_assert_uint_eq(got->count, 0);
	folder_free(got);
}
END_TEST

START_TEST(not_there)
{
	ck_assert_int_eq(rmdir(top), 0);
	begin(true, FOLDERS_BYTES);
	TURN_UNTIL(loop, got != NULL);
	ck_assert_int_eq(got->error, ENOENT);
	ck_assert_str_eq(got->failed, "opendir()");
	folder_free(got);
}
END_TEST

/* What one folder holds another cannot have; it is given back. */
START_TEST(the_budget_is_shared)
{
	struct folder *first;
	uint64_t most;

	make_files("a-name-of-some-length-", 1500);
	begin(true, FOLDERS_BYTES);
	TURN_UNTIL(loop, got != NULL);
	first = got;
	most = pool_footprint(first->pool) * 3 / 2;
	got = NULL;
	begin(true, most);
	TURN_UNTIL(loop, got != NULL);
	ck_assert_int_eq(got->error, ENOMEM);
	ck_assert_str_eq(got->failed, "readdir()");
	folder_free(got);
	folder_free(first);
	got = NULL;
	begin(true, most);
	TURN_UNTIL(loop, got != NULL);
	ck_assert_int_eq(got->error, 0);
	ck_assert_uint_eq(got->count, 1500);
	folder_free(got);
}
END_TEST

/* Queued, between two slices, read but not told; a leak is the sanitizer's to find. */
START_TEST(cancelled)
{
	struct folder *queued, *under_way, *last;

	make_files("n", 2500);
	under_way = begin(true, FOLDERS_BYTES);
	queued = begin(true, FOLDERS_BYTES);
	loop_turn(loop, true);
	ck_assert_ptr_null(got);
	folder_cancel(under_way);
	folder_cancel(queued);
	last = begin(true, FOLDERS_BYTES);
	TURN_UNTIL(loop, got != NULL);
	ck_assert_ptr_eq(got, last);
	folder_free(got);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, sorted_and_told_apart);
	tcase_add_test(tcase, several_slices);
	tcase_add_test(tcase, no_names_wanted);
	tcase_add_test(tcase, not_there);
	tcase_add_test(tcase, the_budget_is_shared);
	tcase_add_test(tcase, cancelled);
}

int
main(void)
{
	return (unit_main("mod/folder", add));
}
