/*
 * Walks X-Forwarded-For from its end for realip and geo, as nginx does: an
 * address is taken only from a neighbour that is believed, and a malformed one
 * ends the walk.  Pure.
 */
#include "mod/forwarded.h"

bool
nets_contain(const struct vec *nets, const struct addr *addr)
{
	VEC_EACH(nets, const struct addr_net, net)
		if (addr_net_contains(net, addr))
			return (true);
	return (false);
}

static bool
is_separator(char c)
{
	return (c == ' ' || c == ',');
}

/* Cuts the last item off. */
static struct str
last_item(struct str *list)
{
	struct str item;
	size_t start;

	while (list->n > 0 && is_separator(list->p[list->n - 1]))
		list->n--;
	for (start = list->n; start > 0 && !is_separator(list->p[start - 1]); start--)
		;
	item = str_skip(*list, start);
	list->n = start;
	return (item);
}

static bool
item_parse(struct str item, struct addr *addr)
{
	char bracketed[64];

	if (item.n == 0 || str_starts(item, STR("unix:")))
		return (false);
	if (addr_parse(item, 0, addr))
		return (true);
	/* An IPv6 address stands without brackets here. */
	if (item.n + 2 > sizeof(bracketed) || str_chr(item, ':') == SIZE_MAX)
		return (false);
	bracketed[0] = '[';
	memcpy(bracketed + 1, item.p, item.n);
	bracketed[item.n + 1] = ']';
	return (addr_parse(str_make(bracketed, item.n + 2), 0, addr));
}

bool
forwarded_addr(struct addr *addr, const struct str *values, unsigned count,
    const struct vec *nets, bool recursive)
{
	bool found = false;

	while (count-- > 0) {
		struct str list = values[count];

		do {
			struct addr next = { 0 };

			if (!nets_contain(nets, addr) || !item_parse(last_item(&list), &next))
				return (found);
			*addr = next;
			found = true;
			if (!recursive)
				return (true);
		} while (list.n > 0);
	}
	return (found);
}
