#ifndef WPROXY_HTTP_REQUEST_H
#define WPROXY_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/pool.h"
#include "base/str.h"
#include "http/framing.h"
#include "http/header.h"
#include "http/module.h"
#include "http/parse.h"
#include "http/regex.h"
#include "http/site.h"
#include "http/var.h"

struct session;
struct session_ops;
struct spool;
struct upstream;
struct filter;
struct http_thread;

/* As received; never changed after the head was read. */
struct request_in {
	enum method method;
	struct str method_name;
	struct str line;		/* "GET /x HTTP/1.1" */
	struct str target;
	struct str path;		/* of the target, not decoded */
	/* Host or the target's authority: lower case, no port, no dot; "" if none */
	struct str host;
	unsigned version;		/* 9, 10, 11 */
	bool absolute;			/* the target was in absolute-form */
	struct fields fields;		/* Host already replaced by the target's authority */
	struct framing framing;
	uint64_t bytes;			/* of the head: $request_length adds the body's */
};

/* What will be sent. */
struct response {
	unsigned status;		/* 0: none yet */
	struct str reason;		/* absent: the table's */
	struct fields fields;		/* all but those below */
	/* of them: by X-Accel-Redirect, they stay on an error's answer too */
	unsigned fields_kept;
	/* behind the last chunk; filled while SEND_LAST passes the filters */
	struct fields trailers;
	/* there will be some: chunks, even where the length is known */
	bool trailers_follow;
	int64_t length;			/* Content-Length; -1: not known */
	struct str content_type;	/* without charset; absent: no Content-Type */
	struct str charset;		/* to add; absent: none */
	struct str etag;		/* with quotes; absent: none */
	time_t last_modified;		/* -1: none */
	/* the body is a whole representation: Range may apply, Accept-Ranges is sent */
	bool ranges_allowed;
	bool started;			/* resp_start() was called */
	bool chunked;			/* set by the framing filter */
	bool no_body;			/* HEAD, 204, 304: body bytes are dropped */
	bool from_upstream;		/* a back end's answer */
	bool ended;			/* the last body byte was given to resp_write() */
	bool aborted;			/* it ended before that */
	/* the body will be all of it; NULL: none, or not one file (valid while filters start) */
	struct file *file;
	struct str page;		/* replaces the body (resp_replace); absent: none */
	/* a back end's own, passed on where proxy_pass_header says so */
	struct str date, server;
};

/* Who looks after the request while it waits; set by request_wait(). */
struct request_holder {
	/* frees what arg holds; no resume follows */
	void (*cancel)(struct request *, void *arg);
	void *arg;
};

/* What the session tells whoever produces the response or reads the body.  Any may be NULL. */
struct request_events {
	void (*on_body)(struct request *);	/* read_body() has something to say */
	/* what was written went out: resp_is_full() is false again */
	void (*on_drain)(struct request *);
	/*
	 * The client left (reset, or FIN and no longer served).  True: the request goes on without
	 * it (the answer is dropped; end it with SEND_LAST or resp_abort()).  False:
	 * request_finish() follows at once.
	 */
	bool (*on_gone)(struct request *);
};

#define FILTERS_MAX	8
struct filter_run {
	const struct filter *filter;
	void *state;
};

struct request {
	unsigned magic;
	struct pool *pool;
	struct http_thread *thread;
	struct http_conf *http;		/* pinned */
	struct session *session;
	const struct session_ops *ops;
	struct request *parent;		/* whose subrequest this is; NULL: the client's own */

	struct request_in in;

	/* Where it is. */
	const struct server *server;
	struct location *location;
	struct str uri;			/* normalised, decoded, as rewritten so far */
	struct str args;		/* without '?' */
	/* the working uri is no longer what was received: $uri is re-escaped for back ends */
	bool uri_changed;
	/* "rewrite ... break" replaced it: the location's prefix is no part of it */
	bool uri_detached;
	/* try_files chose it: it follows an alias that is a whole path */
	bool uri_below_alias;
	/* reached by an internal redirect: "internal" locations are open */
	bool internal;
	unsigned step;			/* index into the site's steps */
	unsigned steps_done;		/* bits of "once" steps passed */
	unsigned reroutes;		/* at most 10 */
	bool running;			/* inside request_run */
	/* request_go() came inside a step: outcome counts, not the step's own */
	bool decided;
	enum step_result outcome;
	struct request_holder holder;
	const struct request_events *events;

	/* Per module, cleared by a redirect. */
	void **state;
	struct var_slot *vars;
	struct captures *captures;	/* of the last match; NULL before the first */

	struct response out;
	struct filter_run filters[FILTERS_MAX];
	unsigned filter_count;

	/* The body (http/body.h). */
	struct spool *body;		/* what was read ahead of the content; NULL: nothing */
	void (*body_ready)(struct request *);	/* body_read()'s done while it waits */
	uint64_t body_received;
	bool body_done;			/* all of it was read or discarded */
	/* malformed, over a limit, or dropped: it cannot be passed on any more */
	bool body_lost;
	bool refused;			/* the head broke the rules: nothing of it is passed on */

	/* Errors under way (http/error_page.c). */
	unsigned error_status;		/* the status being answered by an error page; 0 */
	/* the location whose error_page applies (D7 keeps its CORS headers) */
	struct location *failed;
	/* the location whose try_files entered this named one (D1) */
	struct location *jumped_from;
	bool error_fallback_used;	/* D1: once */
	/* the WWW-Authenticate fields of the 401 being answered (headers filter) */
	struct fields authenticate;
	/* s: Retry-After of the error being answered (headers filter); 0: none */
	uint64_t retry_after;
	struct str redirect_location;	/* Location of the redirect being answered; absent: none */
	bool cycle;			/* too many reroutes: no error page any more */
	bool error_page_used;		/* recursive_error_pages off: one page only */
	/* the status to fail with is a back end's own (D1 leaves it) */
	bool intercepted;

	/* What back ends said and cost, newest last (mod/upstream.c): $upstream_*. */
	struct upstream *upstream;
	/* "http://127.0.0.1:21002/x" while a back end is spoken to, for error lines */
	struct str log_upstream;
	/* the last words of error lines, with their comma; absent: none */
	struct str log_tail;
	/* "connecting to upstream": error lines say " while ..."; NULL */
	const char *log_action;

	uint64_t limit_rate;		/* bytes/s, 0: none; $limit_rate may change it */
	uint64_t limit_rate_after;
	bool limit_rate_set;
	bool keepalive;			/* the connection may be used again */
	bool client_gone;		/* left before the answer was complete: logged as 499 */
	bool logged;

	uint64_t start_mono_us;		/* when the first byte was read */
	uint64_t bytes_sent;		/* on the wire, head included */
	uint64_t body_bytes_sent;
	unsigned long connection_number;
	unsigned connection_requests;
	uint64_t connection_start_ms;	/* clock_mono_ms() when the connection was accepted */
	bool pipelined;			/* its head came behind another request's ($pipe) */
	struct str remote_user;		/* by auth_basic */
};

#define REQUEST_MAGIC	0x52455131u
#define request_state(r, mod)	((r)->state[(mod).index])

/* One thread's http state: made by the worker. */
struct http_thread {
	struct loop *loop;
	struct http_conf *current;	/* what the next request is served by */
	struct list sessions;		/* all */
	unsigned connections;		/* open, against worker_connections */
	unsigned connections_max;
	/* idle ones to back ends, as descriptors allow; 0: any number */
	unsigned backends_max;
	void (*on_connection_closed)(struct http_thread *);	/* worker: listeners may resume */
	bool draining;			/* QUIT or a newer binary: answers say Connection: close */
	struct tally *tally;		/* http/tally.c: its own line */
	struct file_cache *files;	/* http/file.c */
	void *upstream_idle;		/* mod/idle.c: idle back-end connections */
	void *upstream_identities;	/* mod/proxy_ssl.c */
	void *upstream_detached;	/* mod/attempt.c */
	struct field *fields_scratch;	/* FIELDS_SCRATCH items */
	unsigned index;
};
#define FIELDS_SCRATCH	1000

/* Steps: run from r->step until one waits or is done.  Frees nothing; r may be gone afterwards. */
void	request_run(struct request *);
/* A step that returns STEP_WAIT says first who holds the request. */
void	request_wait(struct request *, void (*cancel)(struct request *, void *), void *arg);
/* The holder is through: goes on with the step after (next) or the same step again. */
void	request_resume(struct request *, bool next);

/*
 * The three ways to go elsewhere; each counts as a reroute (the 11th: 500, logged as a
 * cycle).  Return STEP_REROUTE (or STEP_DONE after the 500).
 */
enum step_result	request_redirect(struct request *, struct str uri, struct str args);
enum step_result	request_relocate(struct request *);	/* after the uri was rewritten */
enum step_result	request_named(struct request *, struct str name);
/*
 * Outside a step: the same, then runs.  Inside one: what it says counts instead of the step's
 * result.
 */
void	request_go(struct request *, enum step_result);

/*
 * Answers an error: error_page of the location, a named location's fallback (D1), or the built-in
 * page.  Also for 301..308 (redirect_location).  Returns what a step returns.  status 444 closes.
 * A headless one has no page: its connection is closed.
 */
enum step_result	request_fail(struct request *, unsigned status);
/* Steps of this floor, for modules.c. */
enum step_result	find_location_step(struct request *);
enum step_result	content_step(struct request *);
/* The whole response from memory; body may be empty.  content_type absent: none. */
enum step_result	request_answer(struct request *, unsigned status, struct str content_type,
			    struct str body);
/* Location made absolute as nginx does (SEMANTICS e9), then the answer. */
enum step_result	request_answer_redirect(struct request *, unsigned status,
			    struct str location);

/*
 * For sessions: an empty request on its arena, pinned to the listen's configuration, at the default
 * server; then the head that was read.  request_accept_head: 0, or the status of the error to
 * answer.
 */
struct request	*request_new(struct http_thread *, struct session *, const struct session_ops *,
		    const struct listen *);
int		 request_accept_head(struct request *, const struct listen *,
		    const struct request_head *);

/*
 * After the session has sent everything (or gave up): logs, cancels what is left, frees.  A
 * subrequest's memory stays, with its parent's.
 */
void	request_finish(struct request *);

/* nginx's error line of this request: adds client, server, request, host. */
void	request_log(struct request *, enum log_level, int err, const char *, ...)
	    __attribute__((format(printf, 4, 5)));
const struct log	*request_log_target(const struct request *);

#endif
