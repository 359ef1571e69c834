/* proxy/http/framing.c */
#include "../unit.h"
#include "http/framing.h"

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

/* NULL: the field is not there; "|" separates the values of repeated ones. */
static void
fields_make(const char *length, const char *coding)
{
	struct str rest, item;

	(void)fields_add(&f, pool, STR("Host"), STR("a"));
	for (rest = str_from(length); str_cut(&rest, '|', &item);)
		(void)fields_add(&f, pool, STR("content-length"), item);
	for (rest = str_from(coding); str_cut(&rest, '|', &item);)
		(void)fields_add(&f, pool, STR("Transfer-encoding"), item);
}

static const struct {
	unsigned version;
	const char *length, *coding;
	int status;
	enum framing_kind kind;
	uint64_t left;
} request_framings[] = {
	{ 11, NULL, NULL, 0, FRAMING_NONE, 0 }, { 10, NULL, NULL, 0, FRAMING_NONE, 0 },
	{ 9, NULL, NULL, 0, FRAMING_NONE, 0 },
	{ 11, "5", NULL, 0, FRAMING_LENGTH, 5 }, { 10, "5", NULL, 0, FRAMING_LENGTH, 5 },
	{ 11, "0", NULL, 0, FRAMING_NONE, 0 }, { 11, "005", NULL, 0, FRAMING_LENGTH, 5 },
	{ 11, "9223372036854775807", NULL, 0, FRAMING_LENGTH, INT64_MAX },
	{ 11, NULL, "chunked", 0, FRAMING_CHUNKED, 0 },
	{ 11, NULL, "ChUnKeD", 0, FRAMING_CHUNKED, 0 },
	/* Lengths that are none. */
	{ 11, "", NULL, -400, 0, 0 }, { 11, "+5", NULL, -400, 0, 0 },
	{ 11, "-5", NULL, -400, 0, 0 },
	{ 11, "-0", NULL, -400, 0, 0 }, { 11, "5 ", NULL, -400, 0, 0 },
	{ 11, "5,5", NULL, -400, 0, 0 },
	{ 11, "5, 5", NULL, -400, 0, 0 }, { 11, "5,6", NULL, -400, 0, 0 },
	{ 11, "0x5", NULL, -400, 0, 0 },
	{ 11, "5.0", NULL, -400, 0, 0 }, { 11, "1e3", NULL, -400, 0, 0 },
	{ 11, "five", NULL, -400, 0, 0 },
	{ 11, "5;", NULL, -400, 0, 0 }, { 11, "\"5\"", NULL, -400, 0, 0 },
	{ 11, "5 5", NULL, -400, 0, 0 },
	{ 11, "9223372036854775808", NULL, -400, 0, 0 },
	{ 11, "18446744073709551616", NULL, -400, 0, 0 },
	{ 11, "18446744073709551621", NULL, -400, 0, 0 },
	/* Repeated, both. */
	{ 11, "5|5", NULL, -400, 0, 0 }, { 11, "5|6", NULL, -400, 0, 0 },
	{ 11, "0|0", NULL, -400, 0, 0 },
	{ 11, "5", "chunked", -400, 0, 0 }, { 11, "0", "chunked", -400, 0, 0 },
	{ 11, "x", "x", -400, 0, 0 },
	{ 11, "5", "identity", -400, 0, 0 },
	{ 11, NULL, "chunked|chunked", -400, 0, 0 }, { 11, NULL, "gzip|chunked", -400, 0, 0 },
	{ 11, NULL, "chunked|identity", -400, 0, 0 }, { 11, NULL, "|chunked", -400, 0, 0 },
	{ 10, NULL, "chunked", -400, 0, 0 }, { 9, NULL, "chunked", -400, 0, 0 },
	{ 10, "5", "chunked", -400, 0, 0 },
	{ 10, NULL, "gzip", -400, 0, 0 },
	/* Codings. */
	{ 11, NULL, "gzip, chunked", -501, 0, 0 }, { 11, NULL, "identity", -501, 0, 0 },
	{ 11, NULL, "gzip", -501, 0, 0 },
	{ 11, NULL, "chunked, gzip", -501, 0, 0 }, { 11, NULL, "chunked, chunked", -501, 0, 0 },
	{ 11, NULL, "", -501, 0, 0 }, { 11, NULL, "chunked;q=1", -501, 0, 0 },
	{ 11, NULL, "xchunked", -501, 0, 0 },
	{ 11, NULL, "\"chunked\"", -501, 0, 0 }, { 11, NULL, "chunked,", -501, 0, 0 },
	{ 11, NULL, "chunke", -501, 0, 0 },
	{ 11, NULL, "\x0b" "chunked", -501, 0, 0 },
};

START_TEST(of_request)
{
	struct framing framing;

	fields_make(request_framings[_i].length, request_framings[_i].coding);
	ck_assert_int_eq(framing_of_request(request_framings[_i].version, &f, &framing),
	    request_framings[_i].status);
	if (request_framings[_i].status != 0)
		return;
	ck_assert_int_eq(framing.kind, request_framings[_i].kind);
	ck_assert_uint_eq(framing.length, request_framings[_i].left);
}
END_TEST

static const struct {
	unsigned version, status;
	enum method method;
	const char *length, *coding;
	int result;
	enum framing_kind kind;
	uint64_t left;
} response_framings[] = {
	{ 11, 200, METHOD_GET, NULL, NULL, 0, FRAMING_CLOSE, 0 },
	{ 10, 200, METHOD_GET, NULL, NULL, 0, FRAMING_CLOSE, 0 },
	{ 11, 200, METHOD_GET, "5", NULL, 0, FRAMING_LENGTH, 5 },
	{ 11, 200, METHOD_GET, "0", NULL, 0, FRAMING_LENGTH, 0 },
	{ 11, 200, METHOD_GET, NULL, "Chunked", 0, FRAMING_CHUNKED, 0 },
	{ 11, 404, METHOD_POST, "5", NULL, 0, FRAMING_LENGTH, 5 },
	{ 11, 200, METHOD_HEAD, "5", NULL, 0, FRAMING_NONE, 0 },
	{ 11, 200, METHOD_HEAD, NULL, "chunked", 0, FRAMING_NONE, 0 },
	{ 11, 200, METHOD_HEAD, NULL, NULL, 0, FRAMING_NONE, 0 },
	{ 11, 204, METHOD_GET, "5", NULL, 0, FRAMING_NONE, 0 },
	{ 11, 304, METHOD_GET, "5", NULL, 0, FRAMING_NONE, 0 },
	{ 11, 304, METHOD_GET, NULL, "chunked", 0, FRAMING_NONE, 0 },
	{ 11, 100, METHOD_GET, NULL, NULL, 0, FRAMING_NONE, 0 },
	{ 11, 101, METHOD_GET, NULL, NULL, 0, FRAMING_NONE, 0 },
	{ 11, 205, METHOD_GET, NULL, NULL, 0, FRAMING_CLOSE, 0 },
	{ 11, 200, METHOD_GET, "5", "chunked", -1, 0, 0 },
	{ 11, 200, METHOD_GET, "5|5", NULL, -1, 0, 0 },
	{ 11, 200, METHOD_GET, "5,5", NULL, -1, 0, 0 },
	{ 11, 200, METHOD_GET, "-5", NULL, -1, 0, 0 },
	{ 11, 200, METHOD_GET, "", NULL, -1, 0, 0 },
	{ 11, 200, METHOD_GET, "9223372036854775808", NULL, -1, 0, 0 },
	{ 10, 200, METHOD_GET, NULL, "chunked", -1, 0, 0 },
	{ 11, 200, METHOD_GET, NULL, "gzip, chunked", -1, 0, 0 },
	{ 11, 200, METHOD_GET, NULL, "identity", -1, 0, 0 },
	{ 11, 200, METHOD_GET, NULL, "chunked|chunked", -1, 0, 0 },
	{ 11, 200, METHOD_HEAD, "5", "chunked", -1, 0, 0 },
	{ 11, 304, METHOD_GET, "x", NULL, -1, 0, 0 },
};

START_TEST(of_response)
{
	struct framing framing;

	fields_make(response_framings[_i].length, response_framings[_i].coding);
	ck_assert_int_eq(framing_of_response(response_framings[_i].version,
	    response_framings[_i].status, response_framings[_i].method, &f, &framing), response_framings[_i].result);
	if (response_framings[_i].result != 0)
		return;
	ck_assert_int_eq(framing.kind, response_framings[_i].kind);
	ck_assert_uint_eq(framing.length, response_framings[_i].left);
}
END_TEST

/* A whole stream through a decoder, step bytes at a time. */
static int
decode(struct framing_decoder *d, struct str s, size_t step, char *body, size_t *length,
    size_t *used)
{
	size_t skip, data, n, at = 0;
	int result = 0;

	*length = 0;
	while (result == 0 && at < s.n) {
		/* An exact copy: what is read past its end is seen by ASan. */
		char *copy;

		n = s.n - at < step ? s.n - at : step;
		copy = memcpy(malloc(n), s.p + at, n);
		result = framing_decode(d, copy, n, &skip, &data);
		if (result >= 0) {
			ck_assert_uint_le(skip + data, n);
			ck_assert(result == 1 || skip + data > 0);
			memcpy(body + *length, copy + skip, data);
			*length += data;
			at += skip + data;
		}
		free(copy);
	}
	*used = at;
	return (result);
}

#define FULL	SIZE_MAX
static const struct {
	struct str text;
	int result;
	const char *body;	/* of good or partial ones */
	size_t used;		/* behind it the next message begins */
} chunks[] = {
#define C(text, result, body, used)	{ { text, sizeof(text) - 1 }, result, body, used }
	C("0\r\n\r\n", 1, "", FULL), C("5\r\nhello\r\n0\r\n\r\n", 1, "hello", FULL),
	C("000\r\n\r\n", 1, "", FULL),
	C("00000000000000000000005\r\nhello\r\n0\r\n\r\n", 1, "hello", FULL),
	C("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /", 1, "hello!", 21),
	C("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n\r\n", 1, "01234567890123456789", 35),
	C("1\r\n\n\r\n0\r\n\r\n", 1, "\n", FULL), C("2\r\n\r\n\r\n0\r\n\r\n", 1, "\r\n", FULL),
	/* Extensions. */
	C("1;a\r\nx\r\n0;b=c\r\n\r\n", 1, "x", FULL),
	C("1;a=b;c=\"d;\\\"e\";f\r\nx\r\n0\r\n\r\n", 1, "x", FULL),
	C("1; a = b ; c\r\nx\r\n0\r\n\r\n", 1, "x", FULL),
	C("1;a=\"\"\r\nx\r\n0\r\n\r\n", 1, "x", FULL),
	C("1;a=\" \t\xc3\"\r\nx\r\n0\r\n\r\n", 1, "x", FULL),
	/* Trailers. */
	C("0\r\nA: b\r\nC-D:\r\n\r\nx", 1, "", 17), C("0\r\nA:\tb c\r\n\r\n", 1, "", FULL),
	/* Not all there. */
	C("", 0, "", FULL), C("5", 0, "", FULL), C("5\r", 0, "", FULL), C("5\r\n", 0, "", FULL),
	C("5\r\nhel", 0, "hel", FULL), C("5\r\nhello", 0, "hello", FULL),
	C("5\r\nhello\r\n", 0, "hello", FULL),
	C("0\r\n", 0, "", FULL), C("0\r\n\r", 0, "", FULL), C("0\r\nA: b\r\n", 0, "", FULL),
	/* Sizes that are none. */
	C("\r\n", -400, "", 0), C(" 5\r\nhello\r\n", -400, "", 0), C("\t5\r\n", -400, "", 0),
	C("+5\r\n", -400, "", 0),
	C("-5\r\n", -400, "", 0), C("-0\r\n", -400, "", 0), C("0x5\r\n", -400, "", 0),
	C("5 \r\nhello", -400, "", 0),
	C("5\t\r\nhello", -400, "", 0), C("5 ;a\r\nhello", -400, "", 0), C("g\r\n", -400, "", 0),
	C("5g\r\n", -400, "", 0),
	C(";a\r\n", -400, "", 0), C("5,\r\n", -400, "", 0), C("5.0\r\n", -400, "", 0),
	C("5_0\r\n", -400, "", 0),
	C("8000000000000000\r\n", -400, "", 0), C("ffffffffffffffff\r\n", -400, "", 0),
	C("10000000000000000\r\n", -400, "", 0), C("fffffffffffffffff0\r\n", -400, "", 0),
	C("10000000000000005\r\nhello\r\n", -400, "", 0), C("\0\r\n", -400, "", 0),
	C("5\0\r\n", -400, "", 0),
	/* Line ends. */
	C("5\nhello\r\n", -400, "", 0), C("5\r\rhello", -400, "", 0), C("5\rhello", -400, "", 0),
	C("5\r\nhello\n", -400, "", 0),
	C("5\r\nhello0\r\n", -400, "", 0), C("5\r\nhello\r0\r\n", -400, "", 0),
	C("5\r\nhellox\r\n", -400, "", 0),
	C("5\r\nhello\r\n\r\n", -400, "", 0), C("5\r\nhello\r\r\n", -400, "", 0),
	C("0\n\n", -400, "", 0), C("0\r\n\n", -400, "", 0),
	C("0\r\n\r\r", -400, "", 0), C("0\r\n\rx", -400, "", 0), C("0\r\nA: b\n\r\n", -400, "", 0),
	C("0\n\r\n", -400, "", 0),
	/* Extensions that are none. */
	C("1;\r\n", -400, "", 0), C("1;;a\r\n", -400, "", 0), C("1;=b\r\n", -400, "", 0),
	C("1;a=\r\n", -400, "", 0),
	C("1;a b\r\n", -400, "", 0), C("1;a=b c\r\n", -400, "", 0), C("1;a=\"b\r\n", -400, "", 0),
	C("1;a=\"b\"c\r\n", -400, "", 0),
	C("1;a=b\nx\r\n", -400, "", 0), C("1;a\nx", -400, "", 0), C("1;a=\"\n\"\r\n", -400, "", 0),
	C("1;a=\"\\\n\"\r\n", -400, "", 0),
	C("1;a\0\r\n", -400, "", 0), C("1;a=\"\0\"\r\n", -400, "", 0), C("1;a/b\r\n", -400, "", 0),
	C("1;a=b\rx", -400, "", 0),
	C("1;a\x80\r\n", -400, "", 0), C("1;a==b\r\n", -400, "", 0),
	/* Trailers that are none. */
	C("0\r\nA b\r\n\r\n", -400, "", 0), C("0\r\n A: b\r\n\r\n", -400, "", 0),
	C("0\r\nA: b\r\n c\r\n\r\n", -400, "", 0),
	C("0\r\nA : b\r\n\r\n", -400, "", 0), C("0\r\n: b\r\n\r\n", -400, "", 0),
	C("0\r\nA\r\n\r\n", -400, "", 0),
	C("0\r\nA: b\rc\r\n\r\n", -400, "", 0), C("0\r\nA: \0\r\n\r\n", -400, "", 0),
	C("0\r\nGET / HTTP/1.1\r\n\r\n", -400, "", 0),
};

START_TEST(decoding_chunks)
{
	static const struct framing chunked = { FRAMING_CHUNKED, 0 };
	struct str text = chunks[_i].text;

	for (size_t step = 1; step <= text.n + 1; step++) {
		struct framing_decoder d;
		size_t length, used;
		char body[64];

		framing_decoder_init(&d, &chunked);
		ck_assert_int_eq(decode(&d, text, step, body, &length, &used), chunks[_i].result);
		ck_assert_int_eq(d.done, chunks[_i].result == 1);
		ck_assert_int_eq(framing_decode_eof(&d), chunks[_i].result == 1 ? 0 : -1);
		if (chunks[_i].result < 0) {
			size_t skip, data;

			/* It stays refused. */
			ck_assert_int_eq(framing_decode(&d, "0\r\n\r\n", 5, &skip, &data), -400);
			continue;
		}
		ck_assert_text(str_make(body, length), chunks[_i].body);
		ck_assert_uint_eq(used, chunks[_i].used == FULL ? text.n : chunks[_i].used);
	}
}
END_TEST

START_TEST(what_is_left)
{
	static const struct framing chunked = { FRAMING_CHUNKED, 0 };
	static const struct framing length = { FRAMING_LENGTH, 100 };
	static const struct framing closed = { FRAMING_CLOSE, 0 };
	static const struct framing none = { FRAMING_NONE, 0 };
	static const struct framing empty = { FRAMING_LENGTH, 0 };
	struct framing_decoder d;
	char bytes[200] = { 0 };
	size_t skip, data;

	framing_decoder_init(&d, &length);
	ck_assert_uint_eq(framing_decoder_left(&d), 100);
	ck_assert_int_eq(framing_decode(&d, bytes, 60, &skip, &data), 0);
	ck_assert_uint_eq(data, 60);
	ck_assert_uint_eq(framing_decoder_left(&d), 40);
	ck_assert_int_eq(framing_decode_eof(&d), -1);
	ck_assert_int_eq(framing_decode(&d, bytes, 60, &skip, &data), 1);
	ck_assert_uint_eq(skip, 0);
	ck_assert_uint_eq(data, 40);
	ck_assert_int_eq(framing_decode_eof(&d), 0);
	ck_assert_int_eq(framing_decode(&d, bytes, 60, &skip, &data), 1);
	ck_assert_uint_eq(data, 0);

	framing_decoder_init(&d, &chunked);
	ck_assert_int_eq(framing_decode(&d, "1", 1, &skip, &data), 0);
	ck_assert_uint_eq(framing_decoder_left(&d), 0);
	ck_assert_int_eq(framing_decode(&d, "0\r\nabc", 6, &skip, &data), 0);
	ck_assert_uint_eq(skip, 3);
	ck_assert_uint_eq(data, 3);
	ck_assert_uint_eq(framing_decoder_left(&d), 13);
	ck_assert_int_eq(framing_decode(&d, bytes, 13, &skip, &data), 0);
	ck_assert_uint_eq(framing_decoder_left(&d), 0);
	ck_assert_int_eq(framing_decode_eof(&d), -1);

	framing_decoder_init(&d, &closed);
	ck_assert_int_eq(framing_decode(&d, bytes, 60, &skip, &data), 0);
	ck_assert_uint_eq(data, 60);
	ck_assert_uint_eq(framing_decoder_left(&d), 0);
	ck_assert_int_eq(framing_decode_eof(&d), 0);
	ck_assert(d.done);

	framing_decoder_init(&d, &none);
	ck_assert_int_eq(framing_decode(&d, bytes, 60, &skip, &data), 1);
	ck_assert_uint_eq(skip + data, 0);
	framing_decoder_init(&d, &empty);
	ck_assert_int_eq(framing_decode_eof(&d), 0);
}
END_TEST

/* head, count times fill, tail; what the decoder says. */
static int
decode_long(const char *head, char fill, size_t count, const char *tail)
{
	static const struct framing chunked = { FRAMING_CHUNKED, 0 };
	struct framing_decoder d;
	char *text = malloc(count);
	struct str parts[] = { str_from(head), str_make(text, count), str_from(tail) };
	size_t length, used;
	char body[16];

	memset(text, fill, count);
	framing_decoder_init(&d, &chunked);
	for (unsigned i = 0; i < 2; i++)
		if (decode(&d, parts[i], 4096, body, &length, &used) < 0) {
			free(text);
			return (-400);
		}
	free(text);
	return (decode(&d, parts[2], 4096, body, &length, &used));
}

START_TEST(bounds)
{
	ck_assert_int_eq(decode_long("0;a=", 'x', 900, "\r\n\r\n"), 1);
	ck_assert_int_eq(decode_long("0;a=", 'x', 1100, "\r\n\r\n"), -400);
	ck_assert_int_eq(decode_long("", '0', 900, "\r\n\r\n"), 1);
	ck_assert_int_eq(decode_long("", '0', 1100, "\r\n\r\n"), -400);
	ck_assert_int_eq(decode_long("0\r\nA: ", 'x', 8000, "\r\n\r\n"), 1);
	ck_assert_int_eq(decode_long("0\r\nA: ", 'x', 8200, "\r\n\r\n"), -400);
	/* Each chunk line has its own bound. */
	ck_assert_int_eq(decode_long("1;a\r\nx\r\n0;a=", 'x', 1000, "\r\n\r\n"), 1);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, of_request, 0, ROWS(request_framings));
	tcase_add_loop_test(tcase, of_response, 0, ROWS(response_framings));
	tcase_add_loop_test(tcase, decoding_chunks, 0, ROWS(chunks));
	tcase_add_test(tcase, what_is_left);
	tcase_add_test(tcase, bounds);
}

int
main(void)
{
	return (unit_main("http/framing", add));
}
