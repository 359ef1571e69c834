/*
 * Is the service up?  Looks from outside, as a client would: the pid file, then a
 * connection to each address.  Called for -s check.
 */
#include "main/check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "http/site.h"
#include "main/core.h"
#include "main/pidfile.h"

/* A wildcard address is reached over the loopback. */
static struct addr
address_to_reach(const struct addr *listen)
{
	struct addr a = *listen;

	if (a.u.sa.sa_family == AF_INET && a.u.in.sin_addr.s_addr == htonl(INADDR_ANY))
		a.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (a.u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a.u.in6.sin6_addr))
		a.u.in6.sin6_addr = in6addr_loopback;
	return (a);
}

static int
address_connect(const struct addr *addr)
{
	struct pollfd poller = { .events = POLLOUT };
	socklen_t length = sizeof(int);
	int error = 0;

	poller.fd = socket(addr->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (poller.fd == -1)
		return (errno);
	if (connect(poller.fd, &addr->u.sa, addr->len) != 0)
		error = errno;
	if (error == EINPROGRESS) {
		if (poll(&poller, 1, CHECK_WAIT_MS) != 1)
			error = ETIMEDOUT;
		else if (getsockopt(poller.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
			error = errno;
	}
	(void)close(poller.fd);
	return (error);
}

int
check_running(const struct generation *gen)
{
	pid_t pid;

	if (pidfile_read(gen->process->pid, &pid) != 0)
		return (-1);
	if (kill(pid, 0) != 0 && errno != EPERM) {
		log_main(LOG_ERR, errno, "no process %ld is running", (long)pid);
		return (-1);
	}
	if (gen->http == NULL)
		return (0);
	VEC_EACH(&gen->http->listens, struct listen *, it) {
		struct addr addr = address_to_reach(&(*it)->addr);
		int error = address_connect(&addr);

		if (error == 0)
			continue;
		log_main(LOG_ERR, error, "connect() to " STR_FMT " failed", STR_ARG((*it)->text));
		return (-1);
	}
	return (0);
}
