/* proxy/http/registry.c */
#include "../unit.h"
#include "http/registry.h"

static int made;

static void *
make(void *arg)
{
	made++;
	return (arg);
}

START_TEST(names)
{
	int a, b, c;

	made = 0;
	ck_assert_ptr_eq(registry_get(STR("zone"), STR("one"), make, &a), &a);
	ck_assert_ptr_eq(registry_get(STR("zone"), STR("two"), make, &b), &b);
	ck_assert_ptr_eq(registry_get(STR("other"), STR("one"), make, &c), &c);
	ck_assert_int_eq(made, 3);
	/* What is there stays, whoever asks. */
	ck_assert_ptr_eq(registry_get(STR("zone"), STR("one"), make, &c), &a);
	ck_assert_ptr_eq(registry_get(STR("zone"), STR("two"), make, NULL), &b);
	ck_assert_int_eq(made, 3);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, names);
}

int
main(void)
{
	return (unit_main("registry", add));
}
