/* net/addr.c: literals, printing, networks. */
#include "net/addr.h"
#include "../unit.h"

#include <netdb.h>
#include <string.h>

static const struct literal {
	const char *text;
	unsigned dflt;
	const char *shown;	/* NULL: no literal */
	const char *bare;
} literals[] = {
	{ "1.2.3.4", 80, "1.2.3.4:80", "1.2.3.4" },
	{ "1.2.3.4:8080", 80, "1.2.3.4:8080", "1.2.3.4" },
	{ "1.2.3.4:65535", 80, "1.2.3.4:65535", "1.2.3.4" },
	{ "[::1]", 443, "[::1]:443", "::1" },
	{ "[2001:DB8::1]:81", 443, "[2001:db8::1]:81", "2001:db8::1" },
	{ "[::ffff:1.2.3.4]:81", 1, "[::ffff:1.2.3.4]:81", "::ffff:1.2.3.4" },
	{ "unix:/run/x.sock", 80, "unix:/run/x.sock", "unix:" },
	{ "unix:///run/x.sock", 80, "unix:///run/x.sock", "unix:" },
	{ "UNIX:x", 80, "unix:x", "unix:" },
	{ "", 80, NULL, NULL },
	{ ":80", 80, NULL, NULL },
	{ "1.2.3.4:", 80, NULL, NULL },
	{ "1.2.3.4:0", 80, NULL, NULL },
	{ "1.2.3.4:65536", 80, NULL, NULL },
	{ "1.2.3.4:+1", 80, NULL, NULL },
	{ "1.2.3.4: 1", 80, NULL, NULL },
	{ "1.2.3", 80, NULL, NULL },
	{ "1.2.3.256", 80, NULL, NULL },
	{ "::1", 80, NULL, NULL },
	{ "[::1", 80, NULL, NULL },
	{ "[::1]x", 80, NULL, NULL },
	{ "[]:80", 80, NULL, NULL },
	{ "[1.2.3.4]:80", 80, NULL, NULL },
	{ "localhost", 80, NULL, NULL },
	{ "unix:", 80, NULL, NULL },
};

START_TEST(literal_is_parsed)
{
	const struct literal *l = &literals[_i];
	char shown[ADDR_TEXT_MAX];
	struct addr a, again;

	ck_assert_msg(addr_parse(str_from(l->text), l->dflt, &a) == (l->shown != NULL), "%s",
	    l->text);
	if (l->shown == NULL)
		return;
	ck_assert_uint_eq(addr_text(&a, true, shown), strlen(l->shown));
	ck_assert_str_eq(shown, l->shown);
	ck_assert(addr_parse(str_from(shown), 1, &again));
	ck_assert(addr_eq(&a, &again));
	ck_assert_uint_eq(addr_text(&a, false, shown), strlen(l->bare));
	ck_assert_str_eq(shown, l->bare);
}
END_TEST

START_TEST(unix_path_fills_the_array)
{
	char text[5 + sizeof(((struct sockaddr_un *)0)->sun_path)], shown[ADDR_TEXT_MAX];
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
	struct addr a;

	memcpy(text, "unix:", 5);
	memset(text + 5, 'x', room);
	ck_assert(!addr_parse(str_make(text, 5 + room), 0, &a));
	ck_assert(addr_parse(str_make(text, 5 + room - 1), 0, &a));
	ck_assert_uint_eq(addr_text(&a, true, shown), 5 + room - 1);
	memset(a.u.un.sun_path, 'y', room);	/* as the kernel may return it: no NUL */
	ck_assert_uint_eq(addr_text(&a, true, shown), 5 + room);
	a.len = sizeof(sa_family_t);	/* an unnamed peer */
	ck_assert_uint_eq(addr_text(&a, true, shown), 5);
	ck_assert_str_eq(shown, "unix:");
	ck_assert(addr_is_unix(&a));
}
END_TEST

START_TEST(nothing_has_no_text)
{
	struct addr none = { 0 }, a;
	char shown[ADDR_TEXT_MAX];

	ck_assert_uint_eq(addr_text(&none, true, shown), 0);
	ck_assert_uint_eq(addr_port(&none), 0);
	ck_assert(!addr_is_unix(&none));
	ck_assert(addr_parse(STR("1.1.1.1"), 1, &a));
	ck_assert(!addr_eq(&none, &a));
	ck_assert(addr_eq(&none, &none));
}
END_TEST

static const struct split {
	const char *text;
	const char *host;	/* NULL: refused */
	unsigned port;
} splits[] = {
	{ "a.example", "a.example", 0 },
	{ "a.example:81", "a.example", 81 },
	{ "[::1]:81", "[::1]", 81 },
	{ "[::1]", "[::1]", 0 },
	{ "a:b", NULL, 0 },
	{ "a:1:2", NULL, 0 },
	{ ":1", NULL, 0 },
	{ "", NULL, 0 },
};

START_TEST(host_and_port_are_split)
{
	const struct split *s = &splits[_i];
	struct str host;
	unsigned port;

	ck_assert((addr_split(str_from(s->text), &host, &port) == NULL) == (s->host != NULL));
	if (s->host == NULL)
		return;
	ck_assert(str_eq(host, str_from(s->host)));
	ck_assert_uint_eq(port, s->port);
}
END_TEST

static const struct resolution {
	const char *text;
	const char *wrong;
} resolutions[] = {
	{ "127.0.0.1:81", NULL },
	{ "localhost:81", NULL },
	{ "unix:/x", NULL },
	{ "no-such-name.invalid", "host not found" },
	{ "a:b", "invalid port" },
	{ ":80", "no host" },
	{ "[::1", "invalid host" },
	{ "[::g]:1", "invalid IPv6 address" },
	{ "unix:", "no path in the unix domain socket" },
};

/* A bare root, as debootstrap makes it, has no /etc/hosts. */
static bool
localhost_is_known(void)
{
	struct addrinfo *found;

	if (getaddrinfo("localhost", NULL, NULL, &found) != 0)
		return (false);
	freeaddrinfo(found);
	return (true);
}

START_TEST(names_are_resolved)
{
	const struct resolution *r = &resolutions[_i];
	struct pool *pool = pool_new(0);
	struct vec out = VEC_OF(struct addr);
	const char *wrong = addr_resolve(pool, str_from(r->text), 80, &out);

	if (strcmp(r->text, "localhost:81") == 0 && !localhost_is_known()) {
		ck_assert_str_eq(wrong, "host not found");
	} else if (r->wrong == NULL) {
		ck_assert_ptr_null(wrong);
		ck_assert_uint_ge(out.count, 1);
		if (!addr_is_unix(vec_at(&out, struct addr, 0)))
			ck_assert_uint_eq(addr_port(vec_at(&out, struct addr, 0)), 81);
	} else {
		ck_assert_ptr_nonnull(wrong);
		ck_assert_str_eq(wrong, r->wrong);
	}
	pool_free(pool);
}
END_TEST

static const struct net_case {
	const char *net;
	const char *addr;	/* NULL: the network is refused */
	bool contains, extra;
} nets[] = {
	{ "10.0.0.0/8", "10.255.1.1", true, false },
	{ "10.0.0.0/8", "11.0.0.0", false, false },
	{ "10.1.2.3/8", "10.9.9.9", true, true },
	{ "1.2.3.4", "1.2.3.4", true, false },
	{ "1.2.3.4", "1.2.3.5", false, false },
	{ "1.2.3.4/32", "1.2.3.4", true, false },
	{ "0.0.0.0/0", "9.9.9.9", true, false },
	{ "0.0.0.0/0", "[::1]", false, false },
	{ "192.168.128.0/17", "192.168.129.0", true, false },
	{ "192.168.128.0/17", "192.168.127.255", false, false },
	{ "10.0.0.0/8", "[::ffff:10.1.1.1]", true, false },
	{ "::/0", "[::1]", true, false },
	{ "2001:db8::/33", "[2001:db8:7fff::1]", true, false },
	{ "2001:db8::/33", "[2001:db8:8000::1]", false, false },
	{ "2001:db8::1/64", "[2001:db8::2]", true, true },
	{ "::1", "[::1]", true, false },
	{ "all", "unix:/x", true, false },
	{ "all", "1.1.1.1", true, false },
	{ "unix:", "unix:/x", true, false },
	{ "unix:", "1.1.1.1", false, false },
	{ "1.1.1.1", "unix:/x", false, false },
	{ "1.2.3.4/33", NULL, false, false },
	{ "::/129", NULL, false, false },
	{ "1.2.3.4/", NULL, false, false },
	{ "1.2.3.4/-1", NULL, false, false },
	{ "1.2.3/8", NULL, false, false },
	{ "", NULL, false, false },
	{ "/8", NULL, false, false },
	{ "localhost", NULL, false, false },
};

START_TEST(network_contains)
{
	const struct net_case *c = &nets[_i];
	struct addr_net net;
	struct addr a;
	bool extra;

	ck_assert_msg(addr_net_parse(str_from(c->net), &net, &extra) == (c->addr != NULL), "%s",
	    c->net);
	if (c->addr == NULL)
		return;
	ck_assert(addr_parse(str_from(c->addr), 1, &a));
	ck_assert_msg(addr_net_contains(&net, &a) == c->contains, "%s %s", c->net, c->addr);
	ck_assert_int_eq(extra, c->extra);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_loop_test(t, literal_is_parsed, 0, ROWS(literals));
	tcase_add_test(t, unix_path_fills_the_array);
	tcase_add_test(t, nothing_has_no_text);
	tcase_add_loop_test(t, host_and_port_are_split, 0, ROWS(splits));
	tcase_add_loop_test(t, names_are_resolved, 0, ROWS(resolutions));
	tcase_add_loop_test(t, network_contains, 0, ROWS(nets));
}

int
main(void)
{
	return (unit_main("net/addr", add));
}
