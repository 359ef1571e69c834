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

#include "base/log.h"
#include "base/pool.h"

static int
pidfile_create(const char *path, pid_t pid)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)pid), fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd == -1) {
		log_main(LOG_EMERG, errno, "open() \"%s\" failed", path);
		return (-1);
	}
	if (write(fd, text, (size_t)n) != n) {
		log_main(LOG_EMERG, errno, "write() to \"%s\" failed", path);
		(void)close(fd);
		return (-1);
	}
	return (close(fd));
}

int
pidfile_write(struct str path, pid_t pid)
{
	struct pool *pool = pool_new(0);
	struct str fresh = pool_printf(pool, STR_FMT ".%ld", STR_ARG(path), (long)pid);
	int rc = pidfile_create(fresh.p, pid);

	if (rc == 0 && rename(fresh.p, path.p) != 0) {
		log_main(LOG_EMERG, errno, "rename() \"%s\" to \"%s\" failed", fresh.p, path.p);
		(void)unlink(fresh.p);
		rc = -1;
	}
	pool_free(pool);
	return (rc);
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
		log_main(LOG_ERR, errno, "open() \"%s\" failed", path.p);
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
