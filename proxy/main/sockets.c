/*
 * Listening sockets by address: bound, inherited, handed over, closed.  Owned
 * by master.c and, as a copy of the descriptors, by worker.c.
 *
 *	sockets_bind: fresh -> sockets_commit: in force -> not listened on: closed
 *	                    -> sockets_abandon: closed
 */
#include "main/sockets.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/hint.h"
#include "main/occupant.h"

#define BIND_TRIES	5
#define BIND_PAUSE_MS	500

#define PORT_UNPRIVILEGED	1024

void
sockets_init(struct sockets *s)
{
	list_init(&s->groups);
}

struct socket_group *
sockets_find(const struct sockets *s, const struct addr *addr)
{
	LIST_EACH(&s->groups, it) {
		struct socket_group *group = list_item(it, struct socket_group, link);

		if (addr_eq(&group->addr, addr))
			return (group);
	}
	return (NULL);
}

struct socket_group *
sockets_add(struct sockets *s, const struct addr *addr, const int *fds, unsigned count)
{
	struct socket_group *group = sockets_find(s, addr);

	if (group == NULL) {
		group = xcalloc(1, sizeof(*group));
		group->addr = *addr;
		list_push_back(&s->groups, &group->link);
	}
	group->fds = xrealloc(group->fds, (group->count + count) * sizeof(*fds));
	for (unsigned i = 0; i < count; i++)
		group->fds[group->count++] = fds[i];
	return (group);
}

static void
group_close(struct socket_group *group, bool remove_path)
{
	for (unsigned i = 0; i < group->count; i++)
		(void)close(group->fds[i]);
	if (remove_path && group->ours && addr_is_unix(&group->addr) &&
	    unlink(group->addr.u.un.sun_path) != 0 && errno != ENOENT)
		log_main(LOG_EMERG, errno, "unlink() \"%s\" failed", group->addr.u.un.sun_path);
	list_remove(&group->link);
	free(group->fds);
	free(group);
}

/* nginx: "bind() to ADDR failed", "listen() to ADDR, backlog N failed", "socket() ADDR failed". */
static struct str
call_text(struct pool *pool, const struct listen *l, const char *call)
{
	if (strcmp(call, "bind()") == 0)
		return (pool_printf(pool, "bind() to " STR_FMT, STR_ARG(l->text)));
	if (strcmp(call, "listen()") == 0)
		return (pool_printf(pool, "listen() to " STR_FMT ", backlog %d", STR_ARG(l->text),
		    l->options.backlog < 0 ? 511 : l->options.backlog));
	return (pool_printf(pool, "%s " STR_FMT, call, STR_ARG(l->text)));
}

static struct str
occupied_hint(struct pool *pool, const struct addr *addr)
{
	struct str who = occupant_find(pool, addr);

	if (who.n > 0)
		return (pool_printf(pool, STR_FMT
		    " listens there: end it, or listen elsewhere", STR_ARG(who)));
	if (addr_is_unix(addr))
		return (STR("another program listens there: end it, or listen elsewhere"));
	return (pool_printf(pool, "another program listens there, \"ss -ltnp 'sport = :%u'\" shows "
	    "it to root: end it, or listen elsewhere", addr_port(addr)));
}

/* What would help; absent: the words of errno must do. */
static struct str
bind_hint(struct pool *pool, const struct addr *addr, int error)
{
	if (error == EADDRINUSE)
		return (occupied_hint(pool, addr));
	if (addr_is_unix(addr))
		return (hint_path(pool, str_from(addr->u.un.sun_path), error));
	if (error == EACCES && addr_port(addr) < PORT_UNPRIVILEGED)
		return (STR("ports below 1024 are for root: start it as root, which \"user\" gives "
		    "up, grant CAP_NET_BIND_SERVICE, or listen on a port like 8080"));
	if (error == EADDRNOTAVAIL)
		return (STR("no interface of this machine has the address, see \"ip addr\""));
	return (STR_NULL);
}

static void
bind_failure_log(const struct listen *l, const char *call, int error)
{
	struct pool *pool = pool_new(0);
	struct str text = call_text(pool, l, call), hint = bind_hint(pool, &l->addr, error);

	conf_tell(LOG_EMERG, &l->at, error, hint, STR_FMT " failed", STR_ARG(text));
	pool_free(pool);
}

/* A path that a crash left behind: nobody answers there. */
static bool
stale_path_removed(const struct addr *addr)
{
	int fd, error = 0;

	if (!addr_is_unix(addr) || addr->u.un.sun_path[0] != '/' ||
	    (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
		return (false);
	if (connect(fd, &addr->u.sa, addr->len) != 0)
		error = errno;
	(void)close(fd);
	return (error == ECONNREFUSED && unlink(addr->u.un.sun_path) == 0);
}

/* 0; 1: in use, worth another try; -1 after logging.  The first of several tries tells of both. */
static int
listen_bind(struct sockets *s, const struct listen *l, unsigned count, enum sockets_effort effort,
    bool first)
{
	const char *call = "bind()";
	struct socket_group *group;
	int *fds;
	int error;

	if (addr_is_unix(&l->addr))
		count = 1;
	fds = xcalloc(count, sizeof(*fds));
	error = listener_bind(&l->addr, &l->options, fds, count, &call) == 0 ? 0 : errno;
	if (error == EADDRINUSE && effort != SOCKETS_TEST && stale_path_removed(&l->addr))
		error = listener_bind(&l->addr, &l->options, fds, count, &call) == 0 ? 0 : errno;
	if (error != 0) {
		free(fds);
		if (error == EADDRINUSE && effort == SOCKETS_TEST)
			return (0);
		if (first || error != EADDRINUSE)
			bind_failure_log(l, call, error);
		return (error == EADDRINUSE ? 1 : -1);
	}
	group = sockets_add(s, &l->addr, fds, count);
	group->ours = group->fresh = true;
	free(fds);
	return (0);
}

/* One pass over all addresses.  As listen_bind(). */
static int
sockets_bind_missing(struct sockets *s, const struct generation *gen, enum sockets_effort effort,
    bool first)
{
	int result = 0;

	VEC_EACH(&gen->http->listens, struct listen *, it) {
		const struct listen *l = *it;
		struct socket_group *group;
		int rc;

		if (l->wildcard != NULL)
			continue;
		group = sockets_find(s, &l->addr);
		if (group == NULL) {
			rc = listen_bind(s, l, (unsigned)gen->process->threads, effort,
			    first);
			if (rc < 0)
				return (-1);
			if (rc > 0)
				result = 1;
			continue;
		}
		for (unsigned i = 0; !group->fresh && i < group->count; i++)
			if (listener_apply(group->fds[i], &l->addr, &l->options) != 0)
				log_main(LOG_ALERT, errno, "setsockopt() " STR_FMT
				    " failed, ignored", STR_ARG(l->text));
	}
	return (result);
}

int
sockets_bind(struct sockets *s, const struct generation *gen, enum sockets_effort effort)
{
	const struct timespec pause = { 0, BIND_PAUSE_MS * 1000000L };
	unsigned tries = effort == SOCKETS_TRY ? BIND_TRIES : 1;

	for (unsigned i = 0; i < tries; i++) {
		int rc = sockets_bind_missing(s, gen, effort, i == 0);

		if (rc <= 0)
			return (rc);
		if (tries > 1) {
			log_main(LOG_NOTICE, 0, "try again to bind() after %dms", BIND_PAUSE_MS);
			(void)nanosleep(&pause, NULL);
		}
	}
	log_main(LOG_EMERG, 0, "still could not bind()");
	return (-1);
}

void
sockets_commit(struct sockets *s, const struct generation *gen, bool remove_paths)
{
	LIST_EACH_SAFE(&s->groups, it, after) {
		struct socket_group *group = list_item(it, struct socket_group, link);

		group->fresh = false;
		if (generation_listen(gen, &group->addr) == NULL)
			group_close(group, remove_paths);
	}
}

void
sockets_abandon(struct sockets *s, bool remove_paths)
{
	LIST_EACH_SAFE(&s->groups, it, after) {
		struct socket_group *group = list_item(it, struct socket_group, link);

		if (group->fresh)
			group_close(group, remove_paths);
	}
}

void
sockets_close(struct sockets *s, bool remove_paths)
{
	LIST_EACH_SAFE(&s->groups, it, after)
		group_close(list_item(it, struct socket_group, link), remove_paths);
}

/* Takes a listening stream socket over by its number; others are left alone. */
static void
descriptor_inherit(struct sockets *s, int fd, bool ours)
{
	struct addr addr = { .len = sizeof(addr.u) };
	int listening = 0;
	socklen_t n = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) != 0 || !listening ||
	    getsockname(fd, &addr.u.sa, &addr.len) != 0) {
		log_main(LOG_EMERG, 0, "inherited descriptor %d is no listening socket, ignored",
		    fd);
		return;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	sockets_add(s, &addr, &fd, 1)->ours = ours;
}

int
sockets_inherit(struct sockets *s, struct str list)
{
	struct str item;
	uint64_t fd;

	while (str_cut(&list, ';', &item)) {
		if (item.n == 0 && list.p == NULL)
			break;
		if (!str_to_uint(item, INT32_MAX, &fd) || fd <= STDERR_FILENO)
			return (-1);
		descriptor_inherit(s, (int)fd, true);
	}
	return (0);
}

void
sockets_inherit_range(struct sockets *s, int first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		descriptor_inherit(s, first + (int)i, false);
}

struct str
sockets_list(const struct sockets *s, struct pool *pool)
{
	struct str list = STR("");

	LIST_EACH(&s->groups, it) {
		struct socket_group *group = list_item(it, struct socket_group, link);

		for (unsigned i = 0; i < group->count; i++)
			list = pool_printf(pool, STR_FMT "%d;", STR_ARG(list), group->fds[i]);
	}
	return (list);
}

void
sockets_keep_on_exec(const struct sockets *s)
{
	LIST_EACH(&s->groups, it) {
		struct socket_group *group = list_item(it, struct socket_group, link);

		for (unsigned i = 0; i < group->count; i++)
			(void)fcntl(group->fds[i], F_SETFD, 0);
	}
}
