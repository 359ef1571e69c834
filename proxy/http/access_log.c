/*
 * Access logs: formats compiled when the configuration is read, one line per
 * request and log, written through the thread's log buffers.  Called once per
 * request by request_finish().
 */
#include "http/access_log.h"

#include <sys/stat.h>

#include <errno.h>

#include "base/clock.h"
#include "base/encode.h"
#include "http/core.h"
#include "http/tpl.h"
#include "http/var.h"

struct log_piece {
	struct str literal;
	int variable;		/* -1: the literal */
};

struct log_format {
	struct str name;
	enum log_escape escape;
	struct vec pieces;	/* struct log_piece */
};

struct access_log {
	struct log_file *file;	/* NULL where the path has variables */
	struct tpl *path;
	const struct log_format *format;
	struct tpl *condition;	/* if= */
	uint64_t buffer, flush;
};

struct access_log_main {
	struct hash *formats;
	struct vec buffered;	/* struct access_log: those with a buffer, while they are read */
};

struct access_log_location {
	struct vec logs;	/* struct access_log; empty: off */
	bool subrequests;
};

struct module access_log_module;

static const char combined[] = "$remote_addr - $remote_user [$time_local] \"$request\" "
    "$status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

/* One variable at text[*i] ('$'); *i is moved behind it. */
static int
format_variable(struct conf *cf, struct log_format *format, struct str text, size_t *i)
{
	size_t start = *i + 1, end;
	bool braces = start < text.n && text.p[start] == '{';
	struct log_piece *piece;

	start += braces;
	for (end = start; end < text.n && var_is_name_byte(text.p[end]); end++)
		continue;
	if (end == start || (braces && (end == text.n || text.p[end] != '}'))) {
		if (braces && start < text.n)
			return (conf_error(cf, "the closing bracket in \"" STR_FMT
			    "\" variable is missing", STR_ARG(str_skip(text, start))));
		return (conf_error(cf, "invalid parameter \"" STR_FMT "\"", STR_ARG(text)));
	}
	piece = vec_push(&format->pieces, cf->pool);
	piece->variable = var_ref(cf, str_make(text.p + start, end - start));
	*i = end + braces;
	return (piece->variable < 0 ? -1 : 0);
}

static int
format_text(struct conf *cf, struct log_format *format, struct str text)
{
	size_t i = 0;

	while (i < text.n) {
		size_t start = i;

		if (text.p[i] == '$') {
			if (format_variable(cf, format, text, &i) != 0)
				return (-1);
			continue;
		}
		while (i < text.n && text.p[i] != '$')
			i++;
		*(struct log_piece *)vec_push(&format->pieces, cf->pool) =
		    (struct log_piece){ str_make(text.p + start, i - start), -1 };
	}
	return (0);
}

static struct log_format *
format_new(struct conf *cf, struct access_log_main *conf, struct str name)
{
	struct log_format *format = pool_new_object(cf->pool, struct log_format);

	format->name = name;
	format->pieces = VEC_OF(struct log_piece);
	*hash_slot(conf->formats, name) = format;
	return (format);
}

static int
log_format_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct access_log_main *conf = field;
	struct str name = cf->words[1].text;
	struct log_format *format;
	unsigned first = 2;

	(void)row;
	if (hash_get(conf->formats, name) != NULL)
		return (conf_error(cf, "duplicate \"log_format\" name \"" STR_FMT "\"", STR_ARG(name)));
	format = format_new(cf, conf, name);
	if (str_starts(cf->words[2].text, STR("escape="))) {
		struct str escape = str_skip(cf->words[2].text, 7);

		if (str_eq(escape, STR("json")))
			format->escape = LOG_ESCAPE_JSON;
		else if (str_eq(escape, STR("none")))
			format->escape = LOG_ESCAPE_NONE;
		else if (!str_eq(escape, STR("default")))
			return (conf_error(cf, "unknown log format escaping \"" STR_FMT "\"",
			    STR_ARG(escape)));
		first++;
	}
	for (unsigned i = first; i < cf->word_count; i++)
		if (format_text(cf, format, cf->words[i].text) != 0)
			return (-1);
	return (0);
}

static int
access_log_prepare(struct conf *cf, struct http_conf *http)
{
	struct access_log_main *conf = main_conf(http, access_log_module);

	conf->formats = hash_new(cf->pool, false);
	if (http->kind->site != SITE_HTTP)
		return (0);
	return (format_text(cf, format_new(cf, conf, STR("combined")), str_from(combined)));
}

static int
access_log_option(struct conf *cf, unsigned i, struct access_log *log)
{
	struct str word = cf->words[i].text;

	if (str_starts(word, STR("buffer="))) {
		if (str_to_size(str_skip(word, 7), &log->buffer) && log->buffer > 0)
			return (0);
		return (conf_error_at(cf, i, "invalid buffer size \"" STR_FMT "\"",
		    STR_ARG(str_skip(word, 7))));
	}
	if (str_starts(word, STR("flush="))) {
		if (str_to_msec(str_skip(word, 6), &log->flush) && log->flush > 0)
			return (0);
		return (conf_error_at(cf, i, "invalid flush time \"" STR_FMT "\"",
		    STR_ARG(str_skip(word, 6))));
	}
	if (str_starts(word, STR("if="))) {
		log->condition = tpl_compile(cf, str_skip(word, 3));
		return (log->condition == NULL ? -1 : 0);
	}
	if (str_starts(word, STR("gzip")))
		return (conf_error_at(cf, i, "compressed logs (\"" STR_FMT
		    "\") are not implemented: wproxy would write them as plain text", STR_ARG(word)));
	return (conf_error_at(cf, i, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
}

/* A file has one buffer. */
static int
buffer_check(struct conf *cf, struct access_log_main *conf, const struct access_log *log,
    struct str path)
{
	if (log->buffer == 0)
		return (0);
	if (conf->buffered.size == 0)
		conf->buffered = VEC_OF(struct access_log);
	VEC_EACH(&conf->buffered, struct access_log, other)
		if (other->file == log->file &&
		    (other->buffer != log->buffer || other->flush != log->flush))
			return (conf_error(cf, "access_log \"" STR_FMT "\" already defined with "
			    "conflicting parameters", STR_ARG(conf_path_in_prefix(cf, path))));
	*(struct access_log *)vec_push(&conf->buffered, cf->pool) = *log;
	return (0);
}

static int
access_log_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct access_log_main *conf = main_conf(conf_http(cf), access_log_module);
	struct vec *logs = field;
	struct str path = cf->words[1].text, name = STR("combined");
	bool syslog = str_starts(path, STR("syslog:"));
	struct access_log *log;

	(void)row;
	if (logs->size == 0)
		*logs = VEC_OF(struct access_log);
	/* stream {} has no format of its own, and no log that was not asked for. */
	if (conf_http(cf)->kind->site != SITE_HTTP) {
		if (cf->words[0].at.file.n == 0)
			return (0);
		if (cf->word_count == 2 && !str_eq(path, STR("off")))
			return (conf_error(cf, "log format is not specified"));
	}
	if (str_eq(path, STR("off"))) {
		if (cf->word_count > 2)
			return (conf_error_at(cf, 2, "invalid parameter \"" STR_FMT "\"",
			    STR_ARG(cf->words[2].text)));
		logs->count = 0;
		return (0);
	}
	log = vec_push(logs, cf->pool);
	if (cf->word_count > 2)
		name = cf->words[2].text;
	log->format = hash_get(conf->formats, name);
	if (log->format == NULL)
		return (conf_error_at(cf, 2, "unknown log format \"" STR_FMT "\"", STR_ARG(name)));
	for (unsigned i = 3; i < cf->word_count; i++)
		if (access_log_option(cf, i, log) != 0)
			return (-1);
	if (syslog && log->buffer != 0)
		return (conf_error(cf, "logs to syslog cannot be buffered"));
	if (log->flush != 0 && log->buffer == 0)
		return (conf_error(cf, "no buffer is defined for access_log \"" STR_FMT "\"",
		    STR_ARG(path)));
	if (!syslog && str_chr(path, '$') != SIZE_MAX) {
		if (log->buffer != 0)
			return (conf_error(cf, "buffered logs cannot have variables in name"));
		log->path = tpl_compile(cf, conf_path_in_prefix(cf, path));
		return (log->path == NULL ? -1 : 0);
	}
	log->file = cf->open_log(cf, path);
	return (log->file == NULL ? -1 : buffer_check(cf, conf, log, path));
}

/* ---- at run time ---- */

#define OPEN_LOGS	16

/* Logs whose path has variables, kept open by the thread that writes them, most recent first. */
static _Thread_local struct open_log {
	struct log_file *file;
	uint64_t turn;		/* clock_mono_us() when its path was looked at */
} open_logs[OPEN_LOGS];

/* Puts a log first; place i is free. */
static void
open_logs_first(unsigned i, struct open_log log)
{
	memmove(open_logs + 1, open_logs, i * sizeof(open_logs[0]));
	open_logs[0] = log;
}

/* Is the file still there under its name?  Logs are moved away without a word to us. */
static bool
open_log_is_current(struct open_log *log)
{
	struct stat named, open;

	if (log->turn == clock_mono_us())
		return (true);
	log->turn = clock_mono_us();
	return (stat(log_file_path(log->file), &named) == 0 &&
	    fstat(log_file_fd(log->file), &open) == 0 && named.st_dev == open.st_dev &&
	    named.st_ino == open.st_ino);
}

static struct log_file *
open_log_by_path(struct request *r, struct str path)
{
	struct open_log log;
	unsigned i;

	for (i = 0; i < OPEN_LOGS && open_logs[i].file != NULL; i++) {
		log = open_logs[i];
		if (!str_eq(str_from(log_file_path(log.file)), path))
			continue;
		if (!open_log_is_current(&log))
			break;
		open_logs_first(i, log);
		return (log.file);
	}
	log = (struct open_log){ log_file_open(path.p, -1), clock_mono_us() };
	if (log.file == NULL) {
		request_log(r, LOG_CRIT, errno,
		    "open() \"" STR_FMT "\" failed while logging request", STR_ARG(path));
		return (NULL);
	}
	if (i == OPEN_LOGS)
		i--;
	if (open_logs[i].file != NULL)
		log_file_close(open_logs[i].file);
	open_logs_first(i, log);
	return (log.file);
}

void
access_log_thread_end(void)
{
	for (unsigned i = 0; i < OPEN_LOGS && open_logs[i].file != NULL; i++) {
		log_file_close(open_logs[i].file);
		open_logs[i].file = NULL;
	}
}

static struct str
format_line(struct request *r, const struct log_format *format)
{
	size_t count = format->pieces.count;
	struct str *parts = pool_alloc(r->pool, (count + 1) * sizeof(*parts));

	for (size_t i = 0; i < count; i++) {
		const struct log_piece *piece = vec_at(&format->pieces, struct log_piece, i);

		parts[i] = piece->literal;
		if (piece->variable < 0)
			continue;
		if (var_value(r, piece->variable, &parts[i]))
			parts[i] = encode_log(r->pool, parts[i], format->escape);
		else
			parts[i] = format->escape == LOG_ESCAPE_DEFAULT ? STR("-") : STR("");
	}
	parts[count] = STR("\n");
	return (pool_concat(r->pool, (unsigned)count + 1, parts));
}

void
access_log_write(struct request *r)
{
	const struct access_log_location *conf = location_conf(r->location, access_log_module);

	if (r->parent != NULL && !conf->subrequests)
		return;
	if (r->client_gone && r->bytes_sent == 0)
		r->out.status = 499;
	VEC_EACH(&conf->logs, struct access_log, log) {
		struct log_file *file = log->file;

		if (log->condition != NULL && !tpl_is_true(r, log->condition))
			continue;
		if (file == NULL)
			file = open_log_by_path(r, tpl_eval(r, log->path));
		if (file != NULL)
			log_file_write(file, format_line(r, log->format), log->buffer,
			    (unsigned)(log->buffer != 0 && log->flush == 0 ? UINT32_MAX : log->flush));
	}
}

#define CTX_LOGS	(CTX_HSLI | CTX_LIMIT_EXCEPT | CTX_STREAMS)

static const struct conf_row access_log_rows[] = {
	{ .name = "log_format", .contexts = CTX_HTTP | CTX_STREAM, .min = 2, .max = CONF_ANY,
	    .scope = SCOPE_MAIN, .flags = CONF_REPEAT | CONF_OWN, .type = &conf_custom_ptr, .set = log_format_set },
	{ .name = "access_log", .contexts = CTX_LOGS, .min = 1, .max = CONF_ANY, .flags = CONF_REPEAT,
	    .scope = SCOPE_LOCATION, .type = &conf_custom_vec, .set = access_log_set,
	    .offset = offsetof(struct access_log_location, logs), .dflt = WPROXY_ACCESS_LOG },
	{ .name = "log_subrequest", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .type = &conf_flag,
	    .offset = offsetof(struct access_log_location, subrequests), .dflt = "off" },
	{ .name = "open_log_file_cache", .contexts = CTX_HSL | CTX_STREAMS, .min = 1, .max = 4,
	    .type = &conf_inert },
	{ .name = NULL }
};

struct module access_log_module = {
	.name = "access_log",
	.sites = SITE_HTTP | SITE_STREAM,
	.size = {
		[SCOPE_MAIN] = sizeof(struct access_log_main),
		[SCOPE_LOCATION] = sizeof(struct access_log_location),
	},
	.rows = access_log_rows,
	.prepare = access_log_prepare,
};
