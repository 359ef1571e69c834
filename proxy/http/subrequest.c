/*
 * Subrequests: a request asks its own server for something and waits for the
 * status and the head of the answer (auth_request).  The session of a subrequest
 * is the null session: there is no body to read, and what is answered goes
 * nowhere.  It lives in the arena of the request that asked, and shares its
 * variables, as in nginx: what "set" does here is seen there.
 *
 *	start -> request_run -> ... LAST or abort -> task -> finished -> done
 *	   \-> the one that asked ends, or goes elsewhere -> finished
 */
#include "http/subrequest.h"

#include "base/clock.h"
#include "http/session.h"
#include "net/loop.h"

struct subrequest {
	struct request request;
	struct task over;	/* ends it outside its own callbacks */
	void (*done)(struct request *, struct request *);
};

/* --- the null session --- */

static void
null_end(struct request *r)
{
	loop_ready(r->thread->loop, &list_item(r, struct subrequest, request)->over);
}

static int
null_read_body(struct request *r, struct chain *to, uint64_t max)
{
	(void)r;
	(void)to;
	(void)max;
	return (BODY_END);
}

static void
null_send_info(struct request *r, unsigned status, const struct fields *fields)
{
	(void)r;
	(void)status;
	(void)fields;
}

static int
null_send_head(struct request *r)
{
	(void)r;
	return (0);
}

static int
null_send_body(struct request *r, struct chain *body, unsigned flags)
{
	chain_clear(body);
	if ((flags & SEND_LAST) != 0)
		null_end(r);
	return (0);
}

/* No tunnel: nobody is there to speak through one, and a back end's 101 is refused. */
static const struct session_ops null_ops = {
	.read_body = null_read_body,
	.send_info = null_send_info,
	.send_head = null_send_head,
	.send_body = null_send_body,
	.abort = null_end,
};

/* --- its life --- */

static void
subrequest_finish(struct subrequest *sub)
{
	request_finish(&sub->request);
	task_cancel(&sub->over);
}

static void
subrequest_over(struct task *task)
{
	struct subrequest *sub = list_item(task, struct subrequest, over);
	struct request *r = sub->request.parent;

	r->holder.cancel = NULL;
	subrequest_finish(sub);
	sub->done(r, &sub->request);
}

static void
subrequest_cancel(struct request *r, void *arg)
{
	(void)r;
	subrequest_finish(arg);
}

/* What r received, without a body and all that speaks of one. */
static struct request_in
in_without_body(const struct request *r)
{
	struct request_in in = r->in;

	in.method = METHOD_GET;
	in.method_name = STR("GET");
	in.framing = (struct framing){ .kind = FRAMING_NONE };
	in.fields.room = in.fields.count + 2;
	in.fields.items = pool_alloc(r->pool, in.fields.room * sizeof(struct field));
	if (in.fields.count > 0)
		memcpy(in.fields.items, r->in.fields.items, in.fields.count * sizeof(struct field));
	fields_remove(&in.fields, FIELD_CONTENT_LENGTH);
	fields_remove(&in.fields, FIELD_TRANSFER_ENCODING);
	fields_remove(&in.fields, FIELD_EXPECT);
	return (in);
}

void
subrequest_start(struct request *r, struct str uri,
    void (*done)(struct request *, struct request *))
{
	struct subrequest *sub = pool_new_object(r->pool, struct subrequest);

	sub->done = done;
	sub->over.run = subrequest_over;
	sub->request = (struct request){
		.magic = REQUEST_MAGIC,
		.pool = r->pool,
		.thread = r->thread,
		.http = r->http,
		.session = r->session,
		.ops = &null_ops,
		.parent = r,
		.in = in_without_body(r),
		.server = r->server,
		.location = r->server->root,
		.steps_done = r->steps_done,
		.state = pool_zalloc(r->pool, module_count * sizeof(*r->state)),
		.vars = r->vars,
		.out = { .length = -1, .last_modified = -1 },
		.body_done = true,
		.start_mono_us = clock_mono_us(),
		.connection_number = r->connection_number,
		.connection_requests = r->connection_requests,
		.connection_start_ms = r->connection_start_ms,
		.pipelined = r->pipelined,
		.remote_user = r->remote_user,
	};
	request_wait(r, subrequest_cancel, sub);
	(void)request_redirect(&sub->request, uri, STR_NULL);
	sub->request.reroutes = 0;	/* that was none yet */
	request_run(&sub->request);
}
