/* proxy/http/proxy_protocol.c: the parser; reading is tried by tests/e2e/test_proxy_protocol.py. */
#include "../unit.h"
#include "http/proxy_protocol.h"

#define SIGNATURE	"\r\n\r\n\0\r\nQUIT\n"
/* 192.0.2.7 198.51.100.9 4711 443 */
#define INET		"\300\0\2\7\306\63\144\11\22\147\1\273"

static const struct {
	struct str bytes;
	long length;		/* 0 partial, -1 refused */
	const char *client;	/* "": none */
} rows[] = {
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\r\n"), 44, "192.0.2.7:4711" },
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\r\nGET /"), 44, "192.0.2.7:4711" },
	{ STR("PROXY TCP6 2001:db8::7 ::1 4711 443\r\n"), 37, "[2001:db8::7]:4711" },
	{ STR("PROXY UNKNOWN\r\n"), 15, "" },
	{ STR("PROXY UNKNOWN a b c d e f\r\n"), 27, "" },
	{ STR("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), 44, "0.0.0.0:0" },
	{ STR(""), 0, "" },
	{ STR("P"), 0, "" },
	{ STR("PROXY"), 0, "" },
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\r"), 0, "" },
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\n"), 0, "" },
	{ STR("GET / HTTP/1.1\r\n\r\n"), -1, "" },
	{ STR("proxy TCP4 192.0.2.7 198.51.100.9 4711 443\r\n"), -1, "" },
	{ STR("PROXY \r\n"), -1, "" },
	{ STR("PROXY TCP4\r\n"), -1, "" },
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 4711\r\n"), -1, "" },
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 4711 443 \r\n"), -1, "" },
	{ STR("PROXY TCP4 192.0.2.256 198.51.100.9 4711 443\r\n"), -1, "" },
	{ STR("PROXY TCP4 2001:db8::7 ::1 4711 443\r\n"), -1, "" },
	{ STR("PROXY TCP6 192.0.2.7 198.51.100.9 4711 443\r\n"), -1, "" },
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 65536 443\r\n"), -1, "" },
	{ STR("PROXY TCP4 192.0.2.7 198.51.100.9 -1 443\r\n"), -1, "" },
	{ STR("PROXY UNIX /a /b 1 2\r\n"), -1, "" },
	{ STR("PROXY UNKNOWN 1234567890123456789012345678901234567890123456789012345678901234567"
	    "890123456789012345678901234567890\r\n"), -1, "" },

	{ STR(SIGNATURE "\x21\x11\0\x0c" INET), 28, "192.0.2.7:4711" },
	{ STR(SIGNATURE "\x21\x11\0\x0c" INET "more"), 28, "192.0.2.7:4711" },
	{ STR(SIGNATURE "\x21\x11\xff\xff" INET), 65551, "192.0.2.7:4711" },
	{ STR(SIGNATURE "\x21\x21\0\x24" "0123456789abcdef0123456789abcdef\1\2\3\4"), 52,
	    "[3031:3233:3435:3637:3839:6162:6364:6566]:258" },
	{ STR(SIGNATURE "\x20\x11\0\x0c" INET), 28, "" },
	{ STR(SIGNATURE "\x20\0\0\0"), 16, "" },
	{ STR(SIGNATURE "\x21\0\0\0"), 16, "" },
	{ STR(SIGNATURE "\x21\x31\0\x02"), 18, "" },
	{ STR(SIGNATURE "\x21\x12\0\x0c"), 28, "" },
	{ STR(SIGNATURE), 0, "" },
	{ STR("\r\n\r\n\0\r\nQU"), 0, "" },
	{ STR("\r\n\r\n\0\r\nQUIX"), -1, "" },
	{ STR(SIGNATURE "\x21\x11\0\x0c" "\300\0\2\7"), 0, "" },
	{ STR(SIGNATURE "\x21\x11\0\x0b" INET), -1, "" },
	{ STR(SIGNATURE "\x21\x21\0\x0c" INET), -1, "" },
	{ STR(SIGNATURE "\x22\x11\0\x0c" INET), -1, "" },
	{ STR(SIGNATURE "\x11\x11\0\x0c" INET), -1, "" },
	{ STR(SIGNATURE "\x31\x11\0\x0c" INET), -1, "" },
};

static struct str
client_of(const struct proxied_connection *p, char room[static ADDR_TEXT_MAX])
{
	if (p->client.len == 0)
		return (STR(""));
	return (str_make(room, addr_text(&p->client, true, room)));
}

START_TEST(whole)
{
	struct proxied_connection p = { 0 };
	char room[ADDR_TEXT_MAX];

	ck_assert_int_eq(proxy_protocol_parse(rows[_i].bytes.p, rows[_i].bytes.n, &p),
	    rows[_i].length);
	ck_assert_int_eq(p.present, rows[_i].length > 0);
	if (p.present)
		ck_assert_text(client_of(&p, room), rows[_i].client);
}
END_TEST

/* Each beginning of a good header is partial: never refused, never taken for the whole. */
START_TEST(pieces)
{
	struct proxied_connection p = { 0 };

	if (rows[_i].length <= 0)
		return;
	for (size_t n = 0; n < rows[_i].bytes.n; n++) {
		ssize_t length = proxy_protocol_parse(rows[_i].bytes.p, n, &p);

		ck_assert_msg(length == 0 || length == rows[_i].length, "%zu bytes: %zd", n,
		    length);
		p = (struct proxied_connection){ 0 };
	}
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, whole, 0, ROWS(rows));
	tcase_add_loop_test(tcase, pieces, 0, ROWS(rows));
}

int
main(void)
{
	return (unit_main("proxy_protocol", add));
}
