/* proxy/base/encode.c */
#include "../unit.h"
#include "base/encode.h"

static struct pool *pool;

static void
setup(void)
{
	pool = pool_new(0);
}

static void
teardown(void)
{
	pool_free(pool);
}

static const struct {
	enum escape_set set;
	const char *in, *out;
} uris[] = {
	{ ESCAPE_URI, "/a b", "/a%20b" }, { ESCAPE_URI, "/a?b#c%", "/a%3Fb%23c%25" },
	{ ESCAPE_URI, "/\x01\x7f\xc3\xa4", "/%01%7F%C3%A4" },
	{ ESCAPE_URI, "/a&b+c;d=e:@", "/a&b+c;d=e:@" },
	{ ESCAPE_URI, "\"<>\\^`{|}", "%22%3C%3E%5C%5E%60%7B%7C%7D" }, { ESCAPE_URI, "", "" },
	{ ESCAPE_ARGS, "a&b+c;d e", "a%26b%2Bc%3Bd%20e" }, { ESCAPE_ARGS, "a=b/c", "a=b/c" },
	{ ESCAPE_URI_COMPONENT, "a/b=c:d@e~f-g.h_i", "a%2Fb%3Dc%3Ad%40e~f-g.h_i" },
};

START_TEST(uri)
{
	ck_assert_text(encode_uri(pool, str_from(uris[_i].in), uris[_i].set), uris[_i].out);
}
END_TEST

START_TEST(component_escapes_all_but_unreserved)
{
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || (c != 0 && strchr("-._~", c) != NULL);

		ck_assert_uint_eq(encode_uri(pool, str_make(&byte, 1), ESCAPE_URI_COMPONENT).n,
		    plain ? 1 : 3);
	}
}
END_TEST

START_TEST(log_lines)
{
	struct str plain = STR("GET / HTTP/1.1");

	ck_assert_ptr_eq(encode_log(pool, plain, LOG_ESCAPE_DEFAULT).p, plain.p);
	ck_assert_bytes(encode_log(pool, STR("a\"b\\c\x1f\x7f\xff~ "), LOG_ESCAPE_DEFAULT),
	    "a\\x22b\\x5Cc\\x1F\\x7F\\xFF~ ");
	ck_assert_bytes(encode_log(pool, STR("\0\n\r\t\b\f\"\\\x1b\x7f\xc3\xa4"), LOG_ESCAPE_JSON),
	    "\\u0000\\n\\r\\t\\b\\f\\\"\\\\\\u001B\x7f\xc3\xa4");
	ck_assert_bytes(encode_log(pool, STR("a\"\n"), LOG_ESCAPE_NONE), "a\"\n");
}
END_TEST

static const struct {
	const char *plain, *text;
} base64s[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" },
	{ "user:pass", "dXNlcjpwYXNz" }, { ">>>???", "Pj4+Pz8/" },
};

START_TEST(html)
{
	struct str plain = STR("a'b/\xff");

	ck_assert_ptr_eq(encode_html(pool, plain).p, plain.p);
	ck_assert_bytes(encode_html(pool, STR("<a href=\"x\">&amp;")),
	    "&lt;a href=&quot;x&quot;&gt;&amp;amp;");
}
END_TEST

START_TEST(base64)
{
	struct str out, text = str_from(base64s[_i].text);

	ck_assert_text(encode_base64(pool, str_from(base64s[_i].plain)), base64s[_i].text);
	ck_assert(decode_base64(pool, text, &out));
	ck_assert_text(out, base64s[_i].plain);
	while (text.n > 0 && text.p[text.n - 1] == '=')
		text.n--;
	ck_assert(decode_base64(pool, text, &out));
	ck_assert_text(out, base64s[_i].plain);
}
END_TEST

static const char *const bad_base64[] = { "Z", "Zm9vY", "Zg=", "Zg===", "=", "==", "Z===", "Zm9v=",
	"Zm 9v", "Zm9v\n", "Zm9-", "Zg==Zg==", "Z=m9" };

START_TEST(base64_refused)
{
	struct str out;

	ck_assert(!decode_base64(pool, str_from(bad_base64[_i]), &out));
}
END_TEST

START_TEST(base64_every_length)
{
	char bytes[80];

	for (size_t n = 0; n < sizeof(bytes); n++) {
		struct str out;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(i * 37 + n);
		ck_assert(decode_base64(pool, encode_base64(pool, str_make(bytes, n)), &out));
		ck_assert(str_eq(out, str_make(bytes, n)));
	}
}
END_TEST

static const struct {
	uint64_t value;
	const char *decimal, *hex;
} numbers[] = {
	{ 0, "0", "0" }, { 9, "9", "9" }, { 10, "10", "a" }, { 255, "255", "ff" },
	{ 4096, "4096", "1000" }, { UINT64_MAX, "18446744073709551615", "ffffffffffffffff" },
	{ 1ULL << 60, "1152921504606846976", "1000000000000000" },
};

START_TEST(number_texts)
{
	char out[UINT_TEXT_LEN];

	ck_assert_text(str_make(out, encode_uint(out, numbers[_i].value)), numbers[_i].decimal);
	ck_assert_text(str_make(out, encode_uint_hex(out, numbers[_i].value)), numbers[_i].hex);
}
END_TEST

START_TEST(hex)
{
	const char *digits = "0123456789abcdef", *upper = "0123456789ABCDEF";

	ck_assert_bytes(encode_hex(pool, STR("\0\x7f\xff")), "007fff");
	for (int c = 0; c < 256; c++) {
		const char *hit = c == 0 ? NULL : strchr(digits, c);
		const char *also = c == 0 ? NULL : strchr(upper, c);

		ck_assert_int_eq(hex_digit((unsigned char)c),
		    hit != NULL ? (int)(hit - digits) : also != NULL ? (int)(also - upper) : -1);
	}
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, uri, 0, ROWS(uris));
	tcase_add_test(tcase, component_escapes_all_but_unreserved);
	tcase_add_test(tcase, log_lines);
	tcase_add_test(tcase, html);
	tcase_add_loop_test(tcase, base64, 0, ROWS(base64s));
	tcase_add_loop_test(tcase, base64_refused, 0, ROWS(bad_base64));
	tcase_add_test(tcase, base64_every_length);
	tcase_add_loop_test(tcase, number_texts, 0, ROWS(numbers));
	tcase_add_test(tcase, hex);
}

int
main(void)
{
	return (unit_main("base/encode", add));
}
