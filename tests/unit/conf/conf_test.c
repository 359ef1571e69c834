/*
 * conf/conf.c, message.c, values.c: directives, blocks, includes, every message
 * of the engine in nginx's words and lines, duplicates, inheritance, defaults.
 */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

/*
 * A small language of the shape of the real one:
 *
 *	main { outer { inner { inner ... } words { a b; } } }
 */
enum { AT_MAIN = 1, AT_OUTER = 2, AT_INNER = 4 };
enum { MODULE_ONE, MODULE_TWO };
enum { SCOPE_MAIN, SCOPE_INNER };

struct one_main {
	struct str user;
	bool daemon;
};

struct one_inner {
	bool flag;
	uint64_t number;
	struct str name;
	struct vec list;
	unsigned mask;
	uint64_t size;
	unsigned untouched;
	uint64_t own;
};

struct two_inner {
	struct str name;
};

struct level {
	struct conf_frame frame;
	struct conf_values *main, *one, *two;
};

static struct level levels[16];
static unsigned level_count;
static char words_seen[1024];
static const struct conf_row *row_seen;

static struct conf_values *
level_values(struct conf_frame *frame, unsigned module, unsigned scope)
{
	struct level *level = frame->owner;

	if (module == MODULE_ONE && scope == SCOPE_MAIN)
		return (level->main);
	return (module == MODULE_ONE ? level->one : level->two);
}

static int
words_note(struct conf *cf, void *arg)
{
	ck_assert_ptr_eq(arg, words_seen);
	for (unsigned i = 0; i < cf->word_count; i++)
		snprintf(words_seen + strlen(words_seen), sizeof(words_seen) - strlen(words_seen),
		    "%s%s", i > 0 ? "|" : "", cf->words[i].text.p);
	strncat(words_seen, ";", sizeof(words_seen) - strlen(words_seen) - 1);
	return (0);
}

static int
words_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	(void)field;
	return (conf_words(cf, words_note, words_seen));
}

static int	level_set(struct conf *, const struct conf_row *, void *);

static int
row_note(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)cf;
	(void)field;
	row_seen = row;
	return (0);
}

static int
fail_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	(void)field;
	return (conf_error_at(cf, 1, "no good \"%s\"", cf->words[1].text.p));
}

static int
warn_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	(void)field;
	conf_warn(cf, "careful with \"%s\"", cf->words[0].text.p);
	return (0);
}

/* About line 2, whatever line is read. */
static int
before_set(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct conf_position before = { cf->lexer->at.file, 2, 3 };

	(void)row;
	(void)field;
	return (conf_error_in(cf, &before, "was wrong"));
}

static const struct conf_name mask_names[] = { { "one", 1 }, { "two", 2 }, { "four", 4 },
	{ NULL, 0 } };

#define INNER	.contexts = AT_OUTER | AT_INNER, .scope = SCOPE_INNER
#define FIELD(f)	.offset = offsetof(struct one_inner, f)

static const struct conf_row one_rows[] = {
	{ .name = "user", .contexts = AT_MAIN, .min = 1, .max = 2, .scope = SCOPE_MAIN,
	    .type = &conf_str, .offset = offsetof(struct one_main, user), .dflt = "nobody" },
	{ .name = "daemon", .contexts = AT_MAIN, .min = 1, .max = 1, .scope = SCOPE_MAIN,
	    .type = &conf_flag, .offset = offsetof(struct one_main, daemon), .dflt = "on" },
	{ .name = "outer", .contexts = AT_MAIN, .flags = CONF_BLOCK | CONF_REPEAT,
	    .set = level_set },
	{ .name = "inner", INNER, .max = 3, .flags = CONF_BLOCK | CONF_REPEAT, .set = level_set },
	{ .name = "words", INNER, .flags = CONF_BLOCK | CONF_REPEAT, .set = words_set },
	{ .name = "either", INNER, .max = 1, .flags = CONF_FLAG_ARG | CONF_REPEAT,
	    .set = row_note },
	{ .name = "flag", INNER, .min = 1, .max = 1, .type = &conf_flag, FIELD(flag),
	    .dflt = "on" },
	{ .name = "number", INNER, .min = 1, .max = 1, .type = &conf_uint, FIELD(number),
	    .dflt = "7" },
	{ .name = "numero", INNER, .min = 1, .max = 1, .type = &conf_uint, FIELD(number),
	    .dflt = "7" },
	{ .name = "name", INNER, .min = 1, .max = 1, .type = &conf_str, FIELD(name) },
	{ .name = "list", INNER, .min = 1, .max = CONF_ANY, .flags = CONF_REPEAT,
	    .type = &conf_strs, FIELD(list), .dflt = "a 'b c' d" },
	{ .name = "mask", INNER, .min = 1, .max = CONF_ANY, .flags = CONF_REPEAT,
	    .type = &conf_mask, FIELD(mask), .dflt = "one four", .param = mask_names },
	{ .name = "size", INNER, .min = 1, .max = 1, .type = &conf_size, FIELD(size),
	    .dflt = "1k" },
	{ .name = "own", INNER, .min = 1, .max = 1, .flags = CONF_OWN, .type = &conf_uint,
	    FIELD(own), .dflt = "3" },
	{ .name = "both", .contexts = AT_MAIN, .min = 1, .max = 1, .flags = CONF_REPEAT,
	    .set = row_note },
	{ .name = "fail", INNER, .min = 1, .max = 1, .flags = CONF_REPEAT, .set = fail_set },
	{ .name = "warn", INNER, .flags = CONF_REPEAT, .set = warn_set },
	{ .name = "before", INNER, .flags = CONF_REPEAT, .set = before_set },
	{ .name = "warm", INNER, .flags = CONF_UNBUILT, .set = warn_set },
	{ .name = NULL }
};
static const struct conf_row two_rows[] = {
	{ .name = "both", INNER, .min = 2, .max = 2, .flags = CONF_REPEAT, .set = row_note },
	{ .name = "two_name", INNER, .min = 1, .max = 1, .type = &conf_str,
	    .offset = offsetof(struct two_inner, name) },
	{ .name = NULL }
};

static const struct conf_table tables[] = { { one_rows, MODULE_ONE },
	{ two_rows, MODULE_TWO } };
static const struct conf_name contexts[] = { { "main", AT_MAIN }, { "outer", AT_OUTER },
	{ "inner", AT_INNER }, { NULL, 0 } };
static const struct conf_vocabulary vocabulary = { tables, 2, contexts };

static struct level *
level_new(struct conf *cf, unsigned context)
{
	static struct level spare;
	struct level *level = level_count < 16 ? &levels[level_count++] : &spare;

	memset(level, 0, sizeof(*level));
	level->frame.context = context;
	level->frame.values = level_values;
	level->frame.owner = level;
	level->main = conf_values_new(cf->pool, one_rows, sizeof(struct one_main));
	level->one = conf_values_new(cf->pool, one_rows, sizeof(struct one_inner));
	level->two = conf_values_new(cf->pool, two_rows, sizeof(struct two_inner));
	return (level);
}

static int
level_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct level *level = level_new(cf, strcmp(row->name, "outer") == 0 ? AT_OUTER : AT_INNER);
	struct conf_frame *outer = cf->frame;
	unsigned words = cf->word_count;

	(void)field;
	if (conf_block(cf, &level->frame) != 0)
		return (-1);
	ck_assert_ptr_eq(cf->frame, outer);
	ck_assert_ptr_eq(cf->row, row);
	ck_assert_uint_eq(cf->word_count, words);
	ck_assert_str_eq(cf->words[0].text.p, row->name);
	return (0);
}

/* Reads files[0] at the main level. */
static int
files_read(struct fixture *fx, const struct memory_file *files)
{
	level_count = 0;
	words_seen[0] = '\0';
	row_seen = NULL;
	fixture_init(fx, files, &vocabulary);
	return (conf_read(&fx->cf, str_from(files[0].path), &level_new(&fx->cf, AT_MAIN)->frame));
}

static int
text_read(struct fixture *fx, const char *text)
{
	const struct memory_file files[] = { { "/c/f", text }, { NULL, NULL } };

	return (files_read(fx, files));
}

static const struct {
	const char *text;
	const char *said;	/* "" and read */
} texts[] = {
	{ "", "" },
	{ "user a; outer { flag on; inner { flag off; inner { } } }", "" },
	/* Its set reads no block, so the '}' is that of outer. */
	{ "outer { either; either a { }", "" },
	{ "outer {\n", "[emerg] unexpected end of file, expecting \"}\" in /c/f:2\n" },
	{ "outer {\n}\n\n}", "[emerg] unexpected \"}\" in /c/f:4\n" },
	{ "user\n\"a\";\nuser b;", "[emerg] \"user\" directive is duplicate in /c/f:3\n" },
	{ "outer { number 1; numero 2; }",
	    "[emerg] \"numero\" directive is duplicate in /c/f:1\n" },
	{ "outer { number 1; inner { number 1; } }", "" },
	{ "usr a;", "[emerg] unknown directive \"usr\" in /c/f:1 (did you mean \"user\"?)\n" },
	{ "outer {\n\n\nusr\na; }",
	    "[emerg] unknown directive \"usr\" in /c/f:5 (did you mean \"user\"?)\n" },
	{ "what on;", "[emerg] unknown directive \"what\" in /c/f:1\n" },
	{ "outer { nam x; }",
	    "[emerg] unknown directive \"nam\" in /c/f:1 (did you mean \"name\"?)\n" },
	{ "inclde x;",
	    "[emerg] unknown directive \"inclde\" in /c/f:1 (did you mean \"include\"?)\n" },
	{ "outer { warmn; }",
	    "[emerg] unknown directive \"warmn\" in /c/f:1 (did you mean \"warn\"?)\n" },
	/* Not implemented: no good advice. */
	{ "outer { arm; }", "[emerg] unknown directive \"arm\" in /c/f:1\n" },
	{ "\"\" a;", "[emerg] unknown directive \"\" in /c/f:1\n" },
	{ "flag on;", "[emerg] \"flag\" directive is not allowed here in /c/f:1\n" },
	{ "outer { user a; }", "[emerg] \"user\" directive is not allowed here in /c/f:1\n" },
	{ "outer { flag on {} }",
	    "[emerg] directive \"flag\" is not terminated by \";\" in /c/f:1\n" },
	{ "outer { flag\non\ninner { } }",
	    "[emerg] directive \"flag\" is not terminated by \";\" in /c/f:3\n" },
	{ "outer;", "[emerg] directive \"outer\" has no opening \"{\" in /c/f:1\n" },
	{ "outer { flag; }",
	    "[emerg] invalid number of arguments in \"flag\" directive in /c/f:1\n" },
	{ "outer { flag on off; }",
	    "[emerg] invalid number of arguments in \"flag\" directive in /c/f:1\n" },
	{ "outer x { }",
	    "[emerg] invalid number of arguments in \"outer\" directive in /c/f:1\n" },
	{ "user a b c;",
	    "[emerg] invalid number of arguments in \"user\" directive in /c/f:1\n" },
	{ "outer { either a b; }",
	    "[emerg] invalid number of arguments in \"either\" directive in /c/f:1\n" },
	{ "include;", "[emerg] invalid number of arguments in \"include\" directive in /c/f:1\n" },
	{ "outer {\nwords {\na { b; } } }", "[emerg] unexpected \"{\" in /c/f:3\n" },
	{ "outer { words {\na b;", "[emerg] unexpected end of file, expecting \"}\" in /c/f:2\n" },
	{ "outer { words { a\n} }", "[emerg] unexpected \"}\" in /c/f:2\n" },
	{ "outer { words { include a b; } }",
	    "[emerg] invalid number of arguments in \"include\" directive in /c/f:1\n" },
	{ "; outer { }", "[emerg] unexpected \";\" in /c/f:1\n" },
	{ "user 'a", "[emerg] unexpected end of file, expecting \";\" or \"}\" in /c/f:1\n" },
	{ "outer { fail\nx; }", "[emerg] no good \"x\" in /c/f:2\n" },
	{ "outer { warn; flag on; }", "[warn] careful with \"warn\" in /c/f:1\n" },
	{ "outer { include nope; }",
	    "[emerg] open() \"/c/nope\" failed (2: No such file or directory) in /c/f:1 (" },
	{ "include /dev/null/nope;", "[emerg] open() \"/dev/null/nope\" failed (2: No such file or "
	    "directory) in /c/f:1 (\"/dev/null\" is no folder)\n" },
	{ "include nope*; include [x]; include ??;", "" },
	{ "include f;", "[emerg] \"f\" is included more than 64 levels deep, a file probably "
	    "includes itself in /c/f:1\n" },
	{ "include ?;", "[emerg] \"?\" is included more than 64 levels deep, a file probably "
	    "includes itself in /c/f:1\n" },
};

START_TEST(text_is_read)
{
	struct fixture fx;
	int rc = text_read(&fx, texts[_i].text);
	const char *said = fixture_said(&fx);
	bool failed = strncmp(texts[_i].said, "[emerg]", 7) == 0;

	/* A row without its newline is the beginning of the line. */
	if (texts[_i].said[0] != '\0' && strchr(texts[_i].said, '\n') == NULL)
		ck_assert_int_eq(strncmp(said, texts[_i].said, strlen(texts[_i].said)), 0);
	else
		ck_assert_str_eq(said, texts[_i].said);
	ck_assert_int_eq(rc, failed ? -1 : 0);
	ck_assert_uint_eq(fx.cf.errors, failed ? 1 : 0);
	ck_assert_uint_eq(fx.cf.warnings, strncmp(said, "[warn]", 6) == 0 ? 1 : 0);
	ck_assert_ptr_null(fx.cf.lexer);
	fixture_fini(&fx);
}
END_TEST

static const struct {
	const char *text;
	const char *said;
} command_lines[] = {
	{ "user a; daemon off;", "" },
	{ "user a", "[emerg] unexpected end of parameter, expecting \";\" in command line\n" },
	{ "outer { }",
	    "[emerg] block directives are not supported in -g option in command line\n" },
	{ "foo on;", "[emerg] unknown directive \"foo\" in command line\n" },
	{ "}", "[emerg] unexpected \"}\" in command line\n" },
	{ "daemon x;", "[emerg] invalid value \"x\" in \"daemon\" directive, it must be \"on\" or "
	    "\"off\" in command line\n" },
};

START_TEST(command_line_is_read)
{
	const struct memory_file files[] = { { "/c/f", "" }, { NULL, NULL } };
	struct fixture fx;
	int rc;

	level_count = 0;
	fixture_init(&fx, files, &vocabulary);
	fx.cf.caret = true;
	rc = conf_read_text(&fx.cf, str_from(command_lines[_i].text),
	    &level_new(&fx.cf, AT_MAIN)->frame);
	ck_assert_str_eq(fixture_said(&fx), command_lines[_i].said);
	ck_assert_int_eq(rc, command_lines[_i].said[0] == '\0' ? 0 : -1);
	fixture_fini(&fx);
}
END_TEST

/* What -g sets, the file must not set again. */
START_TEST(command_line_and_file_are_one_level)
{
	const struct memory_file files[] = { { "/c/f", "user b;" }, { NULL, NULL } };
	struct fixture fx;
	struct level *level;

	level_count = 0;
	fixture_init(&fx, files, &vocabulary);
	level = level_new(&fx.cf, AT_MAIN);
	ck_assert_int_eq(conf_read_text(&fx.cf, STR("user a;"), &level->frame), 0);
	ck_assert_int_eq(conf_read(&fx.cf, STR("/c/f"), &level->frame), -1);
	ck_assert_str_eq(fixture_said(&fx), "[emerg] \"user\" directive is duplicate in /c/f:1\n");
	fixture_fini(&fx);
}
END_TEST

START_TEST(missing_main_file)
{
	const struct memory_file files[] = { { NULL, NULL } };
	struct fixture fx;

	level_count = 0;
	fixture_init(&fx, files, &vocabulary);
	ck_assert_int_eq(conf_read(&fx.cf, STR("/dev/null/f"),
	    &level_new(&fx.cf, AT_MAIN)->frame), -1);
	ck_assert_str_eq(fixture_said(&fx), "[emerg] open() \"/dev/null/f\" failed "
	    "(2: No such file or directory) (\"/dev/null\" is no folder)\n");
	fixture_fini(&fx);
}
END_TEST

/* At every level, into directives and into words; relative to the folder of the main file. */
START_TEST(includes_are_followed)
{
	const struct memory_file files[] = {
		{ "/c/f", "include main;\n"
		    "outer { include d/*.conf; words { x; include w*; y; } }\n" },
		{ "/c/main", "user u;" },
		{ "/c/d/1.conf", "number 1;" },
		{ "/c/d/2.conf", "inner { include d/inner; }" },
		{ "/c/d/no", "fail x;" },
		{ "/c/d/inner", "number 2; name 'n';" },
		{ "/c/w1", "a b;\ninclude \"v\";" },
		{ "/c/w2", "c;" },
		{ "/c/v", "d e f;" },
		{ NULL, NULL }
	};
	const char *order[] = { "/c/f", "/c/main", "/c/d/1.conf", "/c/d/2.conf", "/c/d/inner",
		"/c/w1", "/c/v", "/c/w2" };
	struct fixture fx;
	struct one_inner *inner;

	ck_assert_int_eq(files_read(&fx, files), 0);
	ck_assert_str_eq(fixture_said(&fx), "");
	ck_assert(str_eq(((struct one_main *)levels[0].main->data)->user, STR("u")));
	ck_assert_uint_eq(((struct one_inner *)levels[1].one->data)->number, 1);
	inner = levels[2].one->data;
	ck_assert_uint_eq(inner->number, 2);
	ck_assert(str_eq(inner->name, STR("n")));
	ck_assert_str_eq(words_seen, "x;a|b;d|e|f;c;y;");
	ck_assert_uint_eq(fx.cf.files.count, 8);
	for (unsigned i = 0; i < 8; i++)
		ck_assert(str_eq(*vec_at(&fx.cf.files, struct str, i), str_from(order[i])));
	fixture_fini(&fx);
}
END_TEST

static const struct {
	const char *main, *other, *said;
} included[] = {
	{ "outer {\n include o;\n}", "inner {",
	    "unexpected end of file, expecting \"}\" in /c/o:1" },
	{ "outer {\n include o;", "}", "unexpected \"}\" in /c/o:1" },
	{ "outer { words {\n include o;", "}", "unexpected \"}\" in /c/o:1" },
	{ "include o;", "\nflag on;", "\"flag\" directive is not allowed here in /c/o:2" },
	{ "include o;\nuser b;", "\n\n\nuser a;", "\"user\" directive is duplicate in /c/f:2" },
	{ "include o;\nuser;", "user a;\n\n\n",
	    "invalid number of arguments in \"user\" directive in /c/f:2" },
	{ "outer { words { include o; } }", "a b\n", "unexpected end of file, expecting \";\" or "
	    "\"}\" in /c/o:2" },
	{ "outer { words { include o; } }", "a { }", "unexpected \"{\" in /c/o:1" },
};

START_TEST(error_names_the_right_file)
{
	const struct memory_file files[] = { { "/c/f", included[_i].main },
		{ "/c/o", included[_i].other }, { NULL, NULL } };
	struct fixture fx;
	char expected[256];

	ck_assert_int_eq(files_read(&fx, files), -1);
	snprintf(expected, sizeof(expected), "[emerg] %s\n", included[_i].said);
	ck_assert_str_eq(fixture_said(&fx), expected);
	fixture_fini(&fx);
}
END_TEST

START_TEST(rows_are_chosen_by_context)
{
	struct fixture fx;

	ck_assert_int_eq(text_read(&fx, "both a;"), 0);
	ck_assert_ptr_eq(row_seen, &one_rows[14]);
	fixture_fini(&fx);
	ck_assert_int_eq(text_read(&fx, "outer { both a b; }"), 0);
	ck_assert_ptr_eq(row_seen, &two_rows[0]);
	fixture_fini(&fx);
	ck_assert_int_eq(text_read(&fx, "outer { both a; }"), -1);
	fixture_fini(&fx);
}
END_TEST

START_TEST(blocks_have_a_limit)
{
	char text[1024] = "outer { ";
	struct fixture fx;

	for (unsigned i = 0; i < 99; i++)
		strcat(text, "inner{");
	ck_assert_int_eq(text_read(&fx, text), -1);
	ck_assert_str_eq(fixture_said(&fx),
	    "[emerg] unexpected end of file, expecting \"}\" in /c/f:1\n");
	fixture_fini(&fx);
	strcat(text, "inner{");
	ck_assert_int_eq(text_read(&fx, text), -1);
	ck_assert_str_eq(fixture_said(&fx),
	    "[emerg] \"inner\" is nested more than 100 blocks deep in /c/f:1\n");
	fixture_fini(&fx);
}
END_TEST

static const struct {
	const char *text, *shown;
} carets[] = {
	{ "user a;\n  ouetr {\n}",
	    "unknown directive \"ouetr\" in /c/f:2 (did you mean \"outer\"?)\n"
	    "  /c/f:2:3\n      ouetr {\n      ^\n" },
	{ "outer {\n\tfail  x;\n}", "no good \"x\" in /c/f:2\n"
	    "  /c/f:2:8\n     fail  x;\n           ^\n" },
	/* One letter of two bytes: the caret stands under the right one all the same. */
	{ "outer { name \"\xc3\xa4\"; fail x; }", "no good \"x\" in /c/f:1\n"
	    "  /c/f:1:25\n    outer { name \"\xc3\xa4\"; fail x; }\n"
	    "                           ^\n" },
	{ "outer {\n\nfail\n\nx ;\n}", "no good \"x\" in /c/f:5\n  /c/f:5:1\n    x ;\n    ^\n" },
	/* The line in nginx's place, the caret where the block began. */
	{ "user a;\nouter {\n flag on;\n", "unexpected end of file, expecting \"}\" in /c/f:4\n"
	    "  /c/f:2:1\n    outer {\n    ^\n" },
	{ "outer { flag on }", "unexpected \"}\" in /c/f:1\n  /c/f:1:17\n"
	    "    outer { flag on }\n                    ^\n" },
	{ "outer {\n flag on\n number 3;\n}",
	    "invalid number of arguments in \"flag\" directive in /c/f:3\n"
	    "  /c/f:3:2\n     number 3;\n     ^\n" },
	{ "outer {\n  x;\n}", "unknown directive \"x\" in /c/f:2\n"
	    "  /c/f:2:3\n      x;\n      ^\n" },
	{ "outer {\n  flag on;\n\nbefore; }", "was wrong in /c/f:2\n"
	    "  /c/f:2:3\n      flag on;\n      ^\n" },
	{ "outer { }\nflag on;", "\"flag\" directive is not allowed here in /c/f:2\n"
	    "  /c/f:2:1\n    flag on;\n    ^\n  it is allowed in: outer inner\n" },
};

START_TEST(caret_stands_under_the_word)
{
	const struct memory_file files[] = { { "/c/f", carets[_i].text }, { NULL, NULL } };
	struct fixture fx;
	char expected[512];

	level_count = 0;
	fixture_init(&fx, files, &vocabulary);
	fx.cf.caret = true;
	ck_assert_int_eq(conf_read(&fx.cf, STR("/c/f"), &level_new(&fx.cf, AT_MAIN)->frame), -1);
	snprintf(expected, sizeof(expected), "[emerg] %s", carets[_i].shown);
	ck_assert_str_eq(fixture_said(&fx), expected);
	fixture_fini(&fx);
}
END_TEST

/* A line too long to show is shown around the caret. */
START_TEST(caret_in_a_long_line)
{
	char text[3000] = "outer { name ";
	struct fixture fx;
	const struct memory_file files[] = { { "/c/f", text }, { NULL, NULL } };
	char *caret, *word;

	memset(text + strlen(text), 'n', 2000);
	strcat(text, "; fail x; }");
	level_count = 0;
	fixture_init(&fx, files, &vocabulary);
	fx.cf.caret = true;
	ck_assert_int_eq(conf_read(&fx.cf, STR("/c/f"), &level_new(&fx.cf, AT_MAIN)->frame), -1);
	(void)fixture_said(&fx);
	word = strstr(fx.said, "fail x; }");
	caret = strstr(fx.said, "^\n");
	ck_assert_ptr_nonnull(word);
	ck_assert_ptr_nonnull(caret);
	ck_assert_int_eq(caret - strrchr(fx.said, ' ') - 1, 0);
	/* As far behind its line's start as the x. */
	ck_assert_int_eq(word + 5 - (strstr(fx.said, "\n    n") + 1),
	    caret - (strstr(fx.said, "}\n") + 2));
	fixture_fini(&fx);
}
END_TEST

START_TEST(values_are_inherited)
{
	struct fixture fx;
	struct one_inner *outer, *inner, *innermost;
	struct one_main *top;

	ck_assert_int_eq(text_read(&fx, "daemon off; outer { number 1; mask two; own 5;\n"
	    "inner a b c { number 2; flag off; list x; inner { numero 9; list y z; list u; } } }"),
	    0);
	top = levels[0].main->data;
	outer = levels[1].one->data;
	inner = levels[2].one->data;
	innermost = levels[3].one->data;
	ck_assert_int_eq(conf_inherit(&fx.cf, levels[0].main, NULL, SCOPE_MAIN), 0);
	ck_assert(str_eq(top->user, STR("nobody")));
	ck_assert(!top->daemon);
	ck_assert_int_eq(conf_inherit(&fx.cf, levels[1].one, NULL, SCOPE_INNER), 0);
	ck_assert_int_eq(conf_inherit(&fx.cf, levels[2].one, levels[1].one, SCOPE_INNER), 0);
	ck_assert_int_eq(conf_inherit(&fx.cf, levels[3].one, levels[2].one, SCOPE_INNER), 0);

	ck_assert(outer->flag && !inner->flag && !innermost->flag);
	ck_assert_uint_eq(outer->number, 1);
	ck_assert_uint_eq(inner->number, 2);
	ck_assert_uint_eq(innermost->number, 9);
	ck_assert_ptr_null(innermost->name.p);
	ck_assert_uint_eq(outer->list.count, 3);
	ck_assert(str_eq(*vec_at(&outer->list, struct str, 1), STR("b c")));
	ck_assert_uint_eq(inner->list.count, 1);
	ck_assert_uint_eq(innermost->list.count, 3);
	ck_assert(str_eq(*vec_at(&innermost->list, struct str, 2), STR("u")));
	ck_assert_uint_eq(innermost->mask, 2);
	ck_assert_uint_eq(innermost->size, 1024);
	ck_assert_uint_eq(outer->own, 5);
	ck_assert_uint_eq(inner->own, 0);
	fixture_fini(&fx);
}
END_TEST

#define INNER_OFFSET(f)	SCOPE_INNER, offsetof(struct one_inner, f)

START_TEST(marks_tell_where_a_value_is_from)
{
	struct fixture fx;

	ck_assert_int_eq(text_read(&fx, "outer { numero 1; inner { size 2; } }"), 0);
	ck_assert_int_eq(conf_is_set(levels[1].one, INNER_OFFSET(number)), 2);
	ck_assert_int_eq(conf_is_set(levels[1].one, INNER_OFFSET(flag)), 0);
	ck_assert_int_eq(conf_inherit(&fx.cf, levels[1].one, NULL, SCOPE_INNER), 0);
	ck_assert_int_eq(conf_inherit(&fx.cf, levels[2].one, levels[1].one, SCOPE_INNER), 0);
	ck_assert_int_eq(conf_is_set(levels[1].one, INNER_OFFSET(flag)), 1);
	ck_assert_int_eq(conf_is_set(levels[1].one, INNER_OFFSET(name)), 0);
	ck_assert_int_eq(conf_is_set(levels[2].one, INNER_OFFSET(number)), 1);
	ck_assert_int_eq(conf_is_set(levels[2].one, INNER_OFFSET(size)), 2);
	ck_assert_int_eq(conf_is_set(levels[2].one, INNER_OFFSET(name)), 0);
	ck_assert_uint_eq(((struct one_inner *)levels[2].one->data)->number, 1);
	fixture_fini(&fx);
}
END_TEST

START_TEST(bad_default_is_an_error)
{
	static const struct conf_row bad_rows[] = {
		{ .name = "number", .contexts = AT_MAIN, .min = 1, .max = 1, .type = &conf_uint,
		    .dflt = "many" },
		{ .name = NULL }
	};
	struct fixture fx;
	struct conf_values *values;

	ck_assert_int_eq(text_read(&fx, ""), 0);
	values = conf_values_new(fx.cf.pool, bad_rows, sizeof(uint64_t));
	fx.cf.caret = true;
	ck_assert_int_eq(conf_inherit(&fx.cf, values, NULL, 0), -1);
	ck_assert_str_eq(fixture_said(&fx), "[emerg] \"number\" directive invalid number "
	    "(\"many\" is no whole number below 2^63)\n");
	fixture_fini(&fx);
}
END_TEST

static const struct {
	const char *base, *path, *full;
} paths[] = {
	{ "/c", "a", "/c/a" }, { "/c/", "a", "/c/a" }, { "/c", "/a", "/a" }, { "", "a", "a" },
	{ "/c", "", "/c/" },
};

START_TEST(path_is_made_absolute)
{
	struct fixture fx;
	struct str path = str_from(paths[_i].path), full;

	ck_assert_int_eq(text_read(&fx, ""), 0);
	fx.cf.folder = str_from(paths[_i].base);
	fx.cf.prefix = STR("/elsewhere");
	full = conf_path_in_folder(&fx.cf, path);
	ck_assert_str_eq(full.p, paths[_i].full);
	ck_assert_uint_eq(full.n, strlen(paths[_i].full));
	fx.cf.prefix = fx.cf.folder;
	fx.cf.folder = STR("/elsewhere");
	ck_assert_str_eq(conf_path_in_prefix(&fx.cf, path).p, paths[_i].full);
	fixture_fini(&fx);
}
END_TEST

#define COUNT(a)	(int)(sizeof(a) / sizeof((a)[0]))

int
main(void)
{
	Suite *suite = suite_create("conf/conf");
	TCase *tc = tcase_create("conf");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, text_is_read, 0, COUNT(texts));
	tcase_add_loop_test(tc, command_line_is_read, 0, COUNT(command_lines));
	tcase_add_test(tc, command_line_and_file_are_one_level);
	tcase_add_test(tc, missing_main_file);
	tcase_add_test(tc, includes_are_followed);
	tcase_add_loop_test(tc, error_names_the_right_file, 0, COUNT(included));
	tcase_add_test(tc, rows_are_chosen_by_context);
	tcase_add_test(tc, blocks_have_a_limit);
	tcase_add_loop_test(tc, caret_stands_under_the_word, 0, COUNT(carets));
	tcase_add_test(tc, caret_in_a_long_line);
	tcase_add_test(tc, values_are_inherited);
	tcase_add_test(tc, marks_tell_where_a_value_is_from);
	tcase_add_test(tc, bad_default_is_an_error);
	tcase_add_loop_test(tc, path_is_made_absolute, 0, COUNT(paths));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
