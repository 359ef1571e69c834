/*
 * zlib's gzip stream over chains: what comes in is released as it is read, what
 * goes out lies in blocks.  Owned by the gzip filter, one per response; all of
 * zlib's memory is the response's arena.
 *
 *	in: [buf] [file] -> (chain_load) -> zlib -> (sink: block being filled) -> out
 */
#include <zlib.h>

#include "http/deflate.h"

#define GZIP_WINDOW	16		/* added to the window bits: gzip wrapper */
#define WINDOW_MAX	15
#define MEM_LEVEL_MAX	8		/* with that window: 256 KiB a stream */
#define WINDOW_SMALL	11
#define MEM_LEVEL_SMALL	4		/* 16 KiB */
#define LIVE_MANY	16		/* streams of a thread; then they are made small */

/* Where output goes: the block that is filled across calls. */
struct sink {
	struct block *block;
	size_t start;		/* bytes of it already in a chain */
};

struct deflate {
	z_stream z;
	struct sink sink;
	bool done;
};

static _Thread_local unsigned live;	/* struct deflate */

static voidpf
arena_alloc(voidpf pool, uInt count, uInt size)
{
	return (pool_alloc(pool, (size_t)count * size));
}

static void
arena_free(voidpf pool, voidpf p)
{
	/* It dies with the arena. */
	(void)pool;
	(void)p;
}

static void
sink_drop(void *arg)
{
	struct sink *sink = arg;

	if (sink->block != NULL)
		owner_drop(&sink->block->owner);
	sink->block = NULL;
}

/* Gives zlib room. */
static void
sink_open(struct sink *sink, z_stream *z)
{
	if (sink->block != NULL && sink->block->used == BLOCK_SIZE)
		sink_drop(sink);
	if (sink->block == NULL)
		sink->block = block_new();
	sink->start = sink->block->used;
	z->next_out = (Bytef *)(sink->block->base + sink->start);
	z->avail_out = (uInt)(BLOCK_SIZE - sink->start);
}

/* Hangs behind out what zlib has written. */
static void
sink_take(struct sink *sink, const z_stream *z, struct chain *out)
{
	size_t n = BLOCK_SIZE - sink->start - z->avail_out;

	if (n == 0)
		return;
	sink->block->used += n;
	owner_hold(&sink->block->owner);
	chain_add(out, sink->block->base + sink->start, n, &sink->block->owner);
	sink->start += n;
}

static void
deflate_drop(void *arg)
{
	struct deflate *d = arg;

	sink_drop(&d->sink);
	live--;
}

struct deflate *
deflate_new(struct pool *pool, int level, int window_bits, int mem_level)
{
	struct deflate *d = pool_new_object(pool, struct deflate);

	d->z.zalloc = arena_alloc;
	d->z.zfree = arena_free;
	d->z.opaque = pool;
	/* Settings were checked when the configuration was read. */
	if (deflateInit2(&d->z, level, Z_DEFLATED, window_bits + GZIP_WINDOW, mem_level,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		return (NULL);
	pool_cleanup(pool, deflate_drop, d);
	live++;
	return (d);
}

struct deflate *
deflate_new_for(struct pool *pool, int level, int64_t length)
{
	int window = live < LIVE_MANY ? WINDOW_MAX : WINDOW_SMALL;
	int mem_level = live < LIVE_MANY ? MEM_LEVEL_MAX : MEM_LEVEL_SMALL;

	/* nginx's rule: the window need not be larger than the body. */
	while (length >= 0 && length < (1 << (window - 1)) - 262 && mem_level > 1) {
		window--;
		mem_level--;
	}
	return (deflate_new(pool, level, window, mem_level));
}

/* Runs zlib over the input it has until that is used up and, for a flush, all is out. */
static int
deflate_run(struct deflate *d, int flush, struct chain *out)
{
	int result;

	do {
		sink_open(&d->sink, &d->z);
		result = deflate(&d->z, flush);
		sink_take(&d->sink, &d->z, out);
		/* Nothing to do is no error: the same flush twice. */
		if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END)
			return (-1);
	} while (result != Z_STREAM_END && d->z.avail_out == 0);
	if (result == Z_STREAM_END)
		d->done = true;
	return (0);
}

int
deflate_chain(struct deflate *d, struct chain *in, struct chain *out, bool flush, bool last)
{
	int result = 0;

	while (result == 0 && !chain_is_empty(in)) {
		size_t n;

		if (d->done || chain_load(in) != 0) {
			result = -1;
			break;
		}
		n = in->first->n < INT32_MAX ? in->first->n : INT32_MAX;
		d->z.next_in = (Bytef *)(uintptr_t)in->first->p;
		d->z.avail_in = (uInt)n;
		result = deflate_run(d, Z_NO_FLUSH, out);
		chain_drop(in, n);
	}
	d->z.avail_in = 0;
	if (result == 0 && (flush || last) && !d->done)
		result = deflate_run(d, last ? Z_FINISH : Z_SYNC_FLUSH, out);
	if (result == 0 && last)
		sink_drop(&d->sink);
	return (result);
}
