/*
 * Files: the content of locations that nothing else answers for.  A step at the
 * end of the table; also answers "nothing is here".
 *
 *	uri -> path (root, alias) -> file cache -> directory: 301 | file: head, bytes
 */
#include <errno.h>

#include "base/encode.h"
#include "base/hint.h"
#include "http/core.h"
#include "http/feed.h"
#include "http/file.h"
#include "http/response.h"
#include "mod/modules.h"

#define PIECES_FROM	(64 * 1024)	/* shorter files go through filters at once */

/* An answer that a filter reads (gzip): piece by piece, as the client takes it. */
struct static_feed {
	struct feed feed;
	struct file *file;
	uint64_t offset;
};

static enum step_result
static_failed(struct request *r, struct str path, int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		if (r->location->core->log_not_found)
			request_log(r, LOG_ERR, err, "open() \"" STR_FMT "\" failed", STR_ARG(path));
		return (request_fail(r, 404));
	case EACCES:
	case EPERM:
	case ELOOP:
		request_log(r, LOG_ERR, err, "open() \"" STR_FMT "\" failed at \"" STR_FMT "\"",
		    STR_ARG(path), STR_ARG(hint_barred(r->pool, path)));
		return (request_fail(r, 403));
	default:
		request_log(r, LOG_CRIT, err, "open() \"" STR_FMT "\" failed", STR_ARG(path));
		return (request_fail(r, 500));
	}
}

static enum step_result
static_directory(struct request *r)
{
	struct str parts[4] = { encode_uri(r->pool, r->uri, ESCAPE_URI), STR("/"),
	    r->args.n > 0 ? STR("?") : STR(""), r->args };

	return (request_answer_redirect(r, 301, pool_concat(r->pool, 4, parts)));
}

static bool
static_next(struct feed *feed, struct chain *out, size_t most)
{
	struct static_feed *from = list_item(feed, struct static_feed, feed);
	uint64_t left = from->file->size - from->offset, n = left < most ? left : most;

	owner_hold(&from->file->owner);
	chain_add_file(out, from->file->fd, (off_t)from->offset, n, &from->file->owner);
	from->offset += n;
	return (n == left);
}

static void
static_release(struct feed *feed)
{
	owner_drop(&list_item(feed, struct static_feed, feed)->file->owner);
}

static enum step_result
static_feed_start(struct request *r, struct file *file)
{
	struct static_feed *from = pool_new_object(r->pool, struct static_feed);

	from->feed.next = static_next;
	from->feed.release = static_release;
	from->file = file;
	return (feed_start(r, &from->feed));
}

static enum step_result
static_answer(struct request *r, struct file *file)
{
	const struct core_location *core = r->location->core;
	struct chain body = { 0 };

	r->out.status = 200;
	r->out.length = (int64_t)file->size;
	r->out.last_modified = file->mtime;
	if (core->etag)
		r->out.etag = file->etag;
	if (r->out.content_type.p == NULL)
		r->out.content_type = core_content_type(r, r->uri);
	r->out.ranges_allowed = true;
	r->out.file = file;
	if (resp_start(r) != 0) {
		owner_drop(&file->owner);
		return (STEP_DONE);
	}
	r->out.file = NULL;
	if (r->filter_count > 0 && file->content == NULL && file->size > PIECES_FROM &&
	    !r->out.no_body && r->out.status != 206)
		return (static_feed_start(r, file));
	file_chain(file, &body);
	if (body.last != NULL)
		body.last->copy = !core->sendfile;
	owner_drop(&file->owner);
	(void)resp_write(r, &body, SEND_LAST);
	return (STEP_DONE);
}

/*
 * While an error is answered, POST, PUT, PATCH and DELETE are taken as GET, so that its page comes
 * and not another error (SEMANTICS D2).
 */
static bool
static_method_allowed(const struct request *r, bool file_found)
{
	switch (r->in.method) {
	case METHOD_GET:
	case METHOD_HEAD:
		return (true);
	case METHOD_POST:
		return (!file_found || r->failed != NULL);
	case METHOD_PUT:
	case METHOD_PATCH:
	case METHOD_DELETE:
		return (r->failed != NULL);
	default:
		return (false);
	}
}

enum step_result
static_step(struct request *r)
{
	struct str path;
	struct file *file;
	int rc;

	if (!static_method_allowed(r, false))
		return (request_fail(r, 405));
	rc = core_map_uri(r, STR(""), &path);
	if (rc != 0)
		return (request_fail(r, (unsigned)rc));
	if (str_ends(r->uri, STR("/"))) {
		file = core_file(r, path, false);
		if (file == NULL)
			return (static_failed(r, path, errno));
		owner_drop(&file->owner);
		request_log(r, LOG_ERR, 0, "directory index of \"" STR_FMT "\" is forbidden",
		    STR_ARG(path));
		return (request_fail(r, 403));
	}
	file = core_file(r, path, true);
	if (file == NULL)
		return (static_failed(r, path, errno));
	if (!file->is_directory && static_method_allowed(r, true) && file->is_regular)
		return (static_answer(r, file));
	rc = file->is_directory ? 301 : !static_method_allowed(r, true) ? 405 : 404;
	owner_drop(&file->owner);
	if (rc == 301)
		return (static_directory(r));
	if (rc == 404)
		request_log(r, LOG_CRIT, 0, "\"" STR_FMT "\" is not a regular file", STR_ARG(path));
	return (request_fail(r, (unsigned)rc));
}
