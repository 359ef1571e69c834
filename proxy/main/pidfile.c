/*
 * The pid file: written whole under another name and renamed, so that a reader
 * never finds half of it.  Called by master.c, upgrade.c and for -s.
 */
#include "main/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hint.h"
#include "base/log.h"
#include "base/pool.h"

/* The whole file at once.  Its name is that of the pid file with a number behind. */
static int
pidfile_create(const char *fresh, pid_t pid)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)pid), fd, rc = 0, saved;

	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd == -1)
		return (-1);
	if (write(fd, text, (size_t)n) != n)
		rc = -1;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return (rc);
}

int
pidfile_write(struct str path, pid_t pid, const struct conf_position *at)
{
	struct pool *pool = pool_new(0);
	struct str fresh = pool_printf(pool, STR_FMT ".%ld", STR_ARG(path), (long)pid);
	int rc = 0;

	if (pidfile_create(fresh.p, pid) != 0 || rename(fresh.p, path.p) != 0) {
		int error = errno;
		struct str hint = hint_path(pool, path, error);

		if (at->line == 0)
			hint = pool_printf(pool, STR_FMT "%s\"pid\" names another file",
			    STR_ARG(hint), hint.n > 0 ? "; " : "");
		conf_tell(LOG_EMERG, at->line == 0 ? NULL : at, error, hint,
		    "open() \"" STR_FMT "\" failed", STR_ARG(path));
		(void)unlink(fresh.p);
		rc = -1;
	}
	pool_free(pool);
	return (rc);
}

static void
pidfile_missing(struct str path, int error)
{
	struct pool *pool = pool_new(0);
	struct str hint = hint_path(pool, path, error);

	if (error == ENOENT)
		hint = STR("it is not running, or its \"pid\" is another file");
	conf_tell(LOG_ERR, NULL, error, hint, "open() \"" STR_FMT "\" failed", STR_ARG(path));
	pool_free(pool);
}

int
pidfile_read(struct str path, pid_t *pid)
{
	char text[32];
	ssize_t n;
	uint64_t value;
	struct str s;
	int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1) {
		pidfile_missing(path, errno);
		return (-1);
	}
	n = read(fd, text, sizeof(text));
	(void)close(fd);
	s = str_make(text, n > 0 ? (size_t)n : 0);
	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	if (!str_to_uint(s, INT32_MAX, &value) || value == 0) {
		log_main(LOG_ERR, 0, "invalid PID number \"" STR_FMT "\" in \"%s\"", STR_ARG(s),
		    path.p);
		return (-1);
	}
	*pid = (pid_t)value;
	return (0);
}

int
pidfile_rename(struct str from, struct str to)
{
	if (rename(from.p, to.p) == 0)
		return (0);
	log_main(LOG_ALERT, errno, "rename() \"%s\" to \"%s\" failed", from.p, to.p);
	return (-1);
}

void
pidfile_remove(struct str path, pid_t pid)
{
	char text[32], mine[32];
	ssize_t n;
	int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int length = snprintf(mine, sizeof(mine), "%ld\n", (long)pid);

	if (fd == -1)
		return;
	n = read(fd, text, sizeof(text));
	(void)close(fd);
	if (n != length || memcmp(text, mine, (size_t)n) != 0)
		return;
	if (unlink(path.p) != 0)
		log_main(LOG_ALERT, errno, "unlink() \"%s\" failed", path.p);
}
