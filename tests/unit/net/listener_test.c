/*
 * net/listener.c: groups of sockets, second starts, accepting, pausing, running out of
 * descriptors.
 */
#define _GNU_SOURCE	/* POLLRDHUP */
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>

#include "base/log.h"
#include "net/listener.h"
#include "sockets.h"
#include "../unit.h"

static struct loop *loop;
static struct addr any_port;
static const struct listen_options defaults = { .backlog = -1, .fastopen = -1, .ipv6only = 1 };
static int accepted[256], accepted_count;

static void
setup(void)
{
	loop = loop_new(0);
	accepted_count = 0;
	ck_assert(addr_parse(STR("127.0.0.1:1"), 1, &any_port));
	any_port.u.in.sin_port = 0;
}

static void
teardown(void)
{
	while (accepted_count > 0)
		close(accepted[--accepted_count]);
	loop_turn(loop, false);
	loop_free(loop);
	buf_cache_free();
}

static void
keep_accepted(int fd, const struct addr *peer, void *arg)
{
	(void)arg;
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_uint_gt(peer->len, 0);
	ck_assert_int_lt(accepted_count, COUNT(accepted));
	accepted[accepted_count++] = fd;
}

static struct addr
bound_addr(int fd)
{
	struct addr a;

	memset(&a, 0, sizeof(a));
	a.len = sizeof(a.u);
	ck_assert_int_eq(getsockname(fd, &a.u.sa, &a.len), 0);
	return (a);
}

static int
client(const struct addr *to)
{
	int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, &to->u.sa, to->len), 0);
	return (fd);
}

static int
int_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return (value);
}

START_TEST(group_shares_a_port)
{
	int fds[4], again[1], clients[64], by_fd[4] = { 0 };
	const char *failed = NULL;
	struct addr a;

	ck_assert_int_eq(listener_bind(&any_port, &defaults, fds, 4, &failed), 0);
	a = bound_addr(fds[0]);
	for (int i = 1; i < 4; i++) {
		struct addr other = bound_addr(fds[i]);

		ck_assert(addr_eq(&a, &other));
	}
	/* A second start. */
	ck_assert_int_eq(listener_bind(&a, &defaults, again, 1, &failed), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_str_eq(failed, "bind()");
	for (int i = 0; i < COUNT(clients); i++)
		clients[i] = client(&a);
	for (int i = 0; i < 4; i++) {
		int fd;

		while ((fd = accept(fds[i], NULL, NULL)) != -1) {
			ck_assert_int_eq(int_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
			by_fd[i]++;
			close(fd);
		}
	}
	/* All arrived; the kernel spread them over the group. */
	ck_assert_int_eq(by_fd[0] + by_fd[1] + by_fd[2] + by_fd[3], COUNT(clients));
	ck_assert_int_lt(by_fd[0], COUNT(clients));
	for (int i = 0; i < COUNT(clients); i++)
		close(clients[i]);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}
END_TEST

START_TEST(options_arrive)
{
	struct listen_options opt = defaults;
	const char *failed;
	int fd;

	opt.backlog = 7;
	opt.deferred = opt.keepalive_set = opt.keepalive_on = true;
	opt.keep_idle = 11;
	opt.keep_intvl = 12;
	opt.keep_cnt = 3;
	opt.rcvbuf = 32768;
	ck_assert_int_eq(listener_bind(&any_port, &opt, &fd, 1, &failed), 0);
	ck_assert_int_eq(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(int_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 11);
	ck_assert_int_eq(int_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 12);
	ck_assert_int_eq(int_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	ck_assert_int_gt(int_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	ck_assert_int_eq(int_option(fd, SOL_SOCKET, SO_RCVBUF), 65536);
	opt.deferred = opt.keepalive_on = false;
	ck_assert_int_eq(listener_apply(fd, &any_port, &opt), 0);
	ck_assert_int_eq(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(int_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	close(fd);
}
END_TEST

START_TEST(unix_socket)
{
	char path[] = "/tmp/wproxy-listener-XXXXXX", text[64];
	const char *failed = NULL;
	struct listener *l;
	struct stat st;
	struct addr a;
	int fd, c;

	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(text, sizeof(text), "unix:%s/s", path);
	ck_assert(addr_parse(str_from(text), 0, &a));
	ck_assert_int_eq(listener_bind(&a, &defaults, &fd, 1, &failed), 0);
	ck_assert_int_eq(stat(a.u.un.sun_path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0666);
	l = listener_new(loop, fd, true, keep_accepted, NULL);
	c = client(&a);
	TURN_UNTIL(loop, accepted_count == 1);
	listener_free(l);
	close(c);
	close(fd);
	unlink(a.u.un.sun_path);
	rmdir(path);
}
END_TEST

START_TEST(bind_errors_are_named)
{
	const char *failed = NULL;
	struct addr a;
	int fd;

	ck_assert(addr_parse(STR("203.0.113.1:80"), 80, &a));
	ck_assert_int_eq(listener_bind(&a, &defaults, &fd, 1, &failed), -1);
	ck_assert_int_eq(errno, EADDRNOTAVAIL);
	ck_assert_str_eq(failed, "bind()");
	ck_assert(addr_parse(STR("unix:/no/such/folder/s"), 80, &a));
	ck_assert_int_eq(listener_bind(&a, &defaults, &fd, 1, &failed), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* Many at once, shared or not: all come, in as many wakes as it takes. */
START_TEST(accepts_them_all)
{
	const char *failed;
	struct listener *l;
	int fd, clients[100];
	struct addr a;

	ck_assert_int_eq(listener_bind(&any_port, &defaults, &fd, 1, &failed), 0);
	a = bound_addr(fd);
	l = listener_new(loop, fd, _i == 1, keep_accepted, NULL);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT(clients); i++)
			clients[i] = client(&a);
		TURN_UNTIL(loop, accepted_count == COUNT(clients));
		turn_idle(loop);
		ck_assert_int_eq(accepted_count, COUNT(clients));
		while (accepted_count > 0)
			close(accepted[--accepted_count]);
		for (int i = 0; i < COUNT(clients); i++)
			close(clients[i]);
	}
	listener_free(l);
	close(fd);
}
END_TEST

START_TEST(pauses)
{
	const char *failed;
	struct listener *l;
	int fd, c;
	struct addr a;

	ck_assert_int_eq(listener_bind(&any_port, &defaults, &fd, 1, &failed), 0);
	a = bound_addr(fd);
	l = listener_new(loop, fd, false, keep_accepted, NULL);
	listener_pause(l, 0);
	c = client(&a);
	turn_idle(loop);
	ck_assert_int_eq(accepted_count, 0);
	listener_resume(l);
	listener_resume(l);
	TURN_UNTIL(loop, accepted_count == 1);
	listener_pause(l, 30);
	close(c);
	c = client(&a);
	turn_idle(loop);
	ck_assert_int_eq(accepted_count, 1);
	TURN_UNTIL(loop, accepted_count == 2);
	close(c);
	listener_pause(l, 10);
	listener_free(l);
	close(fd);
}
END_TEST

static struct listener *freed_within;

static void
accept_and_free(int fd, const struct addr *peer, void *arg)
{
	keep_accepted(fd, peer, arg);
	listener_free(freed_within);
}

START_TEST(freed_by_its_callback)
{
	const char *failed;
	struct addr a;
	int fd, c[3];

	ck_assert_int_eq(listener_bind(&any_port, &defaults, &fd, 1, &failed), 0);
	a = bound_addr(fd);
	freed_within = listener_new(loop, fd, false, accept_and_free, NULL);
	for (int i = 0; i < 3; i++)
		c[i] = client(&a);
	TURN_UNTIL(loop, accepted_count == 1);
	turn_idle(loop);
	ck_assert_int_eq(accepted_count, 1);
	for (int i = 0; i < 3; i++)
		close(c[i]);
	close(fd);
}
END_TEST

/* No descriptor left: nothing spins, and the connection is taken once there is one. */
START_TEST(waits_for_descriptors)
{
	struct rlimit was, none;
	const char *failed;
	struct listener *l;
	struct addr a;
	int fd, c, turns = 0;
	uint64_t until;
	struct timer wake = { 0 };
	FILE *quiet = freopen("/dev/null", "w", stderr);

	ck_assert_ptr_nonnull(quiet);
	ck_assert_int_eq(listener_bind(&any_port, &defaults, &fd, 1, &failed), 0);
	a = bound_addr(fd);
	l = listener_new(loop, fd, false, keep_accepted, NULL);
	c = client(&a);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	clock_update();
	until = clock_mono_ms() + 60;
	while (clock_mono_ms() < until) {
		timer_arm(loop, &wake, 20, wake_only);
		loop_turn(loop, true);
		timer_cancel(&wake);
		turns++;
	}
	ck_assert_int_lt(turns, 20);
	ck_assert_int_eq(accepted_count, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	TURN_UNTIL(loop, accepted_count == 1);
	close(c);
	listener_free(l);
	close(fd);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, group_shares_a_port);
	tcase_add_test(t, options_arrive);
	tcase_add_test(t, unix_socket);
	tcase_add_test(t, bind_errors_are_named);
	tcase_add_loop_test(t, accepts_them_all, 0, 2);
	tcase_add_test(t, pauses);
	tcase_add_test(t, freed_by_its_callback);
	tcase_add_test(t, waits_for_descriptors);
}

int
main(void)
{
	return (unit_main("net/listener", add));
}
