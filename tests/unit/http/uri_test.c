/* proxy/http/uri.c */
#include "../unit.h"
#include "http/uri.h"

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

#define S(text)	{ text, sizeof(text) - 1 }

static const struct {
	struct str target;
	int status;
	const char *scheme, *authority, *path, *args;	/* args NULL: none */
} targets[] = {
	{ S("/"), 0, "", "", "/", NULL },
	{ S("/a/b?c=d"), 0, "", "", "/a/b", "c=d" },
	{ S("/a?"), 0, "", "", "/a", "" },
	{ S("/a?b?c"), 0, "", "", "/a", "b?c" },
	{ S("/a#b"), -400, "", "", "", NULL },
	{ S("/a#b?c"), -400, "", "", "", NULL },
	{ S("/a?b#c?d"), -400, "", "", "", NULL },
	{ S("//a"), 0, "", "", "//a", NULL },
	{ S("/%00"), 0, "", "", "/%00", NULL },
	{ S("/\xc3\xa4"), 0, "", "", "/\xc3\xa4", NULL },
	{ S("/a:b@c"), 0, "", "", "/a:b@c", NULL },
	{ S("*"), 0, "", "", "*", NULL },
	{ S("http://ex.org/a?b"), 0, "http", "ex.org", "/a", "b" },
	{ S("HTTPS://ex.org:8080"), 0, "HTTPS", "ex.org:8080", "/", NULL },
	{ S("http://ex.org?b"), 0, "http", "ex.org", "/", "b" },
	{ S("http://ex.org#b"), -400, "", "", "", NULL },
	{ S("http://[::1]:80/"), 0, "http", "[::1]:80", "/", NULL },
	{ S(""), -400, "", "", "", NULL }, { S("a"), -400, "", "", "", NULL },
	{ S("?a"), -400, "", "", "", NULL }, { S("#"), -400, "", "", "", NULL },
	{ S("**"), -400, "", "", "", NULL }, { S("*/"), -400, "", "", "", NULL },
	{ S("a/b"), -400, "", "", "", NULL }, { S("\\a"), -400, "", "", "", NULL },
	{ S("ex.org:443"), -400, "", "", "", NULL }, { S("http:"), -400, "", "", "", NULL },
	{ S("http:/a"), -400, "", "", "", NULL }, { S("http://"), -400, "", "", "", NULL },
	{ S("http:///a"), -400, "", "", "", NULL }, { S("http://?a"), -400, "", "", "", NULL },
	{ S("http://u@ex.org/"), -400, "", "", "", NULL },
	{ S("http://u:p@ex.org/"), -400, "", "", "", NULL },
	{ S("http://ex.org:x/"), -400, "", "", "", NULL },
	{ S("http://ex.org:99999/"), -400, "", "", "", NULL },
	{ S("http://[::1/"), -400, "", "", "", NULL },
	{ S("http://a\\b/"), -400, "", "", "", NULL },
	{ S("ftp://ex.org/"), -400, "", "", "", NULL }, { S("://ex.org/"), -400, "", "", "", NULL },
	{ S("httpx://ex.org/"), -400, "", "", "", NULL },
	{ S("file:///etc/passwd"), -400, "", "", "", NULL },
	{ S("/a b"), -400, "", "", "", NULL }, { S("/a\tb"), -400, "", "", "", NULL },
	{ S("/a\0b"), -400, "", "", "", NULL }, { S("/a?b\x7f"), -400, "", "", "", NULL },
	{ S("/a\r\nb"), -400, "", "", "", NULL },
};

START_TEST(splitting)
{
	struct uri_target t;

	ck_assert_int_eq(uri_split(targets[_i].target, &t), targets[_i].status);
	if (targets[_i].status != 0)
		return;
	ck_assert_text(t.scheme, targets[_i].scheme);
	ck_assert_text(t.authority, targets[_i].authority);
	ck_assert_int_eq(t.authority.p != NULL, targets[_i].authority[0] != '\0');
	ck_assert_text(t.path, targets[_i].path);
	ck_assert_int_eq(t.has_args, targets[_i].args != NULL);
	ck_assert_int_eq(t.args.p != NULL, targets[_i].args != NULL);
	ck_assert_text(t.args, targets[_i].args);
}
END_TEST

#define BAD	"(400)"
static const struct {
	struct str path;
	const char *merged, *unmerged;
} paths[] = {
	{ S("/"), "/", "/" }, { S("/a"), "/a", "/a" }, { S("/a/"), "/a/", "/a/" },
	{ S("/a/b.c"), "/a/b.c", "/a/b.c" }, { S("*"), "*", "*" },
	{ S("//"), "/", "//" }, { S("///a//b//"), "/a/b/", "///a//b//" },
	{ S("/."), "/", "/" }, { S("/./"), "/", "/" }, { S("/a/."), "/a/", "/a/" },
	{ S("/a/./b"), "/a/b", "/a/b" }, { S("/./a"), "/a", "/a" },
	{ S("/a/.."), "/", "/" }, { S("/a/../"), "/", "/" }, { S("/a/../b"), "/b", "/b" },
	{ S("/a/b/../c"), "/a/c", "/a/c" }, { S("/a/b/../../c"), "/c", "/c" },
	{ S("/a/b/.."), "/a/", "/a/" },
	{ S("/a//../b"), "/b", "/a/b" }, { S("/a//.."), "/", "/a/" },
	{ S("/a/..//b"), "/b", "//b" },
	{ S("/a/.//b"), "/a/b", "/a//b" },
	{ S("/..."), "/...", "/..." }, { S("/.../b"), "/.../b", "/.../b" },
	{ S("/a.."), "/a..", "/a.." },
	{ S("/a../b"), "/a../b", "/a../b" }, { S("/..a/b"), "/..a/b", "/..a/b" },
	{ S("/.a"), "/.a", "/.a" }, { S("/a./b"), "/a./b", "/a./b" },
	{ S("/a/b/c/../../../d"), "/d", "/d" },
	/* Above the root. */
	{ S("/.."), BAD, BAD }, { S("/../"), BAD, BAD }, { S("/../a"), BAD, BAD },
	{ S("/a/../.."), BAD, BAD }, { S("/a/../../b"), BAD, BAD }, { S("/./.."), BAD, BAD },
	{ S("//.."), BAD, "/" }, { S("//../.."), BAD, BAD },
	{ S("/%2e%2e"), BAD, BAD }, { S("/%2E./a"), BAD, BAD },
	{ S("/a/%2e%2e/%2e%2e/b"), BAD, BAD },
	{ S("/..%2fetc"), BAD, BAD },
	/* Escapes. */
	{ S("/%41%62"), "/Ab", "/Ab" }, { S("/a%20b"), "/a b", "/a b" },
	{ S("/a%2Fb"), "/a/b", "/a/b" }, { S("/a%2f%2Fb"), "/a/b", "/a//b" },
	{ S("/a/%2e%2e/b"), "/b", "/b" }, { S("/a/%2e/b"), "/a/b", "/a/b" },
	{ S("/a%2f..%2fb"), "/b", "/b" },
	{ S("/a%3Fb"), "/a?b", "/a?b" }, { S("/a%23b"), "/a#b", "/a#b" },
	{ S("/a%25b"), "/a%b", "/a%b" }, { S("/%2541"), "/%41", "/%41" },
	{ S("/%252e%252e/a"), "/%2e%2e/a", "/%2e%2e/a" },
	{ S("/%c3%A4"), "/\xc3\xa4", "/\xc3\xa4" }, { S("/%0a"), "/\n", "/\n" },
	{ S("/a+b"), "/a+b", "/a+b" },
	{ S("/%00"), BAD, BAD }, { S("/a%00.jpg"), BAD, BAD }, { S("/a\0b"), BAD, BAD },
	{ S("/%"), BAD, BAD }, { S("/%4"), BAD, BAD }, { S("/%g1"), BAD, BAD },
	{ S("/%1g"), BAD, BAD },
	{ S("/%%41"), BAD, BAD }, { S("/%-1"), BAD, BAD }, { S("/% 1"), BAD, BAD },
	{ S("/a%2"), BAD, BAD },
	{ S(""), BAD, BAD }, { S("a"), BAD, BAD }, { S("../a"), BAD, BAD }, { S("%2fa"), BAD, BAD },
};

static const char *
normalized(struct str path, bool merge)
{
	/* An exact copy: reading past its end is seen by ASan. */
	char *copy = malloc(path.n == 0 ? 1 : path.n);
	struct str out;
	const char *text;

	memcpy(copy, path.p, path.n);
	text = uri_normalize(pool, str_make(copy, path.n), merge, &out) == 0 ?
	    pool_cstr(pool, out) : BAD;
	free(copy);
	return (text);
}

START_TEST(normalizing)
{
	ck_assert_str_eq(normalized(paths[_i].path, true), paths[_i].merged);
	ck_assert_str_eq(normalized(paths[_i].path, false), paths[_i].unmerged);
}
END_TEST

START_TEST(normal_is_not_copied)
{
	struct str path = STR("/tiles/0/1/2.jpg"), out;

	ck_assert_int_eq(uri_normalize(pool, path, true, &out), 0);
	ck_assert_ptr_eq(out.p, path.p);
}
END_TEST

static const struct {
	const char *path, *extension;
} extensions[] = {
	{ "/a.jpg", "jpg" }, { "/a.tar.gz", "gz" }, { "/a", "" }, { "/a.b/c", "" },
	{ "/.bashrc", "" },
	{ "/a/.b", "" }, { "/a/.b.c", "c" }, { "/a.", "" }, { "/", "" }, { "", "" },
	{ "/a..b", "b" },
	{ "a.b", "b" },
};

START_TEST(extension)
{
	ck_assert_text(uri_extension(str_from(extensions[_i].path)), extensions[_i].extension);
}
END_TEST

START_TEST(dotdot)
{
	ck_assert(uri_has_dotdot(STR("/a/../b")));
	ck_assert(uri_has_dotdot(STR("..")));
	ck_assert(uri_has_dotdot(STR("/a/..")));
	ck_assert(uri_has_dotdot(STR("../a")));
	ck_assert(!uri_has_dotdot(STR("/a/...")));
	ck_assert(!uri_has_dotdot(STR("/a..b/..c/d..")));
	ck_assert(!uri_has_dotdot(STR("")));
	ck_assert(!uri_has_dotdot(STR_NULL));
}
END_TEST

static const struct {
	struct str value;
	const char *host, *port;	/* host NULL: -400; port NULL: none */
} hosts[] = {
	{ S("ex.org"), "ex.org", NULL }, { S("EX.Org:8080"), "ex.org", "8080" },
	{ S("ex.org."), "ex.org", NULL },
	{ S("Ex.org.:80"), "ex.org", "80" }, { S("ex.org:"), "ex.org", "" },
	{ S("127.0.0.1:0"), "127.0.0.1", "0" },
	{ S("ex.org:65535"), "ex.org", "65535" }, { S("ex.org:00080"), "ex.org", "00080" },
	{ S("catmaid_wsgi"), "catmaid_wsgi", NULL }, { S("a-b.c~d"), "a-b.c~d", NULL },
	{ S("xn--mnchen-3ya"), "xn--mnchen-3ya", NULL },
	{ S("a!$&'()*+,;=b"), "a!$&'()*+,;=b", NULL }, { S("a%C3%A4"), "a%c3%a4", NULL },
	{ S("999.1.1.1"), "999.1.1.1", NULL },
	{ S("[::1]"), "[::1]", NULL }, { S("[::1]:80"), "[::1]", "80" },
	{ S("[FE80::A]"), "[fe80::a]", NULL },
	{ S("[::ffff:1.2.3.4]"), "[::ffff:1.2.3.4]", NULL },
	{ S("[1:2:3:4:5:6:7:8]:"), "[1:2:3:4:5:6:7:8]", "" },
	{ S(""), NULL, NULL }, { S("."), NULL, NULL }, { S(".:80"), NULL, NULL },
	{ S(":80"), NULL, NULL }, { S(":"), NULL, NULL },
	{ S("a b"), NULL, NULL }, { S(" a"), NULL, NULL }, { S("a\t"), NULL, NULL },
	{ S("a\0b"), NULL, NULL },
	{ S("a..b"), NULL, NULL }, { S("a.."), NULL, NULL }, { S("a,b c"), NULL, NULL },
	{ S("a/b"), NULL, NULL },
	{ S("a?b"), NULL, NULL }, { S("a#b"), NULL, NULL }, { S("a\\b"), NULL, NULL },
	{ S("u@a"), NULL, NULL },
	{ S("a\"b"), NULL, NULL }, { S("<a>"), NULL, NULL }, { S("a|b"), NULL, NULL },
	{ S("\xc3\xa4"), NULL, NULL }, { S("a\x7f"), NULL, NULL },
	{ S("a:b"), NULL, NULL }, { S("a:80:80"), NULL, NULL }, { S("a:-1"), NULL, NULL },
	{ S("a:+80"), NULL, NULL },
	{ S("a: 80"), NULL, NULL }, { S("a:80 "), NULL, NULL }, { S("a:65536"), NULL, NULL },
	{ S("a:000080"), NULL, NULL }, { S("a:99999999999999999999"), NULL, NULL },
	{ S("a%"), NULL, NULL }, { S("a%4"), NULL, NULL }, { S("a%zz"), NULL, NULL },
	{ S("a%00"), NULL, NULL },
	{ S("a%2f"), NULL, NULL }, { S("a%41"), NULL, NULL },
	{ S("["), NULL, NULL }, { S("[]"), NULL, NULL }, { S("[::1"), NULL, NULL },
	{ S("[::1]a"), NULL, NULL },
	{ S("[::1]]"), NULL, NULL }, { S("[1.2.3.4]"), NULL, NULL }, { S("[:::]"), NULL, NULL },
	{ S("[1:2:3:4:5:6:7:8:9]"), NULL, NULL }, { S("[12345::]"), NULL, NULL },
	{ S("[fe80::1%25eth0]"), NULL, NULL },
	{ S("[fe80::1%eth0]"), NULL, NULL }, { S("[v1.a]"), NULL, NULL },
	{ S("[::1\0]"), NULL, NULL }, { S("[::g]"), NULL, NULL },
	{ S("[00000000000000000000000000000000000000000000000000000000::1]"), NULL, NULL },
	{ S("::1"), NULL, NULL }, { S("fe80::1"), NULL, NULL }, { S("]"), NULL, NULL },
};

START_TEST(host)
{
	struct str name = STR("unset"), port = STR("unset");

	ck_assert_int_eq(host_parse(pool, hosts[_i].value, &name, &port),
	    hosts[_i].host == NULL ? -400 : 0);
	if (hosts[_i].host == NULL)
		return;
	ck_assert_text(name, hosts[_i].host);
	ck_assert_int_eq(port.p != NULL, hosts[_i].port != NULL);
	ck_assert_text(port, hosts[_i].port);
}
END_TEST

START_TEST(decoding)
{
	struct str plain = STR("plain+text");

	ck_assert_ptr_eq(uri_decode(pool, plain).p, plain.p);
	ck_assert_bytes(uri_decode(pool, STR("a%20b%2")), "a b%2");
	ck_assert_bytes(uri_decode(pool, STR("%00%zz%%41%")), "\0%zz%A%");
	ck_assert_bytes(uri_decode(pool, STR("%2541")), "%41");
}
END_TEST

static const struct {
	const char *args, *name, *value;
} arguments[] = {
	{ "a=1&b=2", "a", "1" }, { "a=1&b=2", "b", "2" }, { "a=1&b=2", "B", "2" },
	{ "A=1", "a", "1" },
	{ "a=&b", "a", "" }, { "a=&b", "b", NULL }, { "aa=1&a=2", "a", "2" }, { "ba=1", "a", NULL },
	{ "a=1&a=2", "a", "1" }, { "a=b=c", "a", "b=c" }, { "", "a", NULL }, { "a", "a", NULL },
	{ "a=1", "", NULL },
	{ "&&a=1", "a", "1" }, { "x=a=1", "a", NULL }, { "a=%20", "a", "%20" },
};

START_TEST(argument)
{
	struct str value = args_get(str_from(arguments[_i].args), str_from(arguments[_i].name));

	ck_assert_int_eq(value.p != NULL, arguments[_i].value != NULL);
	ck_assert_text(value, arguments[_i].value);
}
END_TEST

static const struct {
	const char *cookies, *name, *value;
} cookies[] = {
	{ "a=1; b=2", "a", "1" }, { "a=1; b=2", "b", "2" }, { "a=1;b=2", "b", "2" },
	{ "A=1", "a", "1" },
	{ "a = 1", "a", "1" }, { "aa=1; a=2", "a", "2" }, { "a=1, b=2", "b", "2" },
	{ "a=x,y; b=2", "a", "x,y" },
	{ "a", "a", NULL }, { "a; a=1", "a", "1" }, { "", "a", NULL }, { "a=", "a", "" },
	{ "b=a=1", "a", NULL },
	{ "  a=1", "a", "1" }, { ";;a=1", "a", "1" }, { "a=1", "", NULL },
};

START_TEST(cookie)
{
	struct str value = cookie_get(str_from(cookies[_i].cookies), str_from(cookies[_i].name));

	ck_assert_int_eq(value.p != NULL, cookies[_i].value != NULL);
	ck_assert_text(value, cookies[_i].value);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, splitting, 0, ROWS(targets));
	tcase_add_loop_test(tcase, normalizing, 0, ROWS(paths));
	tcase_add_test(tcase, normal_is_not_copied);
	tcase_add_loop_test(tcase, extension, 0, ROWS(extensions));
	tcase_add_test(tcase, dotdot);
	tcase_add_loop_test(tcase, host, 0, ROWS(hosts));
	tcase_add_test(tcase, decoding);
	tcase_add_loop_test(tcase, argument, 0, ROWS(arguments));
	tcase_add_loop_test(tcase, cookie, 0, ROWS(cookies));
}

int
main(void)
{
	return (unit_main("http/uri", add));
}
