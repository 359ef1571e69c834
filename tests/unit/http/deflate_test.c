/* proxy/http/deflate.c */
#include <stdio.h>
#include <unistd.h>

#include <zlib.h>

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

/* A client: zlib's own reader. */
struct reader {
	z_stream z;
	bool complete;		/* the end of the stream was read */
};

static void
reader_init(struct reader *reader)
{
	memset(reader, 0, sizeof(*reader));
	ck_assert_int_eq(inflateInit2(&reader->z, MAX_WBITS + 16), Z_OK);
}

static void
inflate_all(struct reader *reader, struct chain *in, struct chain *out)
{
	static char room[65536];
	z_stream *z = &reader->z;

	for (; !chain_is_empty(in); chain_drop(in, in->first->n)) {
		z->next_in = (Bytef *)(uintptr_t)in->first->p;
		z->avail_in = (uInt)in->first->n;
		do {
			int result;

			z->next_out = (Bytef *)room;
			z->avail_out = sizeof(room);
			result = inflate(z, Z_NO_FLUSH);
			ck_assert(result == Z_OK || result == Z_BUF_ERROR || result == Z_STREAM_END);
			reader->complete = result == Z_STREAM_END;
			chain_copy(out, str_make(room, sizeof(room) - z->avail_out));
		} while (z->avail_out == 0);
		ck_assert_uint_eq(z->avail_in, 0);
	}
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
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };
	struct reader reader;
	size_t at = 0;

	reader_init(&reader);
	bytes_fill();
	ck_assert_ptr_nonnull(d);
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
	inflate_all(&reader, &packed, &out);
	ck_assert(reader.complete);
	ck_assert(str_eq(chain_text(&out), str_make(bytes, settings[_i].n)));
	chain_clear(&out);
	inflateEnd(&reader.z);
	pool_free(pool);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(flushed_bytes_can_be_read)
{
	struct pool *pool = pool_new(0);
	struct deflate *d = deflate_new(pool, 6, 15, 8);
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };
	struct reader reader;

	reader_init(&reader);
	for (int i = 0; i < 10; i++) {
		chain_add(&in, "hello ", 6, NULL);
		ck_assert_int_eq(deflate_chain(d, &in, &packed, true, false), 0);
		inflate_all(&reader, &packed, &out);
		ck_assert_uint_eq(out.bytes, 6 * ((uint64_t)i + 1));
		ck_assert(!reader.complete);
		/* Again, with nothing new. */
		ck_assert_int_eq(deflate_chain(d, &in, &packed, true, false), 0);
	}
	ck_assert_int_eq(deflate_chain(d, &in, &packed, true, true), 0);
	inflate_all(&reader, &packed, &out);
	ck_assert(reader.complete);
	chain_clear(&out);
	inflateEnd(&reader.z);
	pool_free(pool);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(file_slices)
{
	struct pool *pool = pool_new(0);
	struct deflate *d = deflate_new(pool, 6, 15, 8);
	struct chain in = { 0 }, packed = { 0 }, out = { 0 };
	struct reader reader;
	FILE *file = tmpfile();

	reader_init(&reader);
	bytes_fill();
	ck_assert_uint_eq(fwrite(bytes, 1, 100000, file), 100000);
	fflush(file);
	chain_add(&in, "<", 1, NULL);
	chain_add_file(&in, fileno(file), 10, 99990, NULL);
	chain_add(&in, ">", 1, NULL);
	ck_assert_int_eq(deflate_chain(d, &in, &packed, false, true), 0);
	inflate_all(&reader, &packed, &out);
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
	inflateEnd(&reader.z);
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
}

int
main(void)
{
	return (unit_main("http/deflate", add));
}
