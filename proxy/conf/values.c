/*
 * One module's struct at one level: which of its rows were set there, and how
 * an unset one comes to its value: from the level above, at the top from the
 * row's default, which is text of the same language and set by the same code.
 * Called by conf/conf.c while reading, by http/ and main/ when a block closes.
 */
#include "conf/values.h"

#include <assert.h>

static size_t
rows_count(const struct conf_row *rows)
{
	size_t n = 0;

	while (rows[n].name != NULL)
		n++;
	return (n);
}

struct conf_values *
conf_values_new(struct pool *pool, const struct conf_row *rows, size_t size)
{
	struct conf_values *values = pool_new_object(pool, struct conf_values);

	values->rows = rows;
	values->set = pool_zalloc(pool, rows_count(rows));
	values->data = pool_zalloc(pool, size);
	return (values);
}

static bool
row_has_field(const struct conf_row *row)
{
	return (row->type != NULL && row->type->size > 0);
}

/* Two names of one directive, or one name in two contexts. */
static bool
rows_are_synonyms(const struct conf_row *a, const struct conf_row *b)
{
	return (a == b || (row_has_field(a) && a->scope == b->scope && a->offset == b->offset &&
	    a->type == b->type && a->set == b->set && a->param == b->param));
}

/* nginx lets masks add up whenever they are written. */
static bool
row_may_repeat(const struct conf_row *row)
{
	return ((row->flags & CONF_REPEAT) != 0 || (row->type == &conf_mask && row->set == NULL));
}

bool
conf_row_is_written(const struct conf_values *values, const struct conf_row *row)
{
	if (row_may_repeat(row))
		return (false);
	for (size_t i = 0; values->rows[i].name != NULL; i++)
		if (values->set[i] == CONF_SET_WRITTEN &&
		    rows_are_synonyms(&values->rows[i], row))
			return (true);
	return (false);
}

/*
 * Rows of one field form a ring; most are alone in theirs.  Found once for the topmost level: a
 * configuration may have ten thousand levels below.
 */
static const unsigned short *
twins_find(struct pool *pool, const struct conf_row *rows)
{
	size_t n = rows_count(rows);
	unsigned short *twins = pool_alloc(pool, (n + 1) * sizeof(*twins));

	for (size_t i = 0; i < n; i++) {
		size_t next = i;

		do {
			next = next + 1 < n ? next + 1 : 0;
		} while (next != i && !(row_has_field(&rows[i]) && row_has_field(&rows[next]) &&
		    rows[i].scope == rows[next].scope && rows[i].offset == rows[next].offset));
		twins[i] = (unsigned short)next;
	}
	return (twins);
}

/* Was the field of row i set by any of its rows? */
static bool
field_is_set(const struct conf_values *values, const unsigned short *twins, size_t i)
{
	size_t at = i;

	do {
		if (values->set[at] != CONF_SET_NOT)
			return (true);
		at = twins[at];
	} while (at != i);
	return (false);
}

int
conf_is_set(const struct conf_values *values, unsigned scope, size_t offset)
{
	int best = CONF_SET_NOT;

	for (size_t i = 0; values->rows[i].name != NULL; i++) {
		const struct conf_row *row = &values->rows[i];

		if (row->scope == scope && row->offset == offset && row_has_field(row) &&
		    values->set[i] > best)
			best = values->set[i];
	}
	return (best);
}

static void
field_inherit(struct conf *cf, const struct conf_row *row, void *child, const void *parent)
{
	if (row->type->inherit != NULL)
		row->type->inherit(cf, row, child, parent);
	else
		memcpy(child, parent, row->type->size);
}

/* Sets a field from the row's default text, as if it had been written in the file. */
static int
field_default(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct conf_row *row_before = cf->row;
	struct conf_word *words_before = cf->words;
	unsigned count_before = cf->word_count;
	enum lex_end end_before = cf->end, end;
	struct vec words = VEC_OF(struct conf_word);
	struct lexer lexer;
	int rc;

	lex_init(&lexer, cf->pool, STR(""),
	    pool_printf(cf->pool, "%s %s;", row->name, row->dflt));
	end = lex_next(&lexer, &words);
	assert(end == LEX_SEMICOLON);
	cf->row = row;
	cf->words = words.items;
	cf->word_count = (unsigned)words.count;
	cf->end = end;
	rc = (row->set != NULL ? row->set : row->type->set)(cf, row, field);
	cf->row = row_before;
	cf->words = words_before;
	cf->word_count = count_before;
	cf->end = end_before;
	return (rc);
}

int
conf_inherit(struct conf *cf, struct conf_values *child, const struct conf_values *parent,
    unsigned scope)
{
	assert(parent == NULL || parent->rows == child->rows);
	if (child->twins == NULL)
		child->twins = parent != NULL && parent->twins != NULL ? parent->twins :
		    twins_find(cf->pool, child->rows);
	for (size_t i = 0; child->rows[i].name != NULL; i++) {
		const struct conf_row *row = &child->rows[i];
		void *field = (char *)child->data + row->offset;

		if (row->scope != scope || !row_has_field(row) || (row->flags & CONF_OWN) != 0 ||
		    field_is_set(child, child->twins, i))
			continue;
		if (parent != NULL) {
			field_inherit(cf, row, field, (char *)parent->data + row->offset);
			if (field_is_set(parent, child->twins, i))
				child->set[i] = CONF_SET_INHERITED;
		} else if (row->dflt != NULL) {
			if (field_default(cf, row, field) != 0)
				return (-1);
			child->set[i] = CONF_SET_INHERITED;
		}
	}
	return (0);
}
