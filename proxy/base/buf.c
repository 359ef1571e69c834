/*
 * Chains of memory and file slices, their nodes, and the blocks that bytes are
 * read into.  Nodes and blocks are recycled in bounded free lists of each
 * thread, so a body that flows through costs no malloc.  Used by net/ and http/.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/poison.h"
#include "base/pool.h"

#define FREE_NODES_MAX	1024
#define FREE_BLOCKS_MAX	256
#define PLENTY_BLOCKS	256		/* 4 MiB a thread */
#define PACKED_MAX	(BLOCK_SIZE / 4)	/* a smaller piece is not worth a block */

static _Thread_local struct {
	struct buf *nodes;
	struct block *blocks;
	size_t node_count;
	size_t block_count;
	size_t in_use;		/* blocks alive */
} cache;

static struct buf *
node_new(void)
{
	struct buf *b = cache.nodes;

	if (b == NULL)
		return (xmalloc(sizeof(*b)));
	cache.nodes = b->next;
	cache.node_count--;
	return (b);
}

static void
node_free(struct buf *b)
{
	if (cache.node_count >= FREE_NODES_MAX) {
		free(b);
		return;
	}
	b->next = cache.nodes;
	cache.nodes = b;
	cache.node_count++;
}

static void
block_release(struct owner *owner)
{
	struct block *block = (struct block *)owner;

	cache.in_use--;
	if (cache.block_count >= FREE_BLOCKS_MAX) {
		free(block);
		return;
	}
	mem_poison(block->base, BLOCK_SIZE);
	block->next = cache.blocks;
	cache.blocks = block;
	cache.block_count++;
}

struct block *
block_new(void)
{
	struct block *block = cache.blocks;

	if (block == NULL) {
		block = xmalloc(sizeof(*block) + BLOCK_SIZE);
	} else {
		cache.blocks = block->next;
		cache.block_count--;
		mem_unpoison(block->base, BLOCK_SIZE);
	}
	block->owner.refs = 1;
	block->owner.release = block_release;
	block->used = 0;
	block->next = NULL;
	cache.in_use++;
	return (block);
}

size_t
block_in_use(void)
{
	return (cache.in_use);
}

bool
block_is_scarce(void)
{
	return (cache.in_use > PLENTY_BLOCKS);
}

void
buf_cache_free(void)
{
	struct buf *b;
	struct block *block;

	while ((b = cache.nodes) != NULL) {
		cache.nodes = b->next;
		free(b);
	}
	while ((block = cache.blocks) != NULL) {
		cache.blocks = block->next;
		mem_unpoison(block->base, BLOCK_SIZE);
		free(block);
	}
	cache.node_count = cache.block_count = 0;
}

/* Hangs a filled node behind the chain. */
static void
chain_push(struct chain *c, struct buf *b)
{
	b->next = NULL;
	if (c->last == NULL)
		c->first = b;
	else
		c->last->next = b;
	c->last = b;
	c->bytes += b->n;
}

void
chain_add(struct chain *c, const char *p, size_t n, struct owner *owner)
{
	struct buf *b = c->last;

	assert(n > 0);
	/* What was read in pieces goes out in one: the same owner, right behind. */
	if (b != NULL && owner != NULL && b->owner == owner && b->p != NULL && b->p + b->n == p) {
		b->n += n;
		c->bytes += n;
		owner_drop(owner);
		return;
	}
	b = node_new();
	b->owner = owner;
	b->p = p;
	b->n = n;
	b->offset = 0;
	b->fd = -1;
	b->copy = false;
	chain_push(c, b);
}

void
chain_add_file(struct chain *c, int fd, off_t offset, uint64_t n, struct owner *owner)
{
	struct buf *b = node_new();

	assert(n > 0);
	b->owner = owner;
	b->p = NULL;
	b->n = n;
	b->offset = offset;
	b->fd = fd;
	b->copy = false;
	chain_push(c, b);
}

void
chain_add_small(struct chain *c, struct str s)
{
	struct buf *b;

	if (s.n == 0)
		return;
	b = node_new();
	assert(s.n <= sizeof(b->small));
	memcpy(b->small, s.p, s.n);
	b->owner = NULL;
	b->p = b->small;
	b->n = s.n;
	b->offset = 0;
	b->fd = -1;
	b->copy = false;
	chain_push(c, b);
}

/* The block in whose end the last buf lies, if nobody else holds it: it may be filled up. */
static struct block *
chain_tail_block(const struct chain *c)
{
	const struct buf *b = c->last;
	struct block *block;

	if (b == NULL || b->owner == NULL || b->owner->release != block_release ||
	    b->owner->refs != 1 || b->p == NULL)
		return (NULL);
	block = (struct block *)b->owner;
	return (b->p + b->n == block->base + block->used ? block : NULL);
}

void
chain_copy(struct chain *c, struct str s)
{
	struct block *block = chain_tail_block(c);

	while (s.n > 0) {
		size_t n;

		if (block == NULL || block->used == BLOCK_SIZE)
			block = block_new();
		else
			owner_hold(&block->owner);
		n = BLOCK_SIZE - block->used < s.n ? BLOCK_SIZE - block->used : s.n;
		memcpy(block->base + block->used, s.p, n);
		chain_add(c, block->base + block->used, n, &block->owner);
		block->used += n;
		s = str_skip(s, n);
	}
}

void
chain_append(struct chain *to, struct chain *from)
{
	if (from->first == NULL)
		return;
	if (to->last == NULL)
		to->first = from->first;
	else
		to->last->next = from->first;
	to->last = from->last;
	to->bytes += from->bytes;
	*from = (struct chain){ NULL, NULL, 0 };
}

/* The node is n bytes shorter in front. */
static void
node_advance(struct buf *b, size_t n)
{
	if (b->p != NULL)
		b->p += n;
	else
		b->offset += (off_t)n;
	b->n -= n;
}

static struct buf *
chain_pop(struct chain *c)
{
	struct buf *b = c->first;

	c->first = b->next;
	if (c->first == NULL)
		c->last = NULL;
	c->bytes -= b->n;
	return (b);
}

/* A node of the first n bytes of b, which keeps the rest. */
static struct buf *
node_split(struct buf *b, size_t n)
{
	struct buf *head = node_new();

	*head = *b;
	head->n = n;
	if (b->p >= b->small && b->p < b->small + sizeof(b->small))
		head->p = head->small + (b->p - b->small);
	owner_hold(head->owner);
	node_advance(b, n);
	return (head);
}

void
chain_append_packed(struct chain *to, struct chain *from)
{
	while (!chain_is_empty(from)) {
		struct buf *b = chain_pop(from);

		if (b->p == NULL || b->n >= PACKED_MAX) {
			chain_push(to, b);
			continue;
		}
		chain_copy(to, str_make(b->p, b->n));
		owner_drop(b->owner);
		node_free(b);
	}
}

void
chain_move(struct chain *to, struct chain *from, uint64_t n)
{
	assert(n <= from->bytes);
	if (n == from->bytes) {
		chain_append(to, from);
		return;
	}
	while (n > 0) {
		if (from->first->n > n) {
			from->bytes -= n;
			chain_push(to, node_split(from->first, n));
			return;
		}
		n -= from->first->n;
		chain_push(to, chain_pop(from));
	}
}

void
chain_drop(struct chain *c, uint64_t n)
{
	while (n > 0 && c->first != NULL) {
		struct buf *b;

		if (c->first->n > n) {
			node_advance(c->first, n);
			c->bytes -= n;
			return;
		}
		n -= c->first->n;
		b = chain_pop(c);
		owner_drop(b->owner);
		node_free(b);
	}
}

void
chain_clear(struct chain *c)
{
	chain_drop(c, c->bytes);
}

int
chain_load(struct chain *c)
{
	const struct buf *b = c->first;
	struct chain loaded = { NULL, NULL, 0 };
	struct block *block;
	ssize_t n;

	if (b->p != NULL)
		return (0);
	block = block_new();
	do
		n = pread(b->fd, block->base, b->n < BLOCK_SIZE ? b->n : BLOCK_SIZE, b->offset);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		if (n == 0)
			errno = 0;
		owner_drop(&block->owner);
		return (-1);
	}
	block->used = (size_t)n;
	chain_drop(c, (uint64_t)n);
	chain_add(&loaded, block->base, (size_t)n, &block->owner);
	chain_append(&loaded, c);
	*c = loaded;
	return (0);
}

int
chain_iov(const struct chain *c, struct iovec *iov, int max)
{
	int count = 0;

	for (const struct buf *b = c->first; b != NULL && b->p != NULL; b = b->next) {
		if (count == max)
			break;
		iov[count].iov_base = (void *)(uintptr_t)b->p;
		iov[count].iov_len = b->n;
		count++;
	}
	return (count);
}
