/* proxy/mod/limit_zone.c */
#include <stdio.h>

#include "../unit.h"
#include "base/hash.h"
#include "mod/limit_zone.h"

#define NODES	1000

START_TEST(table)
{
	struct limit_table t;
	struct limit_node *nodes = calloc(NODES, sizeof(*nodes));
	char (*names)[16] = calloc(NODES, sizeof(*names));

	/* Fewer buckets than nodes: chains are walked. */
	limit_table_init(&t, 32768);
	for (int i = 0; i < NODES; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "10.0.%d.%d", i / 256, i % 256);
		nodes[i].key = str_from(names[i]);
		nodes[i].hash = hash_bytes(nodes[i].key);
		nodes[i].cost = limit_node_cost(80 + nodes[i].key.n);
		ck_assert_ptr_null(limit_table_find(&t, nodes[i].key, nodes[i].hash));
		limit_table_add(&t, &nodes[i]);
	}
	ck_assert_uint_eq(t.bytes, NODES * 128);
	for (int i = 0; i < NODES; i += 2)
		limit_table_remove(&t, &nodes[i]);
	for (int i = 0; i < NODES; i++)
		ck_assert_ptr_eq(limit_table_find(&t, nodes[i].key, nodes[i].hash),
		    i % 2 == 0 ? NULL : &nodes[i]);
	ck_assert_uint_eq(t.bytes, NODES / 2 * 128);
	free(t.buckets);
	free(nodes);
	free(names);
}
END_TEST

static const struct {
	size_t bytes;
	uint32_t cost;
} costs[] = {
	{ 0, 64 }, { 40, 64 }, { 64, 64 }, { 65, 128 }, { 96, 128 }, { 129, 256 }, { 4000, 4096 },
};

START_TEST(cost)
{
	ck_assert_uint_eq(limit_node_cost(costs[_i].bytes), costs[_i].cost);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, table);
	tcase_add_loop_test(tcase, cost, 0, ROWS(costs));
}

int
main(void)
{
	return (unit_main("limit_zone", add));
}
