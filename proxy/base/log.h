#ifndef WPROXY_BASE_LOG_H
#define WPROXY_BASE_LOG_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/str.h"

/*
 * Log files and error log lines in nginx's shape:
 *	2026/11/20 15:01:54 [error] PID#TID: *CONNECTION text (111: Connection refused), ...
 * A log_file is shared by threads; each thread buffers its lines and flushes
 * them with one O_APPEND write (log_flush(), once a turn of the loop, before
 * descriptors are closed; at once where no loop runs in the thread).
 */
enum log_level { LOG_STDERR, LOG_EMERG, LOG_ALERT, LOG_CRIT, LOG_ERR, LOG_WARN, LOG_NOTICE,
	LOG_INFO, LOG_DEBUG };

struct syslog;

/* An open file that lines go to.  Path "" with a descriptor is stderr/stdout. */
struct log_file;

/*
 * Opens for appending (created 0644); fd >= 0 adopts that descriptor instead.  NULL with errno on
 * failure.
 */
struct log_file	*log_file_open(const char *path, int fd);
/*
 * Opens path again and swaps the descriptor under all threads (USR1).  -1 with errno: the old one
 * stays.
 */
int		 log_file_reopen(struct log_file *, int fd_or_minus_one);
/*
 * Lines go to a syslog server, one datagram each, at once and without waiting; to is copied; fd as
 * in log_file_open().
 */
struct log_file	*log_file_syslog(const char *path, int fd, const struct syslog *to);
int		 log_file_fd(const struct log_file *);
const char	*log_file_path(const struct log_file *);
void		 log_file_close(struct log_file *);	/* flushes this thread's lines */
/*
 * Appends a whole line (its '\n' included) to this thread's buffer.  size: flush
 * when the buffer holds more (0: at the next log_flush), flush_ms: hold it back at most so
 * long (0: only until the next log_flush).
 */
void		 log_file_write(struct log_file *, struct str line, size_t size, unsigned flush_ms);
/* Writes what this thread's buffers hold and is due (all: everything). */
void		 log_flush(bool all);
/* When the first line that this thread holds back is due (clock_mono_ms()); UINT64_MAX: none. */
uint64_t	 log_due(void);
/*
 * True: this thread runs a loop which calls log_flush; false (default): every line is written at
 * once.
 */
void		 log_thread_deferred(bool);

/* Where error lines of a level or worse go.  A chain: each target is asked. */
struct log {
	const struct log *next;
	struct log_file *file;
	enum log_level level;
	bool brief;	/* "wproxy: [emerg] text", without time and number: a person's terminal */
};

/* Error log of last resort and of the main level; set by main/. */
void		 log_set_default(const struct log *);
const struct log *log_default(void);

static inline bool
log_enabled(const struct log *log, enum log_level level)
{
	for (; log != NULL; log = log->next)
		if (log->level >= level)
			return (true);
	return (false);
}

/*
 * A line; err: errno value to append as " (111: Connection refused)", 0 for none.
 * connection: number after '*', 0 for none.  log NULL: the default log.
 */
void	log_write(const struct log *, enum log_level, unsigned long connection, int err,
	    const char *, ...) __attribute__((format(printf, 5, 6)));
/* The main log. */
#define log_main(level, err, ...)	log_write(NULL, (level), 0, (err), __VA_ARGS__)

/* "error", "debug" ...; by name: LOG_STDERR-1 (that is, -1) when unknown. */
const char	*log_level_name(enum log_level);
int		 log_level_by_name(struct str);

#endif
