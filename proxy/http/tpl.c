/*
 * Text with variables: cut into parts when the configuration is read, put
 * together per request.  A template is a literal (no parts), or parts whose values
 * are collected first and copied once.
 */
#include "http/tpl.h"

#include "base/encode.h"
#include "http/request.h"
#include "http/var.h"

#define PARTS_ON_STACK	16
#define RAW		(-1)	/* in place of an escape set: captures as they are */

enum tpl_kind { TPL_LITERAL, TPL_VARIABLE, TPL_CAPTURE };

struct tpl_part {
	enum tpl_kind kind;
	int number;		/* of the variable or group */
	struct str text;	/* TPL_LITERAL */
};

struct tpl {
	struct str text;	/* as written, NUL behind */
	struct vec parts;	/* struct tpl_part; none: a literal */
};

static struct tpl_part *
part_add(struct conf *cf, struct tpl *tpl, enum tpl_kind kind)
{
	struct tpl_part *part = vec_push(&tpl->parts, cf->pool);

	part->kind = kind;
	return (part);
}

/* rest begins behind '$'.  Returns how much of it the reference takes; 0 after conf_error(). */
static size_t
reference_compile(struct conf *cf, struct tpl *tpl, struct str rest)
{
	bool bracket = rest.n > 0 && rest.p[0] == '{';
	struct str name = str_make(str_skip(rest, bracket).p, 0);
	int index;

	if (rest.n > 0 && rest.p[0] >= '1' && rest.p[0] <= '9') {
		part_add(cf, tpl, TPL_CAPTURE)->number = rest.p[0] - '0';
		return (1);
	}
	while (bracket + name.n < rest.n && var_is_name_byte(name.p[name.n]))
		name.n++;
	if (bracket && (name.n + 1 >= rest.n || name.p[name.n] != '}')) {
		if (rest.n == 1)
			conf_error(cf, "invalid variable name");
		else
			conf_error(cf, "the closing bracket in \"" STR_FMT
			    "\" variable is missing", STR_ARG(name));
		return (0);
	}
	if (name.n == 0) {
		conf_error(cf, "invalid variable name");
		return (0);
	}
	index = var_ref(cf, name);
	if (index < 0)
		return (0);
	part_add(cf, tpl, TPL_VARIABLE)->number = index;
	return (name.n + (bracket ? 2 : 0));
}

struct tpl *
tpl_compile(struct conf *cf, struct str text)
{
	struct tpl *tpl = pool_new_object(cf->pool, struct tpl);
	struct str rest;

	rest = tpl->text = pool_strdup(cf->pool, text);
	tpl->parts = VEC_OF(struct tpl_part);
	if (str_chr(text, '$') == SIZE_MAX)
		return (tpl);
	while (rest.n > 0) {
		size_t dollar = str_chr(rest, '$'), used;

		if (dollar == SIZE_MAX)
			dollar = rest.n;
		if (dollar > 0)
			part_add(cf, tpl, TPL_LITERAL)->text = str_make(rest.p, dollar);
		if (dollar == rest.n)
			break;
		rest = str_skip(rest, dollar + 1);
		used = reference_compile(cf, tpl, rest);
		if (used == 0)
			return (NULL);
		rest = str_skip(rest, used);
	}
	return (tpl);
}

/* nginx escapes captures only where the path as received held an escape or a plus. */
static bool
path_was_escaped(const struct request *r)
{
	return (str_chr(r->in.path, '%') != SIZE_MAX || str_chr(r->in.path, '+') != SIZE_MAX);
}

static struct str
part_value(struct request *r, const struct tpl_part *part, int set)
{
	struct str value = STR("");

	switch (part->kind) {
	case TPL_LITERAL:
		return (part->text);
	case TPL_VARIABLE:
		(void)var_value(r, part->number, &value);
		return (value);
	case TPL_CAPTURE:
		if (r->captures == NULL || (unsigned)part->number >= r->captures->count)
			return (value);
		value = r->captures->group[part->number];
		if (set != RAW && value.n > 0 && path_was_escaped(r))
			value = encode_uri(r->pool, value, (enum escape_set)set);
		return (value);
	}
	return (value);
}

static struct str
parts_eval(struct request *r, const struct tpl *tpl, int set)
{
	struct str few[PARTS_ON_STACK], *values = few;
	size_t count = tpl->parts.count;

	if (count == 0)
		return (tpl->text);
	if (count == 1)
		return (part_value(r, tpl->parts.items, set));
	if (count > PARTS_ON_STACK)
		values = pool_alloc(r->pool, count * sizeof(*values));
	for (size_t i = 0; i < count; i++)
		values[i] = part_value(r, vec_at(&tpl->parts, const struct tpl_part, i), set);
	return (pool_concat(r->pool, (unsigned)count, values));
}

struct str
tpl_eval(struct request *r, const struct tpl *tpl)
{
	return (parts_eval(r, tpl, RAW));
}

struct str
tpl_eval_escaped(struct request *r, const struct tpl *tpl, int set)
{
	return (parts_eval(r, tpl, set));
}

bool
tpl_is_literal(const struct tpl *tpl)
{
	return (tpl->parts.count == 0);
}

struct str
tpl_text(const struct tpl *tpl)
{
	return (tpl->text);
}

bool
tpl_is_true(struct request *r, const struct tpl *tpl)
{
	struct str value = tpl_eval(r, tpl);

	return (value.n > 0 && !str_eq(value, STR("0")));
}

static int
tpl_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct tpl *tpl = tpl_compile(cf, cf->words[1].text);

	(void)row;
	if (tpl == NULL)
		return (-1);
	*(struct tpl **)field = tpl;
	return (0);
}

const struct conf_type conf_tpl = { "text with variables", sizeof(struct tpl *), tpl_set, NULL };

static int
tpl_size_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str text = cf->words[1].text;
	uint64_t size;

	if (str_chr(text, '$') == SIZE_MAX && !str_to_size(text, &size))
		return (conf_error_at(cf, 1, "\"" STR_FMT "\" directive invalid value",
		    STR_ARG(cf->words[0].text)));
	return (tpl_set(cf, row, field));
}

const struct conf_type conf_tpl_size = {
	"size with variables", sizeof(struct tpl *), tpl_size_set, NULL
};
