/*
 * What an answer says of places, in the client's words: proxy_redirect on
 * Location and Refresh, proxy_cookie_domain, _path and _flags on Set-Cookie.
 * The first rule that matches wins; what no rule matches stays byte for byte.
 */
#include "http/response.h"
#include "http/site.h"
#include "http/var.h"
#include "mod/proxy.h"

enum cookie_flag { COOKIE_SECURE = 1, COOKIE_HTTPONLY = 2, COOKIE_STRICT = 4, COOKIE_LAX = 8,
	COOKIE_NONE = 16 };
#define COOKIE_SAMESITE	(COOKIE_STRICT | COOKIE_LAX | COOKIE_NONE)

struct str
rewrite_splice(struct pool *pool, struct str value, size_t at, size_t length, struct str by)
{
	struct str parts[3] = { str_make(value.p, at), by, str_skip(value, at + length) };

	return (pool_concat(pool, 3, parts));
}

/* --- rules --- */

/* value[at..] by the first rule that matches its beginning.  False: none does. */
static bool
rules_apply(struct request *r, const struct proxy_rules *rules, struct str value, size_t at,
    struct str *out)
{
	struct str subject = str_skip(value, at);

	VEC_EACH(&rules->items, struct proxy_rule, rule) {
		size_t length = subject.n;

		if (rule->matcher != NULL) {
			if (matcher_match(r, rule->matcher, subject) != 1)
				continue;
		} else {
			struct str from = tpl_eval(r, rule->from);

			if (!str_starts(subject, from))
				continue;
			length = from.n;
		}
		*out = rewrite_splice(r->pool, value, at, length, tpl_eval(r, rule->to));
		return (true);
	}
	return (false);
}

static struct str
location_rewrite(struct request *r, const struct proxy_location *conf, struct str value)
{
	struct str out;

	if (!rules_apply(r, &conf->redirects, value, 0, &out))
		return (value);
	return (resp_absolute_location(r, out));
}

/* "5; url=http://..." */
static struct str
refresh_rewrite(struct request *r, const struct proxy_location *conf, struct str value)
{
	struct str out;

	for (size_t at = 0; at + 4 <= value.n; at++) {
		if (!str_starts_ci(str_skip(value, at), STR("url=")))
			continue;
		return (rules_apply(r, &conf->redirects, value, at + 4, &out) ? out : value);
	}
	return (value);
}

/* --- cookies --- */

/* One "name=value" of a Set-Cookie, trimmed. */
struct cookie_part {
	struct str text;
	struct str name;
	struct str value;	/* absent: no '=' */
};

static struct cookie_part
part_of(struct str text)
{
	struct cookie_part part = { .text = str_trim(text) };
	size_t equals = str_chr(part.text, '=');

	part.name = str_trim(str_make(part.text.p, equals == SIZE_MAX ? part.text.n : equals));
	if (equals != SIZE_MAX)
		part.value = str_trim(str_skip(part.text, equals + 1));
	return (part);
}

static struct str
without_dot(struct str domain)
{
	return (str_skip(domain, str_starts(domain, STR("."))));
}

/*
 * Of a text, dots in front do not count, and the cookie's own stays; a regex sees the whole value.
 */
static bool
domain_apply(struct request *r, const struct proxy_rules *rules, struct str domain, struct str *out)
{
	struct str bare = without_dot(domain), to;

	VEC_EACH(&rules->items, struct proxy_rule, rule) {
		if (rule->matcher != NULL ? matcher_match(r, rule->matcher, domain) != 1 :
		    !str_eq_ci(without_dot(tpl_eval(r, rule->from)), bare))
			continue;
		to = tpl_eval(r, rule->to);
		*out = rule->matcher != NULL ? to :
		    rewrite_splice(r->pool, domain, domain.n - bare.n, bare.n, without_dot(to));
		return (true);
	}
	return (false);
}

static unsigned
flag_of_part(const struct cookie_part *part)
{
	if (str_eq_ci(part->name, STR("secure")))
		return (COOKIE_SECURE);
	if (str_eq_ci(part->name, STR("httponly")))
		return (COOKIE_HTTPONLY);
	return (str_eq_ci(part->name, STR("samesite")) ? COOKIE_SAMESITE : 0);
}

static const struct proxy_cookie_flags *
flags_for(struct request *r, const struct proxy_rules *rules, struct str cookie)
{
	VEC_EACH(&rules->items, struct proxy_cookie_flags, it)
		if (it->matcher != NULL ? matcher_match(r, it->matcher, cookie) == 1 :
		    str_eq_ci(tpl_eval(r, it->cookie), cookie))
			return (it);
	return (NULL);
}

/* Adds "; text" to a cookie that is rebuilt. */
static struct str
cookie_add(struct pool *pool, struct str cookie, struct str name, struct str value)
{
	struct str parts[5] = { cookie, STR("; "), name, STR("="), value };

	return (pool_concat(pool, value.p == NULL ? 3 : 5, parts));
}

static const struct cookie_flag_text {
	unsigned flag;
	struct str text;
} cookie_flag_texts[] = {
	{ COOKIE_SECURE, { "Secure", 6 } }, { COOKIE_HTTPONLY, { "HttpOnly", 8 } },
	{ COOKIE_STRICT, { "SameSite=Strict", 15 } }, { COOKIE_LAX, { "SameSite=Lax", 12 } },
	{ COOKIE_NONE, { "SameSite=None", 13 } },
};

static struct str
cookie_add_flags(struct pool *pool, struct str cookie, unsigned flags)
{
	for (size_t i = 0; i < sizeof(cookie_flag_texts) / sizeof(cookie_flag_texts[0]); i++)
		if ((flags & cookie_flag_texts[i].flag) != 0)
			cookie = cookie_add(pool, cookie, cookie_flag_texts[i].text, STR_NULL);
	return (cookie);
}

/* A Set-Cookie that is rebuilt part by part. */
struct cookie {
	struct request *r;
	const struct proxy_location *conf;
	struct str text;	/* so far */
	unsigned set, clear;	/* flags still to set; to take away */
	bool changed;
};

static const struct cookie_flag_word {
	struct str word;
	unsigned set, clear;
} cookie_flag_words[] = {
	{ { "secure", 6 }, COOKIE_SECURE, 0 }, { { "nosecure", 8 }, 0, COOKIE_SECURE },
	{ { "httponly", 8 }, COOKIE_HTTPONLY, 0 }, { { "nohttponly", 10 }, 0, COOKIE_HTTPONLY },
	{ { "samesite=strict", 15 }, COOKIE_STRICT, 0 }, { { "samesite=lax", 12 }, COOKIE_LAX, 0 },
	{ { "samesite=none", 13 }, COOKIE_NONE, 0 }, { { "nosamesite", 10 }, 0, COOKIE_SAMESITE },
};

static const struct cookie_flag_word *
cookie_flag_find(struct str word)
{
	for (size_t i = 0; i < sizeof(cookie_flag_words) / sizeof(cookie_flag_words[0]); i++)
		if (str_eq_ci(word, cookie_flag_words[i].word))
			return (&cookie_flag_words[i]);
	return (NULL);
}

/* Words may have variables, so they are judged only now; of each flag the last one counts. */
static void
cookie_flags_eval(struct cookie *c, const struct proxy_cookie_flags *flags)
{
	VEC_EACH(&flags->words, struct tpl *, it) {
		struct str word = tpl_eval(c->r, *it);
		const struct cookie_flag_word *w = cookie_flag_find(word);

		if (w == NULL) {
			request_log(c->r, LOG_ERR, 0, "invalid proxy_cookie_flags flag \"" STR_FMT
			    "\"", STR_ARG(word));
			continue;
		}
		c->set |= w->set;
		c->clear |= w->clear;
	}
}

/* Secure, HttpOnly, SameSite: what proxy_cookie_flags says of it.  True: it was dealt with. */
static bool
cookie_flag_part(struct cookie *c, const struct cookie_part *part)
{
	unsigned flag = flag_of_part(part);

	if ((c->clear & flag) != 0) {
		c->changed = true;
		return (true);
	}
	if ((c->set & flag) == 0)
		return (false);
	/* It is there: SameSite takes the new value where the old one was. */
	if (flag == COOKIE_SAMESITE)
		c->text = cookie_add_flags(c->r->pool, c->text, c->set & flag);
	else
		c->text = cookie_add(c->r->pool, c->text, part->name, part->value);
	c->changed = c->changed || flag == COOKIE_SAMESITE;
	c->set &= ~flag;
	return (true);
}

static void
cookie_part(struct cookie *c, struct str text)
{
	struct cookie_part part = part_of(text);
	struct str out = part.value;

	if (cookie_flag_part(c, &part))
		return;
	if (part.value.p != NULL && str_eq_ci(part.name, STR("domain")))
		c->changed |= domain_apply(c->r, &c->conf->cookie_domains, part.value, &out);
	else if (part.value.p != NULL && str_eq_ci(part.name, STR("path")))
		c->changed |= rules_apply(c->r, &c->conf->cookie_paths, part.value, 0, &out);
	c->text = cookie_add(c->r->pool, c->text, part.name, out);
}

static struct str
cookie_rewrite(struct request *r, const struct proxy_location *conf, struct str value)
{
	struct cookie c = { .r = r, .conf = conf };
	const struct proxy_cookie_flags *flags;
	struct str rest = value, item;

	if (!str_cut(&rest, ';', &item) || str_chr(item, '=') == SIZE_MAX)
		return (value);
	c.text = str_trim(item);
	flags = flags_for(r, &conf->cookie_flags, part_of(item).name);
	if (flags != NULL)
		cookie_flags_eval(&c, flags);
	while (str_cut(&rest, ';', &item))
		cookie_part(&c, item);
	if (!c.changed && c.set == 0)
		return (value);
	return (str_trim(cookie_add_flags(r->pool, c.text, c.set)));
}

struct str
proxy_rewrite(struct request *r, enum field_id id, struct str value)
{
	const struct proxy_location *conf = location_conf(r->location, proxy_module);

	switch (id) {
	case FIELD_LOCATION:
		return (conf->redirects.items.count == 0 ? value : location_rewrite(r, conf, value));
	case FIELD_REFRESH:
		return (conf->redirects.items.count == 0 ? value : refresh_rewrite(r, conf, value));
	case FIELD_SET_COOKIE:
		if (conf->cookie_domains.items.count + conf->cookie_paths.items.count +
		    conf->cookie_flags.items.count == 0)
			return (value);
		return (cookie_rewrite(r, conf, value));
	default:
		return (value);
	}
}

/* --- rows --- */

const struct conf_type conf_proxy_rules = {
	.name = "rules", .size = sizeof(struct proxy_rules), .set = NULL
};

static struct proxy_rule *
rule_new(struct conf *cf, struct proxy_rules *rules)
{
	if (rules->items.size == 0)
		rules->items = VEC_OF(struct proxy_rule);
	return (vec_push(&rules->items, cf->pool));
}

/* "~regex" (ignore_case: as for domains) or "~*regex" or text with variables. */
static int
rule_set(struct conf *cf, struct proxy_rules *rules, bool ignore_case)
{
	struct proxy_rule *rule = rule_new(cf, rules);
	struct str from = cf->words[1].text;

	rule->to = tpl_compile(cf, cf->words[2].text);
	if (rule->to == NULL)
		return (-1);
	if (str_starts(from, STR("~"))) {
		from = str_skip(from, 1);
		if (str_starts(from, STR("*"))) {
			from = str_skip(from, 1);
			ignore_case = true;
		}
		rule->matcher = matcher_new(cf, from, ignore_case);
		return (rule->matcher == NULL ? -1 : 0);
	}
	rule->from = tpl_compile(cf, from);
	return (rule->from == NULL ? -1 : 0);
}

static int
default_rule_add(struct conf *cf, struct proxy_rules *rules, const struct proxy_pass *pass)
{
	struct proxy_rule *rule = rule_new(cf, rules);
	struct str parts[2] = { pass->url, STR("/") };

	if (pass->uri.n > 0) {
		rule->from = tpl_compile(cf, pass->url);
		rule->to = tpl_compile(cf, pass->prefix);
	} else {
		rule->from = tpl_compile(cf, pool_concat(cf->pool, 2, parts));
		rule->to = tpl_compile(cf, STR("/"));
	}
	return (rule->from == NULL || rule->to == NULL ? -1 : 0);
}

/* nginx: nothing goes with "off", which stands in rules as the one and only. */
static int
rules_check(struct conf *cf, const struct proxy_rules *rules)
{
	bool off = cf->word_count == 2 && str_eq(cf->words[1].text, STR("off"));

	if (rules->off || (off && rules->items.count > 0))
		return (conf_error_at(cf, 0, "\"" STR_FMT "\" directive is duplicate",
		    STR_ARG(cf->words[0].text)));
	return (0);
}

int
proxy_redirect_set(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct location *loc = conf_location(cf);
	const struct proxy_location *conf = location_conf(loc, proxy_module);
	struct proxy_rules *rules = field;
	struct str word = cf->words[1].text;

	(void)row;
	if (rules_check(cf, rules) != 0)
		return (-1);
	if (cf->word_count == 3)
		return (rule_set(cf, rules, false));
	if (str_eq(word, STR("off"))) {
		rules->off = true;
		return (0);
	}
	if (!str_eq(word, STR("default")))
		return (conf_error_at(cf, 1, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
	if (conf->pass == NULL)
		return (conf_error(cf, "\"proxy_redirect default\" should be placed after the "
		    "\"proxy_pass\" directive"));
	if (conf->pass->variables != NULL)
		return (conf_error(cf, "\"proxy_redirect default\" cannot be used with "
		    "\"proxy_pass\" directive with variables"));
	return (default_rule_add(cf, rules, conf->pass));
}

int
proxy_redirect_init(struct conf *cf, struct proxy_location *conf,
    const struct proxy_location *parent)
{
	if (conf->redirects.off || conf->redirects.items.count > 0)
		return (0);
	/* As nginx: the rule that the location around was given by default is inherited too. */
	if (parent != NULL && parent->redirects.items.count > 0) {
		conf->redirects = parent->redirects;
		return (0);
	}
	if (conf->pass == NULL || conf->pass->variables != NULL)
		return (0);
	return (default_rule_add(cf, &conf->redirects, conf->pass));
}

int
proxy_cookie_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct proxy_rules *rules = field;

	if (rules_check(cf, rules) != 0)
		return (-1);
	if (cf->word_count == 3)
		return (rule_set(cf, rules, str_eq(str_from(row->name), STR("proxy_cookie_domain"))));
	if (!str_eq(cf->words[1].text, STR("off")))
		return (conf_error_at(cf, 1, "invalid parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	rules->off = true;
	return (0);
}

int
proxy_cookie_flags_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct proxy_rules *rules = field;
	struct proxy_cookie_flags *flags;
	struct str cookie = cf->words[1].text;

	(void)row;
	if (rules_check(cf, rules) != 0)
		return (-1);
	if (cf->word_count == 2) {
		if (!str_eq(cookie, STR("off")))
			return (conf_error_at(cf, 1, "invalid parameter \"" STR_FMT "\"",
			    STR_ARG(cookie)));
		rules->off = true;
		return (0);
	}
	if (rules->items.size == 0)
		rules->items = VEC_OF(struct proxy_cookie_flags);
	flags = vec_push(&rules->items, cf->pool);
	if (str_starts(cookie, STR("~")))
		flags->matcher = matcher_new(cf, str_skip(cookie, 1), true);
	else
		flags->cookie = tpl_compile(cf, cookie);
	if (flags->matcher == NULL && flags->cookie == NULL)
		return (-1);
	flags->words = VEC_OF(struct tpl *);
	for (unsigned i = 2; i < cf->word_count; i++) {
		struct tpl *word = tpl_compile(cf, cf->words[i].text);

		if (word == NULL)
			return (-1);
		*(struct tpl **)vec_push(&flags->words, cf->pool) = word;
	}
	return (0);
}
