/*
 * autoindex: the listing of a folder without an index.  A step between index
 * and static, for uris that end in '/'.
 *
 *	uri -> path -> folder_read (helper thread) -> head -> feed: listing_write
 *	                                          \-> 403, 404, 500, 503
 */
#include <errno.h>

#include "http/core.h"
#include "http/feed.h"
#include "http/response.h"
#include "http/uri.h"
#include "mod/listing.h"
#include "mod/modules.h"

#define CALLBACK_MAX	128

struct autoindex_location {
	bool on;
	bool exact_size, local_time;
	unsigned format;	/* enum listing_kind */
};

/* A listing on its way; in the request's pool. */
struct autoindex {
	struct request *r;
	struct folder *folder;
	struct listing listing;
	struct feed feed;
};

static enum step_result
autoindex_failed(struct request *r, const char *call, struct str path, int error)
{
	enum log_level level = LOG_ERR;
	unsigned status;

	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		status = 404;
		break;
	case EACCES:
		status = 403;
		break;
	case ENOMEM:
		level = LOG_CRIT;
		status = 503;
		break;
	default:
		level = LOG_CRIT;
		status = 500;
	}
	request_log(r, level, error, "%s \"" STR_FMT "\" failed", call, STR_ARG(path));
	return (request_fail(r, status));
}

static bool
autoindex_next(struct feed *feed, struct chain *out, size_t most)
{
	return (listing_write(&list_item(feed, struct autoindex, feed)->listing, out, most));
}

static void
autoindex_release(struct feed *feed)
{
	folder_free(list_item(feed, struct autoindex, feed)->folder);
}

static enum step_result
autoindex_answer(struct request *r, struct autoindex *a)
{
	struct response *out = &r->out;

	out->status = 200;
	out->content_type = listing_type(a->listing.kind);
	out->charset = listing_charset(a->listing.kind);
	if (resp_start(r) != 0) {
		folder_free(a->folder);
		return (STEP_DONE);
	}
	a->listing.utf8 = str_eq_ci(out->charset, STR("utf-8"));
	a->feed.next = autoindex_next;
	a->feed.release = autoindex_release;
	return (feed_start(r, &a->feed));
}

/* On the request's loop. */
static void
autoindex_done(struct folder *folder, void *arg)
{
	struct autoindex *a = arg;
	struct request *r = a->r;
	enum step_result result;

	r->holder.cancel = NULL;
	if (folder->barred.p != NULL)
		request_log(r, LOG_CRIT, EACCES, "stat() \"" STR_FMT "\" failed",
		    STR_ARG(folder->barred));
	if (folder->error == 0) {
		result = autoindex_answer(r, a);
	} else {
		result = autoindex_failed(r, folder->failed, folder->failed_path, folder->error);
		folder_free(folder);
	}
	if (result != STEP_WAIT)
		request_go(r, result);
}

static void
autoindex_cancel(struct request *r, void *arg)
{
	struct autoindex *a = arg;

	(void)r;
	folder_cancel(a->folder);
}

/* What JSONP calls; empty: plain JSON.  False: no name of a function. */
static bool
callback_of(struct request *r, struct str *callback)
{
	*callback = args_get(r->args, STR("callback"));
	if (callback->n > CALLBACK_MAX) {
		request_log(r, LOG_INFO, 0, "client sent too long callback name: \"" STR_FMT "\"",
		    STR_ARG(*callback));
		return (false);
	}
	for (size_t i = 0; i < callback->n; i++)
		if (!var_is_name_byte(callback->p[i]) && callback->p[i] != '.') {
			request_log(r, LOG_INFO, 0, "client sent invalid callback name: \"" STR_FMT
			    "\"", STR_ARG(*callback));
			return (false);
		}
	return (true);
}

enum step_result
autoindex_step(struct request *r)
{
	const struct autoindex_location *conf = location_conf(r->location, autoindex_module);
	struct listing listing = { .kind = conf->format, .uri = r->uri,
		.exact_size = conf->exact_size, .local_time = conf->local_time };
	struct autoindex *a;
	struct str path;
	int rc;

	if (!conf->on || !str_ends(r->uri, STR("/")) ||
	    (r->in.method != METHOD_GET && r->in.method != METHOD_HEAD))
		return (STEP_NEXT);
	if (listing.kind == LISTING_JSONP) {
		if (!callback_of(r, &listing.callback))
			return (request_fail(r, 400));
		if (listing.callback.n == 0)
			listing.kind = LISTING_JSON;
	}
	rc = core_map_uri(r, STR(""), &path);
	if (rc != 0)
		return (request_fail(r, (unsigned)rc));
	/* An alias without its slash: what is in there would be looked for beside it. */
	if (!str_ends(path, STR("/")))
		return (autoindex_failed(r, "opendir()", path, ENOENT));
	path.n -= path.n > 1;
	a = pool_new_object(r->pool, struct autoindex);
	a->r = r;
	a->folder = folder_read(r->thread->loop, path, r->in.method == METHOD_GET, FOLDERS_BYTES,
	    autoindex_done, a);
	a->listing = listing;
	a->listing.folder = a->folder;
	request_wait(r, autoindex_cancel, a);
	return (STEP_WAIT);
}

/* --- directives --- */

static const struct conf_name names_format[] = {
	{ "html", LISTING_HTML }, { "json", LISTING_JSON }, { "jsonp", LISTING_JSONP },
	{ "xml", LISTING_XML }, { NULL, 0 }
};

#define IN_LOCATION(field)						\
	.scope = SCOPE_LOCATION, .offset = offsetof(struct autoindex_location, field)

static const struct conf_row autoindex_rows[] = {
	{ .name = "autoindex", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(on), .dflt = "off" },
	{ .name = "autoindex_format", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_enum,
	    .param = names_format, IN_LOCATION(format), .dflt = "html" },
	{ .name = "autoindex_localtime", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(local_time), .dflt = "off" },
	{ .name = "autoindex_exact_size", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(exact_size), .dflt = "on" },
	{ .name = NULL }
};

struct module autoindex_module = {
	.name = "autoindex",
	.size = { [SCOPE_LOCATION] = sizeof(struct autoindex_location) },
	.rows = autoindex_rows,
};
