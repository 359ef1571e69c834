/* proxy/http/deflate.c */
#include <stdio.h>
#include <unistd.h>

#include "../unit.h"
#include "http/deflate.h"

static char bytes[1 << 20], out_bytes[sizeof(bytes) + 64];

/* Text that compresses, but not to nothing. */
static void
bytes_fill(void)
{
	unsigned seed = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		seed = seed * 1103515245 + 12345;
		bytes[i] = "abcdefgh"[(seed >> 16) & 7];
	}
}

static struct str
chain_text(const struct chain *c)
{
	size_t n = 0;

	for (const struct buf *b = c->first; b != NULL; b = b->next) {
		ck_assert_uint_le(n + b->n, sizeof(out_bytes));
		memcpy(out_bytes + n, b->p, b->n);
		n += b->n;
	}
	return (str_make(out_bytes, n));
}

/* Inflates all of in, turn by turn. */
static void
inflate_all(struct inflate *f, struct chain *in, struct chain *out)
{
	int result;

	do {
		uint64_t before = out->bytes;

		result = inflate_chain(f, in, out);
		ck_assert_int_ge(result, 0);
		ck_assert_uint_le(out->bytes - before, 256 * 1024 + BLOCK_SIZE);
	} while (result == 1);
	ck_assert(chain_is_empty(in));
}

static const struct {
	int level, window, memory;
	size_t n, piece;
} settings[] = {
	{ 1, 15, 8, 1 << 20, 1 << 20 }, { 9, 15, 9, 1 << 20, 4096 }, { 6, 9, 1, 300000, 777 },
	{ 6, 15, 8, 0, 1 }, { 6, 15, 8, 1, 1 }, { 6, 15, 8, 5000, 1 },
};

START_TEST(there_and_back)
{
	struct pool *pool = pool_new(0);
	struct deflate *d = deflate_new(pool, settings[_i].level, settings[_i].window,
	    settings[_i].memory);
	struct inflate *f = inflate_new(pool);
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };
	size_t at = 0;

	bytes_fill();
	ck_assert_ptr_nonnull(d);
	ck_assert_ptr_nonnull(f);
	while (at < settings[_i].n) {
		size_t left = settings[_i].n - at;
		size_t n = left < settings[_i].piece ? left : settings[_i].piece;

		chain_add(&in, bytes + at, n, NULL);
		at += n;
		ck_assert_int_eq(deflate_chain(d, &in, &packed, false, false), 0);
		ck_assert(chain_is_empty(&in));
	}
	ck_assert_int_eq(deflate_chain(d, &in, &packed, false, true), 0);
	if (settings[_i].n > 10000)
		ck_assert_uint_lt(packed.bytes, settings[_i].n * 6 / 10);
	inflate_all(f, &packed, &out);
	ck_assert(inflate_is_complete(f));
	ck_assert(str_eq(chain_text(&out), str_make(bytes, settings[_i].n)));
	chain_clear(&out);
	pool_free(pool);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(flushed_bytes_can_be_read)
{
	struct pool *pool = pool_new(0);
	struct deflate *d = deflate_new(pool, 6, 15, 8);
	struct inflate *f = inflate_new(pool);
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };

	for (int i = 0; i < 10; i++) {
		chain_add(&in, "hello ", 6, NULL);
		ck_assert_int_eq(deflate_chain(d, &in, &packed, true, false), 0);
		inflate_all(f, &packed, &out);
		ck_assert_uint_eq(out.bytes, 6 * ((uint64_t)i + 1));
		ck_assert(!inflate_is_complete(f));
		/* Again, with nothing new. */
		ck_assert_int_eq(deflate_chain(d, &in, &packed, true, false), 0);
	}
	ck_assert_int_eq(deflate_chain(d, &in, &packed, true, true), 0);
	inflate_all(f, &packed, &out);
	ck_assert(inflate_is_complete(f));
	chain_clear(&out);
	pool_free(pool);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(file_slices)
{
	struct pool *pool = pool_new(0);
	struct deflate *d = deflate_new(pool, 6, 15, 8);
	struct inflate *f = inflate_new(pool);
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };
	FILE *file = tmpfile();

	bytes_fill();
	ck_assert_uint_eq(fwrite(bytes, 1, 100000, file), 100000);
	fflush(file);
	chain_add(&in, "<", 1, NULL);
	chain_add_file(&in, fileno(file), 10, 99990, NULL);
	chain_add(&in, ">", 1, NULL);
	ck_assert_int_eq(deflate_chain(d, &in, &packed, false, true), 0);
	inflate_all(f, &packed, &out);
	ck_assert_uint_eq(out.bytes, 99992);
	ck_assert(str_eq(str_make(chain_text(&out).p + 1, 99990), str_make(bytes + 10, 99990)));
	chain_clear(&out);
	/* A file that has become shorter is an error, not an end. */
	d = deflate_new(pool, 6, 15, 8);
	chain_add_file(&in, fileno(file), 99999, 10, NULL);
	ck_assert_int_eq(deflate_chain(d, &in, &packed, false, true), -1);
	chain_clear(&in);
	chain_clear(&packed);
	fclose(file);
	pool_free(pool);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(members_and_garbage)
{
	struct pool *pool = pool_new(0);
	struct inflate *f = inflate_new(pool);
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };

	ck_assert(inflate_is_complete(f));
	for (int i = 0; i < 3; i++) {
		struct deflate *d = deflate_new(pool, 6, 15, 8);

		chain_add(&in, "abc", 3, NULL);
		ck_assert_int_eq(deflate_chain(d, &in, &packed, false, true), 0);
	}
	inflate_all(f, &packed, &out);
	ck_assert_bytes(chain_text(&out), "abcabcabc");
	ck_assert(inflate_is_complete(f));
	chain_add(&in, "not gzip at all", 15, NULL);
	ck_assert_int_eq(inflate_chain(f, &in, &out), -1);
	chain_clear(&in);
	chain_clear(&out);
	pool_free(pool);
	buf_cache_free();
}
END_TEST

START_TEST(a_bomb_comes_in_turns)
{
	struct pool *pool = pool_new(0);
	struct deflate *d = deflate_new(pool, 9, 15, 9);
	struct inflate *f = inflate_new(pool);
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };
	uint64_t total = 0;
	int result, turns = 0;

	memset(bytes, 0, sizeof(bytes));
	for (int i = 0; i < 20; i++) {
		chain_add(&in, bytes, sizeof(bytes), NULL);
		ck_assert_int_eq(deflate_chain(d, &in, &packed, false, i == 19), 0);
	}
	ck_assert_uint_lt(packed.bytes, 40000);
	do {
		result = inflate_chain(f, &packed, &out);
		ck_assert_uint_le(out.bytes, 256 * 1024 + BLOCK_SIZE);
		total += out.bytes;
		chain_clear(&out);
		turns++;
	} while (result == 1);
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(total, 20 * sizeof(bytes));
	ck_assert_int_ge(turns, 70);
	ck_assert(inflate_is_complete(f));
	pool_free(pool);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, there_and_back, 0, ROWS(settings));
	tcase_add_test(tcase, flushed_bytes_can_be_read);
	tcase_add_test(tcase, file_slices);
	tcase_add_test(tcase, members_and_garbage);
	tcase_add_test(tcase, a_bomb_comes_in_turns);
}

int
main(void)
{
	return (unit_main("http/deflate", add));
}
