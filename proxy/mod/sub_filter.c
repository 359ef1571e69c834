/*
 * sub_filter: strings of a body replaced on its way out.  A filter behind headers
 * and before gzip, so that it sees what the content is and not its compressed form.
 */
#include "http/filter.h"
#include "http/response.h"
#include "http/search.h"
#include "http/tpl.h"
#include "mod/mime_types.h"
#include "mod/modules.h"

struct sub_pair {
	struct tpl *pattern, *value;
};

struct sub_location {
	struct vec pairs;		/* struct sub_pair */
	const struct needles *needles;	/* of all patterns; NULL: some have variables */
	bool once, last_modified;
	struct mime_types types;
};

/* What is looked for in one answer. */
struct sub_state {
	struct search *search;
	const struct sub_pair **pairs;	/* by needle */
	struct str *values;		/* made when it is met first */
};

/* Patterns that come out empty are not looked for.  NULL: nothing is. */
static const struct needles *
needles_of(struct request *r, const struct sub_location *conf, const struct sub_pair **pairs)
{
	struct str *texts = pool_alloc(r->pool, conf->pairs.count * sizeof(*texts));
	unsigned count = 0;

	VEC_EACH(&conf->pairs, const struct sub_pair, pair) {
		pairs[count] = pair;
		texts[count] = tpl_eval(r, pair->pattern);
		count += texts[count].n > 0;
	}
	if (conf->needles != NULL)
		return (conf->needles);
	return (count == 0 ? NULL : needles_new(r->pool, texts, count));
}

/* What is said of the body is not true any more. */
static void
head_change(struct request *r, const struct sub_location *conf)
{
	r->out.length = -1;
	r->out.file = NULL;
	r->out.ranges_allowed = false;
	if (conf->last_modified) {
		resp_weaken_etag(r);
		return;
	}
	r->out.etag = STR_NULL;
	r->out.last_modified = -1;
	fields_remove(&r->out.fields, FIELD_LAST_MODIFIED);
}

static enum filter_verdict
sub_start(struct request *r, void **state)
{
	const struct sub_location *conf = location_conf(r->location, sub_filter_module);
	const struct needles *needles;
	struct sub_state *sub;

	if (conf->pairs.count == 0 || r->out.length == 0 ||
	    !mime_types_have(&conf->types, r->out.content_type))
		return (FILTER_SKIP);
	sub = pool_new_object(r->pool, struct sub_state);
	sub->pairs = pool_alloc(r->pool, conf->pairs.count * sizeof(*sub->pairs));
	needles = needles_of(r, conf, sub->pairs);
	if (needles == NULL)
		return (FILTER_SKIP);
	sub->search = search_new(r->pool, needles, conf->once);
	sub->values = pool_zalloc(r->pool, conf->pairs.count * sizeof(*sub->values));
	head_change(r, conf);
	*state = sub;
	return (FILTER_JOIN);
}

static int
sub_bytes(struct request *r, void *state, struct chain *in, struct chain *out, unsigned flags)
{
	struct sub_state *sub = state;
	struct chain made = { 0 };
	int needle;

	while ((needle = search_next(sub->search, in, &made, (flags & SEND_LAST) != 0)) >= 0) {
		struct str *value = &sub->values[needle];

		if (value->p == NULL)
			*value = tpl_eval(r, sub->pairs[needle]->value);
		if (value->n > 0)
			chain_add(&made, value->p, value->n, NULL);
		/* Thousands of crumbs would cost more than their copies. */
		chain_append_packed(out, &made);
	}
	chain_append(out, &made);
	return (needle == SEARCH_MORE ? 0 : -1);
}

const struct filter sub_filter = { .name = "sub", .start = sub_start, .bytes = sub_bytes };

/* --- directives --- */

static int
pair_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *pairs = field;
	struct sub_pair *pair;

	(void)row;
	if (cf->words[1].text.n == 0)
		return (conf_error_at(cf, 1, "empty search pattern"));
	if (pairs->size == 0)
		*pairs = VEC_OF(struct sub_pair);
	pair = vec_push(pairs, cf->pool);
	pair->pattern = tpl_compile(cf, cf->words[1].text);
	pair->value = tpl_compile(cf, cf->words[2].text);
	return (pair->pattern == NULL || pair->value == NULL ? -1 : 0);
}

/* Patterns without variables are prepared once. */
static int
sub_init_location(struct conf *cf, struct location *loc)
{
	struct sub_location *conf = location_conf(loc, sub_filter_module);
	struct str *texts = pool_alloc(cf->pool, (conf->pairs.count + 1) * sizeof(*texts));
	unsigned count = 0;

	VEC_EACH(&conf->pairs, const struct sub_pair, pair) {
		if (!tpl_is_literal(pair->pattern))
			return (0);
		texts[count++] = tpl_text(pair->pattern);
	}
	if (count > 0)
		conf->needles = needles_new(cf->pool, texts, count);
	return (0);
}

#define IN_LOCATION(field)						\
	.scope = SCOPE_LOCATION, .offset = offsetof(struct sub_location, field)

static const struct conf_row sub_filter_rows[] = {
	{ .name = "sub_filter", .contexts = CTX_HSL, .min = 2, .max = 2, .flags = CONF_REPEAT,
	    .type = &conf_custom_vec, .set = pair_set, IN_LOCATION(pairs) },
	{ .name = "sub_filter_types", .contexts = CTX_HSL, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_mime_types, IN_LOCATION(types) },
	{ .name = "sub_filter_once", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(once), .dflt = "on" },
	{ .name = "sub_filter_last_modified", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(last_modified), .dflt = "off" },
	{ .name = NULL }
};

struct module sub_filter_module = {
	.name = "sub_filter",
	.size = { [SCOPE_LOCATION] = sizeof(struct sub_location) },
	.rows = sub_filter_rows,
	.init_location = sub_init_location,
};
