/* proxy/http/spool.c */
#include "../unit.h"

#include <sys/resource.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/spool.h"

static char folder[] = "/tmp/spool-test-XXXXXX";
static rlim_t file_limit;	/* of files that a spool writes; 0: none (the test's own files have none) */

static struct spool_options
options_of(uint64_t memory)
{
	struct spool_options options = { .memory = memory, .path = str_from(folder) };

	return (options);
}

static int
add(struct spool *s, char byte, size_t n)
{
	static char bytes[1 << 16];
	struct chain chain = { 0 };
	struct str path;
	struct rlimit limit, small;
	int rc, err;

	memset(bytes, byte, n);
	chain_copy(&chain, str_make(bytes, n));
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = (struct rlimit){ file_limit == 0 ? limit.rlim_cur : file_limit, limit.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = spool_append(s, &chain, &path);
	err = errno;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		abort();
	ck_assert_uint_eq(chain.bytes, rc == 0 ? 0 : n);
	chain_clear(&chain);
	errno = err;
	return (rc);
}

/* The byte at the offset, wherever it lies. */
static char
byte_at(struct spool *s, uint64_t offset)
{
	struct chain chain = { 0 };
	char c = 0;

	spool_read(s, offset, 1, &chain);
	ck_assert_uint_eq(chain.bytes, 1);
	if (chain.first->p != NULL)
		c = chain.first->p[0];
	else
		ck_assert_int_eq(pread(chain.first->fd, &c, 1, chain.first->offset), 1);
	chain_clear(&chain);
	return (c);
}

START_TEST(memory_then_file)
{
	struct spool_options options = options_of(1000);
	struct spool *s = spool_new(&options);

	ck_assert_int_eq(add(s, 'a', 600), 0);
	ck_assert(!spool_is_file(s));
	ck_assert_int_eq(add(s, 'b', 400), 0);
	ck_assert(!spool_is_file(s));
	ck_assert_int_eq(add(s, 'c', 1), 0);
	ck_assert(spool_is_file(s));
	ck_assert_int_eq(add(s, 'd', 50000), 0);
	ck_assert_uint_eq(spool_size(s), 51001);
	ck_assert_int_eq(byte_at(s, 599), 'a');
	ck_assert_int_eq(byte_at(s, 600), 'b');
	ck_assert_int_eq(byte_at(s, 1000), 'c');
	ck_assert_int_eq(byte_at(s, 51000), 'd');
	ck_assert_int_ne(access(spool_path(s).p, F_OK), 0);
	spool_drop(s);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

/* What cannot be written changes nothing: the bytes stay the caller's, those before stay readable. */
START_TEST(failed_write)
{
	struct spool_options options = options_of(1000);
	struct spool *s = spool_new(&options);

	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(add(s, 'a', 900), 0);
	file_limit = 500;
	ck_assert_int_eq(add(s, 'b', 200), -1);		/* the file would begin here: in memory it stays */
	ck_assert_int_eq(errno, EFBIG);
	ck_assert(!spool_is_file(s));
	ck_assert_uint_eq(spool_size(s), 900);
	ck_assert_int_eq(byte_at(s, 899), 'a');
	file_limit = 3000;
	ck_assert_int_eq(add(s, 'b', 200), 0);
	ck_assert(spool_is_file(s));
	ck_assert_int_eq(add(s, 'c', 60000), -1);	/* after a part was written */
	ck_assert_uint_eq(spool_size(s), 1100);
	file_limit = 0;
	ck_assert_int_eq(add(s, 'd', 60000), 0);
	ck_assert_int_eq(byte_at(s, 1099), 'b');
	ck_assert_int_eq(byte_at(s, 1100), 'd');
	ck_assert_int_eq(byte_at(s, 61099), 'd');
	spool_drop(s);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(bounds)
{
	struct spool_options options = options_of(1000);
	struct spool *one = spool_new(&options), *two = spool_new(&options);

	options.max = 3000;
	spool_set_bounds(1500, 5000);
	ck_assert_int_eq(add(one, 'a', 1000), 0);
	ck_assert_int_eq(add(two, 'a', 1000), 0);	/* more memory than all may have: a file */
	ck_assert(!spool_is_file(one) && spool_is_file(two));
	ck_assert_int_eq(add(two, 'b', 4000), 0);
	ck_assert_int_eq(add(two, 'c', 1), -1);
	ck_assert_int_eq(errno, EDQUOT);
	spool_drop(two);
	two = spool_new(&options);
	ck_assert_int_eq(add(two, 'd', 3000), 0);
	ck_assert_int_eq(add(two, 'e', 1), -1);		/* its own bound */
	ck_assert_int_eq(errno, EDQUOT);
	spool_drop(one);
	spool_drop(two);
	spool_set_bounds(UINT64_C(1) << 30, UINT64_C(1) << 40);
	buf_cache_free();
}
END_TEST

/* Read on while it is written: memory that was forwarded is forgotten. */
START_TEST(forgetting)
{
	struct spool_options options = options_of(100000);
	struct spool *s = spool_new(&options);

	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(add(s, (char)('a' + i), 16384), 0);
	spool_forget(s, 16384 * 3);
	ck_assert_uint_le(block_in_use(), 3);
	ck_assert_int_eq(byte_at(s, 16384 * 3), 'd');
	ck_assert_int_eq(add(s, 'f', 60000), 0);
	ck_assert_int_eq(byte_at(s, 16384 * 5), 'f');
	ck_assert_int_eq(add(s, 'g', 20000), 0);
	ck_assert(spool_is_file(s));
	ck_assert_int_eq(byte_at(s, 16384 * 5 - 1), 'e');
	ck_assert_int_eq(byte_at(s, spool_size(s) - 1), 'g');
	spool_drop(s);
	buf_cache_free();
}
END_TEST

static void
add_all(TCase *tcase)
{
	tcase_add_test(tcase, memory_then_file);
	tcase_add_test(tcase, failed_write);
	tcase_add_test(tcase, bounds);
	tcase_add_test(tcase, forgetting);
}

int
main(void)
{
	int failed;

	if (mkdtemp(folder) == NULL)
		return (1);
	failed = unit_main("http/spool", add_all);
	(void)rmdir(folder);
	return (failed);
}
