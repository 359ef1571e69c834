/*
 * map: a variable whose value is looked up by another text: strings of any case,
 * host names with wildcards, then regular expressions in file order, then the
 * default.  Read-only once the file is read.
 */
#include "base/hash.h"
#include "http/request.h"
#include "http/site.h"
#include "http/tpl.h"
#include "http/var.h"
#include "mod/modules.h"

struct map_regex {
	struct matcher *matcher;
	struct tpl *value;
};

struct map {
	struct tpl *source;
	struct tpl *otherwise;		/* default; NULL: empty */
	struct hash *exact;		/* -> struct tpl */
	struct hash *head;		/* ".example.com" of "*.example.com" */
	struct hash *tail;		/* "www.example." of "www.example.*" */
	struct vec regexes;		/* struct map_regex */
	bool hostnames;
	bool is_volatile;
};

/* The longest ending of host that begins with a dot and is known. */
static struct tpl *
find_by_head(const struct map *map, struct str host)
{
	for (size_t i = 1; i < host.n; i++) {
		struct tpl *value;

		if (host.p[i] != '.')
			continue;
		value = hash_get(map->head, str_skip(host, i));
		if (value != NULL)
			return (value);
	}
	return (NULL);
}

static struct tpl *
find_by_tail(const struct map *map, struct str host)
{
	for (size_t n = host.n - 1; n > 0; n--) {
		struct tpl *value;

		if (host.p[n - 1] != '.')
			continue;
		value = hash_get(map->tail, str_make(host.p, n));
		if (value != NULL)
			return (value);
	}
	return (NULL);
}

static const struct tpl *
map_find(struct request *r, const struct map *map, struct str text)
{
	struct tpl *value;

	if (map->hostnames && str_ends(text, STR(".")))
		text.n--;
	value = hash_get(map->exact, text);
	if (value == NULL && text.n == 0)	/* as in nginx, no expression matches nothing */
		return (map->otherwise);
	if (value == NULL && hash_count(map->head) > 0)
		value = find_by_head(map, text);
	if (value == NULL && hash_count(map->tail) > 0)
		value = find_by_tail(map, text);
	if (value != NULL)
		return (value);
	VEC_EACH(&map->regexes, const struct map_regex, it)
		if (matcher_match(r, it->matcher, text) == 1)
			return (it->value);
	return (map->otherwise);
}

static bool
map_get(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct map *map = param;
	const struct tpl *found = map_find(r, map, tpl_eval(r, map->source));

	(void)name;
	*value = found == NULL ? STR("") : tpl_eval(r, found);
	return (true);
}

/* Enters a key once. */
static int
key_enter(struct conf *cf, struct hash *hash, struct str key, struct tpl *value)
{
	void **slot = hash_slot(hash, pool_strdup(cf->pool, key));

	if (*slot != NULL)
		return (conf_error_at(cf, 0, "conflicting parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[0].text)));
	*slot = value;
	return (0);
}

/* ".x", "*.x", "x.*", or a plain name; nginx's rules of what is none of them. */
static int
host_enter(struct conf *cf, struct map *map, struct str key, struct tpl *value)
{
	size_t star = str_chr(key, '*');

	if (str_find(key, STR("..")) != SIZE_MAX || star != str_rchr(key, '*'))
		goto invalid;
	if (key.n > 1 && key.p[0] == '.') {
		if (key_enter(cf, map->exact, str_skip(key, 1), value) != 0)
			return (-1);
		return (key_enter(cf, map->head, key, value));
	}
	if (key.n > 2 && str_starts(key, STR("*.")))
		return (key_enter(cf, map->head, str_skip(key, 1), value));
	if (key.n > 2 && str_ends(key, STR(".*")))
		return (key_enter(cf, map->tail, str_make(key.p, key.n - 1), value));
	if (star == SIZE_MAX)
		return (key_enter(cf, map->exact, key, value));
invalid:
	return (conf_error_at(cf, 0, "invalid hostname or wildcard \"" STR_FMT "\"", STR_ARG(key)));
}

static int
regex_enter(struct conf *cf, struct map *map, struct str pattern, struct tpl *value)
{
	bool ignore_case = str_starts(pattern, STR("*"));
	struct map_regex *regex = vec_push(&map->regexes, cf->pool);

	regex->value = value;
	regex->matcher = matcher_new(cf, str_skip(pattern, ignore_case), ignore_case);
	return (regex->matcher == NULL ? -1 : 0);
}

static int
map_word(struct conf *cf, void *arg)
{
	struct map *map = arg;
	struct str key = cf->words[0].text;
	struct tpl *value;

	if (cf->word_count == 1 && str_eq(key, STR("hostnames"))) {
		map->hostnames = true;
		return (0);
	}
	if (cf->word_count == 1 && str_eq(key, STR("volatile"))) {
		map->is_volatile = true;
		return (0);
	}
	if (cf->word_count != 2)
		return (conf_error(cf, "invalid number of the map parameters"));
	value = tpl_compile(cf, cf->words[1].text);
	if (value == NULL)
		return (-1);
	if (str_eq(key, STR("default"))) {
		if (map->otherwise != NULL)
			return (conf_error(cf, "duplicate default map parameter"));
		map->otherwise = value;
		return (0);
	}
	if (str_starts(key, STR("~")))
		return (regex_enter(cf, map, str_skip(key, 1), value));
	if (str_starts(key, STR("\\")))
		key = str_skip(key, 1);
	if (map->hostnames)
		return (host_enter(cf, map, key, value));
	return (key_enter(cf, map->exact, key, value));
}

static int
map_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct map *map = pool_new_object(cf->pool, struct map);
	struct str name = cf->words[2].text;

	(void)row;
	(void)field;
	map->exact = hash_new(cf->pool, true);
	map->head = hash_new(cf->pool, true);
	map->tail = hash_new(cf->pool, true);
	map->regexes = VEC_OF(struct map_regex);
	map->source = tpl_compile(cf, cf->words[1].text);
	if (map->source == NULL)
		return (-1);
	if (name.n == 0 || name.p[0] != '$')
		return (conf_error_at(cf, 2, "invalid variable name \"" STR_FMT "\"",
		    STR_ARG(name)));
	name = str_skip(name, 1);
	if (var_define(cf, name, map_get, map, 0) < 0 || conf_words(cf, map_word, map) != 0)
		return (-1);
	if (map->is_volatile && var_define(cf, name, map_get, map, VAR_NOCACHE) < 0)
		return (-1);
	return (0);
}

static const struct conf_row map_rows[] = {
	{ .name = "map", .contexts = CTX_HTTP | CTX_STREAM, .min = 2, .max = 2, .scope = SCOPE_MAIN,
	    .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN, .set = map_set },
	{ .name = NULL }
};

struct module map_module = { .name = "map", .sites = SITE_HTTP | SITE_STREAM,
	.rows = map_rows };
