/*
 * All rows together (modules.c and main/core.c): each directive of nginx is known where
 * nginx knows it, with as many arguments; no name belongs to two modules in one
 * context, and what is declared as not implemented is declared nowhere else.
 */
#include "../unit.h"
#include "nginx_directives.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/pool.h"
#include "main/core.h"
#include "mod/modules.h"
#include "mod/unbuilt.h"

static struct pool *pool;
static struct hash *rows_by_name;	/* struct vec of struct known */

struct known {
	const struct module *module;
	const struct conf_row *row;
};

static void
module_add(const struct module *module)
{
	for (const struct conf_row *row = module->rows; row->name != NULL; row++) {
		void **slot = hash_slot(rows_by_name, str_from(row->name));
		struct known *known;

		if (*slot == NULL) {
			*slot = pool_new_object(pool, struct vec);
			*(struct vec *)*slot = VEC_OF(struct known);
		}
		known = vec_push(*slot, pool);
		known->module = module;
		known->row = row;
	}
}

static void
setup(void)
{
	pool = pool_new(0);
	rows_by_name = hash_new(pool, false);
	for (unsigned i = 0; i < module_count; i++)
		if (modules[i]->rows != NULL)
			module_add(modules[i]);
	module_add(&process_module);
}

static void
teardown(void)
{
	pool_free(pool);
}

START_TEST(directive_of_nginx_is_known)
{
	const struct nginx_directive *d = &nginx_directives[_i];
	const struct vec *known = hash_get(rows_by_name, str_from(d->name));
	unsigned contexts = 0, min = CONF_ANY, max = 0;

	/* Those of TLS come together: from the day that mod/ssl.c declares one. */
	if (ssl_module.rows[0].name == NULL && str_starts(str_from(d->name), STR("ssl")))
		return;
	ck_assert_msg(known != NULL, "\"%s\" is known to no module", d->name);
	VEC_EACH(known, struct known, k) {
		contexts |= k->row->contexts;
		min = k->row->min < min ? k->row->min : min;
		max = k->row->max > max ? k->row->max : max;
	}
	ck_assert_msg((d->contexts & ~contexts) == 0, "\"%s\": contexts %x, nginx has %x",
	    d->name, contexts, d->contexts);
	ck_assert_msg(min <= d->min && max >= d->max, "\"%s\": %u..%u arguments, nginx takes "
	    "%u..%u", d->name, min, max, d->min, d->max);
}
END_TEST

static void
owners_check(struct str name, void *value, void *arg)
{
	const struct vec *known = value;
	const struct known *end = (const struct known *)known->items + known->count;

	(void)arg;
	VEC_EACH(known, struct known, a)
		for (const struct known *b = a + 1; b < end; b++) {
			ck_assert_msg((a->row->contexts & b->row->contexts) == 0 ||
			    a->module == b->module, "\"" STR_FMT "\" is in %s and in %s",
			    STR_ARG(name), a->module->name, b->module->name);
			ck_assert_msg(a->module != &unbuilt_module && b->module != &unbuilt_module,
			    "\"" STR_FMT "\" is built: %s, %s", STR_ARG(name), a->module->name,
			    b->module->name);
		}
}

START_TEST(directive_has_one_owner)
{
	hash_each(rows_by_name, owners_check, NULL);
}
END_TEST

/* What the engine relies on. */
static void
row_check(struct str name, void *value, void *arg)
{
	const struct vec *known = value;

	(void)arg;
	VEC_EACH(known, struct known, k) {
		const struct conf_row *row = k->row;
		size_t room = k->module->size[row->scope];

		ck_assert_msg(row->contexts != 0 && row->min <= row->max &&
		    (row->set != NULL || (row->type != NULL && row->type->set != NULL)),
		    "\"" STR_FMT "\"", STR_ARG(name));
		ck_assert_msg(row->type == NULL || row->type->size == 0 ||
		    row->offset + row->type->size <= room,
		    "\"" STR_FMT "\" lies outside its struct", STR_ARG(name));
	}
}

START_TEST(rows_are_sound)
{
	hash_each(rows_by_name, row_check, NULL);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, directive_of_nginx_is_known, 0, (int)ROWS(nginx_directives));
	tcase_add_test(tc, directive_has_one_owner);
	tcase_add_test(tc, rows_are_sound);
}

int
main(void)
{
	return (unit_main("mod/vocabulary", add_tests));
}
