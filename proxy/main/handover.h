#ifndef WPROXY_MAIN_HANDOVER_H
#define WPROXY_MAIN_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/str.h"

/*
 * What master and worker say to each other: parcels over a SOCK_SEQPACKET pair,
 * one per packet, descriptors beside them (SCM_RIGHTS).  The worker runs with
 * fewer rights: neither side trusts a byte of the other's.
 *
 *	parcel:  magic u32 | kind u8 | zero u8 | descriptors u16 | serial u32 | length u32 | bytes
 *
 * A reload:	master: LOG*, SOCKETS*, RECORD -> worker: LOADED or REFUSED
 *		master: COMMIT or ABANDON      -> worker: ADOPTED (after COMMIT)
 */
enum parcel_kind {
	/* To the worker. */
	PARCEL_LOG = 1,		/* path; its descriptor, for the next record */
	PARCEL_SOCKETS,		/* struct addr's bytes; descriptors, for the next record */
	PARCEL_RECORD,		/* conf_source_record() in a sealed memory file */
	PARCEL_COMMIT,		/* what was loaded is now in force */
	PARCEL_ABANDON,		/* what was offered or loaded is not wanted */
	PARCEL_REOPEN,		/* path; its new descriptor (USR1) */
	PARCEL_QUIT,		/* finish what is in flight, then end */
	PARCEL_STOP,		/* end now */
	/* To the master. */
	PARCEL_READY,		/* every thread accepts */
	PARCEL_LOADED,
	PARCEL_REFUSED,
	PARCEL_ADOPTED,		/* every thread has switched */
	PARCEL_KINDS
};

#define PARCEL_BYTES_MAX	8192
#define PARCEL_FDS_MAX		200

struct parcel {
	enum parcel_kind kind;
	uint32_t serial;
	struct str bytes;
	int *fds;
	unsigned fd_count;
};
/* Where a received parcel's bytes and descriptors live. */
struct parcel_room {
	char bytes[16 + PARCEL_BYTES_MAX];
	int fds[PARCEL_FDS_MAX];
};

#define PARCEL_HEAD	16
/* Pure: writes the head of a parcel. */
void	parcel_head(const struct parcel *, unsigned char head[static PARCEL_HEAD]);
/*
 * Pure: a packet and the number of descriptors that came with it.  False: not exactly one
 * well-formed parcel.  bytes point into the packet; fds are left to the caller.
 */
bool	parcel_parse(struct str packet, unsigned fd_count, struct parcel *);

/* Both ends, non-blocking and close-on-exec.  -1 with errno. */
int	handover_pair(int ends[2]);
/*
 * Sends; waits up to a few seconds for room.  0, or -1 after logging: the channel is of no use any
 * more.  The descriptors stay the caller's.
 */
int	handover_send(int channel, const struct parcel *) __attribute__((warn_unused_result));
int	handover_say(int channel, enum parcel_kind, uint32_t serial) __attribute__((warn_unused_result));

enum handover_result { HANDOVER_NONE, HANDOVER_PARCEL, HANDOVER_END };
/*
 * One parcel, if one is there; its descriptors are the caller's.  END: the other side is gone, or
 * said what is no parcel (logged).
 */
enum handover_result	handover_receive(int channel, struct parcel_room *, struct parcel *);

/* Bytes in a sealed memory file, and back, into pool.  -1 or false with errno. */
int	handover_file(struct str bytes);
bool	handover_file_read(int fd, struct pool *, struct str *bytes);

#endif
