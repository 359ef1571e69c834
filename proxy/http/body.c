/*
 * Reading a request's body whole, into a spool, before the content handler
 * begins: slow uploads never take a back end's slot.  Called by content handlers;
 * streamed bodies are read by them directly through the session.
 *
 *	body_read -> NEXT (all there)
 *	          -> WAIT -> on_body ... -> done(r) | an error's answer
 */
#include "http/body.h"

#include <assert.h>
#include <errno.h>

#include "http/core.h"
#include "http/response.h"
#include "http/session.h"
#include "http/spool.h"

#define READ_CHUNK	(256 * 1024)

bool
body_length_allowed(struct request *r)
{
	uint64_t max = r->location->core->client_max_body_size;

	if (max == 0 || r->in.framing.kind != FRAMING_LENGTH || r->in.framing.length <= max)
		return (true);
	request_log(r, LOG_ERR, 0, "client intended to send too large body: %llu bytes "
	    "(client_max_body_size is %llu)", (unsigned long long)r->in.framing.length,
	    (unsigned long long)max);
	return (false);
}

static struct spool *
body_spool_new(struct request *r)
{
	const struct core_location *core = r->location->core;
	struct spool_options options = {
		.memory = core->client_body_buffer_size,
		.path = core->client_body_temp_path->path,
		.file_only = core->client_body_in_file_only != 0,
		.keep_file = core->client_body_in_file_only == 1,
		.clean_file = core->client_body_in_file_only == 2,
	};

	memcpy(options.levels, core->client_body_temp_path->levels, sizeof(options.levels));
	return (spool_new(&options));
}

static int
body_spool_error(struct request *r, int err, struct str path)
{
	request_log(r, spool_failure_is_news() ? LOG_CRIT : LOG_INFO, err, "could not keep the request "
	    "body in \"" STR_FMT "\" (client_body_temp_path)", STR_ARG(path));
	return (err == ENOSPC || err == EDQUOT ? 507 : 500);
}

bool
body_received_allowed(struct request *r)
{
	uint64_t max = r->location->core->client_max_body_size;

	if (max == 0 || r->in.framing.kind != FRAMING_CHUNKED || r->body_received <= max)
		return (true);
	request_log(r, LOG_ERR, 0, "client intended to send too large chunked body: %llu+ bytes "
	    "(client_max_body_size is %llu)", (unsigned long long)r->body_received,
	    (unsigned long long)max);
	return (false);
}

/* The spool holds a part only: nobody may take it for the whole. */
static void
body_give_up(struct request *r)
{
	spool_drop(r->body);
	r->body = NULL;
	r->body_lost = true;	/* also where it was the spool that failed */
}

bool
body_is_open(const struct request *r)
{
	return (!r->body_done && !r->refused && !r->body_lost && r->body_received == 0);
}

void
body_pass(struct request *r)
{
	/* What was received and is not kept was streamed to somebody before. */
	if (!r->refused && !r->body_lost && (r->body != NULL || r->body_received == 0))
		return;
	r->body_lost = true;
	if (r->in.method != METHOD_HEAD) {
		r->in.method = METHOD_GET;
		r->in.method_name = STR("GET");
	}
	fields_remove(&r->in.fields, FIELD_CONTENT_LENGTH);
	fields_remove(&r->in.fields, FIELD_TRANSFER_ENCODING);
	if (r->refused)
		r->in.fields = (struct fields){ NULL, 0, 0, 0 };
}

/*
 * Takes what the session has.  0: all read; 1: wait; else the status to fail with; -1: the client
 * left.
 */
static int
body_take(struct request *r)
{
	for (;;) {
		struct chain bytes = { 0 };
		struct str path = STR("");
		int rc = r->ops->read_body(r, &bytes, READ_CHUNK);
		bool more_now = bytes.bytes >= READ_CHUNK;

		if (rc < 0) {
			chain_clear(&bytes);
			return (rc == BODY_GONE ? -1 : -rc);
		}
		if (!chain_is_empty(&bytes) && spool_append(r->body, &bytes, &path) != 0) {
			int err = errno;

			chain_clear(&bytes);
			return (body_spool_error(r, err, path));
		}
		if (rc == BODY_END)
			return (0);
		if (!more_now)
			return (1);
	}
}

/* The client cannot be answered any more: only the log is told. */
static void
body_unanswered(struct request *r, unsigned status)
{
	r->out.status = status;
	r->keepalive = false;
	resp_abort(r);
}

/* What body_take() said, as a step's result. */
static enum step_result
body_result(struct request *r, int rc)
{
	switch (rc) {
	case 0:
		if (spool_size(r->body) == 0) {
			spool_drop(r->body);
			r->body = NULL;
		}
		return (STEP_NEXT);
	case 1:
		return (STEP_WAIT);
	case -1:
		body_unanswered(r, 400);
		return (STEP_DONE);
	case 408:
		body_unanswered(r, 408);
		return (STEP_DONE);
	default:
		body_give_up(r);
		return (request_fail(r, (unsigned)rc));
	}
}

static void
body_event(struct request *r)
{
	void (*ready)(struct request *) = r->body_ready;
	enum step_result result = body_result(r, body_take(r));

	if (result == STEP_WAIT)
		return;
	r->holder.cancel = NULL;
	r->events = NULL;
	if (result == STEP_NEXT)
		ready(r);
	else
		request_go(r, result);
}

static const struct request_events body_events = { .on_body = body_event };

static void
body_cancel(struct request *r, void *arg)
{
	(void)r;
	(void)arg;
}

enum step_result
body_read(struct request *r, void (*done)(struct request *))
{
	enum step_result result;

	if (!body_is_open(r))
		return (STEP_NEXT);
	assert(r->body == NULL);
	r->body = body_spool_new(r);
	result = body_result(r, body_take(r));
	if (result != STEP_WAIT)
		return (result);
	r->body_ready = done;
	r->events = &body_events;
	request_wait(r, body_cancel, NULL);
	return (STEP_WAIT);
}
