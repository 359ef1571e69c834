/*
 * ip_hash: a client's network (the first three bytes of an IPv4 address, all of
 * an IPv6 address) stays with its peer while that one lives.  nginx's hash, so
 * that a pool behind several proxies, some of them nginx, is divided alike.
 */
#include "http/request.h"
#include "http/session.h"
#include "mod/lb.h"

#define IP_HASH_TRIES	20
#define IP_HASH_START	89
#define IP_HASH_FACTOR	113
#define IP_HASH_MODULUS	6271

static void
ip_hash_prepare(struct peer_choice *choice, struct request *r, const void *conf)
{
	const struct addr *client = session_peer(r);

	(void)conf;
	if (client == NULL)
		return;
	if (client->u.sa.sa_family == AF_INET)
		choice->key = str_make((const char *)&client->u.in.sin_addr, 3);
	else if (client->u.sa.sa_family == AF_INET6)
		choice->key = str_make((const char *)&client->u.in6.sin6_addr, 16);
}

static void *
ip_hash_init(struct peer_list *list, const void *conf)
{
	(void)conf;
	return (lb_weights_new(list));
}

static uint32_t
ip_hash_pick(struct peer_choice *choice, unsigned from, unsigned to)
{
	const struct lb_weights *weights = choice->list->method_state;
	uint32_t hash = IP_HASH_START;

	for (unsigned try = 0; weights->total > 0 && choice->key.n > 0 && try < IP_HASH_TRIES; try++) {
		uint32_t slot;

		for (size_t k = 0; k < choice->key.n; k++)
			hash = (hash * IP_HASH_FACTOR + (unsigned char)choice->key.p[k]) %
			    IP_HASH_MODULUS;
		slot = lb_weights_find(weights, hash % weights->total);
		if (peer_usable(choice, slot))
			return (slot);
	}
	return (lb_next(choice, from, to));
}

const struct lb_method lb_ip_hash = {
	.name = "ip_hash", .init = ip_hash_init, .prepare = ip_hash_prepare, .pick = ip_hash_pick
};
