#ifndef WPROXY_BASE_BUF_H
#define WPROXY_BASE_BUF_H

#include <sys/types.h>
#include <sys/uio.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Bytes on their way: a chain of bufs, each a run of memory or a slice of a
 * file.  What a buf points into is kept alive by its owner (counted, one
 * thread); without an owner the bytes are borrowed and must outlive the buf.
 * Nodes and blocks come from the thread's free lists (buf_cache): everything
 * here must be used and released on the thread that made it.
 *
 *	chain:  first -> [buf mem] -> [buf file] -> [buf mem] <- last
 *	block:  | base ... written | room ... BLOCK_SIZE |
 */
#define BLOCK_SIZE	16384

/* Keeps bytes or a descriptor alive.  The last release calls release(owner). */
struct owner {
	unsigned refs;
	void (*release)(struct owner *);
};

static inline void
owner_hold(struct owner *o)
{
	if (o != NULL)
		o->refs++;
}

static inline void
owner_drop(struct owner *o)
{
	if (o != NULL && --o->refs == 0)
		o->release(o);
}

struct buf {
	struct buf *next;
	struct owner *owner;	/* NULL: borrowed */
	const char *p;		/* memory; NULL for a file slice */
	size_t n;		/* bytes left in this buf */
	off_t offset;		/* file slice: where the bytes left begin */
	int fd;			/* file slice, else -1 */
	bool copy;		/* file slice: to be read and not given to sendfile() */
	char small[19];		/* storage of chain_add_small */
};

struct chain {
	struct buf *first;
	struct buf *last;
	uint64_t bytes;		/* sum of n */
};

/* A block being filled.  Its owner count is held by each buf cut from it and by the filler. */
struct block {
	struct owner owner;
	size_t used;		/* bytes given out */
	struct block *next;	/* free list */
	char base[];		/* BLOCK_SIZE bytes */
};

static inline bool
chain_is_empty(const struct chain *c)
{
	return (c->first == NULL);
}

/* Takes one reference of owner (which may be NULL) over from the caller.  n > 0. */
void	chain_add(struct chain *, const char *p, size_t n, struct owner *);
void	chain_add_file(struct chain *, int fd, off_t offset, uint64_t n, struct owner *);
/* Copies up to sizeof small bytes into the node itself: chunk heads and the like. */
void	chain_add_small(struct chain *, struct str);
/* Copies any number of bytes into blocks. */
void	chain_copy(struct chain *, struct str);
/* Moves all of from behind to; from is empty afterwards. */
void	chain_append(struct chain *to, struct chain *from);
/*
 * The same for bytes that will wait: small pieces, each of which would keep a whole block alive,
 * are copied together.
 */
void	chain_append_packed(struct chain *to, struct chain *from);
/* Moves the first n bytes (n <= from->bytes) behind to, splitting a buf if need be. */
void	chain_move(struct chain *to, struct chain *from, uint64_t n);
/* Releases the first n bytes (clipped), or everything. */
void	chain_drop(struct chain *, uint64_t n);
void	chain_clear(struct chain *);
/*
 * The first buf lies in memory afterwards: of a file slice a block's worth is read.  0; -1 with
 * errno, which is 0 where the file is too short.
 */
int	chain_load(struct chain *) __attribute__((warn_unused_result));
/* Up to max iovecs for the leading memory bufs; stops before a file slice.  Returns the count. */
int	chain_iov(const struct chain *, struct iovec *, int max);

/* A block with one reference; the budget in use counts it until released. */
struct block	*block_new(void);
/* Blocks alive on this thread (in use, not free), for budgets. */
size_t		 block_in_use(void);
/* So many are that whoever can do with less of them should. */
bool		 block_is_scarce(void);
/* Gives this thread's free lists back to the system (thread end, tests). */
void		 buf_cache_free(void);

#endif
