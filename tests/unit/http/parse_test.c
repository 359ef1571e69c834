/* proxy/http/parse.c */
#include <stdio.h>

#include "../unit.h"
#include "http/parse.h"

#define ROOM	8

static const struct parse_limits usual = { .line_max = 64, .field_max = 64 };

static struct field items[ROOM];
static struct request_head req;
static struct response_head res;
static unsigned skipped;

/* Of an exact copy, so that a read past the end is seen by ASan. */
static ssize_t
request_given(struct str s, size_t seen, const struct parse_limits *limits)
{
	char *copy = malloc(s.n == 0 ? 1 : s.n);
	ssize_t result;

	memcpy(copy, s.p, s.n);
	req = (struct request_head){ .items = items, .room = ROOM };
	skipped = 0;
	result = parse_request(copy, s.n, seen, limits, &req, &skipped);
	free(copy);
	return (result);
}

/* The same again of bytes that stay, to look into. */
static ssize_t
request(struct str s)
{
	req = (struct request_head){ .items = items, .room = ROOM };
	skipped = 0;
	return (parse_request(s.p, s.n, 0, &usual, &req, &skipped));
}

#define FULL	(-1)	/* all of the text is the head */
#define R(text, result)	{ { text, sizeof(text) - 1 }, result }

static const struct {
	struct str text;
	int result;
} requests[] = {
	/* Good ones. */
	R("GET / HTTP/1.1\r\nHost: a\r\n\r\n", FULL),
	R("GET / HTTP/1.1\nHost: a\n\n", FULL),
	R("GET / HTTP/1.1\r\nHost: a\n\r\n", FULL),
	R("GET / HTTP/1.1\r\nHost: a\r\n\n", FULL),
	R("GET / HTTP/1.0\r\n\r\n", FULL),
	R("GET / HTTP/1.9\r\n\r\n", FULL),
	R("\r\n\r\n\nGET / HTTP/1.1\r\n\r\n", FULL),
	R("GET /\r\n", FULL),
	R("GET /\n", FULL),
	R("GET / HTTP/1.1\r\nA:\r\n\r\n", FULL),
	R("GET / HTTP/1.1\r\nA:b\r\n\r\n", FULL),
	R("GET / HTTP/1.1\r\nA: \t b c\t \r\n\r\n", FULL),
	R("GET / HTTP/1.1\r\nA: \xc3\xa4\xff\r\n\r\n", FULL),
	R("GET /\xc3\xa4 HTTP/1.1\r\n\r\n", FULL),
	R("GET * HTTP/1.1\r\n\r\n", FULL),
	R("GET http://a/b HTTP/1.1\r\n\r\n", FULL),
	R("M-SEARCH_X / HTTP/1.1\r\n\r\n", FULL),
	R("FOO / HTTP/1.1\r\n\r\n", FULL),
	/* What follows is the next message's. */
	R("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 18),
	R("GET / HTTP/1.1\r\n\r\n\r\n", 18),
	R("GET /\r\nHost: a\r\n\r\n", 7),
	/* Not all there. */
	R("", 0), R("\r", 0), R("\r\n", 0), R("\r\n\r", 0), R("G", 0), R("GET", 0),
	R("GET / HTTP/1.1", 0),
	R("GET / HTTP/1.1\r", 0), R("GET / HTTP/1.1\r\n", 0), R("GET / HTTP/1.1\r\n\r", 0),
	R("GET / HTTP/1.1\r\nHost", 0), R("GET / HTTP/1.1\r\nHost: a\r\n", 0),
	R("GET / HTTP/1.1\r\nHost: a\r\n\r", 0), R("GET /", 0),
	R("\r\nGET / HTTP/1.1\r\nA: b\n", 0),
	/* Request lines. */
	R(" GET / HTTP/1.1\r\n\r\n", -400),
	R("get / HTTP/1.1\r\n\r\n", -400),
	R("GeT / HTTP/1.1\r\n\r\n", -400),
	R("G@T / HTTP/1.1\r\n\r\n", -400),
	R("GET1 / HTTP/1.1\r\n\r\n", -400),
	R("GET\r\n\r\n", -400), R("GET \r\n\r\n", -400), R("GET  \r\n\r\n", -400),
	R("GET  / HTTP/1.1\r\n\r\n", -400),
	R("GET\t/ HTTP/1.1\r\n\r\n", -400),
	R("GET /\tHTTP/1.1\r\n\r\n", -400),
	R("GET / \r\n\r\n", -400),
	R("GET /  HTTP/1.1\r\n\r\n", -400),
	R("GET / HTTP/1.1 \r\n\r\n", -400),
	R("GET /a b HTTP/1.1\r\n\r\n", -400),
	R("GET /a\0b HTTP/1.1\r\n\r\n", -400),
	R("GET /a\rb HTTP/1.1\r\n\r\n", -400),
	R("GET /a\x01 HTTP/1.1\r\n\r\n", -400),
	R("GET /a\x7f HTTP/1.1\r\n\r\n", -400),
	R("GET / http/1.1\r\n\r\n", -400),
	R("GET / HTTP/11\r\n\r\n", -400),
	R("GET / HTTP/1.\r\n\r\n", -400),
	R("GET / HTTP/.1\r\n\r\n", -400),
	R("GET / HTTP/1.10\r\n\r\n", -400),
	R("GET / HTTP/01.1\r\n\r\n", -400),
	R("GET / HTTP/1,1\r\n\r\n", -400),
	R("GET / HTTP/0.9\r\n\r\n", -400),
	R("GET / HTTP/x.1\r\n\r\n", -400),
	R("GET / HTTP/1.x\r\n\r\n", -400),
	R("GET / HTTP/1.1x\r\n\r\n", -400),
	R("GET / HTTPS/1.1\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\r\n\r\n", -400),
	R("GET / HTTP/2.0\r\n\r\n", -505),
	R("GET / HTTP/9.9\r\n\r\n", -505),
	R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", -505),
	R("POST /\r\n", -400),
	R("HEAD /\r\n", -400),
	R("\r\r\nGET / HTTP/1.1\r\n\r\n", -400),
	R("\rGET / HTTP/1.1\r\n\r\n", -400),
	R("\0GET / HTTP/1.1\r\n\r\n", -400),
	R("\x16\x03\x01\x02", -400),
	R("a", -400), R("\rx", -400),
	/* Fields. */
	R("GET / HTTP/1.1\r\nHost : a\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\n Host: a\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\n \r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nHost\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\n: a\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA(b): c\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA b: c\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA\xc3: c\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA\0: c\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: b\r\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: b\x01\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: \x7f\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: 12345678\x1b" "2345678\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nA: b\r\n\r\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\n\rA: b\r\n\r\n", -400),
	R("GET / HTTP/1.1\r\nX.Y\0: b\r\n\r\n", -400),
	/* Limits: 64 bytes a line, 8 fields. */
	R("GET /3456789012345678901234567890123456789012345678901 HTTP/1.1\r\n\r\n", -414),
	R("GET /345678901234567890123456789012345678901234567890 HTTP/1.1\r\n\r\n", FULL),
	R("GET /345678901234567890123456789012345678901234567890123456789012345", -414),
	R("GET / HTTP/1.1\r\nA: 34567890123456789012345678901234567890123456789012345678901\r\n\r\n", FULL),
	R("GET / HTTP/1.1\r\nA: 345678901234567890123456789012345678901234567890123456789012\r\n\r\n",
	    -494),
	R("GET / HTTP/1.1\r\nA: 345678901234567890123456789012345678901234567890123456789012345", -494),
	R("GET / HTTP/1.1\r\nB: c\r\nA: 345678901234567890123456789012345678901234567890123456789012345",
	    -494),
	R("GET / HTTP/1.1\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n\r\n", FULL),
	R("GET / HTTP/1.1\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n\r\n", -494),
	R("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
	  "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", -400),
};

START_TEST(request_verdicts)
{
	struct str text = requests[_i].text;
	ssize_t want = requests[_i].result == FULL ? (ssize_t)text.n : requests[_i].result;

	ck_assert_int_eq(request_given(text, 0, &usual), want);
}
END_TEST

/* However the bytes arrive, the verdict is the same, at the latest when all are there. */
START_TEST(requests_in_pieces)
{
	struct str text = requests[_i].text;
	ssize_t want = requests[_i].result == FULL ? (ssize_t)text.n : requests[_i].result;

	for (size_t step = 1; step <= 5; step++) {
		size_t seen = 0, n = 0;
		ssize_t got = 0;

		while (got == 0 && n < text.n) {
			seen = n;
			n = n + step > text.n ? text.n : n + step;
			got = request_given(str_make(text.p, n), seen, &usual);
		}
		ck_assert_int_eq(got, want);
		if (got > 0)
			ck_assert_uint_le(n - (size_t)got, step - 1);
	}
}
END_TEST

START_TEST(request_contents)
{
	ck_assert_int_gt(request(STR("\r\nPOST /a?b HTTP/1.1\r\nhOSt:  x \r\nX-Y:\r\nContent-Length: 3\r\n"
	    "\r\nabc")), 0);
	ck_assert_bytes(req.line, "POST /a?b HTTP/1.1");
	ck_assert_bytes(req.method_name, "POST");
	ck_assert_int_eq(req.method, METHOD_POST);
	ck_assert_bytes(req.target, "/a?b");
	ck_assert_uint_eq(req.version, 11);
	ck_assert_uint_eq(req.count, 3);
	ck_assert_bytes(items[0].name, "hOSt");
	ck_assert_bytes(items[0].value, "x");
	ck_assert_int_eq(items[0].id, FIELD_HOST);
	ck_assert_bytes(items[1].value, "");
	ck_assert_int_eq(items[1].id, FIELD_OTHER);
	ck_assert_uint_eq(req.known, FIELD_BIT(FIELD_HOST) | FIELD_BIT(FIELD_CONTENT_LENGTH));
	ck_assert_int_eq(request(STR("GET /old\r\n")), 10);
	ck_assert_uint_eq(req.version, 9);
	ck_assert_uint_eq(req.count, 0);
	ck_assert_bytes(req.target, "/old");
	ck_assert_int_gt(request(STR("BREW / HTTP/1.0\r\n\r\n")), 0);
	ck_assert_int_eq(req.method, METHOD_OTHER);
	ck_assert_bytes(req.method_name, "BREW");
	ck_assert_uint_eq(req.version, 10);
	ck_assert_int_gt(request(STR("GET / HTTP/1.7\r\n\r\n")), 0);
	ck_assert_uint_eq(req.version, 11);
}
END_TEST

START_TEST(odd_names)
{
	struct parse_limits limits = usual;
	struct str text = STR("GET / HTTP/1.1\r\nX_A: 1\r\nX.B: 2\r\nX-C: 3\r\nContent_Length: 4\r\n\r\n");

	ck_assert_int_eq(request_given(text, 0, &limits), (ssize_t)text.n);
	ck_assert_uint_eq(req.count, 1);
	ck_assert_uint_eq(skipped, 3);
	ck_assert_uint_eq(req.known, 0);
	limits.underscores = true;
	ck_assert_int_eq(request_given(text, 0, &limits), (ssize_t)text.n);
	ck_assert_uint_eq(req.count, 3);
	ck_assert_uint_eq(skipped, 1);
	limits = usual;
	limits.keep_invalid = true;
	ck_assert_int_eq(request_given(text, 0, &limits), (ssize_t)text.n);
	ck_assert_uint_eq(req.count, 4);
	ck_assert_uint_eq(skipped, 0);
	/* A skipped field is held to the rules all the same. */
	ck_assert_int_eq(request_given(STR("GET / HTTP/1.1\r\nX_A: a\rb\r\n\r\n"), 0, &usual), -400);
}
END_TEST

START_TEST(every_byte_of_a_field)
{
	for (int c = 0; c < 256; c++) {
		char text[64];
		int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nA: b?c\r\n\r\n");
		bool good = (c >= 0x20 && c != 0x7f) || c == '\t';

		text[20] = (char)c;
		/* A LF ends the line: "c" is then a line without a colon. */
		ck_assert_int_eq(request_given(str_make(text, (size_t)n), 0, &usual), good ? n : -400);
		ck_assert_int_eq(is_field_value(str_make(text + 19, 3)), good);
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nAbC: c\r\n\r\n");
		text[17] = (char)c;
		good = c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
		ck_assert_int_eq(is_token(str_make(text + 16, 3)), good);
		/* "A:C: c" is field A. */
		ck_assert_int_eq(request_given(str_make(text, (size_t)n), 0, &usual),
		    good || c == ':' ? n : -400);
	}
	ck_assert(!is_token(STR("")));
	ck_assert(is_field_value(STR("")));
	/* At every place of the eight bytes that are looked at together. */
	for (size_t i = 0; i < 20; i++) {
		char text[20];

		memset(text, 'x', sizeof(text));
		text[i] = '\t';
		ck_assert(is_field_value(str_make(text, sizeof(text))));
		text[i] = '\r';
		ck_assert(!is_field_value(str_make(text, sizeof(text))));
		text[i] = (char)0x80;
		ck_assert(is_field_value(str_make(text, sizeof(text))));
		text[i] = 0x7f;
		ck_assert(!is_field_value(str_make(text, sizeof(text))));
	}
}
END_TEST

static const struct {
	struct str text;
	int result;
	unsigned status;
} responses[] = {
#define S(text, result, status)	{ { text, sizeof(text) - 1 }, result, status }
	S("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", FULL, 200),
	S("HTTP/1.0 404 Not Found\n\n", FULL, 404),
	S("HTTP/1.1 200\r\n\r\n", FULL, 200),
	S("HTTP/1.1 200 \r\n\r\n", FULL, 200),
	S("HTTP/1.1 999 Gar\xc3\xa4 \t x\r\n\r\n", FULL, 999),
	S("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 25, 100),
	S("HTTP/1.1 200 OK\r\nX_Y.z: b\r\n\r\n", FULL, 200),
	S("", 0, 0), S("H", 0, 0), S("HTTP/1.", 0, 0), S("HTTP/1.1 200 OK", 0, 0),
	S("HTTP/1.1 200 OK\r\n", 0, 0), S("HTTP/1.1 200 OK\r\nA: b\r\n\r", 0, 0),
	S("\r\nHTTP/1.1 200 OK\r\n\r\n", -400, 0),
	S("<html>", -400, 0), S("HTTQ", -400, 0), S("http/1.1 200 OK\r\n\r\n", -400, 0),
	S("ICY 200 OK\r\n\r\n", -400, 0),
	S("HTTP/2.0 200 OK\r\n\r\n", -400, 0), S("HTTP/0.9 200 OK\r\n\r\n", -400, 0),
	S("HTTP/1.10 200 OK\r\n\r\n", -400, 0), S("HTTP/1 200 OK\r\n\r\n", -400, 0),
	S("HTTP/1.1  200 OK\r\n\r\n", -400, 0), S("HTTP/1.1\t200 OK\r\n\r\n", -400, 0),
	S("HTTP/1.1 20 OK\r\n\r\n", -400, 0), S("HTTP/1.1 2000 OK\r\n\r\n", -400, 0),
	S("HTTP/1.1 099 OK\r\n\r\n", -400, 0), S("HTTP/1.1 -20 OK\r\n\r\n", -400, 0),
	S("HTTP/1.1 2x0 OK\r\n\r\n", -400, 0), S("HTTP/1.1 +20 OK\r\n\r\n", -400, 0),
	S("HTTP/1.1 200OK\r\n\r\n", -400, 0), S("HTTP/1.1 200\tOK\r\n\r\n", -400, 0),
	S("HTTP/1.1 200 O\rK\r\n\r\n", -400, 0), S("HTTP/1.1 200 O\0K\r\n\r\n", -400, 0),
	S("HTTP/1.1\r\n\r\n", -400, 0), S("HTTP/1.1 \r\n\r\n", -400, 0),
	S("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", -400, 0), S("HTTP/1.1 200 OK\r\nA\r\n\r\n", -400, 0),
	S("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", -400, 0),
	S("HTTP/1.1 200 OK\r\n: b\r\n\r\n", -400, 0),
	S("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", -400, 0),
	S("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", -400, 0),
	S("HTTP/1.1 200 OK\r\nA\xff: b\r\n\r\n", -400, 0),
	S("HTTP/1.1 200 OK\r\n1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n\r\n", -494, 0),
};

static ssize_t
response_given(ssize_t (*parse)(const char *, size_t, size_t, struct response_head *), struct str s,
    size_t seen)
{
	char *copy = malloc(s.n == 0 ? 1 : s.n);
	ssize_t result;

	memcpy(copy, s.p, s.n);
	res = (struct response_head){ .items = items, .room = ROOM };
	result = parse(copy, s.n, seen, &res);
	free(copy);
	return (result);
}

START_TEST(response_verdicts)
{
	struct str text = responses[_i].text;
	ssize_t want = responses[_i].result == FULL ? (ssize_t)text.n : responses[_i].result;
	ssize_t got = 0;

	ck_assert_int_eq(response_given(parse_response, text, 0), want);
	if (want > 0)
		ck_assert_uint_eq(res.status, responses[_i].status);
	for (size_t n = 1; got == 0 && n <= text.n; n++)
		got = response_given(parse_response, str_make(text.p, n), n - 1);
	ck_assert_int_eq(got, want);
}
END_TEST

START_TEST(response_contents)
{
	struct str text = STR("HTTP/1.0 302 Moved Away\r\nLocation: /x\r\nSet-Cookie: a\r\n\r\n");

	res = (struct response_head){ .items = items, .room = ROOM };
	ck_assert_int_eq(parse_response(text.p, text.n, 0, &res), (ssize_t)text.n);
	ck_assert_bytes(res.line, "HTTP/1.0 302 Moved Away");
	ck_assert_bytes(res.reason, "Moved Away");
	ck_assert_uint_eq(res.version, 10);
	ck_assert_uint_eq(res.count, 2);
	ck_assert_uint_eq(res.known, FIELD_BIT(FIELD_LOCATION) | FIELD_BIT(FIELD_SET_COOKIE));
}
END_TEST

static const struct {
	struct str text;
	int result;
	unsigned status;
	const char *reason;
} cgis[] = {
#define C(text, result, status, reason)	{ { text, sizeof(text) - 1 }, result, status, reason }
	C("HTTP/1.1 201 Made\r\nA: b\r\n\r\n", FULL, 201, "Made"),
	C("Status: 418 Tea\r\nA: b\r\n\r\n", FULL, 418, "Tea"),
	C("A: b\r\nstatus: 404\r\n\r\n", FULL, 404, ""),
	C("A: b\n\n", FULL, 200, "OK"),
	C("Location: /x\r\n\r\n", FULL, 302, "Moved Temporarily"),
	C("Status: 201 Here\r\nLocation: /x\r\n\r\n", FULL, 201, "Here"),
	C("\r\n", FULL, 200, "OK"), C("\n", FULL, 200, "OK"),
	C("", 0, 0, NULL), C("H", 0, 0, NULL), C("HTTP", 0, 0, NULL),
	C("HTTP/1.1 200 OK\r\n", 0, 0, NULL),
	C("A: b\r\n", 0, 0, NULL), C("\r", 0, 0, NULL),
	C("HTTP/3.1 200 OK\r\n\r\n", -400, 0, NULL),
	C("Status: 20\r\n\r\n", -400, 0, NULL), C("Status: 2000\r\n\r\n", -400, 0, NULL),
	C("Status: abc\r\n\r\n", -400, 0, NULL), C("Status:\r\n\r\n", -400, 0, NULL),
	C("Status: 099 x\r\n\r\n", -400, 0, NULL), C("Status: 200x\r\n\r\n", -400, 0, NULL),
	C("<html>", -400, 0, NULL), C("A\r\n\r\n", -400, 0, NULL),
	C(" A: b\r\n\r\n", -400, 0, NULL),
};

START_TEST(cgi_verdicts)
{
	struct str text = cgis[_i].text;
	ssize_t want = cgis[_i].result == FULL ? (ssize_t)text.n : cgis[_i].result;
	ssize_t got = 0;

	for (size_t n = 1; got == 0 && n <= text.n; n++)
		got = response_given(parse_cgi_response, str_make(text.p, n), n - 1);
	ck_assert_int_eq(got, want);
	res = (struct response_head){ .items = items, .room = ROOM };
	ck_assert_int_eq(parse_cgi_response(text.p, text.n, 0, &res), want);
	if (want > 0) {
		ck_assert_uint_eq(res.status, cgis[_i].status);
		ck_assert_text(res.reason, cgis[_i].reason);
	}
}
END_TEST

START_TEST(methods)
{
	ck_assert_int_eq(method_of(STR("GET")), METHOD_GET);
	ck_assert_int_eq(method_of(STR("PROPPATCH")), METHOD_PROPPATCH);
	ck_assert_int_eq(method_of(STR("UNLOCK")), METHOD_UNLOCK);
	ck_assert_int_eq(method_of(STR("get")), METHOD_OTHER);
	ck_assert_int_eq(method_of(STR("")), METHOD_OTHER);
	ck_assert_int_eq(method_of(STR("GETS")), METHOD_OTHER);
	ck_assert(method_is_idempotent(METHOD_GET));
	ck_assert(method_is_idempotent(METHOD_PUT));
	ck_assert(method_is_idempotent(METHOD_DELETE));
	ck_assert(!method_is_idempotent(METHOD_POST));
	ck_assert(!method_is_idempotent(METHOD_PATCH));
	ck_assert(!method_is_idempotent(METHOD_LOCK));
	ck_assert(!method_is_idempotent(METHOD_OTHER));
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, request_verdicts, 0, ROWS(requests));
	tcase_add_loop_test(tcase, requests_in_pieces, 0, ROWS(requests));
	tcase_add_test(tcase, request_contents);
	tcase_add_test(tcase, odd_names);
	tcase_add_test(tcase, every_byte_of_a_field);
	tcase_add_loop_test(tcase, response_verdicts, 0, ROWS(responses));
	tcase_add_test(tcase, response_contents);
	tcase_add_loop_test(tcase, cgi_verdicts, 0, ROWS(cgis));
	tcase_add_test(tcase, methods);
}

int
main(void)
{
	return (unit_main("http/parse", add));
}
