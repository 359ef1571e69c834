/*
 * hash KEY [consistent]: equal keys go to the same peer while it lives.  The
 * plain form divides by weights and moves most keys when a peer comes or goes;
 * the consistent one is a ketama ring of 160 points per unit of weight.  The
 * numbers are those of Cache::Memcached and Cache::Memcached::Fast, as nginx's
 * are, so that mixed deployments agree.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/pool.h"
#include "http/tpl.h"
#include "mod/lb.h"

#define HASH_TRIES	20
#define RING_POINTS	160

/* A server as written: a name may stand for several slots, from the first to the last. */
struct ring_server {
	struct str name;
	unsigned first, end;
};

struct ring_point {
	uint32_t hash;
	const struct ring_server *server;
};

struct ring {
	size_t count;
	struct ring_point points[];
};

/* CRC-32 (IEEE), four bits at a time; state is kept inverted. */
static uint32_t
crc_update(uint32_t crc, const void *bytes, size_t n)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
	};
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++) {
		crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ p[i] >> 4) & 15] ^ crc >> 4;
	}
	return (crc);
}

/* crc32(HOST "\0" PORT PREVIOUS) of each point begins with this. */
static uint32_t
server_crc(struct str server)
{
	size_t colon = str_rchr(server, ':');
	uint64_t port;
	uint32_t crc = 0xffffffff;

	if (str_starts_ci(server, STR("unix:"))) {
		crc = crc_update(crc, server.p + 5, server.n - 5);
		return (crc_update(crc, "", 1));
	}
	if (colon == SIZE_MAX || !str_to_uint(str_skip(server, colon + 1), UINT32_MAX, &port)) {
		crc = crc_update(crc, server.p, server.n);
		return (crc_update(crc, "", 1));
	}
	crc = crc_update(crc, server.p, colon);
	crc = crc_update(crc, "", 1);
	return (crc_update(crc, server.p + colon + 1, server.n - colon - 1));
}

static int
point_compare(const void *a, const void *b)
{
	const struct ring_point *x = a, *y = b;

	return (x->hash < y->hash ? -1 : x->hash > y->hash);
}

static void
ring_add(struct ring *ring, const struct peer_slot *slot, const struct ring_server *server)
{
	uint32_t base = server_crc(slot->server), hash = 0;

	for (unsigned i = 0; i < slot->options.weight * RING_POINTS; i++) {
		unsigned char previous[4] = { (unsigned char)hash, (unsigned char)(hash >> 8),
			(unsigned char)(hash >> 16), (unsigned char)(hash >> 24) };

		hash = ~crc_update(base, previous, sizeof(previous));
		ring->points[ring->count++] = (struct ring_point){ hash, server };
	}
}

/* The server that a slot is of, which from now on reaches up to it. */
static struct ring_server *
ring_server_of(struct peer_list *list, struct hash *servers, unsigned i)
{
	struct ring_server **server = (struct ring_server **)hash_slot(servers, list->slots[i].server);

	if (*server == NULL) {
		*server = pool_new_object(list->pool, struct ring_server);
		(*server)->name = list->slots[i].server;
		(*server)->first = i;
	}
	(*server)->end = i + 1;
	return (*server);
}

static struct ring *
ring_new(struct peer_list *list)
{
	struct hash *servers = hash_new(list->pool, false);
	struct ring *ring;
	size_t room = 0, kept = 0;

	for (unsigned i = 0; i < list->primary; i++)
		room += list->slots[i].options.weight * RING_POINTS;
	ring = pool_zalloc(list->pool, sizeof(*ring) + room * sizeof(ring->points[0]));
	for (unsigned i = 0; i < list->primary; i++)
		ring_add(ring, &list->slots[i], ring_server_of(list, servers, i));
	qsort(ring->points, ring->count, sizeof(ring->points[0]), point_compare);
	for (size_t i = 0; i < ring->count; i++)
		if (kept == 0 || ring->points[kept - 1].hash != ring->points[i].hash)
			ring->points[kept++] = ring->points[i];
	ring->count = kept;
	return (ring);
}

static void *
hash_init(struct peer_list *list, const void *arg)
{
	const struct lb_hash_conf *conf = arg;

	return (conf->consistent ? (void *)ring_new(list) : lb_weights_new(list));
}

uint32_t
lb_hash_of(struct str key)
{
	return (~crc_update(0xffffffff, key.p, key.n));
}

static void
hash_prepare(struct peer_choice *choice, struct request *r, const void *arg)
{
	const struct lb_hash_conf *conf = arg;

	choice->key = tpl_eval(r, conf->key);
	choice->hash = lb_hash_of(choice->key);
}

/* The index of the first point at or behind hash. */
static size_t
ring_find(const struct ring *ring, uint32_t hash)
{
	size_t low = 0, high = ring->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ring->points[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return (low == ring->count ? 0 : low);
}

static bool
slot_is_of(const struct peer_choice *choice, unsigned i, const void *server)
{
	const struct ring_server *wanted = server;

	return (str_eq(choice->list->slots[i].server, wanted->name));
}

static uint32_t
ring_pick(struct peer_choice *choice, unsigned from, unsigned to)
{
	const struct ring *ring = choice->list->method_state;
	size_t at = ring_find(ring, choice->hash);

	for (unsigned try = 0; ring->count > 0 && try < HASH_TRIES; try++) {
		const struct ring_server *server = ring->points[(at + try) % ring->count].server;
		uint32_t slot = lb_next_of(choice, server->first, server->end, slot_is_of, server);

		if (slot != LB_NONE)
			return (slot);
	}
	return (lb_next(choice, from, to));
}

/* ((crc32([REHASH] KEY) >> 16) & 0x7fff) + PREVIOUS, REHASH omitted the first time. */
static uint32_t
rehash(struct str key, unsigned again)
{
	char digits[10];
	uint32_t crc = 0xffffffff;
	size_t n = sizeof(digits);

	for (unsigned left = again; left > 0; left /= 10)
		digits[--n] = (char)('0' + left % 10);
	crc = crc_update(crc, digits + n, sizeof(digits) - n);
	return (~crc_update(crc, key.p, key.n) >> 16 & 0x7fff);
}

static uint32_t
hash_pick(struct peer_choice *choice, unsigned from, unsigned to)
{
	const struct lb_hash_conf *conf = choice->set->method_conf;
	const struct lb_weights *weights = choice->list->method_state;
	uint32_t hash = 0;

	if (choice->key.n == 0)
		return (lb_next(choice, from, to));
	if (conf->consistent)
		return (ring_pick(choice, from, to));
	for (unsigned try = 0; weights->total > 0 && try < HASH_TRIES; try++) {
		uint32_t slot;

		hash += rehash(choice->key, try);
		slot = lb_weights_find(weights, hash % weights->total);
		if (peer_usable(choice, slot))
			return (slot);
	}
	return (lb_next(choice, from, to));
}

const struct lb_method lb_hash = {
	.name = "hash", .init = hash_init, .prepare = hash_prepare, .pick = hash_pick
};
