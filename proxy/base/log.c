/*
 * Log files and error lines.  A file is shared by all threads and counted: by
 * whoever opened it, and by each thread while its buffer holds lines for it,
 * so that closing never races with a flush.  The descriptor's number never
 * changes: a reopen swaps what is behind it (dup3), and writers need no lock.
 *
 *	thread: buffers -> [file A | lines] -> [file B | lines]   write(2), O_APPEND
 */
#define _GNU_SOURCE	/* dup3, gettid */
#include <sys/types.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/syslog.h"

#define LINE_MAX_LEN	2048	/* nginx's NGX_MAX_ERROR_STR */
#define ERROR_ROOM	50	/* kept of it for " (111: Connection refused)" */
#define BUFFER_LIMIT	65536	/* a buffer is written when it would grow beyond */

struct log_file {
	atomic_uint refs;
	atomic_bool failing;	/* said so on stderr */
	int fd;
	bool keep_fd;		/* 0, 1, 2 belong to the process */
	char *path;
	struct syslog *syslog;	/* NULL: a file */
};

/* What one thread holds back for one file. */
struct pending {
	struct pending *next;
	struct log_file *file;	/* counted; NULL when empty */
	char *text;
	size_t n;
	size_t room;
	uint64_t due_ms;	/* 0: at the next log_flush */
};

static _Thread_local struct pending *pendings;
static _Thread_local bool deferred;

static struct log_file stderr_file = { .refs = 1, .fd = STDERR_FILENO, .keep_fd = true,
	.path = (char []){ "" } };
static const struct log stderr_log = { .file = &stderr_file, .level = LOG_NOTICE };
static const struct log *_Atomic default_log = &stderr_log;

static const char *const level_names[] = { "stderr", "emerg", "alert", "crit", "error", "warn",
	"notice", "info", "debug" };
#define LEVELS	(sizeof(level_names) / sizeof(level_names[0]))

/* A container's: they may be sockets, or pipes of another user's, which open() refuses. */
static const char *const standard_paths[] = { NULL, "/dev/stdout", "/dev/stderr" };

static int
path_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

	for (int own = STDOUT_FILENO; fd == -1 && own <= STDERR_FILENO; own++) {
		if (strcmp(path, standard_paths[own]) == 0)
			fd = fcntl(own, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	}
	return (fd);
}

static struct log_file *
file_new(const char *path, int fd)
{
	struct log_file *file = xcalloc(1, sizeof(*file));

	atomic_init(&file->refs, 1);
	file->fd = fd;
	file->keep_fd = fd <= STDERR_FILENO;
	file->path = xmalloc(strlen(path) + 1);
	memcpy(file->path, path, strlen(path) + 1);
	return (file);
}

struct log_file *
log_file_open(const char *path, int fd)
{
	if (fd < 0 && (fd = path_open(path)) == -1)
		return (NULL);
	return (file_new(path, fd));
}

struct log_file *
log_file_syslog(const char *path, int fd, const struct syslog *to)
{
	struct log_file *file;

	if (fd < 0 && (fd = syslog_socket(to)) == -1)
		return (NULL);
	file = file_new(path, fd);
	file->syslog = xmalloc(sizeof(*to));
	*file->syslog = *to;
	return (file);
}

int
log_file_reopen(struct log_file *file, int fd)
{
	int saved;

	if (fd < 0 && (file->path[0] == '\0' || file->syslog != NULL))
		return (0);
	if (fd < 0 && (fd = path_open(file->path)) == -1)
		return (-1);
	if (dup3(fd, file->fd, O_CLOEXEC) == -1) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		return (-1);
	}
	(void)close(fd);
	atomic_store(&file->failing, false);
	return (0);
}

int
log_file_fd(const struct log_file *file)
{
	return (file->fd);
}

const char *
log_file_path(const struct log_file *file)
{
	return (file->path);
}

static void
file_drop(struct log_file *file)
{
	if (atomic_fetch_sub(&file->refs, 1) != 1)
		return;
	if (!file->keep_fd)
		(void)close(file->fd);
	free(file->syslog);
	free(file->path);
	free(file);
}

/* Said once a file, where people look: on stderr and in the main log, which may have others. */
static void
file_failed(struct log_file *file, int err)
{
	if (file->fd == STDERR_FILENO || atomic_exchange(&file->failing, true))
		return;
	dprintf(STDERR_FILENO, "wproxy: write() to \"%s\" failed (%d: %s)\n", file->path, err,
	    strerror(err));
	if (log_default() != &stderr_log)	/* then it was said there just now */
		log_main(LOG_ALERT, err, "write() to \"%s\" failed", file->path);
}

/* Never fatal: what cannot be written is lost. */
static void
file_put(struct log_file *file, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = write(file->fd, p, n);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			file_failed(file, errno);
			return;
		}
		p += sent;
		n -= (size_t)sent;
	}
}

static void
file_tell(struct log_file *file, unsigned severity, struct str line)
{
	/* A full socket loses records: nobody waits for them. */
	if (syslog_send(file->syslog, file->fd, severity, line) != 0 && errno != EAGAIN)
		file_failed(file, errno);
}

static void
pending_flush(struct pending *b)
{
	struct log_file *file = b->file;
	size_t n = b->n;

	if (file == NULL)
		return;
	/* First: what cannot be written is told in the main log, whose buffer this may be. */
	b->n = 0;
	b->file = NULL;
	file_put(file, b->text, n);
	file_drop(file);
}

/* This thread's buffer of the file, or an empty one that becomes it. */
static struct pending *
pending_of(struct log_file *file)
{
	struct pending *empty = NULL, *b;

	for (b = pendings; b != NULL; b = b->next) {
		if (b->file == file)
			return (b);
		if (b->file == NULL)
			empty = b;
	}
	if (empty == NULL) {
		empty = xcalloc(1, sizeof(*empty));
		empty->next = pendings;
		pendings = empty;
	}
	atomic_fetch_add(&file->refs, 1);
	empty->file = file;
	empty->due_ms = UINT64_MAX;
	return (empty);
}

static void
pending_append(struct pending *b, struct str line)
{
	if (b->n + line.n > b->room) {
		b->room = b->room == 0 ? 4096 : b->room;
		while (b->room < b->n + line.n)
			b->room *= 2;
		b->text = xrealloc(b->text, b->room);
	}
	memcpy(b->text + b->n, line.p, line.n);
	b->n += line.n;
}

void
log_file_close(struct log_file *file)
{
	for (struct pending *b = pendings; b != NULL; b = b->next)
		if (b->file == file)
			pending_flush(b);
	file_drop(file);
}

/* severity: for a syslog server; see log_file_write() for the rest. */
static void
file_write(struct log_file *file, unsigned severity, struct str line, size_t size, unsigned flush_ms)
{
	struct pending *b;
	uint64_t due;

	if (line.n == 0)
		return;
	if (file->syslog != NULL) {
		file_tell(file, severity, line);
		return;
	}
	if (!deferred) {
		file_put(file, line.p, line.n);
		return;
	}
	b = pending_of(file);
	if (b->n > 0 && b->n + line.n > (size > BUFFER_LIMIT ? size : BUFFER_LIMIT)) {
		pending_flush(b);
		b = pending_of(file);
	}
	pending_append(b, line);
	due = flush_ms == 0 ? 0 : clock_mono_ms() + flush_ms;
	if (due < b->due_ms)
		b->due_ms = due;
	if (size != 0 && b->n > size)
		pending_flush(b);
}

void
log_file_write(struct log_file *file, struct str line, size_t size, unsigned flush_ms)
{
	file_write(file, file->syslog == NULL ? 0 : file->syslog->severity, line, size, flush_ms);
}

void
log_flush(bool all)
{
	for (struct pending *b = pendings; b != NULL; b = b->next)
		if (b->file != NULL && (all || b->due_ms == 0 || b->due_ms <= clock_mono_ms()))
			pending_flush(b);
}

uint64_t
log_due(void)
{
	uint64_t due = UINT64_MAX;

	for (const struct pending *b = pendings; b != NULL; b = b->next)
		if (b->file != NULL && b->due_ms < due)
			due = b->due_ms;
	return (due);
}

void
log_thread_deferred(bool on)
{
	struct pending *b;

	deferred = on;
	if (on)
		return;
	while ((b = pendings) != NULL) {
		pendings = b->next;
		pending_flush(b);
		free(b->text);
		free(b);
	}
}

void
log_set_default(const struct log *log)
{
	atomic_store(&default_log, log == NULL ? &stderr_log : log);
}

const struct log *
log_default(void)
{
	return (atomic_load(&default_log));
}

/* Behind what printf left at n of room bytes: n grows by what fitted. */
static size_t
text_grown(size_t n, size_t room, int printed)
{
	if (printed < 0)
		return (n);
	return ((size_t)printed < room - n ? n + (size_t)printed : room - 1);
}

/* The part of a line in front of its message. */
static size_t
line_prefix(char *line, enum log_level level, unsigned long connection)
{
	struct str date = clock_log_error();
	size_t n;

	n = text_grown(0, LINE_MAX_LEN, snprintf(line, LINE_MAX_LEN, STR_FMT " [%s] %ld#%ld: ",
	    STR_ARG(date), level_names[level], (long)getpid(), (long)gettid()));
	if (connection != 0)
		n = text_grown(n, LINE_MAX_LEN, snprintf(line + n, LINE_MAX_LEN - n, "*%lu ",
		    connection));
	return (n);
}

static size_t
line_add_error(char *line, size_t n, int err)
{
	char text[128];

	/* Where the message fills the line, its end gives way, as in nginx. */
	if (n > LINE_MAX_LEN - ERROR_ROOM) {
		n = LINE_MAX_LEN - ERROR_ROOM;
		memcpy(line + n, "...", 3);
		n += 3;
	}
	return (text_grown(n, LINE_MAX_LEN, snprintf(line + n, LINE_MAX_LEN - n, " (%d: %s)", err,
	    strerror_r(err, text, sizeof(text)))));
}

static void
brief_write(struct log_file *file, enum log_level level, struct str text)
{
	char line[LINE_MAX_LEN + 32];
	int n = snprintf(line, sizeof(line), "wproxy: [%s] " STR_FMT, level_names[level],
	    STR_ARG(text));

	log_file_write(file, str_make(line, (size_t)n), 1, 0);
}

void
log_write(const struct log *log, enum log_level level, unsigned long connection, int err,
    const char *format, ...)
{
	char line[LINE_MAX_LEN];
	va_list args;
	size_t n, prefix;

	if (log == NULL)
		log = log_default();
	if (!log_enabled(log, level))
		return;
	n = prefix = line_prefix(line, level, connection);
	va_start(args, format);
	n = text_grown(n, sizeof(line), vsnprintf(line + n, sizeof(line) - n, format, args));
	va_end(args);
	if (err != 0)
		n = line_add_error(line, n, err);
	line[n++] = '\n';
	for (; log != NULL; log = log->next) {
		if (log->level < level)
			continue;
		if (log->brief)
			brief_write(log->file, level, str_skip(str_make(line, n), prefix));
		else
			/* What may come before a crash must not wait in a buffer. */
			file_write(log->file, level == LOG_STDERR ? 0 : level - LOG_EMERG,
			    str_make(line, n), level <= LOG_CRIT ? 1 : 0, 0);
	}
}

const char *
log_level_name(enum log_level level)
{
	return (level_names[level]);
}

int
log_level_by_name(struct str name)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (str_eq(name, str_from(level_names[i])))
			return ((int)i);
	return (LOG_STDERR - 1);
}
