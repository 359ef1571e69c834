/*
 * split_clients: a variable whose value is chosen by the hash of a text, in given
 * shares.  The hash is MurmurHash2 as in nginx, so that a client stays in its
 * share when the proxy is exchanged.
 */
#include "http/request.h"
#include "http/site.h"
#include "http/tpl.h"
#include "http/var.h"
#include "mod/modules.h"

#define WHOLE	10000	/* hundredths of a percent */

struct split_part {
	uint32_t share;		/* hundredths of a percent; 0: "*", all that is left */
	uint32_t below;		/* hashes below this one are in it */
	struct str value;
};

struct split {
	struct tpl *source;
	struct vec parts;	/* struct split_part */
};

/* MurmurHash2 (Austin Appleby, public domain) of seed 0. */
static uint32_t
murmur2(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	const uint32_t m = 0x5bd1e995;
	uint32_t h = (uint32_t)s.n;
	size_t n = s.n;

	for (; n >= 4; p += 4, n -= 4) {
		uint32_t k = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		    (uint32_t)p[3] << 24;

		k *= m;
		k ^= k >> 24;
		h = h * m ^ k * m;
	}
	if (n > 0) {
		for (size_t i = 0; i < n; i++)
			h ^= (uint32_t)p[i] << (8 * i);
		h *= m;
	}
	h ^= h >> 13;
	h *= m;
	return (h ^ h >> 15);
}

static bool
split_get(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct split *split = param;
	uint32_t hash = murmur2(tpl_eval(r, split->source));

	(void)name;
	VEC_EACH(&split->parts, const struct split_part, part) {
		if (part->share != 0 && hash >= part->below)
			continue;
		*value = part->value;
		return (true);
	}
	return (false);
}

static int
split_word(struct conf *cf, void *arg)
{
	struct split *split = arg;
	struct str share = cf->words[0].text;
	struct split_part *part = vec_push(&split->parts, cf->pool);
	uint64_t percent;

	if (cf->word_count != 2)
		return (conf_error(cf, "invalid number of the split_clients parameters"));
	part->value = pool_strdup(cf->pool, cf->words[1].text);
	if (str_eq(share, STR("*")))
		return (0);
	if (!str_ends(share, STR("%")) ||
	    !str_to_fixed(str_make(share.p, share.n - 1), 2, &percent) || percent == 0 ||
	    percent > UINT32_MAX)
		return (conf_error_at(cf, 0, "invalid percent value \"" STR_FMT "\"",
		    STR_ARG(share)));
	part->share = (uint32_t)percent;
	return (0);
}

static int
split_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct split *split = pool_new_object(cf->pool, struct split);
	struct str name = cf->words[2].text;
	uint64_t sum = 0, below = 0;

	(void)row;
	(void)field;
	split->parts = VEC_OF(struct split_part);
	split->source = tpl_compile(cf, cf->words[1].text);
	if (split->source == NULL)
		return (-1);
	if (name.n == 0 || name.p[0] != '$')
		return (conf_error_at(cf, 2, "invalid variable name \"" STR_FMT "\"",
		    STR_ARG(name)));
	if (var_define(cf, str_skip(name, 1), split_get, split, 0) < 0 ||
	    conf_words(cf, split_word, split) != 0)
		return (-1);
	VEC_EACH(&split->parts, struct split_part, part) {
		sum = part->share != 0 ? sum + part->share : WHOLE;
		if (sum > WHOLE)
			return (conf_error(cf, "percent total is greater than 100%%"));
		below += part->share * (uint64_t)0xffffffff / WHOLE;
		part->below = (uint32_t)below;
	}
	return (0);
}

static const struct conf_row split_rows[] = {
	{ .name = "split_clients", .contexts = CTX_HTTP | CTX_STREAM, .min = 2, .max = 2,
	    .scope = SCOPE_MAIN, .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN, .set = split_set },
	{ .name = NULL }
};

struct module split_clients_module = { .name = "split_clients", .sites = SITE_HTTP | SITE_STREAM,
	.rows = split_rows };
