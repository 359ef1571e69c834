/*
 * Names of back ends, by c-ares on the home loop.  A question travels as an
 * ask, allocated by the asker, which belongs to the home loop until its answer
 * is posted; the query itself is touched on the asker's loop alone, so
 * cancelling is forgetting.
 *
 *	resolver_ask -> (post) -> known?  ------------------> (post) -> answered()
 *	                           \-> entry asking, ask waits -/
 *
 * An entry is a name: being asked for, or known until it expires.  All but
 * the reference count belongs to the home loop.
 */
#include "net/resolver.h"

#include <ares.h>
#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pool.h"

enum {
	BUCKETS = 256,		/* power of two */
	ENTRIES_KNOWN_MAX = 1024,
	ENTRIES_ASKING_MAX = 1024,
	TRY_MS = 2000,		/* first wait for one server; c-ares doubles it */
	TRIES = 4,
	TIMEOUT_DEFAULT_MS = 30000,
	NAME_MAX_LEN = 255
};

struct resolver {
	atomic_uint refs;	/* owner, asks */
	struct loop *home;
	bool closed;

	bool ipv4, ipv6;
	uint64_t valid_ms;
	uint64_t timeout_ms;

	ares_channel channel;
	struct timer timer;	/* c-ares' next time-out */
	struct list sockets;

	struct list buckets[BUCKETS];
	struct list known;	/* oldest use first */
	unsigned known_count;
	unsigned asking_count;
	unsigned turn;		/* rotates answers */
};

struct entry {
	struct list bucket;
	struct list use;	/* on resolver->known, or on no list while asking */
	struct resolver *resolver;
	struct lookup *lookup;	/* not NULL: asking */
	struct list waiting;	/* asks */
	uint64_t expires;	/* ms */
	struct addr *addrs;
	unsigned count;
	size_t name_len;
	char name[];		/* lower case, NUL behind */
};

/* What c-ares calls back with; outlives an entry whose askers gave up. */
struct lookup {
	struct entry *entry;
};

struct ask {
	struct loop_msg msg;
	struct resolver *resolver;

	/* The asker's. */
	struct loop *loop;
	struct resolver_query *query;	/* NULL: cancelled */

	/* The home loop's, until the answer is posted. */
	struct list waiting;
	struct timer timeout;
	unsigned port;
	const char *error;
	struct addr *addrs;
	unsigned count;
	size_t name_len;
	char name[];
};

/* A socket of c-ares'. */
struct dns_socket {
	struct list link;
	struct resolver *resolver;
	int fd;
	struct event event;
	struct grave grave;
};

static pthread_once_t ares_once = PTHREAD_ONCE_INIT;
static int ares_once_result;

static void
ares_begin(void)
{
	ares_once_result = ares_library_init(ARES_LIB_INIT_ALL);
}

/* --- c-ares on our loop --- */

static void	resolver_schedule(struct resolver *);

static void
resolver_on_timer(struct timer *t)
{
	struct resolver *r = list_item(t, struct resolver, timer);

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	resolver_schedule(r);
}

/* After each call of c-ares: when it wants to be called without an event. */
static void
resolver_schedule(struct resolver *r)
{
	struct timeval tv;

	if (ares_timeout(r->channel, NULL, &tv) == NULL)
		timer_cancel(&r->timer);
	else
		timer_arm(r->home, &r->timer,
		    (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1,
		    resolver_on_timer);
}

static void
resolver_on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct dns_socket *s = arg;
	struct resolver *r = s->resolver;

	loop_woke(r->home);
	ares_process_fd(r->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
	    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	resolver_schedule(r);
}

static struct dns_socket *
resolver_socket(struct resolver *r, int fd)
{
	struct dns_socket *s;

	LIST_EACH(&r->sockets, it) {
		s = list_item(it, struct dns_socket, link);
		if (s->fd == fd)
			return (s);
	}
	s = xcalloc(1, sizeof(*s));
	s->resolver = r;
	s->fd = fd;
	list_push_back(&r->sockets, &s->link);
	return (s);
}

/* c-ares says what it waits for on fd; nothing: it is about to close it. */
static void
resolver_on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	struct dns_socket *s = resolver_socket(r, fd);
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

	if (event_initialized(&s->event))
		event_del(&s->event);
	if (what == 0) {
		list_remove(&s->link);
		loop_bury(r->home, &s->grave, -1, free, s);
		return;
	}
	if (event_assign(&s->event, loop_base(r->home), fd, what | EV_PERSIST,
	    resolver_on_socket, s) == -1 || event_add(&s->event, NULL) == -1)
		log_main(LOG_ALERT, errno, "epoll_ctl() of a resolver's socket failed");
}

/* --- answers --- */

static void
resolver_drop(struct resolver *r)
{
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
		free(r);
}

/* On the asker's loop. */
static void
ask_end(struct loop_msg *msg)
{
	struct ask *ask = (struct ask *)((char *)msg - offsetof(struct ask, msg));
	struct resolver_query *q = ask->query;

	if (q != NULL) {
		q->state = NULL;
		q->error = ask->error;
		q->addrs = ask->addrs;
		q->count = ask->count;
		q->answered(q);
	}
	resolver_drop(ask->resolver);
	free(ask->addrs);
	free(ask);
}

/* Sends the ask home; entry: with its addresses, each answer beginning with another. */
static void
ask_answer(struct ask *ask, const struct entry *entry, const char *error)
{
	if (ask->waiting.next != NULL)
		list_remove(&ask->waiting);
	timer_cancel(&ask->timeout);
	ask->error = error;
	if (error == NULL) {
		unsigned first = ask->resolver->turn++;

		ask->count = entry->count;
		ask->addrs = xmalloc(entry->count * sizeof(*ask->addrs));
		for (unsigned i = 0; i < entry->count; i++) {
			struct addr *a = &ask->addrs[i];

			*a = entry->addrs[(first + i) % entry->count];
			if (a->u.sa.sa_family == AF_INET)
				a->u.in.sin_port = htons((uint16_t)ask->port);
			else
				a->u.in6.sin6_port = htons((uint16_t)ask->port);
		}
	}
	ask->msg.deliver = ask_end;
	loop_post(ask->loop, &ask->msg);
}

/* --- entries --- */

static struct list *
entry_bucket(struct resolver *r, const char *name, size_t n)
{
	return (&r->buckets[hash_bytes(str_make(name, n)) & (BUCKETS - 1)]);
}

static struct entry *
entry_find(struct resolver *r, const char *name, size_t n)
{
	LIST_EACH(entry_bucket(r, name, n), it) {
		struct entry *e = list_item(it, struct entry, bucket);

		if (e->name_len == n && memcmp(e->name, name, n) == 0)
			return (e);
	}
	return (NULL);
}

static struct entry *
entry_new(struct resolver *r, const char *name, size_t n)
{
	struct entry *e = xcalloc(1, sizeof(*e) + n + 1);

	e->resolver = r;
	e->name_len = n;
	memcpy(e->name, name, n);
	list_init(&e->use);
	list_init(&e->waiting);
	list_push_back(entry_bucket(r, name, n), &e->bucket);
	r->asking_count++;
	return (e);
}

static void
entry_free(struct entry *e)
{
	struct resolver *r = e->resolver;

	assert(list_is_empty(&e->waiting));
	if (e->lookup != NULL)
		e->lookup->entry = NULL;
	if (list_is_empty(&e->use))
		r->asking_count--;
	else
		r->known_count--;
	list_remove(&e->use);
	list_remove(&e->bucket);
	free(e->addrs);
	free(e);
}

/* Known from now on; the one not asked for longest makes room. */
static void
entry_keep(struct entry *e)
{
	struct resolver *r = e->resolver;

	r->asking_count--;
	r->known_count++;
	list_push_back(&r->known, &e->use);
	if (r->known_count > ENTRIES_KNOWN_MAX)
		entry_free(list_item(r->known.next, struct entry, use));
}

static void
entry_answer_all(struct entry *e, const char *error)
{
	while (!list_is_empty(&e->waiting))
		ask_answer(list_item(e->waiting.next, struct ask, waiting), e, error);
}

/* --- lookups --- */

static const char *
lookup_error(int status)
{
	static const struct {
		int status;
		const char *text;
	} errors[] = {
		{ ARES_ENOTFOUND, "Host not found" },
		{ ARES_ENODATA, "Host not found" },
		{ ARES_EBADNAME, "Host not found" },
		{ ARES_EFORMERR, "Format error" },
		{ ARES_ESERVFAIL, "Server failure" },
		{ ARES_ECONNREFUSED, "Server failure" },
		{ ARES_ENOTIMP, "Unimplemented" },
		{ ARES_EREFUSED, "Operation refused" },
		{ ARES_ETIMEOUT, "Operation timed out" },
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].status == status)
			return (errors[i].text);
	return ("Unknown error");
}

/* Copies what c-ares found; the least time to live of all records, ms. */
static uint64_t
entry_fill(struct entry *e, const struct ares_addrinfo *info)
{
	const struct ares_addrinfo_node *node;
	int ttl = INT32_MAX;

	for (node = info->nodes; node != NULL; node = node->ai_next)
		e->count++;
	e->addrs = xcalloc(e->count, sizeof(*e->addrs));
	e->count = 0;
	for (node = info->nodes; node != NULL; node = node->ai_next) {
		struct addr *a = &e->addrs[e->count];

		if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
			continue;
		memcpy(&a->u, node->ai_addr, node->ai_addrlen);
		a->len = node->ai_addrlen;
		e->count++;
		if (node->ai_ttl < ttl)
			ttl = node->ai_ttl;
	}
	for (const struct ares_addrinfo_cname *c = info->cnames; c != NULL; c = c->next)
		if (c->ttl < ttl)
			ttl = c->ttl;
	return (ttl > 0 ? (uint64_t)ttl * 1000 : 0);
}

static void
lookup_done(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct lookup *lookup = arg;
	struct entry *e = lookup->entry;
	uint64_t ttl = 0;

	(void)timeouts;
	free(lookup);
	if (e != NULL) {
		e->lookup = NULL;
		if (status == ARES_SUCCESS)
			ttl = entry_fill(e, info);
		if (status == ARES_SUCCESS && e->count == 0)
			status = ARES_ENODATA;
		entry_answer_all(e, status == ARES_SUCCESS ? NULL : lookup_error(status));
		if (e->resolver->valid_ms > 0)
			ttl = e->resolver->valid_ms;
		e->expires = clock_mono_ms() + ttl;
		if (status == ARES_SUCCESS && ttl > 0 && !e->resolver->closed)
			entry_keep(e);
		else
			entry_free(e);
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
}

static void
ask_on_timeout(struct timer *t)
{
	struct ask *ask = list_item(t, struct ask, timeout);
	struct entry *e = entry_find(ask->resolver, ask->name, ask->name_len);

	ask_answer(ask, NULL, "Operation timed out");
	if (e != NULL && e->lookup != NULL && list_is_empty(&e->waiting))
		entry_free(e);	/* nobody waits; a later ask begins anew */
}

static void
lookup_start(struct resolver *r, struct entry *e)
{
	const struct ares_addrinfo_hints hints = {
		.ai_family = !r->ipv6 ? AF_INET : !r->ipv4 ? AF_INET6 : AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = ARES_AI_NOSORT,
	};
	struct lookup *lookup = xmalloc(sizeof(*lookup));

	lookup->entry = e;
	e->lookup = lookup;
	ares_getaddrinfo(r->channel, e->name, NULL, &hints, lookup_done, lookup);
	resolver_schedule(r);
}

/* On the home loop. */
static void
ask_begin(struct loop_msg *msg)
{
	struct ask *ask = (struct ask *)((char *)msg - offsetof(struct ask, msg));
	struct resolver *r = ask->resolver;
	struct entry *e;

	if (r->closed || ask->name_len == 0 || ask->name_len > NAME_MAX_LEN) {
		ask_answer(ask, NULL, r->closed ? "Operation timed out" : "Host not found");
		return;
	}
	e = entry_find(r, ask->name, ask->name_len);
	if (e != NULL && e->lookup == NULL && e->expires <= clock_mono_ms()) {
		entry_free(e);
		e = NULL;
	}
	if (e != NULL && e->lookup == NULL) {
		list_remove(&e->use);
		list_push_back(&r->known, &e->use);
		ask_answer(ask, e, NULL);
		return;
	}
	if (e == NULL && r->asking_count >= ENTRIES_ASKING_MAX) {
		ask_answer(ask, NULL, "Operation refused");
		return;
	}
	timer_arm(r->home, &ask->timeout, r->timeout_ms, ask_on_timeout);
	if (e != NULL) {
		list_push_back(&e->waiting, &ask->waiting);
		return;
	}
	e = entry_new(r, ask->name, ask->name_len);
	list_push_back(&e->waiting, &ask->waiting);
	lookup_start(r, e);	/* may answer at once */
}

void
resolver_ask(struct resolver *r, struct resolver_query *q)
{
	struct ask *ask = xcalloc(1, sizeof(*ask) + q->name.n + 1);

	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	ask->resolver = r;
	ask->loop = q->loop;
	ask->query = q;
	ask->port = q->port;
	ask->name_len = q->name.n;
	for (size_t i = 0; i < q->name.n; i++)
		ask->name[i] = (char)ascii_lower((unsigned char)q->name.p[i]);
	ask->msg.deliver = ask_begin;
	q->state = ask;
	loop_post(r->home, &ask->msg);
}

void
resolver_cancel(struct resolver_query *q)
{
	struct ask *ask = q->state;

	if (ask != NULL)
		ask->query = NULL;
	q->state = NULL;
}

/* --- life --- */

/* Servers of the configuration instead of the system's; false: c-ares refused. */
static bool
resolver_set_servers(struct resolver *r, const struct resolver_options *opt)
{
	struct ares_addr_port_node *nodes = xcalloc(opt->server_count, sizeof(*nodes));
	bool ok;

	for (unsigned i = 0; i < opt->server_count; i++) {
		const struct addr *a = &opt->servers[i];

		nodes[i].next = i + 1 < opt->server_count ? &nodes[i + 1] : NULL;
		nodes[i].family = a->u.sa.sa_family;
		nodes[i].udp_port = nodes[i].tcp_port = (int)addr_port(a);
		if (nodes[i].family == AF_INET)
			nodes[i].addr.addr4 = a->u.in.sin_addr;
		else
			memcpy(&nodes[i].addr.addr6, &a->u.in6.sin6_addr, 16);
	}
	ok = ares_set_servers_ports(r->channel, nodes) == ARES_SUCCESS;
	free(nodes);
	return (ok);
}

static bool
resolver_open_channel(struct resolver *r, const struct resolver_options *opt)
{
	char lookups[] = "b";
	struct ares_options ares = {
		.timeout = TRY_MS, .tries = TRIES,
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.lookups = lookups, .sock_state_cb = resolver_on_interest,
		.sock_state_cb_data = r,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

	/* With servers of its own a configuration means DNS, and names as they are written. */
	if (opt->server_count > 0)
		mask |= ARES_OPT_FLAGS | ARES_OPT_LOOKUPS;
	if (ares_init_options(&r->channel, &ares, mask) != ARES_SUCCESS)
		return (false);
	if (opt->server_count == 0 || resolver_set_servers(r, opt))
		return (true);
	ares_destroy(r->channel);
	return (false);
}

struct resolver *
resolver_new(struct loop *home, const struct resolver_options *opt)
{
	struct resolver *r = xcalloc(1, sizeof(*r));

	pthread_once(&ares_once, ares_begin);
	atomic_init(&r->refs, 1);
	r->home = home;
	r->ipv4 = opt->ipv4;
	r->ipv6 = opt->ipv6;
	r->valid_ms = opt->valid_ms;
	r->timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : TIMEOUT_DEFAULT_MS;
	list_init(&r->sockets);
	list_init(&r->known);
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&r->buckets[i]);
	if (ares_once_result != ARES_SUCCESS || !resolver_open_channel(r, opt)) {
		log_main(LOG_ALERT, 0, "the resolver could not be made");
		free(r);
		return (NULL);
	}
	return (r);
}

void
resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	r->closed = true;
	timer_cancel(&r->timer);
	ares_destroy(r->channel);	/* ends what is asked, and its sockets */
	assert(list_is_empty(&r->sockets));
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (!list_is_empty(&r->buckets[i]))
			entry_free(list_item(r->buckets[i].next, struct entry, bucket));
	}
	resolver_drop(r);
}
