/*
 * Routing tables: host names of a listen address to servers, and a level's
 * prefix, exact and regex locations.  Compiled once when http {} closes, then
 * only read.
 *
 * Prefixes are kept sorted; each knows the longest other prefix of itself
 * (`up`).  The longest prefix of a uri is found by one binary search for the
 * greatest name not above the uri, then along the `up` chain: every name that
 * sorts between a prefix of the uri and the uri itself starts with that prefix.
 */
#include "http/route.h"

#include <stdlib.h>

#include "base/hash.h"
#include "http/core.h"
#include "http/var.h"

struct route_node {
	struct str name;
	struct location *exact;		/* "= name" */
	struct location *prefix;
	struct route_node *up;
};

struct route {
	struct route_node *nodes;	/* sorted by name */
	size_t count;
	struct vec regexes;		/* struct location *, file order */
};

struct virtual_hosts {
	struct hash *exact;
	struct hash *head;		/* ".example.org" for *.example.org and .example.org */
	struct hash *tail;		/* "www." for www.* */
	struct vec regexes;		/* struct host_regex */
};

struct host_regex {
	struct matcher *matcher;
	struct server *server;
};

/* One name into one table; a second server with the same name is only warned of. */
static void
hosts_enter(struct conf *cf, const struct listen *listen, struct hash *table, struct str key,
    struct str name, struct server *server)
{
	void **slot = hash_slot(table, key);

	if (*slot != NULL) {
		if (*slot != server)
			log_write(cf->log, LOG_WARN, 0, 0, "conflicting server name \"" STR_FMT
			    "\" on " STR_FMT ", ignored", STR_ARG(name), STR_ARG(listen->text));
		return;
	}
	*slot = server;
}

/* nginx: one '*', as a whole first or last label; no empty labels. */
static bool
name_is_wildcard_or_plain(struct str name)
{
	size_t star = str_chr(name, '*');

	if (str_find(name, STR("..")) != SIZE_MAX)
		return (false);
	if (star == SIZE_MAX)
		return (true);
	if (str_rchr(name, '*') != star || name.p[0] == '.')
		return (false);
	return (str_starts(name, STR("*.")) || str_ends(name, STR(".*")));
}

static void
hosts_add(struct conf *cf, const struct listen *listen, struct virtual_hosts *hosts,
    const struct server_name *n, struct server *server)
{
	struct str name = n->name;

	if (n->matcher != NULL) {
		struct host_regex *re = vec_push(&hosts->regexes, cf->pool);

		re->matcher = n->matcher;
		re->server = server;
	} else if (str_starts(name, STR("*."))) {
		hosts_enter(cf, listen, hosts->head, str_skip(name, 1), name, server);
	} else if (str_starts(name, STR("."))) {
		hosts_enter(cf, listen, hosts->head, name, name, server);
		hosts_enter(cf, listen, hosts->exact, str_skip(name, 1), name, server);
	} else if (str_ends(name, STR(".*"))) {
		hosts_enter(cf, listen, hosts->tail, str_make(name.p, name.n - 1), name, server);
	} else {
		hosts_enter(cf, listen, hosts->exact, name, name, server);
	}
}

int
route_compile_hosts(struct conf *cf, struct listen *listen)
{
	struct virtual_hosts *hosts = pool_new_object(cf->pool, struct virtual_hosts);

	hosts->exact = hash_new(cf->pool, false);
	hosts->head = hash_new(cf->pool, false);
	hosts->tail = hash_new(cf->pool, false);
	hosts->regexes = VEC_OF(struct host_regex);
	VEC_EACH(&listen->servers, struct server *, server)
		VEC_EACH(&(*server)->names, struct server_name, name) {
			/* With one server nginx does not look at its names. */
			if (listen->servers.count > 1 && name->matcher == NULL &&
			    !name_is_wildcard_or_plain(name->name))
				return (conf_error(cf, "invalid server name or wildcard \"" STR_FMT
				    "\" on " STR_FMT, STR_ARG(name->name), STR_ARG(listen->text)));
			hosts_add(cf, listen, hosts, name, *server);
		}
	listen->hosts = hosts;
	return (0);
}

/* Longest "*.x": the suffixes of the host from its second label on, longest first. */
static struct server *
hosts_by_head(const struct virtual_hosts *hosts, struct str host)
{
	if (hash_count(hosts->head) == 0)
		return (NULL);
	for (size_t i = 1; i < host.n; i++) {
		struct server *server;

		if (host.p[i] != '.')
			continue;
		server = hash_get(hosts->head, str_skip(host, i));
		if (server != NULL)
			return (server);
	}
	return (NULL);
}

static struct server *
hosts_by_tail(const struct virtual_hosts *hosts, struct str host)
{
	if (hash_count(hosts->tail) == 0)
		return (NULL);
	for (size_t i = host.n; i > 1; i--) {
		struct server *server;

		if (host.p[i - 1] != '.')
			continue;
		server = hash_get(hosts->tail, str_make(host.p, i));
		if (server != NULL)
			return (server);
	}
	return (NULL);
}

struct server *
route_server_named(struct request *r, const struct listen *listen, struct str host)
{
	const struct virtual_hosts *hosts = listen->hosts;
	struct server *server;

	server = hash_get(hosts->exact, host);
	if (server == NULL && host.n > 0)
		server = hosts_by_head(hosts, host);
	if (server == NULL && host.n > 0)
		server = hosts_by_tail(hosts, host);
	if (server != NULL)
		return (server);
	VEC_EACH(&hosts->regexes, struct host_regex, re)
		if (host.n > 0 && matcher_match(r, re->matcher, host) == 1)
			return (re->server);
	return (NULL);
}

struct server *
route_server(struct request *r, const struct listen *listen, struct str host)
{
	struct server *server = route_server_named(r, listen, host);

	return (server != NULL ? server : listen->default_server);
}

static int
route_node_cmp(const void *a, const void *b)
{
	return (str_cmp(((const struct route_node *)a)->name, ((const struct route_node *)b)->name));
}

static int
route_duplicate(struct conf *cf, struct location *loc)
{
	return (conf_error_in(cf, &loc->at, "duplicate location \"" STR_FMT "\"", STR_ARG(loc->name)));
}

/* Exact and prefix of one name share a node. */
static int
route_fold(struct conf *cf, struct route *route)
{
	size_t kept = 0;

	for (size_t i = 0; i < route->count; i++) {
		struct route_node *n = &route->nodes[i];
		struct route_node *last = kept > 0 ? &route->nodes[kept - 1] : NULL;

		if (last == NULL || !str_eq(last->name, n->name)) {
			route->nodes[kept++] = *n;
			continue;
		}
		if ((n->exact != NULL && last->exact != NULL) ||
		    (n->prefix != NULL && last->prefix != NULL))
			return (route_duplicate(cf, n->exact != NULL ? n->exact : n->prefix));
		if (n->exact != NULL)
			last->exact = n->exact;
		else
			last->prefix = n->prefix;
	}
	route->count = kept;
	return (0);
}

static void
route_link(struct route *route)
{
	for (size_t i = 0; i < route->count; i++) {
		struct route_node *n = &route->nodes[i];
		struct route_node *up = i > 0 ? &route->nodes[i - 1] : NULL;

		while (up != NULL && !(up->prefix != NULL && str_starts(n->name, up->name)))
			up = up->up;
		n->up = up;
	}
}

static void
route_collect(struct conf *cf, struct location *loc, struct route *route)
{
	VEC_EACH(&loc->children, struct location *, it) {
		struct location *child = *it;
		struct route_node *node;

		switch (child->kind) {
		case LOCATION_PREFIX:
		case LOCATION_EXACT:
			node = &route->nodes[route->count++];
			node->name = child->name;
			if (child->kind == LOCATION_EXACT)
				node->exact = child;
			else
				node->prefix = child;
			break;
		case LOCATION_REGEX:
			*(struct location **)vec_push(&route->regexes, cf->pool) = child;
			break;
		default:
			break;
		}
	}
}

int
route_compile_locations(struct conf *cf, struct location *loc)
{
	struct route *route = pool_new_object(cf->pool, struct route);

	route->nodes = pool_zalloc(cf->pool, loc->children.count * sizeof(*route->nodes));
	route->regexes = VEC_OF(struct location *);
	VEC_EACH(&loc->children, struct location *, it) {
		void **slot;

		if ((*it)->kind != LOCATION_NAMED)
			continue;
		slot = hash_slot(loc->server->named, (*it)->name);
		/* nginx takes the first and says nothing. */
		if (*slot == NULL)
			*slot = *it;
	}
	route_collect(cf, loc, route);
	qsort(route->nodes, route->count, sizeof(*route->nodes), route_node_cmp);
	if (route_fold(cf, route) != 0)
		return (-1);
	route_link(route);
	loc->route = route;
	VEC_EACH(&loc->children, struct location *, it)
		if (route_compile_locations(cf, *it) != 0)
			return (-1);
	return (0);
}

/* The last node whose name is not above uri, or NULL. */
static struct route_node *
route_floor(const struct route *route, struct str uri)
{
	size_t low = 0, high = route->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (str_cmp(route->nodes[middle].name, uri) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (low == 0 ? NULL : &route->nodes[low - 1]);
}

/* A location "uri/" that wants "uri" to be redirected to it. */
static struct location *
route_auto_redirect(const struct route *route, struct str uri)
{
	size_t low = 0, high = route->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct str name = route->nodes[middle].name;
		int order;

		if (name.n == uri.n + 1 && name.p[uri.n] == '/' && str_starts(name, uri)) {
			struct route_node *n = &route->nodes[middle];
			struct location *loc = n->exact != NULL ? n->exact : n->prefix;

			return (loc->auto_redirect ? loc : NULL);
		}
		order = str_cmp(name, uri);
		if (order == 0)		/* "uri" sorts right before what starts with it */
			order = -1;
		else if (str_starts(name, uri))
			order = (unsigned char)name.p[uri.n] < '/' ? -1 : 1;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (NULL);
}

enum route_found { ROUTE_NONE, ROUTE_EXACT, ROUTE_PREFIX, ROUTE_REDIRECT };

static enum route_found
route_static(struct request *r, const struct route *route)
{
	struct route_node *n = route_floor(route, r->uri);
	struct location *redirect;

	if (n != NULL && n->name.n == r->uri.n && str_eq(n->name, r->uri)) {
		if (n->exact != NULL) {
			r->location = n->exact;
			return (ROUTE_EXACT);
		}
		r->location = n->prefix;
		return (ROUTE_PREFIX);
	}
	redirect = route_auto_redirect(route, r->uri);
	if (redirect != NULL) {
		r->location = redirect;
		return (ROUTE_REDIRECT);
	}
	while (n != NULL && !(n->prefix != NULL && str_starts(r->uri, n->name)))
		n = n->up;
	if (n == NULL)
		return (ROUTE_NONE);
	r->location = n->prefix;
	return (ROUTE_PREFIX);
}

/*
 * nginx's order at one level: exact ends it; the longest prefix is entered; a regex found inside it
 * ends it; else the regexes of this level, unless the prefix said ^~.  0 found further, 1 redirect,
 * 2 final, -1 error.
 */
enum { ROUTE_GO_ON = 0, ROUTE_TO_SLASH = 1, ROUTE_FINAL = 2 };

static int
route_level(struct request *r, const struct location *level)
{
	bool no_regex = false;
	int rc = ROUTE_GO_ON;

	switch (route_static(r, level->route)) {
	case ROUTE_EXACT:
		return (ROUTE_FINAL);
	case ROUTE_REDIRECT:
		return (ROUTE_TO_SLASH);
	case ROUTE_PREFIX:
		no_regex = r->location->no_regex;
		rc = route_level(r, r->location);
		break;
	case ROUTE_NONE:
		break;
	}
	if (rc != ROUTE_GO_ON || no_regex)
		return (rc);
	VEC_EACH(&level->route->regexes, struct location *, it) {
		int match = matcher_match(r, (*it)->matcher, r->uri);

		if (match < 0)
			return (-1);
		if (match == 0)
			continue;
		r->location = *it;
		rc = route_level(r, *it);
		return (rc == ROUTE_GO_ON ? ROUTE_FINAL : rc);
	}
	return (ROUTE_GO_ON);
}

int
route_location(struct request *r)
{
	int rc;

	r->location = r->server->root;
	rc = route_level(r, r->server->root);
	return (rc < 0 ? -1 : rc == ROUTE_TO_SLASH);
}

struct location *
route_named(const struct server *server, struct str name)
{
	return (hash_get(server->named, name));
}
