/*
 * Opening a file without the symbolic links that disable_symlinks forbids: each
 * component is opened below the one before, and judged once it is held, so
 * nothing can be exchanged between the look and the opening.  Called by file.c.
 */
#define _GNU_SOURCE	/* O_PATH */
#include "http/links.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static int
fail(int fd, int error)
{
	(void)close(fd);
	errno = error;
	return (-1);
}

/* May what was opened as name below `at' be used?  0 or an errno value. */
static int
judge(int fd, int at, const char *name, enum links_rule rule)
{
	struct stat opened, link;

	if (fstat(fd, &opened) != 0)
		return (errno);
	if (rule == LINKS_REFUSE)	/* O_PATH opens the link itself */
		return (S_ISLNK(opened.st_mode) ? ELOOP : 0);
	if (fstatat(at, name, &link, AT_SYMLINK_NOFOLLOW) != 0)
		return (errno);
	return (S_ISLNK(link.st_mode) && link.st_uid != opened.st_uid ? ELOOP : 0);
}

static int
open_below(int at, const char *name, enum links_rule rule, int flags)
{
	int fd = openat(at, name, flags | O_CLOEXEC | (rule == LINKS_REFUSE ? O_NOFOLLOW : 0));
	int error;

	if (fd < 0)
		return (-1);
	error = judge(fd, at, name, rule);
	return (error == 0 ? fd : fail(fd, error));
}

/* The folder that is trusted: the first n bytes of path, or where it begins. */
static int
open_trusted(const char *path, size_t n)
{
	char folder[PATH_MAX] = { path[0] == '/' ? '/' : '.' };

	if (n >= sizeof(folder)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if (n > 0) {
		memcpy(folder, path, n);
		folder[n] = '\0';
	}
	return (open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

int
links_open(const char *path, size_t from, enum links_rule rule, int flags)
{
	int at = open_trusted(path, from);
	const char *p = path + from;

	p += strspn(p, "/");
	if (*p == '\0') {
		if (at >= 0)
			(void)close(at);
		return (open(path, flags | O_CLOEXEC));
	}
	while (at >= 0 && *p != '\0') {
		size_t n = strcspn(p, "/"), slashes = strspn(p + n, "/");
		char name[NAME_MAX + 1];
		int fd, how = flags;

		if (n > NAME_MAX)
			return (fail(at, ENAMETOOLONG));
		memcpy(name, p, n);
		name[n] = '\0';
		if (slashes > 0)	/* as nginx: a link in place of a folder is no folder */
			how = (p[n + slashes] == '\0' ? flags : O_PATH) | O_DIRECTORY;
		fd = open_below(at, name, rule, how);
		(void)fail(at, errno);	/* closed; the errno of the opening stays */
		at = fd;
		p += n + slashes;
	}
	return (at);
}
