/*
 * The lexer: bytes of a configuration to words, as nginx splits them.  Called by
 * conf/conf.c for each directive, and for the default strings of rows.
 *
 *	blanks, # comments -> word -> blank | ';' | '{'
 *	word: '...' or "..." (then only a blank, ';', '{' or ')' may follow), or bare bytes
 *
 * A backslash keeps the byte behind it from ending a word; \" \' \\ \t \r \n are
 * replaced, any other pair stays as it is.  '{' right behind '$' opens no block.
 */
#include "conf/lex.h"

static const char unexpected_end[] = "unexpected end of file, expecting \";\" or \"}\"";
static const char unexpected_text_end[] = "unexpected end of parameter, expecting \";\"";

static bool
is_blank(char c)
{
	return (c == ' ' || c == '\t' || c == '\r' || c == '\n');
}

static bool
lexer_is_at_end(const struct lexer *lx)
{
	return (lx->pos >= lx->bytes.n);
}

static void
lexer_step(struct lexer *lx)
{
	if (lx->bytes.p[lx->pos++] == '\n') {
		lx->at.line++;
		lx->at.column = 1;
	} else
		lx->at.column++;
}

static enum lex_end
lexer_fail(struct lexer *lx, const char *text)
{
	lx->error = text;
	return (LEX_ERROR);
}

static enum lex_end
lexer_fail_end(struct lexer *lx)
{
	return (lexer_fail(lx, lx->at.file.n > 0 ? unexpected_end : unexpected_text_end));
}

/* The bytes end inside a directive: the error is about its first word. */
static enum lex_end
lexer_fail_directive(struct lexer *lx, const struct vec *words)
{
	if (words->count > 0)
		lx->mark = vec_at(words, struct conf_word, 0)->at;
	return (lexer_fail_end(lx));
}

static enum lex_end
lexer_fail_byte(struct lexer *lx, char c)
{
	return (lexer_fail(lx, pool_printf(lx->pool, "unexpected \"%c\"", c).p));
}

/* quote: the one that is open, or 0.  Named by the line where the word begins, as nginx does. */
static enum lex_end
lexer_fail_long(struct lexer *lx, size_t start, char quote)
{
	lx->at = lx->mark;
	if (quote == 0)
		return (lexer_fail(lx, pool_printf(lx->pool,
		    "too long parameter \"%.10s...\" started", lx->bytes.p + start).p));
	return (lexer_fail(lx, pool_printf(lx->pool,
	    "too long parameter, probably missing terminating \"%c\" character", quote).p));
}

/* A copy with nginx's escapes replaced. */
static struct str
word_unescape(struct pool *pool, struct str raw)
{
	char *out = pool_alloc(pool, raw.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i], next = i + 1 < raw.n ? raw.p[i + 1] : 'x';

		if (c == '\\' && strchr("\"'\\trn", next) != NULL && next != '\0') {
			c = next == 't' ? '\t' : next == 'r' ? '\r' : next == 'n' ? '\n' : next;
			i++;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return (str_make(out, n));
}

static void
word_push(struct lexer *lx, struct vec *words, size_t start, size_t end, bool quoted)
{
	struct conf_word *word = vec_push(words, lx->pool);

	word->text = word_unescape(lx->pool, str_make(lx->bytes.p + start, end - start));
	word->at = lx->mark;
	word->quoted = quoted;
}

static bool
word_is_too_long(const struct lexer *lx, size_t start)
{
	return (lx->at.file.n > 0 && lx->pos - start >= LEX_WORD_MAX);
}

/* Steps over the blank behind a word, which nginx counts as a part of it. */
static enum lex_end
lexer_blank(struct lexer *lx, size_t start)
{
	lexer_step(lx);
	if (!lexer_is_at_end(lx) && word_is_too_long(lx, start))
		return (lexer_fail_long(lx, start, 0));
	return (LEX_SEMICOLON);
}

/* A word in quotes.  LEX_SEMICOLON: the word is there (nothing is said about its end). */
static enum lex_end
lexer_quoted(struct lexer *lx, struct vec *words)
{
	char quote = lx->bytes.p[lx->pos], c;
	bool escaped = false;
	size_t start;

	lexer_step(lx);
	start = lx->pos;
	for (;;) {
		if (lexer_is_at_end(lx))
			return (lexer_fail_end(lx));
		if (word_is_too_long(lx, start))
			return (lexer_fail_long(lx, start, quote));
		c = lx->bytes.p[lx->pos];
		if (c == quote && !escaped)
			break;
		escaped = c == '\\' && !escaped;
		lexer_step(lx);
	}
	word_push(lx, words, start, lx->pos, true);
	lexer_step(lx);
	if (lexer_is_at_end(lx))
		return (lexer_fail_directive(lx, words));
	if (word_is_too_long(lx, start))
		return (lexer_fail_long(lx, start, 0));
	c = lx->bytes.p[lx->pos];
	if (is_blank(c))
		return (lexer_blank(lx, start));
	if (c == ';' || c == '{' || c == ')')
		return (LEX_SEMICOLON);
	lx->mark = lx->at;
	return (lexer_fail_byte(lx, c));
}

/* A word without quotes; a sign that ends it is left unread. */
static enum lex_end
lexer_bare(struct lexer *lx, struct vec *words)
{
	size_t start = lx->pos;
	bool variable = false;	/* behind '$', where '{' belongs to the word */
	bool escaped = false;

	for (;;) {
		char c;

		if (lexer_is_at_end(lx))
			return (lexer_fail_directive(lx, words));
		if (word_is_too_long(lx, start))
			return (lexer_fail_long(lx, start, 0));
		c = lx->bytes.p[lx->pos];
		if (!escaped && !(c == '{' && variable)) {
			if (is_blank(c) || c == ';' || c == '{')
				break;
			variable = c == '$';
			escaped = c == '\\';
		} else
			escaped = false;
		lexer_step(lx);
	}
	word_push(lx, words, start, lx->pos, false);
	return (is_blank(lx->bytes.p[lx->pos]) ? lexer_blank(lx, start) : LEX_SEMICOLON);
}

static void
lexer_skip_blanks(struct lexer *lx)
{
	while (!lexer_is_at_end(lx)) {
		char c = lx->bytes.p[lx->pos];

		if (c == '#')
			while (!lexer_is_at_end(lx) && lx->bytes.p[lx->pos] != '\n')
				lexer_step(lx);
		else if (is_blank(c))
			lexer_step(lx);
		else
			return;
	}
}

void
lex_init(struct lexer *lx, struct pool *pool, struct str file, struct str bytes)
{
	*lx = (struct lexer){
		.bytes = bytes,
		.at = { .file = file, .line = 1, .column = 1 },
		.pool = pool
	};
	lx->mark = lx->at;
}

enum lex_end
lex_next(struct lexer *lx, struct vec *words)
{
	words->count = 0;
	for (;;) {
		enum lex_end word;
		char c;

		lexer_skip_blanks(lx);
		if (lexer_is_at_end(lx))
			return (words->count == 0 ? LEX_EOF : lexer_fail_directive(lx, words));
		lx->mark = lx->at;
		c = lx->bytes.p[lx->pos];
		if (c == ';' || c == '{' || c == '}') {
			lexer_step(lx);
			if ((words->count == 0) != (c == '}'))
				return (lexer_fail_byte(lx, c));
			return (c == ';' ? LEX_SEMICOLON : c == '{' ? LEX_OPEN : LEX_CLOSE);
		}
		word = c == '"' || c == '\'' ? lexer_quoted(lx, words) : lexer_bare(lx, words);
		if (word == LEX_ERROR)
			return (LEX_ERROR);
	}
}

struct str
lex_line(const struct lexer *lx, unsigned line)
{
	struct str rest = lx->bytes;
	size_t end;

	while (line > 1 && (end = str_chr(rest, '\n')) != SIZE_MAX) {
		rest = str_skip(rest, end + 1);
		line--;
	}
	if (line > 1)
		return (STR_NULL);
	end = str_chr(rest, '\n');
	rest.n = end == SIZE_MAX ? rest.n : end;
	if (rest.n > 0 && rest.p[rest.n - 1] == '\r')
		rest.n--;
	return (rest);
}
