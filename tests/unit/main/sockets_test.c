/* proxy/main/sockets.c */
#include "../unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "main/sockets.h"

static struct pool *pool;
static struct sockets sockets;

static void
setup(void)
{
	pool = pool_new(0);
	sockets_init(&sockets);
}

static void
teardown(void)
{
	sockets_close(&sockets, false);
	pool_free(pool);
}

static int
bound(struct addr *addr)
{
	const struct listen_options options = { .backlog = -1, .fastopen = -1 };
	const char *call;
	int fd;

	ck_assert(addr_parse(STR("127.0.0.1:1"), 0, addr));
	addr->u.in.sin_port = 0;
	ck_assert_int_eq(listener_bind(addr, &options, &fd, 1, &call), 0);
	addr->len = sizeof(addr->u);
	ck_assert_int_eq(getsockname(fd, &addr->u.sa, &addr->len), 0);
	return (fd);
}

START_TEST(groups_by_address)
{
	struct addr a, b;
	int fds[2] = { bound(&a), bound(&b) }, more = dup(fds[0]);

	ck_assert_ptr_null(sockets_find(&sockets, &a));
	sockets_add(&sockets, &a, &fds[0], 1);
	sockets_add(&sockets, &b, &fds[1], 1);
	sockets_add(&sockets, &a, &more, 1);
	ck_assert_uint_eq(sockets_find(&sockets, &a)->count, 2);
	ck_assert_uint_eq(sockets_find(&sockets, &b)->count, 1);
	ck_assert_text(sockets_list(&sockets, pool),
	    pool_printf(pool, "%d;%d;%d;", fds[0], more, fds[1]).p);
	sockets_find(&sockets, &b)->fresh = true;
	sockets_abandon(&sockets, false);
	ck_assert_ptr_null(sockets_find(&sockets, &b));
	ck_assert_int_eq(fcntl(fds[1], F_GETFD), -1);
	ck_assert_int_ge(fcntl(more, F_GETFD), 0);
}
END_TEST

START_TEST(inherited_by_number)
{
	struct addr a;
	int fd = bound(&a), file = open("/dev/null", O_RDONLY);
	struct str list = pool_printf(pool, "%d;%d;", fd, file);

	/* What does not listen is no socket of ours. */
	ck_assert_int_eq(sockets_inherit(&sockets, list), 0);
	ck_assert_uint_eq(sockets_find(&sockets, &a)->count, 1);
	ck_assert(sockets_find(&sockets, &a)->ours);
	ck_assert_text(sockets_list(&sockets, pool), pool_printf(pool, "%d;", fd).p);
	(void)close(file);
}
END_TEST

static const char *const malformed[] = { ";", "x;", "-1;", "1;", "6;;7;", "6 7;", "99999999999;" };

START_TEST(malformed_lists)
{
	ck_assert_int_eq(sockets_inherit(&sockets, str_from(malformed[_i])), -1);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, groups_by_address);
	tcase_add_test(tcase, inherited_by_number);
	tcase_add_loop_test(tcase, malformed_lists, 0, ROWS(malformed));
}

int
main(void)
{
	return (unit_main("main/sockets", add));
}
