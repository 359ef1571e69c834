#ifndef WPROXY_MOD_LIMIT_ZONE_H
#define WPROXY_MOD_LIMIT_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/vec.h"
#include "conf/conf.h"
#include "http/request.h"
#include "http/tpl.h"

/*
 * What limit_req and limit_conn have in common: named zones of a configuration,
 * and the table of keys that a zone's shared state is made of.
 */

/* One key of a table; the first member of limit_req's and limit_conn's own structs. */
struct limit_node {
	struct limit_node *next;	/* of the bucket */
	uint32_t hash;
	uint32_t cost;			/* bytes it takes of the zone, as nginx's slabs would */
	struct str key;
};

/* Guarded by its owner's lock.  The number of buckets is chosen once, by the zone's first size. */
struct limit_table {
	struct limit_node **buckets;
	size_t mask;
	uint64_t bytes;
};

/* limit_*_log_level, limit_*_status */
extern const struct conf_name	limit_levels[];
extern const struct conf_range	limit_statuses;

void			 limit_table_init(struct limit_table *, uint64_t size);
struct limit_node	*limit_table_find(const struct limit_table *, struct str key, uint32_t hash);
/* Enters a node whose hash, cost and key are set. */
void			 limit_table_add(struct limit_table *, struct limit_node *);
void			 limit_table_remove(struct limit_table *, struct limit_node *);
/* What a node with this many bytes of its own and of key costs. */
uint32_t		 limit_node_cost(size_t bytes);

/* A zone as a configuration declares it. */
struct limit_zone {
	struct str name;
	struct tpl *key;
	uint64_t size;		/* of the file; 0: used but not declared */
	uint64_t budget;	/* bytes for nodes */
	uint64_t rate;		/* limit_req: thousandths of a request per second */
	void *shared;		/* its state, of the registry */
};

/* The zone of that name among zones (struct limit_zone *), entered where it is new. */
struct limit_zone	*limit_zone_named(struct conf *, struct vec *zones, struct str name);
/*
 * "zone=name:size" of word i declares a zone whose key is word 1.  NULL after conf_error() with
 * nginx's words.
 */
struct limit_zone	*limit_zone_declare(struct conf *, struct vec *zones, unsigned i);
/*
 * Every zone must be declared somewhere; its shared state is made or found.  -1 after conf_error().
 */
int			 limit_zones_open(struct conf *, const struct vec *zones, struct str kind,
			    void *(*make)(void *zone));
/* The key's value; false: no limit for this request (empty, or longer than max: logged). */
bool			 limit_zone_key(struct request *, const struct limit_zone *, size_t max,
			    struct str *key);

#endif
