/* http/search.c: needles in bodies, whatever the pieces; against a search that sees all at once. */
#include "../unit.h"

#include <stdio.h>
#include <unistd.h>

#include "http/search.h"

#define NEEDLES_MAX	4
#define ROUNDS		3000

static const struct {
	const char *needles[NEEDLES_MAX];
	const char *text;
	bool once;
	const char *want;	/* a needle that was found is its number */
} cases[] = {
	{ { "a" }, "", false, "" },
	{ { "a" }, "bcd", false, "bcd" },
	{ { "a" }, "banana", false, "b0n0n0" },
	{ { "a" }, "banana", true, "b0nana" },
	{ { "A" }, "aAb", false, "00b" },
	{ { "abc" }, "ABCabcAbC", false, "000" },
	{ { "aa" }, "aaaaa", false, "00a" },
	{ { "aab" }, "aaaab", false, "aa0" },
	{ { "abab" }, "abaababab", false, "aba0ab" },
	{ { "abc" }, "ababab", false, "ababab" },
	/* at one place the first listed, not the longest */
	{ { "ab", "abc" }, "abcd", false, "0cd" },
	{ { "abc", "ab" }, "abcabd", false, "01d" },
	{ { "abcd", "ab" }, "abc", false, "1c" },
	{ { "abcd", "bc" }, "abce", false, "a1e" },
	/* the place that comes first, not the needle */
	{ { "cd", "bcx", "bc" }, "abcd", false, "a2d" },
	{ { "b", "a" }, "abab", true, "10ab" },
	{ { "ab", "abc" }, "abc abc abc", true, "0c 1 abc" },
	{ { "a", "b", "c" }, "cabcab", true, "201cab" },
	{ { "\xc3\x84" }, "\xc3\x84 \xc3\xa4", false, "0 \xc3\xa4" },
	{ { "@[" }, "`{@[", false, "`{0" },
	{ { "</body>" }, "<p>x</p></BODY></html>", true, "<p>x</p>0</html>" },
};

static unsigned
needles_of(const char *const *list, struct str *texts)
{
	unsigned count = 0;

	for (; count < NEEDLES_MAX && list[count] != NULL; count++)
		texts[count] = str_from(list[count]);
	return (count);
}

static void
text_of(struct chain *c, char *text, size_t *n)
{
	for (const struct buf *b = c->first; b != NULL; b = b->next) {
		memcpy(text + *n, b->p, b->n);
		*n += b->n;
	}
	chain_clear(c);
}

/* All of text in pieces of 1 to `most' bytes; several pieces a call now and then. */
static struct str
search_in_pieces(struct pool *pool, struct search *s, struct str text, unsigned most)
{
	char *got = pool_alloc(pool, text.n + 1);
	size_t n = 0, held = text.n;
	struct chain in = { NULL, NULL, 0 }, out = { NULL, NULL, 0 };
	bool last = text.n == 0;

	do {
		int found;

		while (text.n > 0) {
			size_t piece = 1 + (size_t)rand() % most;
			char *copy;

			if (piece > text.n)
				piece = text.n;
			copy = malloc(piece);	/* of its own: a sanitizer sees its ends */
			memcpy(copy, text.p, piece);
			if (rand() % 2 == 0)
				chain_copy(&in, str_make(copy, piece));
			else
				chain_add(&in, pool_strdup(pool, str_make(copy, piece)).p, piece, NULL);
			free(copy);
			text = str_skip(text, piece);
			if (rand() % 3 != 0)
				break;
		}
		last = text.n == 0;
		while ((found = search_next(s, &in, &out, last)) >= 0) {
			text_of(&out, got, &n);
			got[n++] = (char)('0' + found);
		}
		ck_assert_int_eq(found, SEARCH_MORE);
		ck_assert(chain_is_empty(&in));
		text_of(&out, got, &n);
	} while (!last);
	ck_assert(n <= held);
	return (str_make(got, n));
}

/* The same by looking everywhere at once. */
static struct str
search_simply(struct pool *pool, const struct str *needles, unsigned count, struct str text, bool once)
{
	char *got = pool_alloc(pool, text.n + 1);
	bool found[NEEDLES_MAX] = { false };
	size_t n = 0;

	while (text.n > 0) {
		unsigned i;

		for (i = 0; i < count; i++)
			if (!found[i] && str_starts_ci(text, needles[i]))
				break;
		if (i < count) {
			found[i] = once;
			got[n++] = (char)('0' + i);
			text = str_skip(text, needles[i].n);
		} else {
			got[n++] = *text.p;
			text = str_skip(text, 1);
		}
	}
	return (str_make(got, n));
}

START_TEST(listed)
{
	struct str texts[NEEDLES_MAX];
	unsigned count = needles_of(cases[_i].needles, texts);

	for (unsigned most = 1; most < 14; most++) {
		struct pool *pool = pool_new(0);
		const struct needles *needles = needles_new(pool, texts, count);

		ck_assert_text(search_in_pieces(pool, search_new(pool, needles, cases[_i].once),
		    str_from(cases[_i].text), most), cases[_i].want);
		ck_assert_text(search_simply(pool, texts, count, str_from(cases[_i].text),
		    cases[_i].once), cases[_i].want);
		pool_free(pool);
	}
}
END_TEST

static struct str
random_text(struct pool *pool, size_t most, unsigned letters)
{
	size_t n = 1 + (size_t)rand() % most;
	char *p = pool_alloc(pool, n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)((rand() % 4 == 0 ? 'A' : 'a') + rand() % (int)letters);
	return (str_make(p, n));
}

/* Few letters, so that beginnings of needles are everywhere. */
START_TEST(random_against_simple)
{
	srand(20);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct pool *pool = pool_new(0);
		unsigned count = 1 + (unsigned)rand() % NEEDLES_MAX, letters = 1 + (unsigned)rand() % 3;
		struct str needles[NEEDLES_MAX], text = random_text(pool, 120, letters), got, want;
		size_t longest = rand() % 10 == 0 ? 60 : 6;
		bool once = rand() % 3 == 0;

		for (unsigned i = 0; i < count; i++)
			needles[i] = random_text(pool, longest, letters);
		want = search_simply(pool, needles, count, text, once);
		got = search_in_pieces(pool, search_new(pool, needles_new(pool, needles, count), once),
		    text, 1 + (unsigned)rand() % 20);
		ck_assert_msg(str_eq(got, want), "round %u: \"" STR_FMT "\", not \"" STR_FMT "\"", round,
		    STR_ARG(got), STR_ARG(want));
		pool_free(pool);
	}
}
END_TEST

/* Longer than the window that is looked at. */
START_TEST(long_needle)
{
	struct pool *pool = pool_new(0);
	char *p = pool_alloc(pool, 3000);
	struct str needle = str_make(p + 500, 1000);

	for (size_t i = 0; i < 3000; i++)
		p[i] = (char)('a' + i * i % 23);
	for (unsigned most = 1; most < 3000; most += 131) {
		struct search *s = search_new(pool, needles_new(pool, &needle, 1), false);
		struct str got = search_in_pieces(pool, s, str_make(p, 3000), most);

		ck_assert(str_eq(got, search_simply(pool, &needle, 1, str_make(p, 3000), false)));
		ck_assert_uint_lt(got.n, 2100);
	}
	pool_free(pool);
}
END_TEST

/* What cannot be part of a needle is not held back, what can is. */
START_TEST(held_back)
{
	static const struct {
		const char *piece, *out;
	} steps[] = {
		{ "x", "x" }, { "ab", "" }, { "a", "ab" }, { "b", "" }, { "cd", "0" }, { "abce", "abce" },
		{ "hello a", "hello " }, { "!", "a!" }, { "abcdab", "0" }, { "z", "abz" },
	};
	struct pool *pool = pool_new(0);
	struct str needle = STR("abcd");
	struct search *s = search_new(pool, needles_new(pool, &needle, 1), false);

	for (size_t i = 0; i < ROWS(steps); i++) {
		struct chain in = { NULL, NULL, 0 }, out = { NULL, NULL, 0 };
		char text[64];
		size_t n = 0;
		int found;

		chain_copy(&in, str_from(steps[i].piece));
		while ((found = search_next(s, &in, &out, false)) >= 0)
			chain_add_small(&out, STR("0"));
		ck_assert_int_eq(found, SEARCH_MORE);
		text_of(&out, text, &n);
		ck_assert_text(str_make(text, n), steps[i].out);
	}
	pool_free(pool);
}
END_TEST

START_TEST(in_a_file)
{
	struct pool *pool = pool_new(0);
	struct str needle = STR("needle"), content;
	struct search *s = search_new(pool, needles_new(pool, &needle, 1), false);
	struct chain in = { NULL, NULL, 0 }, out = { NULL, NULL, 0 };
	char *p = pool_alloc(pool, 2 * BLOCK_SIZE);
	FILE *file = tmpfile();
	size_t found = 0;
	int rc;

	memset(p, '-', 2 * BLOCK_SIZE);
	memcpy(p + 5, "needle", 6);
	memcpy(p + BLOCK_SIZE - 3, "NEEDLE", 6);	/* over the end of what is read at once */
	memcpy(p + 2 * BLOCK_SIZE - 6, "neEdle", 6);
	content = str_make(p, 2 * BLOCK_SIZE);
	ck_assert(file != NULL && fwrite(content.p, 1, content.n, file) == content.n && fflush(file) == 0);
	chain_add_file(&in, fileno(file), 0, content.n, NULL);
	while ((rc = search_next(s, &in, &out, true)) >= 0)
		found++;
	ck_assert_int_eq(rc, SEARCH_MORE);
	ck_assert_uint_eq(found, 3);
	ck_assert_uint_eq(out.bytes, content.n - 18);
	chain_clear(&out);
	chain_add_file(&in, fileno(file), 0, content.n + 1, NULL);
	while ((rc = search_next(s, &in, &out, true)) >= 0)
		continue;
	ck_assert_int_eq(rc, SEARCH_FAILED);
	chain_clear(&in);
	chain_clear(&out);
	fclose(file);
	pool_free(pool);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, listed, 0, (int)ROWS(cases));
	tcase_add_test(tc, random_against_simple);
	tcase_add_test(tc, long_needle);
	tcase_add_test(tc, held_back);
	tcase_add_test(tc, in_a_file);
}

int
main(void)
{
	return (unit_main("http/search", add_tests));
}
