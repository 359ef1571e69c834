/*
 * The channel between master and worker: framing, descriptors, memory files.
 * Called by master.c and worker.c.  A packet is a parcel or the channel is
 * broken: kinds, counts and lengths must agree with what the kernel delivered.
 */
#define _GNU_SOURCE	/* memfd_create, F_ADD_SEALS */
#include "main/handover.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/log.h"
#include "net/addr.h"

#define PARCEL_MAGIC	0x31505857u	/* "WXP1" */
#define SEND_WAIT_MS	5000
#define FILE_MAX	(1u << 30)

/* How many descriptors and bytes a kind comes with. */
static const struct parcel_shape {
	unsigned fds_min, fds_max;
	size_t bytes_min, bytes_max;
} shapes[PARCEL_KINDS] = {
	[PARCEL_LOG] = { 1, 1, 1, PARCEL_BYTES_MAX },
	[PARCEL_SOCKETS] = { 1, PARCEL_FDS_MAX, sizeof(struct addr), sizeof(struct addr) },
	[PARCEL_RECORD] = { 1, 1, 0, 0 },
	[PARCEL_COMMIT] = { 0, 0, 0, 0 },
	[PARCEL_ABANDON] = { 0, 0, 0, 0 },
	[PARCEL_REOPEN] = { 1, 1, 1, PARCEL_BYTES_MAX },
	[PARCEL_QUIT] = { 0, 0, 0, 0 },
	[PARCEL_STOP] = { 0, 0, 0, 0 },
	[PARCEL_READY] = { 0, 0, 0, 0 },
	[PARCEL_LOADED] = { 0, 0, 0, 0 },
	[PARCEL_REFUSED] = { 0, 0, 0, 0 },
	[PARCEL_ADOPTED] = { 0, 0, 0, 0 },
};

static void
put_u32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static uint32_t
get_u32(const unsigned char *p)
{
	return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

void
parcel_head(const struct parcel *parcel, unsigned char head[static PARCEL_HEAD])
{
	put_u32(head, PARCEL_MAGIC);
	head[4] = (unsigned char)parcel->kind;
	head[5] = 0;
	head[6] = (unsigned char)parcel->fd_count;
	head[7] = (unsigned char)(parcel->fd_count >> 8);
	put_u32(head + 8, parcel->serial);
	put_u32(head + 12, (uint32_t)parcel->bytes.n);
}

bool
parcel_parse(struct str packet, unsigned fd_count, struct parcel *parcel)
{
	const unsigned char *head = (const unsigned char *)packet.p;
	const struct parcel_shape *shape;

	if (packet.n < PARCEL_HEAD || get_u32(head) != PARCEL_MAGIC || head[4] == 0 ||
	    head[4] >= PARCEL_KINDS || head[5] != 0)
		return (false);
	shape = &shapes[head[4]];
	parcel->kind = head[4];
	parcel->serial = get_u32(head + 8);
	parcel->bytes = str_skip(packet, PARCEL_HEAD);
	parcel->fds = NULL;
	parcel->fd_count = fd_count;
	return (((unsigned)head[6] | (unsigned)head[7] << 8) == fd_count &&
	    get_u32(head + 12) == parcel->bytes.n &&
	    fd_count >= shape->fds_min && fd_count <= shape->fds_max &&
	    parcel->bytes.n >= shape->bytes_min && parcel->bytes.n <= shape->bytes_max);
}

int
handover_pair(int ends[2])
{
	return (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
}

/* sendmsg() that waits for room in the other side's queue.  -1 with errno. */
static int
packet_send(int channel, const struct msghdr *msg)
{
	struct pollfd writable = { .fd = channel, .events = POLLOUT };

	for (;;) {
		if (sendmsg(channel, msg, MSG_NOSIGNAL) >= 0)
			return (0);
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return (-1);
		if (poll(&writable, 1, SEND_WAIT_MS) == 0) {
			errno = ETIMEDOUT;
			return (-1);
		}
	}
}

int
handover_send(int channel, const struct parcel *parcel)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * PARCEL_FDS_MAX)];
	} control = { 0 };
	unsigned char head[PARCEL_HEAD];
	struct iovec iov[2] = { { head, sizeof(head) },
		{ (void *)(uintptr_t)parcel->bytes.p, parcel->bytes.n } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = parcel->bytes.n > 0 ? 2 : 1 };
	size_t size = parcel->fd_count * sizeof(int);

	assert(parcel->fd_count <= PARCEL_FDS_MAX && parcel->bytes.n <= PARCEL_BYTES_MAX);
	parcel_head(parcel, head);
	if (size > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(size);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(cmsg), parcel->fds, size);
	}
	if (packet_send(channel, &msg) == 0)
		return (0);
	log_main(errno == EPIPE || errno == ECONNRESET ? LOG_INFO : LOG_ALERT, errno,
	    "sendmsg() to the other process failed");
	return (-1);
}

int
handover_say(int channel, enum parcel_kind kind, uint32_t serial)
{
	const struct parcel parcel = { .kind = kind, .serial = serial };

	return (handover_send(channel, &parcel));
}

static unsigned
descriptors_take(struct msghdr *msg, int fds[static PARCEL_FDS_MAX])
{
	unsigned count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds + count, CMSG_DATA(c), n * sizeof(int));
		count += (unsigned)n;
	}
	return (count);
}

enum handover_result
handover_receive(int channel, struct parcel_room *room, struct parcel *parcel)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * PARCEL_FDS_MAX)];
	} control;
	struct iovec iov = { room->bytes, sizeof(room->bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	unsigned count;
	ssize_t n;

	do {
		n = recvmsg(channel, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return (HANDOVER_NONE);
	if (n <= 0)
		return (HANDOVER_END);
	count = descriptors_take(&msg, room->fds);
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
	    parcel_parse(str_make(room->bytes, (size_t)n), count, parcel)) {
		parcel->fds = room->fds;
		return (HANDOVER_PARCEL);
	}
	for (unsigned i = 0; i < count; i++)
		(void)close(room->fds[i]);
	log_main(LOG_ALERT, 0, "the other process sent a malformed message of %zd bytes", n);
	return (HANDOVER_END);
}

int
handover_file(struct str bytes)
{
	int fd = memfd_create("wproxy-record", MFD_CLOEXEC | MFD_ALLOW_SEALING), saved;

	if (fd == -1)
		return (-1);
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			goto fail;
		bytes = str_skip(bytes, (size_t)n);
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return (fd);
fail:
	saved = errno;
	(void)close(fd);
	errno = saved;
	return (-1);
}

bool
handover_file_read(int fd, struct pool *pool, struct str *bytes)
{
	struct stat st;
	size_t size, got = 0;
	char *p;

	if (fstat(fd, &st) != 0)
		return (false);
	if (st.st_size < 0 || st.st_size > (off_t)FILE_MAX) {
		errno = EFBIG;
		return (false);
	}
	size = (size_t)st.st_size;
	p = pool_alloc(pool, size + 1);
	while (got < size) {
		ssize_t n = pread(fd, p + got, size - got, (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			return (false);
		}
		got += (size_t)n;
	}
	p[size] = '\0';
	*bytes = str_make(p, size);
	return (true);
}
