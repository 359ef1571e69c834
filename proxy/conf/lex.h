#ifndef WPROXY_CONF_LEX_H
#define WPROXY_CONF_LEX_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"
#include "base/vec.h"

/* nginx's tokens.  Pure over the bytes given; words are unescaped into the pool. */

struct conf_position {
	struct str file;
	unsigned line;		/* from 1 */
	unsigned column;	/* from 1, bytes */
};

struct conf_word {
	struct str text;	/* NUL behind */
	struct conf_position at;
	bool quoted;
};

enum lex_end {
	LEX_SEMICOLON,	/* words ';' */
	LEX_OPEN,	/* words '{' */
	LEX_CLOSE,	/* '}' */
	LEX_EOF,
	LEX_ERROR	/* lexer.error is set, in nginx's words, without position */
};

struct lexer {
	struct str bytes;
	size_t pos;
	struct conf_position at;	/* of the next byte; its line is the one nginx names */
	struct conf_position mark;	/* of the word or sign an error is about */
	struct pool *pool;
	const char *error;
};

/* A word of a file must be shorter (nginx: NGX_CONF_BUFFER). */
#define LEX_WORD_MAX	4096

/* file "": a text of the command line; its end is worded differently, its words may be longer. */
void		lex_init(struct lexer *, struct pool *, struct str file, struct str bytes);
/* The next directive's words (struct conf_word) replace what is in words. */
enum lex_end	lex_next(struct lexer *, struct vec *words);
/* The whole source line that holds a position, without its line end (for the caret). */
struct str	lex_line(const struct lexer *, unsigned line);

#endif
