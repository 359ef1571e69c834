#ifndef WPROXY_CONF_CONF_H
#define WPROXY_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/vec.h"
#include "conf/lex.h"
#include "conf/source.h"
#include "conf/type.h"

/*
 * The engine: reads directives, finds their rows, checks context and arity,
 * sets fields, walks blocks and includes.  No globals; one struct conf per
 * reading, used by one thread.
 */

/* One struct of one module at one level, with what was set in it. */
struct conf_values {
	const struct conf_row *rows;	/* the module's table */
	unsigned char *set;	/* per row: 0 unset, 1 inherited or default, 2 written here */
	/* per row: the next with the same field; shared by levels */
	const unsigned short *twins;
	void *data;
};

/* A table of rows with its module's number. */
struct conf_table {
	const struct conf_row *rows;
	unsigned module;
};

struct conf_vocabulary {
	const struct conf_table *tables;
	unsigned table_count;
	const struct conf_name *contexts;	/* bit -> name, for messages and the reference */
};

/* A level under way: made on the stack of the block's set function. */
struct conf_frame {
	struct conf_frame *parent;	/* filled by conf_block() */
	unsigned context;		/* one bit */
	/*
	 * Where the fields of (module, scope) live here; NULL: no such struct, the row's set
	 * gets field NULL.
	 */
	struct conf_values *(*values)(struct conf_frame *, unsigned module, unsigned scope);
	void *owner;			/* e.g. the struct server being filled */
};

struct conf {
	struct pool *pool;		/* what lives as long as the configuration */
	struct pool *temp;		/* what lives while it is read */
	struct conf_source *source;
	const struct conf_vocabulary *vocabulary;
	struct conf_frame *frame;	/* innermost */
	struct str folder;		/* of the main file: includes, certificates */
	struct str prefix;		/* root, logs */

	/* The directive under way; words[0] is its name. */
	const struct conf_row *row;
	struct conf_word *words;
	unsigned word_count;
	enum lex_end end;		/* LEX_SEMICOLON or LEX_OPEN */

	struct lexer *lexer;		/* of the file under way; NULL: none is read */
	unsigned include_depth;
	unsigned block_depth;
	struct vec files;		/* struct str: in order of first reading, for -T */
	unsigned errors, warnings;
	bool caret;			/* -t: show the line and a caret under messages */
	bool nameless;			/* -s: names of back ends are not asked for */
	const struct log *log;		/* where messages go */
	const struct hash *index;	/* name -> rows, made by conf_read() */
	/*
	 * The log file of a path as written ("stderr", "syslog:...", relative to the prefix): one
	 * object per path and configuration.  Set by main/, which opens it or has been handed its
	 * descriptor.  NULL after conf_error().
	 */
	struct log_file *(*open_log)(struct conf *, struct str path);
	void *user;			/* the builder above (http) */
};

/*
 * Reads file (absolute path) as the top level; frame is the main level.
 * 0, or -1 after conf_error().  cf->pool, temp, source, vocabulary, log must be set.
 */
int	conf_read(struct conf *, struct str file, struct conf_frame *)
	    __attribute__((warn_unused_result));
/* Reads a text given on the command line (-g). */
int	conf_read_text(struct conf *, struct str text, struct conf_frame *)
	    __attribute__((warn_unused_result));

/* For a block row's set: reads directives up to the matching '}' with frame innermost. */
int	conf_block(struct conf *, struct conf_frame *) __attribute__((warn_unused_result));
/*
 * For types, map and the like: reads "words ;" up to '}' and calls fn for each with
 * cf->words[0..]; "include" is followed before fn sees it.
 */
int	conf_words(struct conf *, int (*fn)(struct conf *, void *arg), void *arg)
	    __attribute__((warn_unused_result));

/*
 * [emerg] TEXT in FILE:LINE (with caret: also FILE:LINE:COLUMN of the directive's name, the
 * source line and a caret).  LINE is where reading stands, as in nginx: of a directive's ';' or
 * '{', of a block's '}' once it was read.  Without a file (after conf_read) no place is named.
 * Always returns -1.
 */
int	conf_error(struct conf *, const char *, ...) __attribute__((format(printf, 2, 3)));
/* The same at word i of the directive, for a better column. */
int	conf_error_at(struct conf *, unsigned word, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
/* The same with " (2: No such file or directory)" behind the text; err is an errno value. */
int	conf_error_errno(struct conf *, int err, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
/* CALL "PATH" failed, as above; behind the place what is wrong with the path. */
int	conf_error_path(struct conf *, int err, const char *call, struct str path);
/* As conf_error_at(), with " (HINT)" behind the place; NULL: none. */
int	conf_error_hint(struct conf *, unsigned word, const char *hint, const char *, ...)
	    __attribute__((format(printf, 4, 5)));
/* The same about a place read before, e.g. of a directive that is judged when http {} closes. */
int	conf_error_in(struct conf *, const struct conf_position *, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
/* With a hint as conf_error_hint(). */
int	conf_error_in_hint(struct conf *, const struct conf_position *, const char *hint,
	    const char *, ...) __attribute__((format(printf, 4, 5)));
/*
 * What turns out only once the file was read, in the main log: TEXT (ERRNO) in PLACE (HINT).
 * error 0, place NULL, hint absent: without.  hint has a NUL behind.
 */
void	conf_tell(enum log_level, const struct conf_position *place, int error, struct str hint,
	    const char *, ...) __attribute__((format(printf, 5, 6)));
void	conf_warn(struct conf *, const char *, ...) __attribute__((format(printf, 2, 3)));
void	conf_warn_at(struct conf *, unsigned word, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
/* About a place read before, as conf_error_in(). */
void	conf_warn_in(struct conf *, const struct conf_position *, const char *, ...)
	    __attribute__((format(printf, 3, 4)));

/*
 * An instance for one level: data (cleared) and set marks, in pool.  rows must be the whole
 * table that the vocabulary names for the module.
 */
struct conf_values	*conf_values_new(struct pool *, const struct conf_row *rows, size_t size);
/*
 * Every row of this scope that is unset in child takes parent's value; parent
 * NULL: the row's default (cf->words[0].at.file is "" while it is set).  Rows that write the
 * same field are one: set through any of them, it is set.  CONF_OWN rows are left.
 * -1 after conf_error() (a default that does not parse).
 */
int	conf_inherit(struct conf *, struct conf_values *child, const struct conf_values *parent,
	    unsigned scope) __attribute__((warn_unused_result));
/* 0, 1 or 2 as above, for the field at offset of a scope. */
int	conf_is_set(const struct conf_values *, unsigned scope, size_t offset);

/* A path made absolute: against the configuration's folder, or against the prefix.  NUL behind. */
struct str	conf_path_in_folder(struct conf *, struct str);
struct str	conf_path_in_prefix(struct conf *, struct str);

#endif
