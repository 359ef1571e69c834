/*
 * Readiness (sd_notify(3)) and socket activation (sd_listen_fds(3)), spoken
 * directly.  Called by master.c.
 */
#define _GNU_SOURCE
#include "main/systemd.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

void
systemd_notify(const char *state, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char text[256];
	va_list args;
	size_t n;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    (n = strlen(path)) >= sizeof(to.sun_path))
		return;
	va_start(args, state);
	(void)vsnprintf(text, sizeof(text), state, args);
	va_end(args);
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	/* Whoever supervises us may have gone: that is no reason to stop. */
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)close(fd);
}

unsigned
systemd_sockets(void)
{
	struct str pid = str_from(getenv("LISTEN_PID")), fds = str_from(getenv("LISTEN_FDS"));
	uint64_t for_pid, count;
	bool ours = str_to_uint(pid, INT32_MAX, &for_pid) && (pid_t)for_pid == getpid() &&
	    str_to_uint(fds, 1024, &count);

	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return (ours ? (unsigned)count : 0);
}
