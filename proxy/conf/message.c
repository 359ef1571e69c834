/*
 * Messages about a configuration: "TEXT in FILE:LINE" in the shape nginx gives
 * them, and, when a person looks on (cf->caret), the source line with a caret:
 *
 *	[emerg] ...: unknown directive "sendfil" in /x.conf:7 (did you mean "sendfile"?)
 *	  /x.conf:7:5
 *	      sendfil on;
 *	      ^
 *
 * Called by everything that reads configuration.
 */
#include "conf/message.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hint.h"

#define TEXT_MAX	1024	/* nginx: NGX_MAX_CONF_ERRSTR; the place still fits the line */
#define LINE_SHOWN	120	/* bytes of a source line shown around the caret */
#define LINE_BEFORE	60	/* of them at most in front of it */

/* One message: what the callers below differ in. */
struct message {
	enum log_level level;
	const struct conf_position *at;	/* of the caret; NULL: none */
	int error;			/* errno value, or 0 */
	const char *hint;		/* behind the place, or NULL */
	const struct conf_position *place;	/* where; NULL: where reading stands */
};

/* A line of several to each file that takes messages of this level. */
static void
lines_write(const struct conf *cf, enum log_level level, struct str text)
{
	const struct log *log = cf->log != NULL ? cf->log : log_default();

	for (; log != NULL; log = log->next)
		if (log->level >= level)
			log_file_write(log->file, text, 1, 0);
}

/* One column each, so that the caret stands right; UTF-8 is left as it is. */
static char
byte_shown(char c)
{
	return ((unsigned char)c < ' ' || c == 0x7f ? ' ' : c);
}

static bool
byte_has_width(char c)
{
	return (((unsigned char)c & 0xc0) != 0x80);
}

static void
caret_write(struct conf *cf, const struct message *m)
{
	struct str line = lex_line(cf->lexer, m->at->line);
	size_t column = m->at->column - 1, n = 0;
	char shown[LINE_SHOWN + 1], pad[LINE_SHOWN + 1];
	size_t blanks = 0;

	if (column > line.n)
		column = line.n;
	if (column > LINE_BEFORE) {
		line = str_skip(line, column - LINE_BEFORE);
		column = LINE_BEFORE;
	}
	for (; n < line.n && n < LINE_SHOWN; n++) {
		shown[n] = byte_shown(line.p[n]);
		if (n < column && byte_has_width(line.p[n]))
			pad[blanks++] = ' ';
	}
	shown[n] = pad[blanks] = '\0';
	lines_write(cf, m->level, pool_printf(cf->temp, "  " STR_FMT ":%u:%u\n    %s\n    %s^\n",
	    STR_ARG(m->at->file), m->at->line, m->at->column, shown, pad));
}

/* A caret can stand only in the file under way (words of a default have no file). */
static bool
message_has_caret(const struct conf *cf, const struct message *m)
{
	return (cf->caret && cf->lexer != NULL && m->at != NULL && m->at->file.n > 0 &&
	    str_eq(m->at->file, cf->lexer->at.file));
}

/* " in FILE:LINE", " in command line" or "" (NULL). */
static struct str
place_text(struct pool *pool, const struct conf_position *place)
{
	if (place == NULL)
		return (STR(""));
	if (place->file.n == 0)
		return (STR(" in command line"));
	return (pool_printf(pool, " in " STR_FMT ":%u", STR_ARG(place->file), place->line));
}

/* TEXT (ERRNO) in PLACE (HINT) */
static void
line_write(const struct log *log, struct pool *pool, const struct message *m, const char *text)
{
	char cause[128] = "";

	if (m->error != 0)
		(void)snprintf(cause, sizeof(cause), " (%d: %s)", m->error, strerror(m->error));
	log_write(log, m->level, 0, 0, "%s%s%s%s%s%s", text, cause, place_text(pool, m->place).p,
	    m->hint != NULL ? " (" : "", m->hint != NULL ? m->hint : "",
	    m->hint != NULL ? ")" : "");
}

void
conf_tell(enum log_level level, const struct conf_position *place, int error, struct str hint,
    const char *format, ...)
{
	struct message m = { .level = level, .error = error, .hint = hint.p, .place = place };
	struct pool *pool = pool_new(0);
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line_write(NULL, pool, &m, text);
	pool_free(pool);
}

static void
message_write(struct conf *cf, const struct message *m, const char *format, va_list args)
{
	struct message placed = *m;
	char text[TEXT_MAX];

	if (m->place == NULL && cf->lexer != NULL)
		placed.place = &cf->lexer->at;
	(void)vsnprintf(text, sizeof(text), format, args);
	line_write(cf->log, cf->temp, &placed, text);
	if (message_has_caret(cf, m))
		caret_write(cf, m);
	if (m->level == LOG_EMERG)
		cf->errors++;
	else
		cf->warnings++;
}

/* Where word i stands, the directive's name when there is no such word. */
static const struct conf_position *
word_position(const struct conf *cf, unsigned i)
{
	if (cf->word_count == 0)
		return (NULL);
	return (&cf->words[i < cf->word_count ? i : 0].at);
}

int
conf_error(struct conf *cf, const char *format, ...)
{
	struct message m = { .level = LOG_EMERG, .at = word_position(cf, 0) };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
	return (-1);
}

int
conf_error_at(struct conf *cf, unsigned word, const char *format, ...)
{
	struct message m = { .level = LOG_EMERG, .at = word_position(cf, word) };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
	return (-1);
}

int
conf_error_errno(struct conf *cf, int error, const char *format, ...)
{
	struct message m = { .level = LOG_EMERG, .at = word_position(cf, 1), .error = error };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
	return (-1);
}

static void __attribute__((format(printf, 3, 4)))
message_say(struct conf *cf, const struct message *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	message_write(cf, m, format, args);
	va_end(args);
}

int
conf_error_path(struct conf *cf, int error, const char *call, struct str path)
{
	struct message m = { .level = LOG_EMERG, .at = word_position(cf, 1), .error = error,
		.hint = hint_path(cf->temp, path, error).p };

	message_say(cf, &m, "%s \"" STR_FMT "\" failed", call, STR_ARG(path));
	return (-1);
}

int
conf_error_in(struct conf *cf, const struct conf_position *place, const char *format, ...)
{
	struct message m = { .level = LOG_EMERG, .at = place, .place = place };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
	return (-1);
}

int
conf_error_in_hint(struct conf *cf, const struct conf_position *place, const char *hint,
    const char *format, ...)
{
	struct message m = { .level = LOG_EMERG, .at = place, .place = place, .hint = hint };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
	return (-1);
}

int
conf_error_mark(struct conf *cf, const char *format, ...)
{
	struct message m = { .level = LOG_EMERG, .at = &cf->lexer->mark };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
	return (-1);
}

int
conf_error_hint(struct conf *cf, unsigned word, const char *hint, const char *format, ...)
{
	struct message m = { .level = LOG_EMERG, .at = word_position(cf, word), .hint = hint };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
	return (-1);
}

void
conf_warn(struct conf *cf, const char *format, ...)
{
	struct message m = { .level = LOG_WARN, .at = word_position(cf, 0) };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
}

void
conf_warn_at(struct conf *cf, unsigned word, const char *format, ...)
{
	struct message m = { .level = LOG_WARN, .at = word_position(cf, word) };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
}

void
conf_warn_in(struct conf *cf, const struct conf_position *place, const char *format, ...)
{
	struct message m = { .level = LOG_WARN, .at = place, .place = place };
	va_list args;

	va_start(args, format);
	message_write(cf, &m, format, args);
	va_end(args);
}

void
conf_note_contexts(struct conf *cf, unsigned contexts)
{
	struct str text = STR("  it is allowed in:");

	if (!cf->caret || cf->vocabulary->contexts == NULL)
		return;
	for (const struct conf_name *c = cf->vocabulary->contexts; c->name != NULL; c++)
		if ((contexts & c->value) != 0)
			text = pool_printf(cf->temp, STR_FMT " %s", STR_ARG(text), c->name);
	lines_write(cf, LOG_EMERG, pool_printf(cf->temp, STR_FMT "\n", STR_ARG(text)));
}
