/*
 * The client of OCSP responders: one HTTP/1.0 request on a connection of its own.
 * Started by a handshake that found a staple due; nobody waits for it.
 *
 *	connecting -> sending -> reading to the end -> judged
 *	     \------------\----------\-> failed: said, tried again later
 */
#define _GNU_SOURCE	/* strerrordesc_np */
#include "mod/ssl_responder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pool.h"
#include "http/parse.h"
#include "net/conn.h"

#define ANSWER_MAX	65536
#define TIMEOUT_MS	60000
#define FIELDS_MAX	64

struct responder {
	struct staple *staple;
	struct conn *conn;
	struct timer timer;
	struct task exit;	/* the thread ends meanwhile */
	struct chain out;
	char *request;
	char *answer;
	size_t used;
	char host[256];
};

static void
responder_end(struct responder *a)
{
	timer_cancel(&a->timer);
	task_cancel(&a->exit);
	chain_clear(&a->out);
	if (a->conn != NULL)
		conn_close(a->conn, false);
	free(a->request);
	free(a->answer);
	free(a);
}

static void
responder_fail(struct responder *a, int error, const char *what)
{
	char cause[128] = "";

	if (error != 0)
		(void)snprintf(cause, sizeof(cause), " (%d: %s)", error, strerrordesc_np(error));
	log_main(LOG_ERR, 0, "%s%s while requesting certificate status, responder: %s", what,
	    cause, a->host);
	staple_failed(a->staple);
	responder_end(a);
}

static void
responder_late(struct timer *timer)
{
	responder_fail(list_item(timer, struct responder, timer), ETIMEDOUT,
	    "OCSP responder timed out");
}

static void
responder_exit(struct task *task)
{
	struct responder *a = list_item(task, struct responder, exit);

	staple_failed(a->staple);
	responder_end(a);
}

/* NULL, or what is wrong with the answer's head; *body is what follows it. */
static const char *
head_check(const struct responder *a, struct str *body)
{
	struct field fields[FIELDS_MAX];
	struct response_head head = { .items = fields, .room = FIELDS_MAX };
	ssize_t n = parse_response(a->answer, a->used, 0, &head);

	if (n <= 0 || head.status != 200)
		return ("OCSP responder sent invalid response");
	*body = str_make(a->answer + n, a->used - (size_t)n);
	for (unsigned i = 0; i < head.count; i++) {
		uint64_t length;

		if (fields[i].id == FIELD_CONTENT_TYPE &&
		    !str_eq_ci(fields[i].value, STR("application/ocsp-response")))
			return ("OCSP responder sent invalid \"Content-Type\" header");
		if (fields[i].id != FIELD_CONTENT_LENGTH)
			continue;
		if (!str_to_uint(fields[i].value, ANSWER_MAX, &length) || length > body->n)
			return ("OCSP responder prematurely closed connection");
		body->n = (size_t)length;
	}
	return (NULL);
}

static void
responder_judge(struct responder *a)
{
	struct str body = STR("");
	const char *why = head_check(a, &body);
	char room[256];

	if (why != NULL) {
		responder_fail(a, 0, why);
		return;
	}
	why = staple_take_answer(a->staple, body, room, sizeof(room));
	if (why != NULL)
		log_main(LOG_ERR, 0, "%s while requesting certificate status, responder: %s", why,
		    a->host);
	responder_end(a);
}

/* False: it has ended. */
static bool
responder_send(struct responder *a)
{
	if (chain_is_empty(&a->out) || conn_send(a->conn, &a->out, UINT64_MAX) >= 0)
		return (true);
	responder_fail(a, a->conn->error, "send() failed");
	return (false);
}

static void
responder_read(struct responder *a)
{
	for (;;) {
		struct iovec iov = { a->answer + a->used, ANSWER_MAX - a->used };
		ssize_t n;

		if (iov.iov_len == 0) {
			responder_fail(a, 0, "OCSP responder sent invalid response");
			return;
		}
		n = conn_recv(a->conn, &iov, 1);
		if (n == CONN_AGAIN)
			return;
		if (n == CONN_FAILED) {
			responder_fail(a, a->conn->error, "recv() failed");
			return;
		}
		if (n == 0) {
			responder_judge(a);
			return;
		}
		a->used += (size_t)n;
	}
}

static void
responder_event(struct conn *conn, unsigned events, void *arg)
{
	struct responder *a = arg;

	if ((events & CONN_ERROR) != 0) {
		responder_fail(a, conn->error, "connect() failed");
		return;
	}
	if (!conn->connecting && responder_send(a) && chain_is_empty(&a->out))
		responder_read(a);
}

void
ssl_responder_ask(struct loop *loop, struct staple *staple, const struct staple_question *q)
{
	struct responder *a = xcalloc(1, sizeof(*a));
	size_t room = sizeof(q->host) + sizeof(q->path) + 64;
	int error, n;

	a->staple = staple;
	(void)snprintf(a->host, sizeof(a->host), "%s", q->host);
	a->answer = xmalloc(ANSWER_MAX);
	a->request = xmalloc(room);
	n = snprintf(a->request, room, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", q->path, q->host);
	chain_add(&a->out, a->request, (size_t)n, NULL);
	list_init(&a->exit.link);
	a->exit.run = responder_exit;
	a->conn = conn_connect(loop, &q->addr, NULL, &error);
	if (a->conn == NULL) {
		responder_fail(a, error, "connect() failed");
		return;
	}
	loop_at_exit(loop, &a->exit);
	conn_set_handler(a->conn, responder_event, a);
	timer_arm(loop, &a->timer, TIMEOUT_MS, responder_late);
	if (!a->conn->connecting)
		conn_ready_later(a->conn, CONN_WRITE);
}
