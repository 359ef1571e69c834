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
#include "http/file.h"
#include "http/response.h"
#include "mod/modules.h"

#define PUMP_CHUNK	(64 * 1024)
#define PUMP_TURN	(4 * PUMP_CHUNK)	/* then others have their turn: gzip takes its time */

/* An answer that a filter reads (gzip): piece by piece, as the client takes it. */
struct static_pump {
	struct request *r;
	struct file *file;
	uint64_t offset;
	struct task more;	/* goes on next turn */
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

/* Has the client enough to do?  Less is queued for it while many wait. */
static bool
static_pump_is_full(struct request *r)
{
	if (resp_is_full(r))
		return (true);
	if (!block_is_scarce() || !session_is_blocked(r))
		return (false);
	session_await_drain(r);
	return (true);
}

/* Writes until the client's side is full, all is written, or it has been enough for one turn. */
static void
static_pump_run(struct request *r)
{
	struct static_pump *pump = r->holder.arg;
	struct file *file = pump->file;
	uint64_t stop = pump->offset + PUMP_TURN;

	task_cancel(&pump->more);
	while (!static_pump_is_full(r)) {
		uint64_t left = file->size - pump->offset;
		uint64_t most = block_is_scarce() ? BLOCK_SIZE : PUMP_CHUNK;
		uint64_t n = left < most ? left : most;
		struct chain body = { 0 };

		if (pump->offset >= stop) {
			loop_ready(r->thread->loop, &pump->more);
			return;
		}
		owner_hold(&file->owner);
		chain_add_file(&body, file->fd, (off_t)pump->offset, n, &file->owner);
		pump->offset += n;
		if (resp_write(r, &body, n == left ? SEND_LAST : 0) != 0 || n == left)
			return;
	}
}

static void
static_pump_more(struct task *task)
{
	static_pump_run(list_item(task, struct static_pump, more)->r);
}

static const struct request_events static_events = { .on_drain = static_pump_run };

static void
static_pump_cancel(struct request *r, void *arg)
{
	struct static_pump *pump = arg;

	(void)r;
	task_cancel(&pump->more);
	owner_drop(&pump->file->owner);
}

static enum step_result
static_pump_start(struct request *r, struct file *file)
{
	struct static_pump *pump = pool_new_object(r->pool, struct static_pump);

	pump->r = r;
	pump->file = file;
	pump->more.run = static_pump_more;
	request_wait(r, static_pump_cancel, pump);
	r->events = &static_events;
	static_pump_run(r);
	return (STEP_WAIT);
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
	if (r->filter_count > 0 && file->content == NULL && file->size > PUMP_CHUNK &&
	    !r->out.no_body && r->out.status != 206)
		return (static_pump_start(r, file));
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
