/* net/tls_record.c: where records and the ClientHello end. */
#include "net/tls_record.h"
#include "../unit.h"

#define PART(a)		(const unsigned char *)(a), sizeof(a) - 1

static const struct record {
	const char *head;
	size_t size;
} record_cases[] = {
	{ "\x16\x03\x01\x00\x00", 5 },		/* empty */
	{ "\x16\x03\x01\x02\x01", 5 + 513 },
	{ "\x17\x03\x03\x48\x00", 5 + 18432 },	/* the largest */
	{ "\x17\x03\x03\x48\x01", 5 },		/* too large: OpenSSL says so */
	{ "\x16\x09\x01\x02\x01", 5 },		/* no such version */
	{ "HTTP/", 5 },
	{ "SSH-2", 5 },
	{ "\x80\x2e\x01\x03\x01", 2 + 46 },	/* SSLv2's hello */
	{ "\x80\x02\x01\x03\x01", 5 },		/* ... too short for one */
	{ "\x80\x2e\x02\x03\x01", 5 },
};

START_TEST(record_ends)
{
	const struct record *c = &record_cases[_i];

	ck_assert_uint_eq(tls_record_size((const unsigned char *)c->head), c->size);
}
END_TEST

static const struct hello {
	const unsigned char *p;
	size_t n;
	size_t need;
} hello_cases[] = {
	{ PART(""), 5 },
	{ PART("\x16\x03\x01"), 5 },
	{ PART("\x16\x03\x01\x00\x06"), 11 },
	{ PART("\x16\x03\x01\x00\x06\x01\x00\x00\x02xx"), 11 },
	/* A message in several records, its head too. */
	{ PART("\x16\x03\x01\x00\x01\x01"), 11 },
	{ PART("\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x03\x00\x00\x02"), 19 },
	{ PART("\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x03\x00\x00\x02\x16\x03\x01\x00\x02xx"),
	    21 },
	/* What follows is not looked at. */
	{ PART("\x16\x03\x01\x00\x05\x01\x00\x00\x01x\x17\x03\x03\xff"), 10 },
	/* Nothing to wait for: an alert in between, an empty record, no TLS, SSLv2. */
	{ PART("\x16\x03\x01\x00\x01\x01\x15\x03\x01\x00\x01z"), 12 },
	{ PART("\x16\x03\x01\x00\x00"), 5 },
	{ PART("\x16\x03\x01\x00\x05hello"), 10 },
	{ PART("GET / HTTP/1.1\r\n"), 5 },
	{ PART("\x80\x05\x01\x03\x01xx"), 7 },
};

START_TEST(hello_ends)
{
	const struct hello *c = &hello_cases[_i];

	ck_assert_uint_eq(tls_hello_size(c->p, c->n), c->need);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_loop_test(t, record_ends, 0, ROWS(record_cases));
	tcase_add_loop_test(t, hello_ends, 0, ROWS(hello_cases));
}

int
main(void)
{
	return (unit_main("net/tls_record", add));
}
