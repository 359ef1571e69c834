/*
 * Records for a syslog server: one datagram a line.  Called by log.c, which owns
 * the socket.  It is not connected: each record is addressed, so that a server may
 * start late or anew, and threads share the socket without a word.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/syslog.h"

#define HEADER_MAX	400

int
syslog_socket(const struct syslog *to)
{
	return (socket(to->addr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/* "<190>Nov 21 18:06:57 host tag: "; the date is of $time_local, "21/Nov/2026:18:06:57 +0000". */
static size_t
header_write(const struct syslog *to, unsigned severity, char out[static HEADER_MAX])
{
	struct str date = clock_log_local();
	int n = snprintf(out, HEADER_MAX, "<%u>%.3s %c%c %.8s %s%s%s: ", to->facility * 8 + severity,
	    date.p + 3, date.p[0] == '0' ? ' ' : date.p[0], date.p[1], date.p + 12, to->hostname,
	    to->hostname[0] == '\0' ? "" : " ", to->tag);

	return (n < HEADER_MAX ? (size_t)n : HEADER_MAX - 1);
}

int
syslog_send(const struct syslog *to, int fd, unsigned severity, struct str line)
{
	char header[HEADER_MAX];
	struct iovec iov[2] = { { header, header_write(to, severity, header) },
		{ (char *)(uintptr_t)line.p, line.n } };
	struct msghdr msg = { .msg_name = (void *)(uintptr_t)&to->addr, .msg_namelen = to->addr_len,
		.msg_iov = iov, .msg_iovlen = 2 };

	if (line.n > 0 && line.p[line.n - 1] == '\n')
		iov[1].iov_len--;
	while (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return (-1);
	return (0);
}
