#ifndef WPROXY_BASE_SYSLOG_H
#define WPROXY_BASE_SYSLOG_H

#include <sys/socket.h>

#include "base/str.h"

#define SYSLOG_TAG_MAX	32

/* Where records go, and what they say of themselves (RFC 3164, as nginx sends them). */
struct syslog {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	unsigned facility;		/* 0 to 23 */
	unsigned severity;		/* of records that have no level: 0 (emerg) to 7 (debug) */
	char tag[SYSLOG_TAG_MAX + 1];
	char hostname[256];		/* "": it is left out */
};

/* A socket for records.  -1 with errno.  Any thread. */
int	syslog_socket(const struct syslog *);
/*
 * Sends one record (a line, with or without its '\n') without waiting; a server that is there
 * (again) is found.  -1 with errno: it is lost.  Any thread.
 */
int	syslog_send(const struct syslog *, int fd, unsigned severity, struct str line);

#endif
