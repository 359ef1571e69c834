/*
 * geo: a variable whose value depends on an address: networks (the most specific
 * one counts) or ranges (the last one counts).  Both become a binary tree of
 * address bits, read-only once the file is read.
 */
#include "http/request.h"
#include "http/session.h"
#include "http/site.h"
#include "http/tpl.h"
#include "http/var.h"
#include "mod/forwarded.h"
#include "mod/modules.h"

struct geo_node {
	struct geo_node *child[2];
	const struct str *value;	/* NULL: that of the node above */
};

struct geo {
	struct tpl *source;		/* of the address; NULL: the client's */
	struct geo_node v4, v6;
	struct vec proxies;		/* struct addr_net */
	bool proxy_recursive;
	bool ranges;
	bool started;			/* an entry was read: too late for "ranges" */
};

static bool
bit_of(const unsigned char *bytes, unsigned i)
{
	return ((bytes[i / 8] >> (7 - i % 8)) & 1);
}

/* The node of a prefix; NULL when it is absent and pool is NULL. */
static struct geo_node *
node_at(struct geo_node *node, const unsigned char *bytes, unsigned bits, struct pool *pool)
{
	for (unsigned i = 0; i < bits && node != NULL; i++) {
		struct geo_node **child = &node->child[bit_of(bytes, i)];

		if (*child == NULL && pool != NULL)
			*child = pool_new_object(pool, struct geo_node);
		node = *child;
	}
	return (node);
}

static const struct str *
tree_find(const struct geo_node *node, const unsigned char *bytes, unsigned bits)
{
	const struct str *value = node->value;

	for (unsigned i = 0; i < bits; i++) {
		node = node->child[bit_of(bytes, i)];
		if (node == NULL)
			break;
		if (node->value != NULL)
			value = node->value;
	}
	return (value);
}

static const struct str *
geo_find(const struct geo *geo, const struct addr *addr)
{
	static const unsigned char none[4] = { 255, 255, 255, 255 };

	if (addr->len > 0 && addr->u.sa.sa_family == AF_INET)
		return (tree_find(&geo->v4, (const unsigned char *)&addr->u.in.sin_addr, 32));
	if (addr->len > 0 && addr->u.sa.sa_family == AF_INET6) {
		const unsigned char *bytes = addr->u.in6.sin6_addr.s6_addr;

		if (IN6_IS_ADDR_V4MAPPED(&addr->u.in6.sin6_addr))
			return (tree_find(&geo->v4, bytes + 12, 32));
		/* Ranges know IPv4 only. */
		if (!geo->ranges)
			return (tree_find(&geo->v6, bytes, 128));
	}
	return (tree_find(&geo->v4, none, 32));
}

/* Without port and brackets; len 0 when it is no address. */
static struct addr
text_addr(struct request *r, struct str text)
{
	struct addr addr = { 0 };

	if (str_chr(text, ':') != SIZE_MAX)
		text = pool_printf(r->pool, "[" STR_FMT "]", STR_ARG(text));
	if (str_starts(text, STR("[[")) || !addr_parse(text, 0, &addr))
		addr.len = 0;
	return (addr);
}

static struct addr
geo_addr(struct request *r, const struct geo *geo)
{
	struct addr addr = { 0 };
	const struct addr *peer = session_peer(r);
	struct str list;

	if (geo->source != NULL) {
		addr = text_addr(r, tpl_eval(r, geo->source));
	} else if (peer != NULL) {
		addr = *peer;
	}
	if (geo->proxies.count > 0) {
		list = fields_join(&r->in.fields, r->pool, STR("X-Forwarded-For"), STR(", "));
		if (list.n > 0)
			(void)forwarded_addr(&addr, &list, 1, &geo->proxies, geo->proxy_recursive);
	}
	return (addr);
}

static bool
geo_get(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct geo *geo = param;
	struct addr addr = geo_addr(r, geo);
	const struct str *found = geo_find(geo, &addr);

	(void)name;
	*value = found == NULL ? STR("") : *found;
	return (true);
}

/* --- reading it --- */

static void
node_set(struct conf *cf, struct geo_node *node, const struct str *value)
{
	if (node->value != NULL)
		conf_warn(cf, "duplicate network \"" STR_FMT "\", value: \"" STR_FMT
		    "\", old value: \"" STR_FMT "\"", STR_ARG(cf->words[0].text), STR_ARG(*value),
		    STR_ARG(*node->value));
	node->value = value;
}

static int
net_parse(struct conf *cf, struct str text, struct addr_net *net)
{
	bool extra;

	if (!addr_net_parse(text, net, &extra) ||
	    (net->family != AF_INET && net->family != AF_INET6))
		return (conf_error(cf, "invalid network \"" STR_FMT "\"", STR_ARG(text)));
	if (extra)
		conf_warn(cf, "low address bits of " STR_FMT " are meaningless", STR_ARG(text));
	return (0);
}

static int
net_delete(struct conf *cf, struct geo *geo, struct str text)
{
	struct addr_net net;
	struct geo_node *node;

	if (net_parse(cf, text, &net) != 0)
		return (-1);
	node = node_at(net.family == AF_INET ? &geo->v4 : &geo->v6, net.bytes, net.bits, NULL);
	if (node == NULL || node->value == NULL)
		conf_warn(cf, "no network \"" STR_FMT "\" to delete", STR_ARG(text));
	else
		node->value = NULL;
	return (0);
}

static int
net_word(struct conf *cf, struct geo *geo, const struct str *value)
{
	struct str text = cf->words[0].text;
	struct addr_net net;

	if (str_eq(text, STR("default"))) {
		node_set(cf, &geo->v4, value);
		geo->v6.value = value;
		return (0);
	}
	if (str_eq(text, STR("delete")))
		return (net_delete(cf, geo, cf->words[1].text));
	if (net_parse(cf, text, &net) != 0)
		return (-1);
	node_set(cf, node_at(net.family == AF_INET ? &geo->v4 : &geo->v6, net.bytes, net.bits,
	    cf->pool), value);
	return (0);
}

/* All addresses from first to last get the value, whatever they had (NULL: none). */
static void
range_set(struct conf *cf, struct geo *geo, uint32_t first, uint32_t last, const struct str *value)
{
	uint64_t at = first;

	while (at <= last) {
		unsigned bits = 32;
		unsigned char bytes[4];
		struct geo_node *node;

		/* The largest aligned block that begins here and ends in time. */
		while (bits > 0 && (at & ((UINT64_C(1) << (33 - bits)) - 1)) == 0 &&
		    at + (UINT64_C(1) << (33 - bits)) - 1 <= last)
			bits--;
		for (unsigned i = 0; i < 4; i++)
			bytes[i] = (unsigned char)(at >> (24 - 8 * i));
		node = node_at(&geo->v4, bytes, bits, cf->pool);
		*node = (struct geo_node){ .value = value };
		at += UINT64_C(1) << (32 - bits);
	}
}

static uint32_t
addr_number(const struct addr *addr)
{
	return (ntohl(addr->u.in.sin_addr.s_addr));
}

static int
range_word(struct conf *cf, struct geo *geo, const struct str *value)
{
	struct str text = cf->words[0].text;
	bool is_delete = str_eq(text, STR("delete"));
	struct addr first, last;
	size_t dash;

	if (str_eq(text, STR("default"))) {
		if (geo->v4.value != NULL)
			conf_warn(cf, "duplicate default geo range value: \"" STR_FMT
			    "\", old value: \"" STR_FMT "\"", STR_ARG(*value),
			    STR_ARG(*geo->v4.value));
		geo->v4.value = geo->v6.value = value;
		return (0);
	}
	if (is_delete)
		text = cf->words[1].text;
	dash = str_chr(text, '-');
	if (dash == SIZE_MAX || !addr_parse(str_make(text.p, dash), 0, &first) ||
	    !addr_parse(str_skip(text, dash + 1), 0, &last) ||
	    first.u.sa.sa_family != AF_INET || last.u.sa.sa_family != AF_INET ||
	    addr_number(&first) > addr_number(&last))
		return (conf_error(cf, "invalid range \"" STR_FMT "\"", STR_ARG(text)));
	/* A deleted range has the default's value: that of the root, which may come later. */
	range_set(cf, geo, addr_number(&first), addr_number(&last), is_delete ? NULL : value);
	return (0);
}

static int
geo_flag(struct conf *cf, struct geo *geo)
{
	if (str_eq(cf->words[0].text, STR("proxy_recursive"))) {
		geo->proxy_recursive = true;
		return (0);
	}
	if (!str_eq(cf->words[0].text, STR("ranges")))
		return (conf_error(cf, "invalid number of the geo parameters"));
	if (geo->started)
		return (conf_error(cf, "the \"ranges\" directive must be the first directive "
		    "inside \"geo\" block"));
	geo->ranges = true;
	return (0);
}

static int
geo_word(struct conf *cf, void *arg)
{
	struct geo *geo = arg;
	struct str *value;

	if (cf->word_count == 1)
		return (geo_flag(cf, geo));
	if (cf->word_count != 2)
		return (conf_error(cf, "invalid number of the geo parameters"));
	if (str_eq(cf->words[0].text, STR("proxy")))
		return (net_parse(cf, cf->words[1].text, vec_push(&geo->proxies, cf->pool)));
	geo->started = true;
	value = pool_new_object(cf->pool, struct str);
	*value = pool_strdup(cf->pool, cf->words[1].text);
	return (geo->ranges ? range_word(cf, geo, value) : net_word(cf, geo, value));
}

static int
geo_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct geo *geo = pool_new_object(cf->pool, struct geo);
	struct str name = cf->words[cf->word_count - 1].text;

	(void)row;
	(void)field;
	geo->proxies = VEC_OF(struct addr_net);
	for (unsigned i = 1; i < cf->word_count; i++)
		if (!str_starts(cf->words[i].text, STR("$")))
			return (conf_error_at(cf, i, "invalid variable name \"" STR_FMT "\"",
			    STR_ARG(cf->words[i].text)));
	if (cf->word_count == 3) {
		geo->source = tpl_compile(cf, cf->words[1].text);
		if (geo->source == NULL)
			return (-1);
	}
	if (var_define(cf, str_skip(name, 1), geo_get, geo, 0) < 0)
		return (-1);
	return (conf_words(cf, geo_word, geo));
}

static const struct conf_row geo_rows[] = {
	{ .name = "geo", .contexts = CTX_HTTP | CTX_STREAM, .min = 1, .max = 2, .scope = SCOPE_MAIN,
	    .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN, .set = geo_set },
	{ .name = NULL }
};

struct module geo_module = { .name = "geo", .sites = SITE_HTTP | SITE_STREAM,
	.rows = geo_rows };
