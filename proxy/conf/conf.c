/*
 * The engine: reads directives, finds the row of each among those valid where
 * it stands, checks its end and its number of arguments, and lets the row set
 * the field.  Called by main/ for a file and for -g, by rows of blocks for
 * their contents.  Messages are nginx's, letter by letter.
 *
 *	conf_read -> file_read -> directives_read -> directive_apply -> row's set
 *	                ^              ^                                  |
 *	     include ---+   conf_block, conf_words <----------------------+
 */
#include "conf/conf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "conf/message.h"
#include "conf/suggest.h"
#include "conf/values.h"

#define INCLUDE_DEPTH_MAX	64
#define BLOCK_DEPTH_MAX		100

/* Where the words come from, which decides what may end them. */
enum reading { READ_FILE, READ_BLOCK, READ_TEXT };

/* conf_words()' function, NULL: directives. */
struct words_reader {
	int (*fn)(struct conf *, void *arg);
	void *arg;
};

/* The rows of one name, in the order of the vocabulary's tables. */
struct row_entry {
	struct row_entry *next;
	const struct conf_table *table;
	const struct conf_row *row;
};

/* The directive under way, put aside while the directives of its block or file are read. */
struct directive {
	const struct conf_row *row;
	struct conf_word *words;
	unsigned word_count;
	enum lex_end end;
};

static int	include_set(struct conf *, const struct conf_row *, void *);
static int	file_read(struct conf *, struct str, const struct words_reader *);

static const struct conf_row include_rows[] = {
	{ .name = "include", .contexts = ~0u, .min = 1, .max = 1, .flags = CONF_REPEAT,
	    .set = include_set },
	{ .name = NULL }
};
static const struct conf_table include_table = { include_rows, 0 };

static struct directive
directive_save(const struct conf *cf)
{
	return ((struct directive){ cf->row, cf->words, cf->word_count, cf->end });
}

static void
directive_restore(struct conf *cf, struct directive saved)
{
	cf->row = saved.row;
	cf->words = saved.words;
	cf->word_count = saved.word_count;
	cf->end = saved.end;
}

/* --- names --- */

static void
index_add(struct hash *index, struct pool *pool, const struct conf_table *table)
{
	for (const struct conf_row *row = table->rows; row != NULL && row->name != NULL; row++) {
		struct row_entry *entry = pool_new_object(pool, struct row_entry), **last;

		entry->table = table;
		entry->row = row;
		last = (struct row_entry **)hash_slot(index, str_from(row->name));
		while (*last != NULL)
			last = &(*last)->next;
		*last = entry;
	}
}

static void
index_make(struct conf *cf)
{
	struct hash *index;

	if (cf->index != NULL)
		return;
	index = hash_new(cf->temp, false);
	index_add(index, cf->temp, &include_table);
	for (unsigned i = 0; i < cf->vocabulary->table_count; i++)
		index_add(index, cf->temp, &cf->vocabulary->tables[i]);
	cf->index = index;
}

/* The first of these rows that is valid in the innermost frame. */
static const struct row_entry *
entry_here(const struct conf *cf, const struct row_entry *entry)
{
	while (entry != NULL && (entry->row->contexts & cf->frame->context) == 0)
		entry = entry->next;
	return (entry);
}

struct names_here {
	struct conf *cf;
	struct vec names;
	bool anywhere;		/* also what has another place */
};

static void
name_collect(struct str name, void *value, void *arg)
{
	struct names_here *here = arg;
	const struct row_entry *entry = here->anywhere ? value : entry_here(here->cf, value);

	if (entry != NULL && (entry->row->flags & CONF_UNBUILT) == 0)
		*(struct str *)vec_push(&here->names, here->cf->temp) = name;
}

static int
unknown_directive(struct conf *cf, struct str name)
{
	struct names_here here = { .cf = cf, .names = VEC_OF(struct str) };
	struct str near;

	hash_each(cf->index, name_collect, &here);
	near = suggest_name(name, &here.names);
	if (near.n == 0) {
		here.anywhere = true;
		here.names.count = 0;
		hash_each(cf->index, name_collect, &here);
		near = suggest_name(name, &here.names);
	}
	if (near.n == 0)
		return (conf_error_at(cf, 0, "unknown directive \"" STR_FMT "\"", STR_ARG(name)));
	near = pool_printf(cf->temp, "did you mean \"" STR_FMT "\"?", STR_ARG(near));
	return (conf_error_hint(cf, 0, near.p, "unknown directive \"" STR_FMT "\"", STR_ARG(name)));
}

static int
misplaced_directive(struct conf *cf, const struct row_entry *entry)
{
	unsigned contexts = 0;

	for (; entry != NULL; entry = entry->next)
		contexts |= entry->row->contexts;
	conf_error_at(cf, 0, "\"" STR_FMT "\" directive is not allowed here",
	    STR_ARG(cf->words[0].text));
	conf_note_contexts(cf, contexts);
	return (-1);
}

/* --- one directive --- */

static int
row_check(struct conf *cf, const struct conf_row *row)
{
	struct str name = cf->words[0].text;
	unsigned arguments = cf->word_count - 1;
	bool block = (row->flags & CONF_BLOCK) != 0;

	if ((row->flags & CONF_FLAG_ARG) == 0 && !block && cf->end != LEX_SEMICOLON)
		return (conf_error(cf, "directive \"" STR_FMT "\" is not terminated by \";\"",
		    STR_ARG(name)));
	if ((row->flags & CONF_FLAG_ARG) == 0 && block && cf->end != LEX_OPEN)
		return (conf_error(cf, "directive \"" STR_FMT "\" has no opening \"{\"",
		    STR_ARG(name)));
	if (arguments < row->min || (row->max != CONF_ANY && arguments > row->max))
		return (conf_error_at(cf, arguments < row->min ? 0 : row->max + 1u,
		    "invalid number of arguments in \"" STR_FMT "\" directive", STR_ARG(name)));
	return (0);
}

static int
row_set(struct conf *cf, const struct row_entry *entry)
{
	const struct conf_row *row = entry->row;
	struct conf_frame *frame = cf->frame;
	struct conf_values *values = NULL;
	void *field = NULL;

	if (entry->table != &include_table && frame->values != NULL)
		values = frame->values(frame, entry->table->module, row->scope);
	if (values != NULL) {
		assert(values->rows == entry->table->rows);
		if (conf_row_is_written(values, row))
			return (conf_error_at(cf, 0, "\"" STR_FMT "\" directive is duplicate",
			    STR_ARG(cf->words[0].text)));
		field = (char *)values->data + row->offset;
	}
	assert(row->set != NULL || (row->type != NULL && (field != NULL || row->type->size == 0)));
	cf->row = row;
	if ((row->set != NULL ? row->set : row->type->set)(cf, row, field) != 0)
		return (-1);
	if (values != NULL)
		values->set[row - values->rows] = CONF_SET_WRITTEN;
	return (0);
}

static int
directive_apply(struct conf *cf)
{
	struct str name = cf->words[0].text;
	const struct row_entry *named = hash_get(cf->index, name), *entry;

	if (named == NULL)
		return (unknown_directive(cf, name));
	if ((entry = entry_here(cf, named)) == NULL)
		return (misplaced_directive(cf, named));
	if (row_check(cf, entry->row) != 0)
		return (-1);
	return (row_set(cf, entry));
}

/* --- include --- */

static int
include_glob(struct conf *cf, struct str pattern, const struct words_reader *reader)
{
	struct vec names = VEC_OF(struct str);

	if (cf->source->glob(cf->source, cf->pool, pattern, &names) != 0)
		return (conf_error_errno(cf, errno, "glob() \"" STR_FMT "\" failed",
		    STR_ARG(pattern)));
	VEC_EACH(&names, struct str, name)
		if (file_read(cf, *name, reader) != 0)
			return (-1);
	return (0);
}

static int
include_follow(struct conf *cf, const struct words_reader *reader)
{
	struct str path;

	if (cf->include_depth >= INCLUDE_DEPTH_MAX)
		return (conf_error_at(cf, 1, "\"" STR_FMT "\" is included more than %d levels "
		    "deep, a file probably includes itself", STR_ARG(cf->words[1].text),
		    INCLUDE_DEPTH_MAX));
	path = conf_path_in_folder(cf, cf->words[1].text);
	if (strpbrk(path.p, "*?[") != NULL)
		return (include_glob(cf, path, reader));
	return (file_read(cf, path, reader));
}

static int
include_set(struct conf *cf, const struct conf_row *row, void *field)
{
	static const struct words_reader directives = { NULL, NULL };

	(void)row;
	(void)field;
	return (include_follow(cf, &directives));
}

/* --- many directives --- */

/* The words between ";"s that are for conf_words()' function. */
static int
words_apply(struct conf *cf, const struct words_reader *reader)
{
	if (!str_eq(cf->words[0].text, STR("include")))
		return (reader->fn(cf, reader->arg));
	if (cf->word_count != 2)
		return (conf_error(cf, "invalid number of arguments in \"include\" directive"));
	return (include_follow(cf, reader));
}

/* Whether what ended the words may do so here.  opener: the directive whose block is read. */
static int
end_check(struct conf *cf, enum reading reading, const struct words_reader *reader,
    struct directive opener)
{
	switch (cf->end) {
	case LEX_ERROR:
		return (conf_error_mark(cf, "%s", cf->lexer->error));
	case LEX_CLOSE:
		return (reading == READ_BLOCK ? 0 : conf_error_mark(cf, "unexpected \"}\""));
	case LEX_EOF:
		if (reading != READ_BLOCK)
			return (0);
		/* Under the caret: what was opened and not closed. */
		directive_restore(cf, opener);
		return (conf_error(cf, "unexpected end of file, expecting \"}\""));
	case LEX_OPEN:
		if (reading == READ_TEXT)
			return (conf_error_mark(cf,
			    "block directives are not supported in -g option"));
		return (reader->fn == NULL ? 0 : conf_error_mark(cf, "unexpected \"{\""));
	case LEX_SEMICOLON:
		break;
	}
	return (0);
}

/* Reads to the end of the block, file or text of cf->lexer. */
static int
directives_read(struct conf *cf, enum reading reading, const struct words_reader *reader)
{
	struct vec words = VEC_OF(struct conf_word);
	struct directive saved = directive_save(cf);
	int rc;

	for (;;) {
		cf->end = lex_next(cf->lexer, &words);
		cf->words = words.items;
		cf->word_count = (unsigned)words.count;
		if ((rc = end_check(cf, reading, reader, saved)) != 0 || cf->end == LEX_CLOSE ||
		    cf->end == LEX_EOF)
			break;
		rc = reader->fn != NULL ? words_apply(cf, reader) : directive_apply(cf);
		if (rc != 0)
			break;
	}
	directive_restore(cf, saved);
	return (rc);
}

static int
lexer_read(struct conf *cf, struct str name, struct str bytes, enum reading reading,
    const struct words_reader *reader)
{
	struct lexer lexer, *outer = cf->lexer;
	int rc;

	lex_init(&lexer, cf->pool, name, bytes);
	cf->lexer = &lexer;
	rc = directives_read(cf, reading, reader);
	cf->lexer = outer;
	return (rc);
}

static void
file_remember(struct conf *cf, struct str path)
{
	if (cf->files.size == 0)
		cf->files = VEC_OF(struct str);
	VEC_EACH(&cf->files, struct str, known)
		if (str_eq(*known, path))
			return;
	*(struct str *)vec_push(&cf->files, cf->pool) = path;
}

static int
file_read(struct conf *cf, struct str path, const struct words_reader *reader)
{
	struct str bytes;
	int rc;

	path = pool_strdup(cf->pool, path);
	if (cf->source->read(cf->source, cf->temp, path, &bytes) != 0)
		return (conf_error_path(cf, errno, errno == EISDIR ? "pread()" : "open()", path));
	file_remember(cf, path);
	cf->include_depth++;
	rc = lexer_read(cf, path, bytes, READ_FILE, reader);
	cf->include_depth--;
	return (rc);
}

int
conf_read(struct conf *cf, struct str file, struct conf_frame *frame)
{
	static const struct words_reader directives = { NULL, NULL };

	index_make(cf);
	cf->frame = frame;
	return (file_read(cf, file, &directives));
}

int
conf_read_text(struct conf *cf, struct str text, struct conf_frame *frame)
{
	static const struct words_reader directives = { NULL, NULL };

	index_make(cf);
	cf->frame = frame;
	return (lexer_read(cf, STR(""), text, READ_TEXT, &directives));
}

int
conf_block(struct conf *cf, struct conf_frame *frame)
{
	static const struct words_reader directives = { NULL, NULL };
	int rc;

	if (cf->block_depth >= BLOCK_DEPTH_MAX)
		return (conf_error(cf, "\"" STR_FMT "\" is nested more than %d blocks deep",
		    STR_ARG(cf->words[0].text), BLOCK_DEPTH_MAX));
	cf->block_depth++;
	frame->parent = cf->frame;
	cf->frame = frame;
	rc = directives_read(cf, READ_BLOCK, &directives);
	cf->frame = frame->parent;
	cf->block_depth--;
	return (rc);
}

int
conf_words(struct conf *cf, int (*fn)(struct conf *, void *arg), void *arg)
{
	const struct words_reader reader = { fn, arg };

	return (directives_read(cf, READ_BLOCK, &reader));
}

/* --- paths --- */

static struct str
path_under(struct conf *cf, struct str folder, struct str path)
{
	bool slash = folder.n > 0 && folder.p[folder.n - 1] == '/';

	if (folder.n == 0 || (path.n > 0 && path.p[0] == '/'))
		return (pool_strdup(cf->pool, path));
	return (pool_concat(cf->pool, 3,
	    (struct str[]){ folder, slash ? STR("") : STR("/"), path }));
}

struct str
conf_path_in_folder(struct conf *cf, struct str path)
{
	return (path_under(cf, cf->folder, path));
}

struct str
conf_path_in_prefix(struct conf *cf, struct str path)
{
	return (path_under(cf, cf->prefix, path));
}
