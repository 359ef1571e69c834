/* conf/lex.c: words, ends, errors and positions, each as nginx -t 1.22.1 takes the same text. */
#define _GNU_SOURCE
#include <check.h>
#include <stdlib.h>

#include "conf/lex.h"

static struct pool *pool;

static void
setup(void)
{
	pool = pool_new(0);
}

static void
teardown(void)
{
	pool_free(pool);
}

/* The directives of a text as "a|b|c; x{ } !error", to the end or the first error. */
static struct str
text_shown(struct str text, struct lexer *lx)
{
	struct vec words = VEC_OF(struct conf_word);
	struct str shown = STR("");

	lex_init(lx, pool, STR("f"), text);
	for (;;) {
		enum lex_end end = lex_next(lx, &words);

		if (end == LEX_EOF)
			return (shown);
		if (end == LEX_ERROR)
			return (pool_printf(pool, "%s!%s", shown.p, lx->error));
		VEC_EACH(&words, struct conf_word, w) {
			ck_assert_int_eq(w->text.p[w->text.n], '\0');
			shown = pool_printf(pool, "%s%s%s", shown.p,
			    w == words.items ? "" : "|", w->text.p);
		}
		shown = pool_printf(pool, "%s%s", shown.p,
		    end == LEX_SEMICOLON ? ";" : end == LEX_OPEN ? "{" : "}");
	}
}

#define UNEXPECTED_END	"!unexpected end of file, expecting \";\" or \"}\""

static const struct {
	const char *text;
	const char *shown;
	unsigned line;	/* nginx's, where it says an error; 0: not looked at */
} texts[] = {
	{ "", "", 0 },
	{ " \t\r\n", "", 0 },
	{ "a b;c\td;", "a|b;c|d;", 0 },
	{ "a\nb\r\nc;", "a|b|c;", 0 },
	{ "a{b c;}d{}", "a{b|c;}d{}", 0 },
	{ "# x y; {\na b; # c;\n#", "a|b;", 0 },
	{ "a#b c;", "a#b|c;", 0 },
	{ "a \"b # c\" d;", "a|b # c|d;", 0 },
	{ "a \"b;c{d}e f\";", "a|b;c{d}e f;", 0 },
	{ "a 'b \"c\" d';", "a|b \"c\" d;", 0 },
	{ "a \"b 'c' d\";", "a|b 'c' d;", 0 },
	{ "a \"\" '';", "a||;", 0 },
	{ "\"a b\" c;", "a b|c;", 0 },
	{ "a b\"c\"d e;", "a|b\"c\"d|e;", 0 },
	{ "a \"b\nc\";", "a|b\nc;", 0 },
	{ "a \"b\\\"c\";", "a|b\"c;", 0 },
	{ "a 'b\\'c';", "a|b'c;", 0 },
	{ "a 'b\\\"c';", "a|b\"c;", 0 },
	{ "a b\\ c;", "a|b\\ c;", 0 },
	{ "a b\\;c;", "a|b\\;c;", 0 },
	{ "a b\\{c;", "a|b\\{c;", 0 },
	{ "a \\{b;", "a|\\{b;", 0 },
	{ "a b\\tc\\rd\\ne;", "a|b\tc\rd\ne;", 0 },
	{ "a b\\\\c;", "a|b\\c;", 0 },
	{ "a \\.php$ \\d+ \\x;", "a|\\.php$|\\d+|\\x;", 0 },
	{ "a \\\\\\;;", "a|\\\\;;", 0 },
	{ "a ${b};", "a|${b};", 0 },
	{ "a x${b}y${c}z;", "a|x${b}y${c}z;", 0 },
	{ "a $b{c;}", "a|$b{c;}", 0 },
	{ "a ${{b;", "a|${{b;", 0 },
	{ "a $${b};", "a|$${b};", 0 },
	{ "a b{c;}", "a|b{c;}", 0 },
	{ "a \\${b;}", "a|\\${b;}", 0 },
	{ "a \"${b}\"{}", "a|${b}{}", 0 },
	{ "if ($a = \"b c\") {}", "if|($a|=|b c|){}", 0 },
	{ "if ($a ~ 'b' ){}", "if|($a|~|b|){}", 0 },
	{ "a \"b\")c;", "a|b|)c;", 0 },
	{ "a )b;", "a|)b;", 0 },
	{ "a b} c;", "a|b}|c;", 0 },
	{ "a ^/(\\d{3})$ x;", "a|^/(\\d{3})$|x;", 0 },
	{ "location ~ ^/[0-9]{3} { }", "location|~|^/[0-9]{3}{}", 0 },
	{ "location ~ \"^/[0-9]{3}\" { }", "location|~|^/[0-9]{3}{}", 0 },
	{ "a b;\n}", "a|b;}", 0 },
	{ "a \"b\" ;", "a|b;", 0 },
	{ "\xef\xbb\xbf" "a b;", "\xef\xbb\xbf" "a|b;", 0 },

	{ ";", "!unexpected \";\"", 1 },
	{ "a b;\n;", "a|b;!unexpected \";\"", 2 },
	{ "{", "!unexpected \"{\"", 1 },
	{ "a\n}", "!unexpected \"}\"", 2 },
	{ "a \"b\"}", "!unexpected \"}\"", 1 },
	{ "a \"b\"c;", "!unexpected \"c\"", 1 },
	{ "a \"b\"\"c\";", "!unexpected \"\"\"", 1 },
	{ "a \"b\"#c;", "!unexpected \"#\"", 1 },
	{ "a", UNEXPECTED_END, 1 },
	{ "a\n\n", UNEXPECTED_END, 3 },
	{ "a \"b", UNEXPECTED_END, 1 },
	{ "a 'b;\n}\n", UNEXPECTED_END, 3 },
	{ "a \"b\"", UNEXPECTED_END, 1 },
	{ "a b\\", UNEXPECTED_END, 1 },
	{ "a 'b\\'", UNEXPECTED_END, 1 },
	{ "a b # c", UNEXPECTED_END, 1 },
	{ "'", UNEXPECTED_END, 1 },
	{ "\\", UNEXPECTED_END, 1 },
};

START_TEST(text_is_split)
{
	struct lexer lx;
	struct str shown = text_shown(str_from(texts[_i].text), &lx);

	ck_assert_str_eq(shown.p, texts[_i].shown);
	if (texts[_i].line != 0)
		ck_assert_uint_eq(lx.at.line, texts[_i].line);
}
END_TEST

/* A word of n bytes in a file whose line before it is empty. */
static struct str
long_text(const char *before, size_t n, const char *after)
{
	size_t head = strlen(before), tail = strlen(after);
	char *p = pool_alloc(pool, head + n + tail + 1);

	memcpy(p, before, head);
	memset(p + head, 'b', n);
	memcpy(p + head + n, after, tail + 1);
	return (str_make(p, head + n + tail));
}

START_TEST(long_word_is_refused)
{
	struct lexer lx;

	ck_assert_ptr_null(strchr(text_shown(long_text("\na ", 4095, ";"), &lx).p, '!'));
	/* A blank that ends the word, or the closing quote, counts. */
	ck_assert_ptr_null(strchr(text_shown(long_text("\na ", 4094, " ;"), &lx).p, '!'));
	ck_assert_ptr_nonnull(strchr(text_shown(long_text("\na ", 4095, " ;"), &lx).p, '!'));
	ck_assert_ptr_null(strchr(text_shown(long_text("\na \"", 4094, "\";"), &lx).p, '!'));
	ck_assert_str_eq(text_shown(long_text("\na \"", 4095, "\";"), &lx).p,
	    "!too long parameter \"bbbbbbbbbb...\" started");
	ck_assert_str_eq(text_shown(long_text("\na ", 4096, ";\n"), &lx).p,
	    "!too long parameter \"bbbbbbbbbb...\" started");
	ck_assert_uint_eq(lx.at.line, 2);
	ck_assert_str_eq(text_shown(long_text("\na\n\"", 5000, "\";\n"), &lx).p,
	    "!too long parameter, probably missing terminating \"\"\" character");
	ck_assert_uint_eq(lx.at.line, 3);
	ck_assert_str_eq(text_shown(long_text("'", 4096, ""), &lx).p, UNEXPECTED_END);
	ck_assert_str_eq(text_shown(long_text("'", 4097, ""), &lx).p,
	    "!too long parameter, probably missing terminating \"'\" character");
	/* Not a word: nginx's own buffer ends here, ours does not. */
	ck_assert_str_eq(text_shown(long_text("a; # ", 5000, "\nb;"), &lx).p, "a;b;");
}
END_TEST

START_TEST(command_line_has_its_own_end)
{
	struct vec words = VEC_OF(struct conf_word);
	struct lexer lx;

	lex_init(&lx, pool, STR(""), STR("daemon off"));
	ck_assert_int_eq(lex_next(&lx, &words), LEX_ERROR);
	ck_assert_str_eq(lx.error, "unexpected end of parameter, expecting \";\"");
	lex_init(&lx, pool, STR(""), long_text("a ", 5000, ";"));
	ck_assert_int_eq(lex_next(&lx, &words), LEX_SEMICOLON);
	ck_assert_uint_eq(vec_at(&words, struct conf_word, 1)->text.n, 5000);
}
END_TEST

START_TEST(positions_are_kept)
{
	struct vec words = VEC_OF(struct conf_word);
	struct lexer lx;
	struct conf_word *w;

	lex_init(&lx, pool, STR("f"), STR("# c\n  aa \"b\nb\" c;\n\td e }"));
	ck_assert_int_eq(lex_next(&lx, &words), LEX_SEMICOLON);
	w = words.items;
	ck_assert_uint_eq(words.count, 3);
	ck_assert_uint_eq(w[0].at.line, 2);
	ck_assert_uint_eq(w[0].at.column, 3);
	ck_assert(!w[0].quoted);
	ck_assert_uint_eq(w[1].at.line, 2);
	ck_assert_uint_eq(w[1].at.column, 6);
	ck_assert(w[1].quoted);
	ck_assert_uint_eq(w[2].at.line, 3);
	ck_assert_uint_eq(w[2].at.column, 4);
	ck_assert_uint_eq(lx.at.line, 3);
	ck_assert_int_eq(lex_next(&lx, &words), LEX_ERROR);
	ck_assert_uint_eq(lx.mark.line, 4);
	ck_assert_uint_eq(lx.mark.column, 6);
	ck_assert(str_eq(lx.mark.file, STR("f")));
}
END_TEST

/* What an unfinished text is about: the open quote, else the directive's first word. */
START_TEST(end_marks_its_cause)
{
	struct vec words = VEC_OF(struct conf_word);
	struct lexer lx;

	lex_init(&lx, pool, STR("f"), STR("a;\n b \"c d;\n e;\n"));
	ck_assert_int_eq(lex_next(&lx, &words), LEX_SEMICOLON);
	ck_assert_int_eq(lex_next(&lx, &words), LEX_ERROR);
	ck_assert_uint_eq(lx.mark.line, 2);
	ck_assert_uint_eq(lx.mark.column, 4);
	lex_init(&lx, pool, STR("f"), STR("\n b\nc\n"));
	ck_assert_int_eq(lex_next(&lx, &words), LEX_ERROR);
	ck_assert_uint_eq(lx.mark.line, 2);
	ck_assert_uint_eq(lx.mark.column, 2);
}
END_TEST

START_TEST(line_is_found)
{
	struct lexer lx;

	lex_init(&lx, pool, STR("f"), STR("one\ntwo\r\n\nfour"));
	ck_assert(str_eq(lex_line(&lx, 1), STR("one")));
	ck_assert(str_eq(lex_line(&lx, 2), STR("two")));
	ck_assert(str_eq(lex_line(&lx, 3), STR("")));
	ck_assert(str_eq(lex_line(&lx, 4), STR("four")));
	ck_assert(str_eq(lex_line(&lx, 5), STR("")));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf/lex");
	TCase *tc = tcase_create("lex");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, text_is_split, 0, (int)(sizeof(texts) / sizeof(texts[0])));
	tcase_add_test(tc, long_word_is_refused);
	tcase_add_test(tc, command_line_has_its_own_end);
	tcase_add_test(tc, positions_are_kept);
	tcase_add_test(tc, end_marks_its_cause);
	tcase_add_test(tc, line_is_found);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
