/* proxy/base/log.c */
#define _GNU_SOURCE	/* gettid */
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "../unit.h"
#include "base/clock.h"
#include "base/log.h"

static char folder[64], path[96], other[96], text[1 << 20];

static void
setup(void)
{
	snprintf(folder, sizeof(folder), "log_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.log", folder);
	snprintf(other, sizeof(other), "%s/b.log", folder);
}

static void
teardown(void)
{
	unlink(path);
	unlink(other);
	rmdir(folder);
}

static struct str
file_text(const char *name)
{
	int fd = open(name, O_RDONLY);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	n = read(fd, text, sizeof(text));
	ck_assert_int_ge(n, 0);
	close(fd);
	return (str_make(text, (size_t)n));
}

START_TEST(shape_of_a_line)
{
	struct log_file *file = log_file_open(path, -1);
	struct log log = { .file = file, .level = LOG_INFO };
	char want[256], date[32];
	struct str now;

	ck_assert_ptr_nonnull(file);
	now = clock_log_error();
	snprintf(date, sizeof(date), STR_FMT, STR_ARG(now));
	log_write(&log, LOG_ERR, 9, ECONNREFUSED, "connect() failed to %s", "x");
	log_write(&log, LOG_NOTICE, 0, 0, "plain");
	log_write(&log, LOG_DEBUG, 0, 0, "too fine");
	snprintf(want, sizeof(want),
	    "%s [error] %d#%d: *9 connect() failed to x (111: Connection refused)\n"
	    "%s [notice] %d#%d: plain\n", date, getpid(), gettid(), date, getpid(), gettid());
	ck_assert_text(file_text(path), want);
	log_file_close(file);
}
END_TEST

START_TEST(long_lines_are_cut)
{
	struct log_file *file = log_file_open(path, -1);
	struct log log = { .file = file, .level = LOG_INFO };
	struct str s;
	char *body = malloc(5000);

	memset(body, 'x', 4999);
	body[4999] = '\0';
	log_write(&log, LOG_ERR, 0, 0, "%s", body);
	s = file_text(path);
	ck_assert_uint_eq(s.n, 2048);
	ck_assert_uint_eq(str_chr(s, '\n'), 2047);
	ck_assert_int_eq(truncate(path, 0), 0);
	log_write(&log, LOG_ERR, 0, EPIPE, "%s", body);
	s = file_text(path);
	ck_assert_uint_le(s.n, 2048);
	ck_assert(str_ends(s, STR("xxx... (32: Broken pipe)\n")));
	/* Lengths around the limit. */
	for (size_t n = 1900; n < 2100; n++) {
		body[n] = '\0';
		ck_assert_int_eq(truncate(path, 0), 0);
		log_write(&log, LOG_ERR, 7, n & 1 ? ENOENT : 0, "%s", body);
		s = file_text(path);
		ck_assert_uint_le(s.n, 2048);
		ck_assert_uint_eq(str_chr(s, '\n'), s.n - 1);
		ck_assert_uint_eq(str_chr(s, '\0'), SIZE_MAX);
		body[n] = 'x';
	}
	free(body);
	log_file_close(file);
}
END_TEST

START_TEST(every_target_by_its_level)
{
	struct log_file *a = log_file_open(path, -1), *b = log_file_open(other, -1);
	struct log fine = { .file = b, .level = LOG_DEBUG };
	struct log log = { .next = &fine, .file = a, .level = LOG_ERR };

	ck_assert(log_enabled(&log, LOG_DEBUG));
	ck_assert(!log_enabled(NULL, LOG_EMERG));
	log_set_default(&log);
	ck_assert_ptr_eq(log_default(), &log);
	log_main(LOG_ERR, 0, "one");
	log_main(LOG_DEBUG, 0, "two");
	log_set_default(NULL);
	ck_assert(str_ends(file_text(path), STR(": one\n")));
	ck_assert(str_ends(file_text(other), STR(": two\n")));
	ck_assert_uint_ne(str_find(file_text(other), STR("one\n")), SIZE_MAX);
	log_file_close(a);
	log_file_close(b);
}
END_TEST

START_TEST(deferred_until_flush)
{
	struct log_file *file = log_file_open(path, -1);
	struct log log = { .file = file, .level = LOG_DEBUG };

	log_thread_deferred(true);
	log_file_write(file, STR("one\n"), 0, 0);
	log_file_write(file, STR("two\n"), 0, 0);
	ck_assert_uint_eq(file_text(path).n, 0);
	log_flush(false);
	ck_assert_bytes(file_text(path), "one\ntwo\n");
	/* By size. */
	log_file_write(file, STR("three\n"), 8, 1000000);
	log_flush(false);
	ck_assert_bytes(file_text(path), "one\ntwo\n");
	log_file_write(file, STR("four\n"), 8, 1000000);
	ck_assert_bytes(file_text(path), "one\ntwo\nthree\nfour\n");
	/* By time: not before, then at once. */
	log_file_write(file, STR("five\n"), 100, 1000000);
	log_flush(false);
	ck_assert_bytes(file_text(path), "one\ntwo\nthree\nfour\n");
	log_flush(true);
	ck_assert_bytes(file_text(path), "one\ntwo\nthree\nfour\nfive\n");
	/* What is grave does not wait. */
	log_write(&log, LOG_CRIT, 0, 0, "now");
	ck_assert(str_ends(file_text(path), STR(": now\n")));
	log_file_write(file, STR("last\n"), 0, 0);
	log_thread_deferred(false);
	ck_assert(str_ends(file_text(path), STR("last\n")));
	log_file_close(file);
}
END_TEST

START_TEST(closing_flushes)
{
	struct log_file *file = log_file_open(path, -1);

	log_thread_deferred(true);
	log_file_write(file, STR("one\n"), 0, 0);
	log_file_close(file);
	ck_assert_bytes(file_text(path), "one\n");
	log_thread_deferred(false);
}
END_TEST

static void *
late_writer(void *arg)
{
	int *pipes = arg;
	struct log_file *file;
	char c;

	log_thread_deferred(true);
	ck_assert_int_eq(read(pipes[0], &file, sizeof(file)), (ssize_t)sizeof(file));
	log_file_write(file, STR("late\n"), 0, 0);
	ck_assert_int_eq(write(pipes[3], "x", 1), 1);
	ck_assert_int_eq(read(pipes[0], &c, 1), 1);
	log_flush(true);
	log_thread_deferred(false);
	return (NULL);
}

START_TEST(closed_under_another_thread)
{
	struct log_file *file = log_file_open(path, -1);
	pthread_t thread;
	int pipes[4];
	char c;

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(pipe(pipes + 2), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, late_writer, pipes), 0);
	ck_assert_int_eq(write(pipes[1], &file, sizeof(file)), (ssize_t)sizeof(file));
	ck_assert_int_eq(read(pipes[2], &c, 1), 1);
	log_file_close(file);
	ck_assert_int_eq(write(pipes[1], "x", 1), 1);
	pthread_join(thread, NULL);
	ck_assert_bytes(file_text(path), "late\n");
	for (int i = 0; i < 4; i++)
		close(pipes[i]);
}
END_TEST

static void *
many_lines(void *arg)
{
	log_thread_deferred(true);
	for (int i = 0; i < 5000; i++) {
		log_file_write(arg, STR("0123456789abcdef0123456789abcdef0123456789\n"), 0, 0);
		if (i % 97 == 0)
			log_flush(false);
	}
	log_thread_deferred(false);
	return (NULL);
}

START_TEST(lines_of_threads_do_not_mix)
{
	struct log_file *file = log_file_open(path, -1);
	pthread_t threads[4];
	struct str rest, line;
	unsigned count = 0;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, many_lines, file), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	log_file_close(file);
	rest = file_text(path);
	while (str_cut(&rest, '\n', &line) && line.n > 0) {
		ck_assert_bytes(line, "0123456789abcdef0123456789abcdef0123456789");
		count++;
	}
	ck_assert_uint_eq(count, 20000);
}
END_TEST

START_TEST(reopening)
{
	struct log_file *file = log_file_open(path, -1);
	int fd = log_file_fd(file), passed;

	ck_assert_str_eq(log_file_path(file), path);
	log_file_write(file, STR("one\n"), 0, 0);
	ck_assert_int_eq(rename(path, other), 0);
	log_file_write(file, STR("two\n"), 0, 0);
	ck_assert_int_eq(log_file_reopen(file, -1), 0);
	ck_assert_int_eq(log_file_fd(file), fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	log_file_write(file, STR("three\n"), 0, 0);
	ck_assert_bytes(file_text(other), "one\ntwo\n");
	ck_assert_bytes(file_text(path), "three\n");
	/* Handed in by the master. */
	passed = open(other, O_WRONLY | O_APPEND);
	ck_assert_int_eq(log_file_reopen(file, passed), 0);
	log_file_write(file, STR("four\n"), 0, 0);
	ck_assert_bytes(file_text(other), "one\ntwo\nfour\n");
	ck_assert_int_eq(fcntl(passed, F_GETFD), -1);
	/* No folder any more: the old one stays. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(unlink(other), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(log_file_reopen(file, -1), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(log_file_fd(file), fd);
	log_file_write(file, STR("five\n"), 0, 0);
	log_file_close(file);
	ck_assert_ptr_null(log_file_open(path, -1));
}
END_TEST

START_TEST(full_disk_is_said_once)
{
	struct log_file *file = log_file_open("/dev/full", -1);
	int saved = dup(STDERR_FILENO), fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
	struct str s;

	dup2(fd, STDERR_FILENO);
	for (int i = 0; i < 5; i++)
		log_file_write(file, STR("x\n"), 0, 0);
	dup2(saved, STDERR_FILENO);
	s = file_text(path);
	ck_assert_bytes(s, "wproxy: write() to \"/dev/full\" failed (28: No space left on device)\n");
	log_file_close(file);
	close(saved);
	close(fd);
}
END_TEST

START_TEST(stderr_is_not_closed)
{
	struct log_file *file = log_file_open("", STDERR_FILENO);

	ck_assert_int_eq(log_file_fd(file), STDERR_FILENO);
	ck_assert_int_eq(log_file_reopen(file, -1), 0);
	log_file_close(file);
	ck_assert_int_ne(fcntl(STDERR_FILENO, F_GETFD), -1);
}
END_TEST

START_TEST(level_names)
{
	ck_assert_str_eq(log_level_name(LOG_ERR), "error");
	for (int i = LOG_STDERR; i <= LOG_DEBUG; i++)
		ck_assert_int_eq(log_level_by_name(str_from(log_level_name((enum log_level)i))), i);
	ck_assert_int_eq(log_level_by_name(STR("err")), -1);
	ck_assert_int_eq(log_level_by_name(STR("")), -1);
}
END_TEST

/* What cannot be written is told in the main log, which may be the very file. */
START_TEST(full_main_log)
{
	struct log_file *full = log_file_open("/dev/full", -1), *fine = log_file_open(path, -1);
	struct log second = { .file = fine, .level = LOG_INFO };
	struct log log = { .next = &second, .file = full, .level = LOG_INFO };
	int err = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY), fd;

	ck_assert_ptr_nonnull(full);
	ck_assert_int_ge(dup2(null, STDERR_FILENO), 0);
	fd = log_file_fd(full);
	log_thread_deferred(true);
	log_set_default(&log);
	log_main(LOG_NOTICE, 0, "one");
	log_flush(true);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);	/* it is still ours */
	log_main(LOG_NOTICE, 0, "two");
	log_flush(true);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	log_set_default(NULL);
	log_thread_deferred(false);
	ck_assert_int_ge(dup2(err, STDERR_FILENO), 0);
	close(err);
	close(null);
	ck_assert_uint_ne(str_find(file_text(path), STR(": one\n")), SIZE_MAX);
	ck_assert_uint_ne(str_find(file_text(path),
	    STR("write() to \"/dev/full\" failed (28: No space left on device)\n")), SIZE_MAX);
	ck_assert(str_ends(file_text(path), STR(": two\n")));
	log_file_close(full);
	log_file_close(fine);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, shape_of_a_line);
	tcase_add_test(tcase, long_lines_are_cut);
	tcase_add_test(tcase, every_target_by_its_level);
	tcase_add_test(tcase, deferred_until_flush);
	tcase_add_test(tcase, closing_flushes);
	tcase_add_test(tcase, closed_under_another_thread);
	tcase_add_test(tcase, lines_of_threads_do_not_mix);
	tcase_add_test(tcase, reopening);
	tcase_add_test(tcase, full_disk_is_said_once);
	tcase_add_test(tcase, stderr_is_not_closed);
	tcase_add_test(tcase, level_names);
	tcase_add_test(tcase, full_main_log);
}

int
main(void)
{
	return (unit_main("base/log", add));
}
