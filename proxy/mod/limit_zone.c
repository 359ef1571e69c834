/*
 * Zones of limit_req and limit_conn: how they are declared, what they may hold,
 * and the table of keys.  Their states are in the registry, so they are
 * exact over threads and go on over a reload.
 */
#include "mod/limit_zone.h"

#include "base/hash.h"
#include "http/registry.h"
#include "http/site.h"

/* nginx's slabs: each page has this much of bookkeeping, a node is rounded up to a power of two. */
#define PAGE		4096
#define PAGE_WITH_ENTRY	(PAGE + 24)
#define NODE_MIN	64

const struct conf_name limit_levels[] = {
	{ "info", LOG_INFO }, { "notice", LOG_NOTICE }, { "warn", LOG_WARN }, { "error", LOG_ERR },
	{ NULL, 0 }
};
const struct conf_range limit_statuses = { 400, 599 };

void
limit_table_init(struct limit_table *table, uint64_t size)
{
	size_t buckets = 64;

	while (buckets < size / 128 && buckets < ((size_t)1 << 24))
		buckets *= 2;
	table->buckets = xcalloc(buckets, sizeof(struct limit_node *));
	table->mask = buckets - 1;
	table->bytes = 0;
}

struct limit_node *
limit_table_find(const struct limit_table *table, struct str key, uint32_t hash)
{
	struct limit_node *node = table->buckets[hash & table->mask];

	while (node != NULL && (node->hash != hash || !str_eq(node->key, key)))
		node = node->next;
	return (node);
}

void
limit_table_add(struct limit_table *table, struct limit_node *node)
{
	struct limit_node **first = &table->buckets[node->hash & table->mask];

	node->next = *first;
	*first = node;
	table->bytes += node->cost;
}

void
limit_table_remove(struct limit_table *table, struct limit_node *node)
{
	struct limit_node **at = &table->buckets[node->hash & table->mask];

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	table->bytes -= node->cost;
}

uint32_t
limit_node_cost(size_t bytes)
{
	uint32_t cost = NODE_MIN;

	while (cost < bytes)
		cost *= 2;
	return (cost);
}

struct limit_zone *
limit_zone_named(struct conf *cf, struct vec *zones, struct str name)
{
	struct limit_zone *zone;

	if (zones->size == 0)
		*zones = VEC_OF(struct limit_zone *);
	VEC_EACH(zones, struct limit_zone *, it)
		if (str_eq((*it)->name, name))
			return (*it);
	zone = pool_new_object(cf->pool, struct limit_zone);
	zone->name = pool_strdup(cf->pool, name);
	*(struct limit_zone **)vec_push(zones, cf->pool) = zone;
	return (zone);
}

struct limit_zone *
limit_zone_declare(struct conf *cf, struct vec *zones, unsigned i)
{
	struct str word = cf->words[i].text, name = str_skip(word, 5);
	size_t colon = str_chr(name, ':');
	struct limit_zone *zone;
	uint64_t size;

	if (colon == SIZE_MAX || !str_to_size(str_skip(name, colon + 1), &size)) {
		conf_error_at(cf, i, "invalid zone size \"" STR_FMT "\"", STR_ARG(word));
		return (NULL);
	}
	name.n = colon;
	if (name.n == 0) {
		conf_error(cf, "\"" STR_FMT "\" must have \"zone\" parameter",
		    STR_ARG(cf->words[0].text));
		return (NULL);
	}
	if (size < ZONE_MIN) {
		conf_error_at(cf, i, "zone \"" STR_FMT "\" is too small", STR_ARG(word));
		return (NULL);
	}
	zone = limit_zone_named(cf, zones, name);
	if (zone->size != 0) {
		conf_error(cf, STR_FMT " \"" STR_FMT "\" is already bound to key \"" STR_FMT "\"",
		    STR_ARG(cf->words[0].text), STR_ARG(name), STR_ARG(tpl_text(zone->key)));
		return (NULL);
	}
	zone->size = size;
	zone->budget = size / PAGE_WITH_ENTRY * PAGE;
	zone->key = tpl_compile(cf, cf->words[1].text);
	return (zone->key == NULL ? NULL : zone);
}

int
limit_zones_open(struct conf *cf, const struct vec *zones, struct str kind,
    void *(*make)(void *))
{
	VEC_EACH(zones, struct limit_zone *, it) {
		struct limit_zone *zone = *it;
		struct str name;

		if (zone->size == 0)
			return (conf_error(cf, "zero size shared memory zone \"" STR_FMT "\"",
			    STR_ARG(zone->name)));
		/* Counts by another key would say nothing. */
		name = pool_printf(cf->temp, STR_FMT " " STR_FMT, STR_ARG(zone->name),
		    STR_ARG(tpl_text(zone->key)));
		zone->shared = registry_get(kind, name, make, zone);
	}
	return (0);
}

bool
limit_zone_key(struct request *r, const struct limit_zone *zone, size_t max, struct str *key)
{
	*key = tpl_eval(r, zone->key);
	if (key->n > max) {
		request_log(r, LOG_ERR, 0, "the value of the \"" STR_FMT "\" key is more than %zu "
		    "bytes: \"" STR_FMT "\"", STR_ARG(tpl_text(zone->key)), max, STR_ARG(*key));
		return (false);
	}
	return (key->n > 0);
}
