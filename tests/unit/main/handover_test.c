/* proxy/main/handover.c */
#include "../unit.h"

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "main/handover.h"
#include "net/addr.h"

static int ends[2];
static struct pool *pool;

static void
setup(void)
{
	pool = pool_new(0);
	ck_assert_int_eq(handover_pair(ends), 0);
}

static void
teardown(void)
{
	for (int i = 0; i < 2; i++)
		if (ends[i] != -1)
			(void)close(ends[i]);
	pool_free(pool);
}

static struct str
packet(const struct parcel *parcel)
{
	unsigned char head[PARCEL_HEAD];
	struct str parts[] = { { (char *)head, PARCEL_HEAD }, parcel->bytes };

	parcel_head(parcel, head);
	return (pool_concat(pool, 2, parts));
}

static const struct parcel whole[] = {
	{ .kind = PARCEL_LOG, .bytes = { "/log", 4 }, .fd_count = 1 },
	{ .kind = PARCEL_RECORD, .serial = 0xfffffffeu, .fd_count = 1 },
	{ .kind = PARCEL_REOPEN, .bytes = { "/log", 4 }, .fd_count = 1 },
	{ .kind = PARCEL_COMMIT, .serial = 7 },
	{ .kind = PARCEL_ABANDON, .serial = 7 },
	{ .kind = PARCEL_QUIT }, { .kind = PARCEL_STOP },
	{ .kind = PARCEL_READY }, { .kind = PARCEL_LOADED, .serial = 1 },
	{ .kind = PARCEL_REFUSED, .serial = 2 }, { .kind = PARCEL_ADOPTED, .serial = 3 },
};

START_TEST(parcels_come_back)
{
	const struct parcel *parcel = &whole[_i];
	struct parcel got;
	struct str bytes = packet(parcel);

	ck_assert(parcel_parse(bytes, parcel->fd_count, &got));
	ck_assert_int_eq((int)got.kind, (int)parcel->kind);
	ck_assert_uint_eq(got.serial, parcel->serial);
	ck_assert_uint_eq(got.fd_count, parcel->fd_count);
	ck_assert(str_eq(got.bytes, parcel->bytes));
	/* Nothing shorter or longer is one, nor one with other descriptors. */
	for (size_t n = 0; n < bytes.n; n++)
		ck_assert(!parcel_parse(str_make(bytes.p, n), parcel->fd_count, &got));
	bytes = pool_printf(pool, STR_FMT "x", STR_ARG(bytes));
	ck_assert(!parcel_parse(bytes, parcel->fd_count, &got));
	ck_assert(!parcel_parse(packet(parcel), parcel->fd_count + 1, &got));
	if (parcel->fd_count > 0)
		ck_assert(!parcel_parse(packet(parcel), parcel->fd_count - 1, &got));
}
END_TEST

/* Well-framed, but not what the kind comes with. */
static const struct parcel misshapen[] = {
	{ .kind = PARCEL_LOG, .fd_count = 1 },
	{ .kind = PARCEL_LOG, .bytes = { "/log", 4 }, .fd_count = 2 },
	{ .kind = PARCEL_LOG, .bytes = { "/log", 4 } },
	{ .kind = PARCEL_SOCKETS, .bytes = { "short", 5 }, .fd_count = 1 },
	{ .kind = PARCEL_RECORD },
	{ .kind = PARCEL_RECORD, .bytes = { "x", 1 }, .fd_count = 1 },
	{ .kind = PARCEL_QUIT, .bytes = { "x", 1 } },
	{ .kind = PARCEL_READY, .fd_count = 1 },
	{ .kind = 0 }, { .kind = PARCEL_KINDS }, { .kind = 255 },
};

START_TEST(misshapen_parcels)
{
	struct parcel got;

	ck_assert(!parcel_parse(packet(&misshapen[_i]), misshapen[_i].fd_count, &got));
}
END_TEST

/* Any byte of the head, changed: the magic, kind, zero, counts and lengths are all looked at. */
START_TEST(every_byte_of_the_head_counts)
{
	const struct parcel parcel = { .kind = PARCEL_COMMIT, .serial = 1 };
	struct str bytes = packet(&parcel);
	char *p = (char *)(uintptr_t)bytes.p;
	struct parcel got;

	for (size_t i = 0; i < PARCEL_HEAD; i++) {
		if (i >= 8 && i < 12)
			continue;	/* the serial may be any */
		p[i] = (char)(p[i] ^ 0x41);
		ck_assert_msg(!parcel_parse(bytes, 0, &got), "byte %zu", i);
		p[i] = (char)(p[i] ^ 0x41);
	}
	ck_assert(parcel_parse(bytes, 0, &got));
}
END_TEST

START_TEST(descriptors_travel)
{
	struct addr addr = { 0 };
	int fds[PARCEL_FDS_MAX];
	const struct parcel parcel = { .kind = PARCEL_SOCKETS, .serial = 3,
		.bytes = { (const char *)&addr, sizeof(addr) }, .fds = fds,
		.fd_count = PARCEL_FDS_MAX };
	struct parcel_room room;
	struct parcel got;

	for (unsigned i = 0; i < PARCEL_FDS_MAX; i++)
		ck_assert_int_ge(fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	ck_assert_int_eq(handover_receive(ends[1], &room, &got), HANDOVER_NONE);
	ck_assert_int_eq(handover_send(ends[0], &parcel), 0);
	ck_assert_int_eq(handover_receive(ends[1], &room, &got), HANDOVER_PARCEL);
	ck_assert_uint_eq(got.fd_count, PARCEL_FDS_MAX);
	for (unsigned i = 0; i < got.fd_count; i++) {
		ck_assert((fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC) != 0);
		(void)close(got.fds[i]);
		(void)close(fds[i]);
	}
	ck_assert_int_eq(handover_receive(ends[1], &room, &got), HANDOVER_NONE);
	(void)close(ends[0]);
	ends[0] = -1;
	ck_assert_int_eq(handover_receive(ends[1], &room, &got), HANDOVER_END);
	ck_assert_int_eq(handover_say(ends[1], PARCEL_READY, 0), -1);
}
END_TEST

/* What is no parcel ends the channel, and its descriptors are not kept. */
START_TEST(nonsense_ends_the_channel)
{
	char big[PARCEL_BYTES_MAX + 1000] = { 0 };
	struct parcel_room room;
	struct parcel got;

	ck_assert_int_eq(send(ends[0], "hello", 5, 0), 5);
	ck_assert_int_eq(handover_receive(ends[1], &room, &got), HANDOVER_END);
	ck_assert_int_eq(send(ends[0], big, sizeof(big), 0), sizeof(big));
	ck_assert_int_eq(handover_receive(ends[1], &room, &got), HANDOVER_END);
}
END_TEST

START_TEST(memory_files)
{
	char *big = malloc(3000000);
	struct str bytes;
	int fd;

	memset(big, 'r', 3000000);
	ck_assert_int_ge(fd = handover_file(str_make(big, 3000000)), 0);
	ck_assert(handover_file_read(fd, pool, &bytes));
	ck_assert_uint_eq(bytes.n, 3000000);
	ck_assert(memcmp(bytes.p, big, bytes.n) == 0);
	/* Sealed: the reader's bytes cannot change under it. */
	ck_assert_int_eq(write(fd, "x", 1), -1);
	ck_assert_int_eq(ftruncate(fd, 1), -1);
	(void)close(fd);
	ck_assert_int_ge(fd = handover_file(STR_NULL), 0);
	ck_assert(handover_file_read(fd, pool, &bytes));
	ck_assert_uint_eq(bytes.n, 0);
	(void)close(fd);
	ck_assert(!handover_file_read(-1, pool, &bytes));
	free(big);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, parcels_come_back, 0, ROWS(whole));
	tcase_add_loop_test(tcase, misshapen_parcels, 0, ROWS(misshapen));
	tcase_add_test(tcase, every_byte_of_the_head_counts);
	tcase_add_test(tcase, descriptors_travel);
	tcase_add_test(tcase, nonsense_ends_the_channel);
	tcase_add_test(tcase, memory_files);
}

int
main(void)
{
	return (unit_main("main/handover", add));
}
