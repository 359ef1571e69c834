/* proxy/http/header.c */
#include "../unit.h"
#include "http/header.h"

static struct pool *pool;
static struct fields f;

static void
setup(void)
{
	pool = pool_new(0);
	f = (struct fields){ 0 };
}

static void
teardown(void)
{
	pool_free(pool);
}

START_TEST(every_known_name)
{
	ck_assert_uint_le(FIELD_COUNT, 64);
	for (int id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
		struct str name = field_name_of((enum field_id)id);
		char other[64];

		ck_assert_uint_gt(name.n, 0);
		ck_assert_int_eq(field_id_of(name), id);
		for (size_t i = 0; i < name.n; i++)
			other[i] = (char)ascii_lower((unsigned char)name.p[i]);
		ck_assert_int_eq(field_id_of(str_make(other, name.n)), id);
		/* Neither shorter nor longer, nor with another letter anywhere. */
		ck_assert_int_eq(field_id_of(str_make(other, name.n - 1)), FIELD_OTHER);
		other[name.n] = 'x';
		ck_assert_int_eq(field_id_of(str_make(other, name.n + 1)), FIELD_OTHER);
		for (size_t i = 0; i < name.n; i++) {
			other[i] ^= 0x40;
			ck_assert_int_eq(field_id_of(str_make(other, name.n)), FIELD_OTHER);
			other[i] ^= 0x40;
		}
	}
	ck_assert_int_eq(field_id_of(STR_NULL), FIELD_OTHER);
	ck_assert_int_eq(field_id_of(STR("X")), FIELD_OTHER);
	/* '_' and '-' differ in the bits that case folding leaves alone, too. */
	ck_assert_int_eq(field_id_of(STR("Content_Length")), FIELD_OTHER);
	ck_assert_int_eq(field_id_of(STR("Content\rLength")), FIELD_OTHER);
}
END_TEST

START_TEST(adding_and_asking)
{
	for (int i = 0; i < 40; i++)
		(void)fields_add(&f, pool, pool_printf(pool, "X-%d", i), STR("v"));
	(void)fields_add(&f, pool, STR("hOST"), STR("a"));
	(void)fields_add_id(&f, pool, FIELD_COOKIE, STR("b"));
	ck_assert_uint_eq(f.count, 42);
	ck_assert_bytes(fields_get(&f, FIELD_HOST)->value, "a");
	ck_assert_bytes(fields_get(&f, FIELD_HOST)->name, "hOST");
	ck_assert_bytes(fields_find(&f, STR("COOKIE"))->name, "Cookie");
	ck_assert_bytes(fields_find(&f, STR("x-39"))->name, "X-39");
	ck_assert_ptr_null(fields_get(&f, FIELD_RANGE));
	ck_assert_ptr_null(fields_find(&f, STR("x-40")));
	ck_assert_ptr_null(fields_find(&f, STR("")));
	ck_assert_uint_eq(f.known, FIELD_BIT(FIELD_HOST) | FIELD_BIT(FIELD_COOKIE));
}
END_TEST

START_TEST(removing_keeps_order)
{
	(void)fields_add(&f, pool, STR("Via"), STR("1"));
	(void)fields_add(&f, pool, STR("X-A"), STR("2"));
	(void)fields_add(&f, pool, STR("via"), STR("3"));
	(void)fields_add(&f, pool, STR("X-B"), STR("5"));
	fields_remove(&f, FIELD_VIA);
	ck_assert_uint_eq(f.count, 2);
	ck_assert_uint_eq(f.known, 0);
	ck_assert_bytes(f.items[0].name, "X-A");
	ck_assert_bytes(f.items[1].name, "X-B");
	fields_remove(&f, FIELD_VIA);
	ck_assert_uint_eq(f.count, 2);
	fields_set(&f, pool, FIELD_VIA, STR("6"));
	fields_set(&f, pool, FIELD_VIA, STR("7"));
	ck_assert_uint_eq(f.count, 3);
	ck_assert_bytes(fields_get(&f, FIELD_VIA)->value, "7");
}
END_TEST

START_TEST(joining)
{
	struct str only = STR("x");

	ck_assert_ptr_null(fields_join(&f, pool, STR("X-A"), STR(", ")).p);
	(void)fields_add(&f, pool, STR("X-A"), only);
	ck_assert_ptr_eq(fields_join(&f, pool, STR("x-a"), STR(", ")).p, only.p);
	(void)fields_add(&f, pool, STR("X-B"), STR("no"));
	(void)fields_add(&f, pool, STR("x-A"), STR(""));
	(void)fields_add(&f, pool, STR("X-a"), STR("y"));
	ck_assert_bytes(fields_join(&f, pool, STR("X-A"), STR(", ")), "x, , y");
	ck_assert_bytes(fields_join(&f, pool, STR("X-A"), STR_NULL), "xy");
	(void)fields_add(&f, pool, STR("cookie"), STR(""));
	(void)fields_add(&f, pool, STR("Cookie"), STR("b"));
	ck_assert_bytes(fields_join(&f, pool, STR("COOKIE"), STR("; ")), "; b");
}
END_TEST

static const struct {
	const char *value;
	bool has;
} lists[] = {
	{ "close", true }, { "Close", true }, { "keep-alive, close", true }, { "a,close,b", true },
	{ " , ,close", true }, { "close;q=1", true }, { "close ; q=1", true },
	{ "\tclose\t", true },
	{ "a=\"b\", close", true }, { "a;b=\"x\\\"\", close", true }, { "a;b=\",\", close", true },
	{ "", false }, { "closed", false }, { "not close", false }, { "a;close", false },
	{ "\"close\"", false }, { "a;b=\",close,\"", false }, { "a;b=\"\\\",close,", false },
	{ "clos", false }, { "a;b=\"x\\", false }, { ";close", false },
};

START_TEST(tokens)
{
	(void)fields_add(&f, pool, STR("Connection"), STR("x"));
	(void)fields_add(&f, pool, STR("Connection"), str_from(lists[_i].value));
	ck_assert_int_eq(fields_has_token(&f, FIELD_CONNECTION, STR("close")), lists[_i].has);
	ck_assert(!fields_has_token(&f, FIELD_TE, STR("close")));
}
END_TEST

START_TEST(members)
{
	struct members m;
	char text[3 * MEMBERS_MAX + 1];

	ck_assert(fields_members(&f, FIELD_CONNECTION, &m));
	ck_assert_uint_eq(m.count, 0);
	(void)fields_add(&f, pool, STR("Connection"), STR(" , a;q=1,,B ,"));
	(void)fields_add(&f, pool, STR("TE"), STR("c"));
	(void)fields_add(&f, pool, STR("connection"), STR("d"));
	ck_assert(fields_members(&f, FIELD_CONNECTION, &m));
	ck_assert_uint_eq(m.count, 3);
	ck_assert(members_have(&m, STR("A")) && members_have(&m, STR("b")));
	ck_assert(members_have(&m, STR("d")));
	ck_assert(!members_have(&m, STR("c")) && !members_have(&m, STR("")));
	for (size_t i = 0; i < MEMBERS_MAX - 2; i++)
		memcpy(text + 3 * i, "xy,", 3);
	(void)fields_add(&f, pool, STR("Connection"), str_make(text, (MEMBERS_MAX - 3) * 3));
	ck_assert(fields_members(&f, FIELD_CONNECTION, &m));
	fields_remove(&f, FIELD_CONNECTION);
	(void)fields_add(&f, pool, STR("Connection"), STR("d,e,f"));
	(void)fields_add(&f, pool, STR("Connection"), str_make(text, (MEMBERS_MAX - 2) * 3));
	ck_assert(!fields_members(&f, FIELD_CONNECTION, &m));
	ck_assert_uint_eq(m.count, MEMBERS_MAX);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, every_known_name);
	tcase_add_test(tcase, adding_and_asking);
	tcase_add_test(tcase, removing_keeps_order);
	tcase_add_test(tcase, joining);
	tcase_add_loop_test(tcase, tokens, 0, ROWS(lists));
	tcase_add_test(tcase, members);
}

int
main(void)
{
	return (unit_main("http/header", add));
}
