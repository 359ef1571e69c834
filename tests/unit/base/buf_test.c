/* proxy/base/buf.c */
#include "../unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/buf.h"

static unsigned released;

static void
owner_released(struct owner *owner)
{
	(void)owner;
	released++;
}

/* All memory of the chain as one string, in buf order. */
static struct str
chain_text(const struct chain *c, char *out, size_t room)
{
	size_t n = 0, total = 0;

	for (const struct buf *b = c->first; b != NULL; b = b->next) {
		ck_assert_uint_gt(b->n, 0);
		ck_assert_uint_le(n + b->n, room);
		if (b->p != NULL)
			memcpy(out + n, b->p, b->n);
		else
			memset(out + n, '#', b->n);
		n += b->n;
		total += b->n;
		if (b->next == NULL)
			ck_assert_ptr_eq(b, c->last);
	}
	ck_assert_uint_eq(total, c->bytes);
	if (c->first == NULL)
		ck_assert_ptr_null(c->last);
	return (str_make(out, n));
}

START_TEST(building)
{
	struct owner owner = { 2, owner_released };
	struct chain c = { 0 };
	char out[256];

	released = 0;
	chain_add(&c, "hello", 5, NULL);
	chain_add_small(&c, STR("5\r\n"));
	chain_add_file(&c, 7, 100, 4, &owner);
	chain_copy(&c, STR("tail"));
	chain_copy(&c, STR("-more"));
	chain_add_small(&c, STR(""));
	ck_assert_bytes(chain_text(&c, out, sizeof(out)), "hello5\r\n####tail-more");
	chain_clear(&c);
	ck_assert(chain_is_empty(&c));
	ck_assert_uint_eq(c.bytes, 0);
	ck_assert_uint_eq(owner.refs, 1);
	owner_drop(&owner);
	ck_assert_uint_eq(released, 1);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

/* Small pieces of other people's blocks do not keep these alive; large ones and files are not copied. */
START_TEST(packed)
{
	struct block *other[20], *large = block_new();
	struct owner file = { 2, owner_released };
	struct chain from = { 0 }, to = { 0 };
	static char out[BLOCK_SIZE * 2];

	for (unsigned i = 0; i < ROWS(other); i++) {
		other[i] = block_new();
		memset(other[i]->base, 'a' + (int)i, 3);
		chain_add(&from, other[i]->base, 3, &other[i]->owner);
	}
	chain_add_small(&from, STR("."));
	chain_append_packed(&to, &from);
	ck_assert(chain_is_empty(&from));
	ck_assert_ptr_eq(to.first, to.last);
	ck_assert_uint_eq(block_in_use(), 2);
	memset(large->base, 'L', BLOCK_SIZE);
	chain_add(&from, large->base, BLOCK_SIZE, &large->owner);
	chain_add_file(&from, 7, 0, 3, &file);
	chain_append_packed(&to, &from);
	ck_assert_ptr_eq(to.first->next->p, large->base);
	ck_assert_int_eq(to.last->fd, 7);
	ck_assert_uint_eq(to.bytes, 61 + BLOCK_SIZE + 3);
	ck_assert_uint_eq(chain_text(&to, out, sizeof(out)).n, to.bytes);
	ck_assert_int_eq(memcmp(out, "aaabbbccc", 9), 0);
	chain_clear(&to);
	ck_assert_uint_eq(file.refs, 1);
	ck_assert_uint_eq(block_in_use(), 0);
	ck_assert(!block_is_scarce());
	buf_cache_free();
}
END_TEST

START_TEST(neighbours_merge)
{
	struct block *block = block_new();
	struct chain c = { 0 };

	memcpy(block->base, "abcdef", 6);
	owner_hold(&block->owner);
	chain_add(&c, block->base, 3, &block->owner);
	owner_hold(&block->owner);
	chain_add(&c, block->base + 3, 3, &block->owner);
	ck_assert_ptr_eq(c.first, c.last);
	ck_assert_uint_eq(c.bytes, 6);
	ck_assert_uint_eq(block->owner.refs, 2);
	block->used = 6;
	/* Somebody fills this block: it is not ours to append to. */
	chain_copy(&c, STR("xyz"));
	ck_assert_ptr_ne(c.first, c.last);
	ck_assert_uint_eq(block->used, 6);
	owner_drop(&block->owner);
	chain_clear(&c);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(moving_and_dropping)
{
	/* Every split point of every shape of buf. */
	for (uint64_t n = 0; n <= 20; n++) {
		struct owner owner = { 1, owner_released };
		struct chain from = { 0 }, to = { 0 };
		char out[64], want[] = "abcdeFGHIJ#####klmno";

		released = 0;
		chain_add(&from, "abcde", 5, NULL);
		chain_add_small(&from, STR("FGHIJ"));
		chain_add_file(&from, 3, 1000, 5, &owner);
		chain_copy(&from, STR("klmno"));
		chain_move(&to, &from, n);
		ck_assert_uint_eq(to.bytes, n);
		ck_assert(str_eq(chain_text(&to, out, sizeof(out)), str_make(want, n)));
		ck_assert(str_eq(chain_text(&from, out, sizeof(out)), str_make(want + n, 20 - n)));
		for (const struct buf *b = from.first; b != NULL; b = b->next)
			if (b->p == NULL)
				ck_assert_int_eq(b->offset, n > 10 ? 1000 + (int)n - 10 : 1000);
		/* And back in one piece, then away byte by byte. */
		chain_append(&to, &from);
		ck_assert(chain_is_empty(&from));
		for (size_t left = 20; left > 0; left--) {
			ck_assert(str_eq(chain_text(&to, out, sizeof(out)),
			    str_make(want + 20 - left, left)));
			chain_drop(&to, 1);
		}
		ck_assert(chain_is_empty(&to));
		ck_assert_uint_eq(released, 1);
		ck_assert_uint_eq(block_in_use(), 0);
	}
	buf_cache_free();
}
END_TEST

START_TEST(copying_much)
{
	static char bytes[3 * BLOCK_SIZE + 77], out[sizeof(bytes) + 10];
	struct chain c = { 0 };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	chain_copy(&c, STR("0123456789"));
	chain_copy(&c, str_make(bytes, sizeof(bytes)));
	ck_assert_uint_eq(block_in_use(), 4);
	ck_assert(str_eq(str_skip(chain_text(&c, out, sizeof(out)), 10),
	    str_make(bytes, sizeof(bytes))));
	chain_drop(&c, 1000000);
	ck_assert(chain_is_empty(&c));
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}
END_TEST

START_TEST(vectors)
{
	struct iovec iov[8];
	struct chain c = { 0 };

	ck_assert_int_eq(chain_iov(&c, iov, 8), 0);
	chain_add(&c, "ab", 2, NULL);
	chain_add(&c, "cde", 3, NULL);
	chain_add_file(&c, 3, 0, 10, NULL);
	chain_add(&c, "f", 1, NULL);
	ck_assert_int_eq(chain_iov(&c, iov, 1), 1);
	ck_assert_int_eq(chain_iov(&c, iov, 8), 2);
	ck_assert_uint_eq(iov[1].iov_len, 3);
	ck_assert_mem_eq(iov[1].iov_base, "cde", 3);
	chain_drop(&c, 5);
	ck_assert_int_eq(chain_iov(&c, iov, 8), 0);
	chain_clear(&c);
	buf_cache_free();
}
END_TEST

START_TEST(blocks_are_recycled)
{
	struct block *many[300], *again;

	for (unsigned i = 0; i < ROWS(many); i++)
		many[i] = block_new();
	ck_assert_uint_eq(block_in_use(), ROWS(many));
	for (unsigned i = 0; i < ROWS(many); i++)
		owner_drop(&many[i]->owner);
	ck_assert_uint_eq(block_in_use(), 0);
	again = block_new();
	/* The newest that still fitted the free list, and it is writable. */
	ck_assert_ptr_eq(again, many[255]);
	ck_assert_uint_eq(again->used, 0);
	memset(again->base, 1, BLOCK_SIZE);
	owner_drop(&again->owner);
	buf_cache_free();
}
END_TEST

START_TEST(loading)
{
	struct chain c = { NULL, NULL, 0 };
	FILE *file = tmpfile();
	char text[BLOCK_SIZE + 10];

	memset(text, 'f', sizeof(text));
	ck_assert(file != NULL && fwrite(text, 1, sizeof(text), file) == sizeof(text) && fflush(file) == 0);
	chain_add_file(&c, fileno(file), 4, sizeof(text) - 3, NULL);
	chain_copy(&c, STR("memory"));
	ck_assert_int_eq(chain_load(&c), 0);
	ck_assert_uint_eq(c.first->n, BLOCK_SIZE);
	ck_assert(c.first->p != NULL && memcmp(c.first->p, text, BLOCK_SIZE) == 0);
	ck_assert_uint_eq(c.bytes, sizeof(text) - 3 + 6);
	ck_assert_int_eq(chain_load(&c), 0);	/* it is in memory already */
	chain_drop(&c, BLOCK_SIZE);
	ck_assert_int_eq(chain_load(&c), 0);
	ck_assert_uint_eq(c.first->n, 6);
	chain_drop(&c, 6);
	errno = EIO;
	ck_assert_int_eq(chain_load(&c), -1);	/* one byte more was announced than the file has */
	ck_assert_int_eq(errno, 0);
	ck_assert_uint_eq(c.bytes, 1 + 6);
	chain_clear(&c);
	fclose(file);
	ck_assert_uint_eq(block_in_use(), 0);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, building);
	tcase_add_test(tcase, packed);
	tcase_add_test(tcase, neighbours_merge);
	tcase_add_test(tcase, moving_and_dropping);
	tcase_add_test(tcase, copying_much);
	tcase_add_test(tcase, vectors);
	tcase_add_test(tcase, blocks_are_recycled);
	tcase_add_test(tcase, loading);
}

int
main(void)
{
	return (unit_main("base/buf", add));
}
