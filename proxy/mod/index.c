/* The file that stands for a folder: a step before static, for uris that end in '/'. */
#include <errno.h>

#include "http/core.h"
#include "http/file.h"
#include "http/response.h"
#include "mod/modules.h"

struct index_location {
	struct vec files;	/* struct tpl * */
};

static int
index_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *files = field;

	(void)row;
	if (files->size == 0)
		*files = VEC_OF(struct tpl *);
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct tpl *file;

		if (cf->words[i].text.n == 0)
			return (conf_error_at(cf, i, "index \"\" in \"index\" directive is invalid"));
		if (str_starts(cf->words[i].text, STR("/")) && i + 1 < cf->word_count)
			conf_warn_at(cf, i, "only the last index in \"index\" directive should be "
			    "absolute");
		file = tpl_compile(cf, cf->words[i].text);
		if (file == NULL)
			return (-1);
		*(struct tpl **)vec_push(files, cf->pool) = file;
	}
	return (0);
}

static bool
index_method_allowed(const struct request *r)
{
	return (r->in.method == METHOD_GET || r->in.method == METHOD_HEAD ||
	    r->in.method == METHOD_POST || r->failed != NULL);
}

/* nginx looks for the folder once the first index is not in it.  False: errno says why. */
static bool
index_folder_exists(struct request *r)
{
	struct str path;
	struct file *file;

	if (core_map_uri(r, STR(""), &path) != 0)
		return (true);
	file = core_file(r, path, false);
	if (file == NULL)
		return (errno != ENOENT);
	owner_drop(&file->owner);
	return (true);
}

static enum step_result
index_failed(struct request *r, struct str path, int error)
{
	if (error == EACCES || error == ELOOP) {
		request_log(r, LOG_ERR, error, "\"" STR_FMT "\" is forbidden", STR_ARG(path));
		return (request_fail(r, 403));
	}
	if (r->location->core->log_not_found)
		request_log(r, LOG_ERR, error, "\"" STR_FMT "\" is not found", STR_ARG(path));
	return (request_fail(r, 404));
}

enum step_result
index_step(struct request *r)
{
	const struct index_location *conf = location_conf(r->location, index_module);
	bool folder_seen = false;

	if (!str_ends(r->uri, STR("/")) || !index_method_allowed(r))
		return (STEP_NEXT);
	VEC_EACH(&conf->files, struct tpl *, it) {
		struct str name = tpl_eval(r, *it), path, uri[2] = { r->uri, name };
		struct file *file;
		int rc;

		if (str_starts(name, STR("/")))
			return (request_redirect(r, name, r->args));
		rc = core_map_uri(r, name, &path);
		if (rc != 0)
			return (request_fail(r, (unsigned)rc));
		file = core_file(r, path, false);
		if (file != NULL) {
			owner_drop(&file->owner);
			return (request_redirect(r, pool_concat(r->pool, 2, uri), r->args));
		}
		if (errno == ENOENT && (folder_seen || index_folder_exists(r)))
			folder_seen = true;
		else if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ||
		    errno == EACCES || errno == ELOOP)
			return (index_failed(r, path, errno));
	}
	return (STEP_NEXT);
}

static const struct conf_row index_rows[] = {
	{ .name = "index", .contexts = CTX_HSL, .min = 1, .max = CONF_ANY, .flags = CONF_REPEAT,
	    .type = &conf_custom_vec, .set = index_set, .scope = SCOPE_LOCATION,
	    .offset = offsetof(struct index_location, files), .dflt = "index.html" },
	{ .name = NULL }
};

struct module index_module = {
	.name = "index",
	.size = { [SCOPE_LOCATION] = sizeof(struct index_location) },
	.rows = index_rows,
};
