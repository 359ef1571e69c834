/* proxy/mod/forwarded.c */
#include "../unit.h"
#include "mod/forwarded.h"

static const struct {
	const char *lists[3];
	const char *nets[2];
	bool recursive;
	const char *addr;	/* what the client's is then; NULL: it stays */
} walks[] = {
	{ { "1.2.3.4" }, { "10.0.0.0/8" }, false, "1.2.3.4" },
	{ { "1.2.3.4" }, { "11.0.0.0/8" }, false, NULL },
	{ { "1.2.3.4, 5.6.7.8" }, { "10.0.0.0/8" }, false, "5.6.7.8" },
	{ { "1.2.3.4, 10.0.0.2" }, { "10.0.0.0/8" }, true, "1.2.3.4" },
	{ { "1.2.3.4, 10.0.0.2" }, { "10.0.0.0/8" }, false, "10.0.0.2" },
	{ { "10.0.0.3,10.0.0.2" }, { "10.0.0.0/8" }, true, "10.0.0.3" },
	{ { "1.2.3.4, 5.6.7.8, 10.0.0.2" }, { "10.0.0.0/8" }, true, "5.6.7.8" },
	{ { "1.2.3.4", "10.0.0.2" }, { "10.0.0.0/8" }, true, "1.2.3.4" },
	{ { "1.2.3.4", "10.0.0.2" }, { "10.0.0.0/8" }, false, "10.0.0.2" },
	{ { "1.2.3.4, unknown, 10.0.0.2" }, { "10.0.0.0/8" }, true, "10.0.0.2" },
	{ { "unknown" }, { "10.0.0.0/8" }, true, NULL },
	{ { "" }, { "10.0.0.0/8" }, true, NULL },
	{ { " , " }, { "10.0.0.0/8" }, true, NULL },
	{ { "1.2.3.4:5678, " }, { "10.0.0.0/8" }, false, "1.2.3.4" },
	{ { "2001:db8::1" }, { "10.0.0.0/8" }, false, "2001:db8::1" },
	{ { "[2001:db8::1]:80" }, { "10.0.0.0/8" }, false, "2001:db8::1" },
	{ { "1.2.3.4, 2001:db8::1" }, { "10.0.0.0/8", "2001:db8::/32" }, true, "1.2.3.4" },
	{ { "unix:/etc/passwd" }, { "10.0.0.0/8" }, false, NULL },
};

START_TEST(walking)
{
	struct pool *pool = pool_new(0);
	struct vec nets = VEC_OF(struct addr_net);
	struct str lists[3];
	unsigned count = 0;
	struct addr addr;
	char text[ADDR_TEXT_MAX];
	bool extra, moved;

	for (unsigned i = 0; i < 2 && walks[_i].nets[i] != NULL; i++)
		ck_assert(addr_net_parse(str_from(walks[_i].nets[i]), vec_push(&nets, pool),
		    &extra));
	for (; count < 3 && walks[_i].lists[count] != NULL; count++)
		lists[count] = str_from(walks[_i].lists[count]);
	ck_assert(addr_parse(STR("10.0.0.1:80"), 0, &addr));
	moved = forwarded_addr(&addr, lists, count, &nets, walks[_i].recursive);
	ck_assert_int_eq(moved, walks[_i].addr != NULL);
	ck_assert_text(str_make(text, addr_text(&addr, false, text)),
	    moved ? walks[_i].addr : "10.0.0.1");
	pool_free(pool);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, walking, 0, ROWS(walks));
}

int
main(void)
{
	return (unit_main("forwarded", add));
}
