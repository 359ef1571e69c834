/*
 * rewrite, return, set, break and if: each a record of a location's (or
 * server's) program, run in order by the two rewrite steps.  The records of an
 * "if" stand in the program of the location around it, behind the "if" itself.
 *
 *	program:  set | if (not: skip to next) [ rewrite | return ] | break
 */
#include "base/encode.h"
#include "http/core.h"
#include "http/request.h"
#include "http/response.h"
#include "http/site.h"
#include "http/tpl.h"
#include "http/var.h"
#include "mod/modules.h"
#include "mod/rewrite_if.h"

struct rewrite_location {
	struct vec ops;		/* struct rewrite_op; an "if" has none of its own */
	bool log;
	bool uninitialized_warn;
};

/* A program under way. */
struct rewrite_run {
	struct request *r;
	const struct rewrite_location *conf;
	size_t next;
	bool stopped;
	bool relocate;			/* the uri was rewritten: a location is looked for again */
	enum step_result result;	/* where stopped */
};

enum rewrite_flag {
	REWRITE_STOP = 1, REWRITE_BREAK = 2, REWRITE_KEEP_ARGS = 4, REWRITE_HAS_ARGS = 8
};

struct rewrite_op {
	void (*run)(struct rewrite_run *, const struct rewrite_op *);
	struct matcher *matcher;	/* rewrite */
	struct tpl *text;		/* rewrite: the path, or the whole redirect; return, set */
	struct tpl *args;		/* rewrite: what follows '?'; NULL: nothing */
	int variable;			/* set */
	unsigned status;		/* return; rewrite: of the redirect, 0: none */
	unsigned flags;
	struct condition *condition;	/* if */
	struct location *location;	/* if: whose settings hold then; NULL in a server */
	size_t next;			/* if: where to go on when the condition does not hold */
};

static const struct rewrite_location *
rewrite_conf(const struct location *loc)
{
	return (location_conf(loc, rewrite_module));
}

static void
run_stop(struct rewrite_run *run, enum step_result result)
{
	run->stopped = true;
	run->result = result;
}

static bool
run_is_logged(const struct rewrite_run *run)
{
	return (run->conf->log && log_enabled(request_log_target(run->r), LOG_NOTICE));
}

/* Groups of a match that failed are gone, as in nginx.  1, 0, or -1 for a 500. */
static int
run_match(struct rewrite_run *run, const struct matcher *matcher, struct str subject)
{
	int rc = matcher_match(run->r, matcher, subject);

	if (rc == 0 && run->r->captures != NULL)
		run->r->captures->count = 0;
	if (rc >= 0 && run_is_logged(run))
		request_log(run->r, LOG_NOTICE, 0, "\"" STR_FMT "\" %s \"" STR_FMT "\"",
		    STR_ARG(matcher_pattern(matcher)), rc == 1 ? "matches" : "does not match",
		    STR_ARG(subject));
	return (rc);
}

/* --- what the directives do --- */

/*
 * nginx decodes a redirect it made: %XX of printable characters behind '%', up
 * to and with a '?'; other escapes stay, broken ones lose their '%'.
 */
static struct str
redirect_unescape(struct pool *pool, struct str s)
{
	char *out, *p;
	size_t i = 0;

	if (str_chr(s, '%') == SIZE_MAX)
		return (s);
	p = out = pool_alloc(pool, s.n + 1);
	while (i < s.n) {
		int high = -1, low = -1, c;

		if (s.p[i] != '%') {
			*p++ = s.p[i];
			if (s.p[i++] == '?')
				break;
			continue;
		}
		if (i + 1 < s.n)
			high = hex_digit((unsigned char)s.p[i + 1]);
		if (high < 0) {
			i++;
			continue;
		}
		if (i + 2 < s.n)
			low = hex_digit((unsigned char)s.p[i + 2]);
		c = high << 4 | low;
		if (low >= 0 && c > '%' && c < 0x7f) {
			*p++ = (char)c;
		} else if (low >= 0) {
			memcpy(p, s.p + i, 3);
			p += 3;
		}
		i += 3;
		if (low >= 0 && c == '?')
			break;
	}
	if (i < s.n) {
		memcpy(p, s.p + i, s.n - i);
		p += s.n - i;
	}
	return (str_make(out, (size_t)(p - out)));
}

static void
run_redirect(struct rewrite_run *run, const struct rewrite_op *op)
{
	struct request *r = run->r;
	struct str location = redirect_unescape(r->pool,
	    tpl_eval_escaped(r, op->text, ESCAPE_ARGS));

	if ((op->flags & REWRITE_KEEP_ARGS) != 0 && r->args.n > 0) {
		struct str parts[3] = { location,
			(op->flags & REWRITE_HAS_ARGS) != 0 ? STR("&") : STR("?"), r->args };

		location = pool_concat(r->pool, 3, parts);
	}
	if (run_is_logged(run))
		request_log(r, LOG_NOTICE, 0, "rewritten redirect: \"" STR_FMT "\"",
		    STR_ARG(location));
	run_stop(run, request_answer_redirect(r, op->status, location));
}

static void
run_rewrite_args(struct rewrite_run *run, const struct rewrite_op *op)
{
	struct request *r = run->r;
	struct str before = r->args;

	if (op->args == NULL) {
		if ((op->flags & REWRITE_KEEP_ARGS) == 0)
			r->args = STR("");
		return;
	}
	r->args = tpl_eval_escaped(r, op->args, ESCAPE_ARGS);
	if ((op->flags & REWRITE_KEEP_ARGS) != 0 && before.n > 0) {
		struct str parts[3] = { r->args, STR("&"), before };

		r->args = pool_concat(r->pool, 3, parts);
	}
}

static void
run_rewrite(struct rewrite_run *run, const struct rewrite_op *op)
{
	struct request *r = run->r;
	struct str uri;
	int rc = run_match(run, op->matcher, r->uri);

	if (rc < 0)
		run_stop(run, request_fail(r, 500));
	if (rc <= 0)
		return;
	if (op->status != 0) {
		run_redirect(run, op);
		return;
	}
	uri = tpl_eval(r, op->text);
	run_rewrite_args(run, op);
	if (run_is_logged(run))
		request_log(r, LOG_NOTICE, 0, "rewritten data: \"" STR_FMT "\", args: \"" STR_FMT
		    "\"", STR_ARG(uri), STR_ARG(r->args));
	if (uri.n == 0) {
		request_log(r, LOG_ERR, 0, "the rewritten URI has a zero length");
		run_stop(run, request_fail(r, 500));
		return;
	}
	r->uri = uri;
	r->uri_changed = true;
	r->uri_detached = (op->flags & REWRITE_BREAK) != 0;
	r->internal = true;
	run->relocate = (op->flags & REWRITE_BREAK) == 0;
	if ((op->flags & REWRITE_STOP) != 0)
		run_stop(run, STEP_NEXT);
}

static bool
status_is_redirect(unsigned status)
{
	return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

static void
run_return(struct rewrite_run *run, const struct rewrite_op *op)
{
	struct request *r = run->r;
	enum step_result result;
	struct str text;

	if (op->status >= 400 && (op->text == NULL || tpl_text(op->text).n == 0)) {
		run_stop(run, request_fail(r, op->status));
		return;
	}
	r->out.status = op->status;	/* the text may speak of $status */
	text = op->text == NULL ? STR("") : tpl_eval(r, op->text);
	if (status_is_redirect(op->status))
		result = request_answer_redirect(r, op->status, text);
	else
		result = request_answer(r, op->status, r->out.content_type.p != NULL ?
		    r->out.content_type : core_content_type(r, r->uri), text);
	run_stop(run, result);
}

static void
run_set(struct rewrite_run *run, const struct rewrite_op *op)
{
	var_assign(run->r, op->variable, tpl_eval(run->r, op->text));
}

static void
run_break(struct rewrite_run *run, const struct rewrite_op *op)
{
	(void)op;
	run->relocate = false;
	run_stop(run, STEP_NEXT);
}

static void
run_if(struct rewrite_run *run, const struct rewrite_op *op)
{
	struct request *r = run->r;
	const struct condition *c = op->condition;
	int holds;

	if (c->matcher != NULL) {
		struct str subject;

		(void)var_value(r, c->variable, &subject);
		holds = run_match(run, c->matcher, subject);
		if (holds < 0) {
			run_stop(run, request_fail(r, 500));
			return;
		}
		holds ^= c->negated;
	} else {
		holds = condition_holds(r, c);
	}
	if (!holds)
		run->next = op->next;
	else if (op->location != NULL)
		r->location = op->location;
}

static enum step_result
program_run(struct request *r, bool server)
{
	struct rewrite_run run = { .r = r, .conf = rewrite_conf(r->location), .result = STEP_NEXT };

	while (!run.stopped && run.next < run.conf->ops.count) {
		const struct rewrite_op *op = vec_at(&run.conf->ops, const struct rewrite_op,
		    run.next);

		run.next++;
		op->run(&run, op);
	}
	if (run.result == STEP_NEXT && run.relocate && !server)
		return (request_relocate(r));
	return (run.result);
}

enum step_result
server_rewrite_step(struct request *r)
{
	return (program_run(r, true));
}

enum step_result
rewrite_step(struct request *r)
{
	/* No location was found: the server's program ran already. */
	if (r->location == r->server->root)
		return (STEP_NEXT);
	return (program_run(r, false));
}

/* --- reading them --- */

/* The program that directives here belong to. */
static struct vec *
program_here(struct conf *cf)
{
	struct location *loc = conf_location(cf);
	struct rewrite_location *conf;

	while (loc->kind == LOCATION_IF)
		loc = loc->parent;
	conf = location_conf(loc, rewrite_module);
	if (conf->ops.size == 0)
		conf->ops = VEC_OF(struct rewrite_op);
	return (&conf->ops);
}

static struct rewrite_op *
op_add(struct conf *cf, void (*run)(struct rewrite_run *, const struct rewrite_op *))
{
	struct rewrite_op *op = vec_push(program_here(cf), cf->pool);

	op->run = run;
	return (op);
}

/* "last" and so on. */
static const struct {
	struct str name;
	unsigned flags, status;
} rewrite_flags[] = {
	{ { "last", 4 }, REWRITE_STOP, 0 },
	{ { "break", 5 }, REWRITE_STOP | REWRITE_BREAK, 0 },
	{ { "redirect", 8 }, REWRITE_STOP, 302 },
	{ { "permanent", 9 }, REWRITE_STOP, 301 },
};

static bool
is_absolute(struct str text)
{
	return (str_starts(text, STR("http://")) || str_starts(text, STR("https://")) ||
	    str_starts(text, STR("$scheme")));
}

/* The optional last word of rewrite. */
static int
rewrite_flag_set(struct conf *cf, struct rewrite_op *op)
{
	if (cf->word_count < 4)
		return (0);
	for (size_t i = 0; i < sizeof(rewrite_flags) / sizeof(rewrite_flags[0]); i++) {
		if (!str_eq(cf->words[3].text, rewrite_flags[i].name))
			continue;
		op->flags |= rewrite_flags[i].flags;
		if (rewrite_flags[i].status != 0)
			op->status = rewrite_flags[i].status;
		return (0);
	}
	return (conf_error_at(cf, 3, "invalid parameter \"" STR_FMT "\"",
	    STR_ARG(cf->words[3].text)));
}

static int
replacement_set(struct conf *cf, struct rewrite_op *op, struct str text)
{
	size_t question;

	if (str_ends(text, STR("?")))
		text.n--;	/* the arguments of the request are dropped */
	else
		op->flags |= REWRITE_KEEP_ARGS;
	question = str_chr(text, '?');
	if (question != SIZE_MAX)
		op->flags |= REWRITE_HAS_ARGS;
	if (op->status == 0 && question != SIZE_MAX) {
		op->args = tpl_compile(cf, str_skip(text, question + 1));
		if (op->args == NULL)
			return (-1);
		text.n = question;
	}
	op->text = tpl_compile(cf, text);
	return (op->text == NULL ? -1 : 0);
}

static int
rewrite_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct rewrite_op *op = op_add(cf, run_rewrite);

	(void)row;
	(void)field;
	op->matcher = matcher_new(cf, cf->words[1].text, false);
	if (op->matcher == NULL)
		return (-1);
	if (cf->words[2].text.n == 0)
		return (conf_error_at(cf, 2, "empty replacement"));
	if (is_absolute(cf->words[2].text)) {
		op->flags |= REWRITE_STOP;
		op->status = 302;
	}
	if (rewrite_flag_set(cf, op) != 0)
		return (-1);
	return (replacement_set(cf, op, cf->words[2].text));
}

static int
return_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct rewrite_op *op = op_add(cf, run_return);
	unsigned text = 2;
	uint64_t status;

	(void)row;
	(void)field;
	if (str_to_uint(cf->words[1].text, 999, &status)) {
		op->status = (unsigned)status;
		if (cf->word_count == 2)
			return (0);
	} else if (cf->word_count == 2 && is_absolute(cf->words[1].text)) {
		op->status = 302;
		text = 1;
	} else {
		return (conf_error_at(cf, 1, "invalid return code \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	}
	op->text = tpl_compile(cf, cf->words[text].text);
	return (op->text == NULL ? -1 : 0);
}

/* The value of a variable that "set" has not reached. */
static bool
uninitialized_get(struct request *r, const void *param, struct str name, struct str *value)
{
	(void)param;
	*value = STR("");
	if (rewrite_conf(r->location)->uninitialized_warn)
		request_log(r, LOG_WARN, 0, "using uninitialized \"" STR_FMT "\" variable",
		    STR_ARG(name));
	return (true);
}

static int
set_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct rewrite_op *op = op_add(cf, run_set);
	struct str name = cf->words[1].text;

	(void)row;
	(void)field;
	if (name.n == 0 || name.p[0] != '$')
		return (conf_error_at(cf, 1, "invalid variable name \"" STR_FMT "\"",
		    STR_ARG(name)));
	op->variable = var_define(cf, str_skip(name, 1), uninitialized_get, NULL, VAR_WEAK);
	if (op->variable < 0)
		return (-1);
	op->text = tpl_compile(cf, cf->words[2].text);
	return (op->text == NULL ? -1 : 0);
}

static int
break_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	(void)field;
	(void)op_add(cf, run_break);
	return (0);
}

static int
if_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct location *around = conf_location(cf), *inside;
	bool in_server = cf->frame->context == CTX_SERVER;
	struct vec *program = program_here(cf);
	size_t number = program->count;
	struct condition *condition;
	struct rewrite_op *op;
	struct conf_frame frame;

	(void)row;
	(void)field;
	condition = condition_compile(cf);
	if (condition == NULL)
		return (-1);
	inside = location_new(cf, around, LOCATION_IF, around->name);
	op = op_add(cf, run_if);
	op->condition = condition;
	op->location = in_server ? NULL : inside;
	location_frame(inside, &frame, in_server ? CTX_IF_SERVER : CTX_IF_LOCATION);
	if (conf_block(cf, &frame) != 0)
		return (-1);
	/* The program grew, and may have moved. */
	vec_at(program, struct rewrite_op, number)->next = program->count;
	return (0);
}

#define CTX_PROGRAM	(CTX_SERVER | CTX_LOCATION | CTX_IF_SERVER | CTX_IF_LOCATION)

static const struct conf_row rewrite_rows[] = {
	{ .name = "rewrite", .contexts = CTX_PROGRAM, .min = 2, .max = 3,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT | CONF_OWN, .set = rewrite_set },
	{ .name = "return", .contexts = CTX_PROGRAM, .min = 1, .max = 2,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT | CONF_OWN, .set = return_set },
	{ .name = "set", .contexts = CTX_PROGRAM, .min = 2, .max = 2,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT | CONF_OWN, .set = set_set },
	{ .name = "break", .contexts = CTX_PROGRAM,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT | CONF_OWN, .set = break_set },
	{ .name = "if", .contexts = CTX_SERVER | CTX_LOCATION, .min = 1, .max = CONF_ANY,
	    .scope = SCOPE_LOCATION, .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN, .set = if_set },
	{ .name = "rewrite_log", .contexts = CTX_HSLI | CTX_IF_SERVER, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .type = &conf_flag,
	    .offset = offsetof(struct rewrite_location, log), .dflt = "off" },
	{ .name = "uninitialized_variable_warn", .contexts = CTX_HSLI | CTX_IF_SERVER, .min = 1,
	    .max = 1, .scope = SCOPE_LOCATION, .type = &conf_flag,
	    .offset = offsetof(struct rewrite_location, uninitialized_warn), .dflt = "on" },
	{ .name = NULL }
};

struct module rewrite_module = {
	.name = "rewrite",
	.size = { [SCOPE_LOCATION] = sizeof(struct rewrite_location) },
	.rows = rewrite_rows,
};
