/*
 * The life of a request between its head and its end: the steps, the three ways
 * to go elsewhere, who holds it while it waits, and its death.
 *
 *	run: step -> NEXT -> step -> ... -> DONE
 *	           \-> WAIT -> (holder) -> request_resume -> run
 *	           \-> REROUTE -> redirect | relocate | named entry -> run
 *
 * Sessions make requests (session.c) and end them with request_finish().
 */
#define _GNU_SOURCE	/* strerrordesc_np */
#include "http/request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"
#include "http/access_log.h"
#include "http/body.h"
#include "http/core.h"
#include "http/response.h"
#include "http/route.h"
#include "http/session.h"
#include "http/spool.h"

#define REROUTES_MAX	10

static unsigned
entry_step(enum req_entry entry)
{
	unsigned i;

	for (i = 0; req_steps[i].name != NULL; i++)
		if (req_steps[i].entry == entry)
			break;
	assert(req_steps[i].name != NULL);
	return (i);
}

/* The next step to run after what a step said; false: stop running. */
static bool
request_advance(struct request *r, enum step_result result)
{
	switch (result) {
	case STEP_NEXT:
		r->step++;
		return (true);
	case STEP_REROUTE:
		return (true);
	case STEP_WAIT:
		assert(r->holder.cancel != NULL);
		return (false);
	case STEP_DONE:
		break;
	}
	return (false);
}

void
request_run(struct request *r)
{
	enum step_result result;

	assert(r->magic == REQUEST_MAGIC && !r->running);
	r->running = true;
	do {
		const struct req_step *step = &r->http->kind->steps[r->step];

		if (step->name == NULL) {
			result = request_fail(r, 404);
		} else if (step->once && (r->steps_done & (1u << r->step)) != 0) {
			result = STEP_NEXT;
		} else {
			if (step->once)
				r->steps_done |= 1u << r->step;
			if (log_enabled(request_log_target(r), LOG_DEBUG))
				request_log(r, LOG_DEBUG, 0, "step %s", step->name);
			result = step->run(r);
		}
		if (r->decided)
			result = r->outcome;
		r->decided = false;
	} while (request_advance(r, result));
	r->running = false;
}

void
request_wait(struct request *r, void (*cancel)(struct request *, void *), void *arg)
{
	r->holder.cancel = cancel;
	r->holder.arg = arg;
}

void
request_resume(struct request *r, bool next)
{
	request_go(r, next ? STEP_NEXT : STEP_REROUTE);
}

void
request_go(struct request *r, enum step_result result)
{
	if (result != STEP_WAIT)	/* else it is held anew, by whom request_wait() was told */
		r->holder.cancel = NULL;
	if (r->running) {
		r->decided = true;
		r->outcome = result;
		return;
	}
	if (result == STEP_NEXT)
		r->step++;
	if (result == STEP_NEXT || result == STEP_REROUTE)
		request_run(r);
}

/* Frees what a step left waiting, before the request goes elsewhere. */
static void
request_release(struct request *r)
{
	struct request_holder holder = r->holder;

	r->holder.cancel = NULL;
	if (holder.cancel != NULL)
		holder.cancel(r, holder.arg);
	r->events = NULL;
}

static bool
request_count_reroute(struct request *r, const char *what)
{
	if (++r->reroutes <= REROUTES_MAX)
		return (true);
	request_log(r, LOG_ERR, 0, "rewrite or internal redirection cycle while %s \"" STR_FMT "\"",
	    what, STR_ARG(r->uri));
	return (false);
}

static enum step_result
request_cycle(struct request *r)
{
	/* a page would run in the same circle */
	r->error_page_used = r->error_fallback_used = true;
	r->cycle = true;
	return (request_fail(r, 500));
}

enum step_result
request_redirect(struct request *r, struct str uri, struct str args)
{
	if (!request_count_reroute(r, "internally redirecting to"))
		return (request_cycle(r));
	request_release(r);
	r->uri = uri;
	r->args = args;
	r->uri_changed = true;
	r->uri_detached = r->uri_below_alias = false;
	r->internal = true;
	r->location = r->server->root;
	r->jumped_from = NULL;
	memset(r->state, 0, module_count * sizeof(*r->state));
	r->step = entry_step(ENTRY_REDIRECT);
	return (STEP_REROUTE);
}

enum step_result
request_relocate(struct request *r)
{
	if (!request_count_reroute(r, "processing"))
		return (request_cycle(r));
	r->uri_changed = true;
	r->uri_detached = false;
	r->step = entry_step(ENTRY_RELOCATE);
	return (STEP_REROUTE);
}

enum step_result
request_named(struct request *r, struct str name)
{
	struct location *loc;

	if (!request_count_reroute(r, "redirecting to named location"))
		return (request_cycle(r));
	if (r->uri.n == 0) {
		request_log(r, LOG_ERR, 0,
		    "empty URI in redirect to named location \"" STR_FMT "\"", STR_ARG(name));
		return (request_cycle(r));
	}
	loc = route_named(r->server, name);
	if (loc == NULL) {
		request_log(r, LOG_ERR, 0, "could not find named location \"" STR_FMT "\"",
		    STR_ARG(name));
		return (request_cycle(r));
	}
	request_release(r);
	r->uri_below_alias = false;
	r->internal = true;
	r->jumped_from = NULL;
	r->location = loc;
	memset(r->state, 0, module_count * sizeof(*r->state));
	r->step = entry_step(ENTRY_NAMED);
	return (STEP_REROUTE);
}

enum step_result
find_location_step(struct request *r)
{
	struct str location;
	int rc = route_location(r);

	if (rc < 0)
		return (request_fail(r, 500));
	if (r->location->core->internal && !r->internal)
		return (request_fail(r, 404));
	if (body_is_open(r) && !body_length_allowed(r)) {
		r->body_lost = true;	/* it does not go to an error page's back end either */
		return (request_fail(r, 413));
	}
	if (rc == 0)
		return (STEP_NEXT);
	location = r->location->name;
	if (r->args.n > 0) {
		struct str parts[3] = { location, STR("?"), r->args };

		location = pool_concat(r->pool, 3, parts);
	}
	return (request_answer_redirect(r, 301, location));
}

enum step_result
content_step(struct request *r)
{
	if (r->location->content == NULL)
		return (STEP_NEXT);
	return (r->location->content(r));
}

void
request_finish(struct request *r)
{
	struct http_conf *http = r->http;
	unsigned index = loop_index(r->thread->loop);

	assert(r->magic == REQUEST_MAGIC);
	request_release(r);
	if (!r->logged) {
		r->logged = true;
		access_log_write(r);
	}
	r->magic = 0;
	if (r->body != NULL)
		spool_drop(r->body);
	if (r->parent != NULL)	/* its arena and its pin are the parent's */
		return;
	pool_free(r->pool);
	http_conf_unpin(http, index);
}

const struct log *
request_log_target(const struct request *r)
{
	const struct log *log = r->location->core->error_log;

	return (log != NULL ? log : log_default());
}

/* $server_name; a server of stream {} is known by its address. */
static struct str
log_server(struct request *r)
{
	char text[ADDR_TEXT_MAX];

	if (!r->http->kind->headless || r->session == NULL)
		return (r->server->name);
	return (pool_strdup(r->pool,
	    str_make(text, addr_text(&session_listen(r)->addr, true, text))));
}

static struct str
log_part(struct request *r, const char *name, struct str value)
{
	if (value.n == 0)
		return (STR(""));
	return (pool_printf(r->pool, ", %s: \"" STR_FMT "\"", name,
	    STR_ARG(encode_log(r->pool, value, LOG_ESCAPE_DEFAULT))));
}

void
request_log(struct request *r, enum log_level level, int err, const char *format, ...)
{
	const struct log *log = request_log_target(r);
	char client[ADDR_TEXT_MAX] = "";
	struct str text, error = STR("");
	size_t client_len = 0;
	va_list ap;

	if (!log_enabled(log, level))
		return;
	va_start(ap, format);
	/* Decoded paths and what back ends say are parts of it: it stays one line. */
	text = encode_log(r->pool, pool_vprintf(r->pool, format, ap), LOG_ESCAPE_CONTROLS);
	va_end(ap);
	if (r->session != NULL)
		client_len = addr_text(session_peer(r), false, client);
	if (err != 0)
		error = pool_printf(r->pool, " (%d: %s)", err, strerrordesc_np(err));
	log_write(log, level, r->connection_number, 0,
	    STR_FMT STR_FMT
	    "%s%s, client: %.*s, server: " STR_FMT STR_FMT STR_FMT STR_FMT STR_FMT STR_FMT STR_FMT,
	    STR_ARG(text), STR_ARG(error), r->log_action == NULL ? "" : " while ",
	    r->log_action == NULL ? "" : r->log_action, (int)client_len, client,
	    STR_ARG(log_server(r)), STR_ARG(log_part(r, "request", r->in.line)),
	    STR_ARG(log_part(r, "subrequest", r->parent == NULL ? STR_NULL : r->uri)),
	    STR_ARG(log_part(r, "upstream", r->log_upstream)),
	    STR_ARG(log_part(r, "host", fields_value(&r->in.fields, FIELD_HOST))),
	    STR_ARG(log_part(r, "referrer", fields_value(&r->in.fields, FIELD_REFERER))),
	    STR_ARG(r->log_tail));
}
