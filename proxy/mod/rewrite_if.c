/*
 * The conditions of "if": what nginx accepts between the parentheses, and its
 * words about the rest.  Called by rewrite.c.
 */
#include "mod/rewrite_if.h"

#include <sys/stat.h>

#include "http/core.h"
#include "http/file.h"

/* The words between the parentheses. */
struct condition_words {
	struct str item[3];
	unsigned count;
	unsigned first;		/* word number of item[0], for messages */
};

static int
refuse(struct conf *cf, unsigned word, struct str text)
{
	return (conf_error_at(cf, word, "invalid condition \"" STR_FMT "\"", STR_ARG(text)));
}

/* "(" and ")" stand alone or stick to a word; nginx names words without them. */
static int
words_unwrap(struct conf *cf, struct condition_words *words)
{
	unsigned first = 1, last = cf->word_count - 1;
	struct str head = cf->words[first].text, tail;

	if (!str_starts(head, STR("(")))
		return (refuse(cf, first, head));
	if (head.n == 1)
		first++;
	head = str_skip(head, 1);
	tail = last == 1 ? head : cf->words[last].text;
	if (!str_ends(tail, STR(")")))
		return (refuse(cf, last, tail));
	if (tail.n == 1)
		last--;
	if (first > last)
		return (refuse(cf, last, STR(")")));
	words->first = first;
	for (unsigned i = first; i <= last && words->count < 3; i++) {
		struct str text = i == 1 ? head : cf->words[i].text;

		if (i == cf->word_count - 1)
			text.n--;
		words->item[words->count++] = text;
	}
	if (last - first > 2)
		return (refuse(cf, first, words->item[0]));
	return (0);
}

enum operator_kind { OPERATOR_EQUALS, OPERATOR_MATCHES };

static const struct condition_operator {
	struct str text;
	enum operator_kind kind;
	bool negated, ignore_case;
} operators[] = {
	{ { "=", 1 }, OPERATOR_EQUALS, false, false },
	{ { "!=", 2 }, OPERATOR_EQUALS, true, false },
	{ { "~", 1 }, OPERATOR_MATCHES, false, false },
	{ { "~*", 2 }, OPERATOR_MATCHES, false, true },
	{ { "!~", 2 }, OPERATOR_MATCHES, true, false },
	{ { "!~*", 3 }, OPERATOR_MATCHES, true, true },
};

static int
comparison_compile(struct conf *cf, const struct condition_words *words, struct condition *c)
{
	const struct condition_operator *op = operators;
	const struct condition_operator *end = op + sizeof(operators) / sizeof(operators[0]);

	if (words->count == 2)
		return (refuse(cf, words->first, words->item[0]));
	c->variable = var_ref(cf, str_skip(words->item[0], 1));
	if (c->variable < 0)
		return (-1);
	if (words->count == 1)
		return (0);
	while (op < end && !str_eq(op->text, words->item[1]))
		op++;
	if (op == end)
		return (conf_error_at(cf, words->first + 1, "unexpected \"" STR_FMT
		    "\" in condition", STR_ARG(words->item[1])));
	c->negated = op->negated;
	if (op->kind == OPERATOR_MATCHES)
		c->matcher = matcher_new(cf, words->item[2], op->ignore_case);
	else
		c->text = tpl_compile(cf, words->item[2]);
	return (c->matcher == NULL && c->text == NULL ? -1 : 0);
}

/* "-f", "!-f" ... */
static int
test_compile(struct conf *cf, const struct condition_words *words, struct condition *c)
{
	struct str name = words->item[0];

	c->variable = -1;
	c->negated = name.n == 3;
	c->test = name.p[name.n - 1];
	if (words->count != 2)
		return (refuse(cf, words->first, name));
	c->text = tpl_compile(cf, words->item[1]);
	if (c->text == NULL)
		return (-1);
	if (str_chr(STR("fdex"), c->test) == SIZE_MAX)
		return (refuse(cf, words->first, name));
	return (0);
}

struct condition *
condition_compile(struct conf *cf)
{
	struct condition *c = pool_new_object(cf->pool, struct condition);
	struct condition_words words = { .count = 0 };
	struct str first;

	if (words_unwrap(cf, &words) != 0)
		return (NULL);
	first = words.item[0];
	if (first.n > 1 && first.p[0] == '$')
		return (comparison_compile(cf, &words, c) == 0 ? c : NULL);
	if ((first.n == 2 && first.p[0] == '-') || (first.n == 3 && str_starts(first, STR("!-"))))
		return (test_compile(cf, &words, c) == 0 ? c : NULL);
	refuse(cf, words.first, first);
	return (NULL);
}

/* What cannot be looked at is not there. */
static void
test_failed(struct request *r, struct str path)
{
	if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
		request_log(r, LOG_CRIT, errno, "stat() \"" STR_FMT "\" failed", STR_ARG(path));
}

static bool
file_test(struct request *r, const struct condition *c)
{
	struct str path = pool_strdup(r->pool, tpl_eval(r, c->text));
	struct file *file;
	bool holds;

	if (c->test == 'x') {
		struct stat st;

		holds = stat(path.p, &st) == 0;
		if (!holds)
			test_failed(r, path);
		return (holds && (st.st_mode & S_IXUSR) != 0);
	}
	file = core_file(r, path, false);
	if (file == NULL) {
		test_failed(r, path);
		return (false);
	}
	holds = c->test == 'f' ? file->is_regular : c->test == 'd' ? file->is_directory : true;
	owner_drop(&file->owner);
	return (holds);
}

bool
condition_holds(struct request *r, const struct condition *c)
{
	struct str value;

	if (c->test != 0)
		return (file_test(r, c) != c->negated);
	(void)var_value(r, c->variable, &value);
	if (c->text != NULL)
		return (str_eq(value, tpl_eval(r, c->text)) != c->negated);
	return (value.n > 0 && !str_eq(value, STR("0")));
}
