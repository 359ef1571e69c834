/*
 * try_files: the first of several files that is there, else a named location, a
 * status, or another uri (SEMANTICS e4).  A step before the content.
 */
#include <errno.h>

#include "http/core.h"
#include "http/file.h"
#include "http/response.h"
#include "mod/modules.h"

struct try_item {
	struct tpl *path;
	bool directory;		/* written with '/' at its end, which is cut off */
};

struct try_files_location {
	struct vec items;	/* struct try_item; the last is the fallback */
	unsigned status;	/* the fallback "=404"; 0: none */
};

static int
try_files_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct try_files_location *conf = field;
	struct str last = cf->words[cf->word_count - 1].text;
	uint64_t status;

	(void)row;
	conf->items = VEC_OF(struct try_item);
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct try_item *item = vec_push(&conf->items, cf->pool);
		struct str text = cf->words[i].text;

		item->directory = i + 1 < cf->word_count && str_ends(text, STR("/"));
		text.n -= item->directory;
		item->path = tpl_compile(cf, text);
		if (item->path == NULL)
			return (-1);
	}
	if (str_starts(last, STR("="))) {
		if (!str_to_uint(str_skip(last, 1), 999, &status))
			return (conf_error_at(cf, cf->word_count - 1, "invalid code \"" STR_FMT "\"",
			    STR_ARG(last)));
		conf->status = (unsigned)status;
	}
	return (0);
}

/* Is item there, as a folder or as anything but a folder? 1, 0; else a status. */
static int
try_item(struct request *r, struct str item, bool want_directory)
{
	struct str path;
	struct file *file;
	int rc = core_map_item(r, item, &path);
	bool found;

	if (rc != 0)
		return (rc);
	file = core_file(r, path, false);
	if (file == NULL) {
		if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG && errno != EACCES)
			request_log(r, LOG_CRIT, errno, "stat() \"" STR_FMT "\" failed", STR_ARG(path));
		return (0);
	}
	found = file->is_directory == want_directory;
	owner_drop(&file->owner);
	return (found);
}

/*
 * The uri becomes the item's; below an alias the location's prefix stays in front of it.  Behind an
 * alias that is a whole path nginx lets a folder be what the alias alone is.
 */
static void
try_take(struct request *r, struct str item, bool directory)
{
	const struct core_location *core = r->location->core;
	struct str parts[2] = { r->uri, item };

	if (core->alias && core->alias_prefix == ALIAS_WHOLE) {
		if (directory)
			return;
		r->uri_below_alias = true;
	}
	if (str_eq(item, r->uri))
		return;
	if (core->alias && core->alias_prefix != ALIAS_WHOLE) {
		parts[0].n = core->alias_prefix < r->uri.n ? core->alias_prefix : r->uri.n;
		if (!str_starts(item, parts[0]))
			item = pool_concat(r->pool, 2, parts);
	}
	r->uri = item;
	r->uri_changed = true;
}

static enum step_result
try_fallback(struct request *r, const struct try_files_location *conf, struct str fallback)
{
	struct location *from = r->location;
	struct str args = STR("");
	size_t question;
	enum step_result result;

	if (conf->status >= 300)
		return (request_fail(r, conf->status));
	if (conf->status >= 200)
		return (request_answer(r, conf->status, STR_NULL, STR("")));
	if (conf->status != 0)		/* no status of an answer: as nginx, none is given */
		return (request_fail(r, 444));
	if (str_starts(fallback, STR("@"))) {
		result = request_named(r, fallback);
		if (result == STEP_REROUTE && r->failed == NULL)
			r->jumped_from = from;
		return (result);
	}
	question = str_chr(fallback, '?');
	if (question != SIZE_MAX) {
		args = str_skip(fallback, question + 1);
		fallback.n = question;
	}
	return (request_redirect(r, fallback, args));
}

enum step_result
try_files_step(struct request *r)
{
	const struct try_files_location *conf = location_conf(r->location, try_files_module);
	size_t last = conf->items.count - 1;

	if (conf->items.count == 0)
		return (STEP_NEXT);
	for (size_t i = 0; i < last; i++) {
		const struct try_item *try = vec_at(&conf->items, struct try_item, i);
		struct str item = tpl_eval(r, try->path);
		int rc = try_item(r, item, try->directory);

		if (rc > 1)
			return (request_fail(r, (unsigned)rc));
		if (rc == 0)
			continue;
		try_take(r, item, try->directory);
		return (STEP_NEXT);
	}
	return (try_fallback(r, conf,
	    tpl_eval(r, vec_at(&conf->items, struct try_item, last)->path)));
}

static const struct conf_row try_files_rows[] = {
	{ .name = "try_files", .contexts = CTX_SERVER | CTX_LOCATION, .min = 2, .max = CONF_ANY,
	    .type = &conf_custom_vec, .flags = CONF_OWN, .set = try_files_set,
	    .scope = SCOPE_LOCATION },
	{ .name = NULL }
};

struct module try_files_module = {
	.name = "try_files",
	.size = { [SCOPE_LOCATION] = sizeof(struct try_files_location) },
	.rows = try_files_rows,
};
