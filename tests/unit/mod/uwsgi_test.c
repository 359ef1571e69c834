/* proxy/mod/uwsgi.c: the packet. */
#include "../unit.h"
#include "mod/uwsgi.h"

static const struct {
	const char *name, *want;
} names[] = {
	{ "Host", "HTTP_HOST" }, { "X-Forwarded-For", "HTTP_X_FORWARDED_FOR" },
	{ "accept", "HTTP_ACCEPT" }, { "A1-b_c", "HTTP_A1_B_C" }, { "", "HTTP_" },
};

START_TEST(header_names)
{
	char out[64];
	size_t n = uwsgi_header_name(str_from(names[_i].name), out);

	ck_assert_text(str_make(out, n), names[_i].want);
}
END_TEST

START_TEST(packet)
{
	char room[64];
	struct uwsgi_packet p;
	static const char want[] = "\x05\x11\0\x07" "\x03\0" "ABC" "\x02\0" "xy" "\x04\0" "NONE" "\0\0";

	uwsgi_packet_begin(&p, room, sizeof(room));
	uwsgi_packet_add(&p, STR("ABC"), STR("xy"));
	uwsgi_packet_add(&p, STR("NONE"), STR(""));
	ck_assert(uwsgi_packet_end(&p, 5, 7));
	ck_assert_uint_eq(p.used, sizeof(want) - 1);
	ck_assert_int_eq(memcmp(p.p, want, p.used), 0);
}
END_TEST

/* More than the room, a variable or a packet beyond 64 KiB: refused, and nothing is written over. */
START_TEST(too_large)
{
	static char room[200000], value[70000];
	struct uwsgi_packet p;

	uwsgi_packet_begin(&p, room, 16);
	uwsgi_packet_add(&p, STR("NAME"), STR("a value of some length"));
	ck_assert(!uwsgi_packet_end(&p, 0, 0));
	ck_assert_uint_eq(p.used, 4);
	uwsgi_packet_begin(&p, room, sizeof(room));
	uwsgi_packet_add(&p, STR("NAME"), str_make(value, sizeof(value)));
	ck_assert(!uwsgi_packet_end(&p, 0, 0));
	uwsgi_packet_begin(&p, room, sizeof(room));
	for (unsigned i = 0; i < 3; i++)
		uwsgi_packet_add(&p, STR("NAME"), str_make(value, 30000));
	ck_assert(!uwsgi_packet_end(&p, 0, 0));
	uwsgi_packet_begin(&p, room, sizeof(room));
	uwsgi_packet_add(&p, STR(""), str_make(value, 65531));
	ck_assert(uwsgi_packet_end(&p, 0, 0));
	ck_assert_int_eq(memcmp(room, "\0\xff\xff\0", 4), 0);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, header_names, 0, ROWS(names));
	tcase_add_test(tcase, packet);
	tcase_add_test(tcase, too_large);
}

int
main(void)
{
	return (unit_main("uwsgi", add));
}
