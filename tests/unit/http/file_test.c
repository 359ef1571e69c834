/* proxy/http/file.c */
#define _GNU_SOURCE	/* syscall */
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../unit.h"
#include "base/clock.h"
#include "http/file.h"

static char folder[64], path[96];
static struct http_thread thread;
static time_t ahead;	/* seconds that the clocks are put forward */

/* In place of libc's: a file is settled when its time comes, without waiting for it. */
int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	t->tv_sec += ahead;
	return (rc);
}

/* A later turn of the loop. */
static void
turn(time_t seconds)
{
	ahead += seconds;
	clock_update();
}

static void
file_write(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t n = strlen(text);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static struct file *
get(bool want_bytes)
{
	return (file_get(&thread, str_from(path), want_bytes));
}

/* What a client gets of a chain that was made earlier. */
static void
ck_assert_chain(struct chain *chain, const char *text)
{
	char got[256];
	size_t n = 0;

	for (const struct buf *b = chain->first; b != NULL; b = b->next) {
		ck_assert_uint_le(n + b->n, sizeof(got));
		if (b->p != NULL)
			memcpy(got + n, b->p, b->n);
		else
			ck_assert_int_eq(pread(b->fd, got + n, b->n, b->offset), (ssize_t)b->n);
		n += b->n;
	}
	ck_assert_text(str_make(got, n), text);
}

static void
setup(void)
{
	ahead = 0;
	snprintf(folder, sizeof(folder), "file_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a", folder);
	clock_update();
	thread = (struct http_thread){ .files = file_cache_new() };
}

static void
teardown(void)
{
	file_cache_free(thread.files);
	unlink(path);
	rmdir(folder);
}

START_TEST(contents_of_a_settled_file)
{
	struct file *young, *settled;

	file_write("hello");
	young = get(true);
	ck_assert_ptr_nonnull(young);
	ck_assert_ptr_null(young->content);
	ck_assert_int_ge(young->fd, 0);
	ck_assert_uint_eq(young->size, 5);
	owner_drop(&young->owner);
	turn(10);
	settled = get(true);
	ck_assert_ptr_nonnull(settled->content);
	ck_assert_int_eq(settled->fd, -1);
	ck_assert_bytes(str_make(settled->content, settled->size), "hello");
	owner_drop(&settled->owner);
}
END_TEST

/* The descriptor of an answer under way is not closed, nor another file's by its number. */
START_TEST(answer_under_way_keeps_its_descriptor)
{
	struct chain slow = { 0 }, fast = { 0 };
	struct file *young, *settled;

	file_write("the first bytes of a file");
	young = get(true);
	file_chain(young, &slow);
	owner_drop(&young->owner);
	turn(10);
	settled = get(true);
	file_chain(settled, &fast);
	owner_drop(&settled->owner);
	ck_assert_chain(&fast, "the first bytes of a file");
	ck_assert_chain(&slow, "the first bytes of a file");
	chain_clear(&slow);
	chain_clear(&fast);
	/* Nobody reads from the descriptor any more: now the contents are kept. */
	turn(1);
	settled = get(true);
	ck_assert_ptr_nonnull(settled->content);
	ck_assert_int_eq(settled->fd, -1);
	owner_drop(&settled->owner);
}
END_TEST

START_TEST(changed_file_is_another)
{
	struct chain old = { 0 };
	struct file *file;

	file_write("old");
	file = get(true);
	file_chain(file, &old);
	owner_drop(&file->owner);
	ck_assert_int_eq(unlink(path), 0);
	file_write("newer");
	turn(0);
	file = get(true);
	ck_assert_uint_eq(file->size, 5);
	owner_drop(&file->owner);
	ck_assert_chain(&old, "old");
	chain_clear(&old);
}
END_TEST

START_TEST(missing_file_is_asked_for_once_a_turn)
{
	struct file *file;

	ck_assert_ptr_null(get(true));
	ck_assert_int_eq(errno, ENOENT);
	file_write("here");
	ck_assert_ptr_null(get(true));
	ck_assert_int_eq(errno, ENOENT);
	turn(1);
	file = get(false);
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(file->fd, -1);
	ck_assert(file->is_regular && !file->is_directory);
	owner_drop(&file->owner);
}
END_TEST

/* What was made of the contents counts with them, and goes with the file. */
START_TEST(variants)
{
	struct chain made = { 0 };
	struct file *file;

	file_write("text");
	turn(10);
	file = get(true);
	ck_assert_ptr_null(file_variant(file, 1).p);
	chain_copy(&made, STR("packed"));
	ck_assert_bytes(file_keep_variant(file, 1, &made), "packed");
	chain_clear(&made);
	ck_assert_bytes(file_variant(file, 1), "packed");
	ck_assert_ptr_null(file_variant(file, 2).p);
	owner_drop(&file->owner);
	ck_assert_int_eq(unlink(path), 0);
	file_write("other text");
	turn(10);
	file = get(true);
	ck_assert_ptr_null(file_variant(file, 1).p);
	owner_drop(&file->owner);
}
END_TEST

/* Files that were only looked at are opened later: those count, too. */
START_TEST(descriptors_are_bounded)
{
	enum { FILES = 400, BOUND = 300 };
	char name[128];
	int next;

	for (int want_bytes = 0; want_bytes < 2; want_bytes++) {
		for (int i = 0; i < FILES; i++) {
			struct file *file;

			snprintf(name, sizeof(name), "%s/%d", folder, i);
			if (want_bytes == 0)
				close(open(name, O_WRONLY | O_CREAT, 0600));
			file = file_get(&thread, str_from(name), want_bytes != 0);
			ck_assert_ptr_nonnull(file);
			owner_drop(&file->owner);
		}
	}
	next = dup(STDERR_FILENO);
	close(next);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%s/%d", folder, i);
		unlink(name);
	}
	ck_assert_int_lt(next, BOUND);
}
END_TEST

START_TEST(etag_and_kind)
{
	char want[64];
	struct stat st;
	struct file *file;

	file_write("0123456789abcdef");
	ck_assert_int_eq(stat(path, &st), 0);
	snprintf(want, sizeof(want), "\"%llx-10\"", (unsigned long long)st.st_mtime);
	file = get(false);
	ck_assert_text(file->etag, want);
	owner_drop(&file->owner);
	file = file_get(&thread, str_from(folder), true);
	ck_assert(file->is_directory);
	ck_assert_int_eq(file->fd, -1);
	owner_drop(&file->owner);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, contents_of_a_settled_file);
	tcase_add_test(tcase, answer_under_way_keeps_its_descriptor);
	tcase_add_test(tcase, changed_file_is_another);
	tcase_add_test(tcase, missing_file_is_asked_for_once_a_turn);
	tcase_add_test(tcase, variants);
	tcase_add_test(tcase, descriptors_are_bounded);
	tcase_add_test(tcase, etag_and_kind);
}

int
main(void)
{
	return (unit_main("file", add));
}
