/*
 * Who may see a location: allow and deny, limit_except, and how they go together
 * with auth_basic and auth_request (satisfy).  access_step asks one after the other.
 *
 *	allow/deny -> auth_basic -> auth_request -> conclusion -> next | 401 | 403 | 500
 *	                   \-> WAIT -> access_decided -> the next one
 */
#include "mod/access.h"

#include "http/core.h"
#include "http/session.h"
#include "http/site.h"
#include "mod/modules.h"
#include "net/addr.h"

struct access_rule {
	struct addr_net net;
	bool deny;
};

struct limit_except {
	uint32_t allowed;		/* bits of enum method */
	struct location *inside;	/* whose settings hold for all others */
};

struct access_location {
	struct vec rules;		/* struct access_rule, in file order */
	struct limit_except *limit_except;
	uint64_t auth_delay;
};

static const struct access_location *
access_conf(const struct request *r)
{
	return (location_conf(r->location, access_module));
}

enum step_result
limit_except_step(struct request *r)
{
	const struct limit_except *limit = access_conf(r)->limit_except;

	if (limit != NULL && (limit->allowed & (1u << r->in.method)) == 0)
		r->location = limit->inside;
	return (STEP_NEXT);
}

/* The first rule that names the address counts. */
static unsigned
rules_check(struct request *r)
{
	const struct vec *rules = &access_conf(r)->rules;
	const struct addr *peer = session_conn(r) == NULL ? NULL : session_peer(r);

	if (peer == NULL)
		return (ACCESS_NONE);
	VEC_EACH(rules, const struct access_rule, rule)
		if (addr_net_contains(&rule->net, peer))
			return (rule->deny ? 403 : ACCESS_ALLOWED);
	return (ACCESS_NONE);
}

/* --- auth_delay --- */

struct delay {
	struct timer timer;
	struct request *r;
};

static void
delay_over(struct timer *timer)
{
	struct request *r = list_item(timer, struct delay, timer)->r;

	request_go(r, request_fail(r, 401));
}

static void
delay_cancel(struct request *r, void *arg)
{
	struct delay *delay = arg;

	(void)r;
	timer_cancel(&delay->timer);
}

static enum step_result
refuse_user(struct request *r)
{
	uint64_t msec = access_conf(r)->auth_delay;
	struct delay *delay;

	if (msec == 0)
		return (request_fail(r, 401));
	request_log(r, LOG_INFO, 0, "delaying unauthorized request");
	delay = pool_new_object(r->pool, struct delay);
	delay->r = r;
	timer_arm(r->thread->loop, &delay->timer, msec, delay_over);
	request_wait(r, delay_cancel, delay);
	return (STEP_WAIT);
}

/* --- one after the other --- */

static unsigned (*const checks[])(struct request *) = {
	rules_check, auth_basic_check, auth_request_check
};
#define CHECK_COUNT	(sizeof(checks) / sizeof(checks[0]))

/* How far the checks are. */
struct access_pass {
	size_t next;
	unsigned refusal;	/* the status to answer as things stand; 0: none */
	bool asked;		/* the user was */
	/* of the location that failed: an error page passes here too, and keeps it */
	struct fields authenticate;
};

/* Nothing that follows matters any more. */
static bool
pass_settled(const struct request *r, struct access_pass *pass, unsigned verdict)
{
	bool any = r->location->core->satisfy == SATISFY_ANY;

	if (verdict == ACCESS_NONE)
		return (false);
	pass->asked = pass->asked || pass->next > 1;
	if (verdict == ACCESS_ALLOWED) {
		if (any)
			pass->refusal = 0;
		return (any);
	}
	if (!any || (verdict != 401 && verdict != 403)) {
		pass->refusal = verdict;
		return (true);
	}
	/* nginx: a 401 is said rather than a 403. */
	if (pass->refusal != 401)
		pass->refusal = verdict;
	return (false);
}

static enum step_result
pass_conclude(struct request *r, const struct access_pass *pass)
{
	if (!pass->asked)
		r->authenticate = pass->authenticate;
	else if (pass->refusal != 401)
		r->authenticate.count = 0;
	if (pass->refusal == 0)
		return (STEP_NEXT);
	if (pass->refusal == 401)
		return (refuse_user(r));
	if (!pass->asked)
		request_log(r, LOG_ERR, 0, "access forbidden by rule");
	return (request_fail(r, pass->refusal));
}

static enum step_result
pass_go_on(struct request *r, struct access_pass pass)
{
	while (pass.next < CHECK_COUNT) {
		unsigned verdict = checks[pass.next++](r);

		if (verdict == ACCESS_WAIT) {
			struct access_pass *kept = pool_new_object(r->pool, struct access_pass);

			*kept = pass;
			request_state(r, access_module) = kept;
			return (STEP_WAIT);
		}
		if (pass_settled(r, &pass, verdict))
			break;
	}
	return (pass_conclude(r, &pass));
}

void
access_decided(struct request *r, unsigned verdict)
{
	struct access_pass pass = *(struct access_pass *)request_state(r, access_module);

	if (pass_settled(r, &pass, verdict))
		request_go(r, pass_conclude(r, &pass));
	else
		request_go(r, pass_go_on(r, pass));
}

enum step_result
access_step(struct request *r)
{
	struct access_pass pass = { .authenticate = r->authenticate };

	if (r->parent != NULL)	/* as in nginx: whom it is made for is what is asked here */
		return (STEP_NEXT);
	r->authenticate = (struct fields){ .items = NULL };
	return (pass_go_on(r, pass));
}

enum step_result
stream_access_step(struct request *r)
{
	if (rules_check(r) != 403)
		return (STEP_NEXT);
	request_log(r, LOG_ERR, 0, "access forbidden by rule while initializing session");
	return (request_fail(r, 403));
}

/* --- directives --- */

static int
rule_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *rules = field;
	struct access_rule *rule;
	bool extra;

	if (rules->size == 0)
		*rules = VEC_OF(struct access_rule);
	rule = vec_push(rules, cf->pool);
	rule->deny = row->param != NULL;
	if (!addr_net_parse(cf->words[1].text, &rule->net, &extra))
		return (conf_error_at(cf, 1, "invalid parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	if (extra)
		conf_warn_at(cf, 1, "low address bits of " STR_FMT " are meaningless",
		    STR_ARG(cf->words[1].text));
	return (0);
}

/* nginx takes method names in any case here. */
static enum method
method_named(struct str name)
{
	char upper[16];

	if (name.n > sizeof(upper))
		return (METHOD_OTHER);
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	return (method_of(str_make(upper, name.n)));
}

static int
limit_except_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct limit_except *limit = pool_new_object(cf->pool, struct limit_except);
	struct location *around = conf_location(cf);
	struct conf_frame frame;

	(void)row;
	for (unsigned i = 1; i < cf->word_count; i++) {
		enum method method = method_named(cf->words[i].text);

		if (method == METHOD_OTHER || method == METHOD_TRACE || method == METHOD_CONNECT)
			return (conf_error_at(cf, i, "invalid method \"" STR_FMT "\"",
			    STR_ARG(cf->words[i].text)));
		limit->allowed |= 1u << method;
		if (method == METHOD_GET)
			limit->allowed |= 1u << METHOD_HEAD;
	}
	limit->inside = location_new(cf, around, LOCATION_LIMIT_EXCEPT, around->name);
	*(struct limit_except **)field = limit;
	location_frame(limit->inside, &frame, CTX_LIMIT_EXCEPT);
	return (conf_block(cf, &frame));
}

static const char access_denies[] = "deny";	/* param of the row */

static const struct conf_row access_rows[] = {
	{ .name = "allow", .contexts = CTX_HSL | CTX_LIMIT_EXCEPT | CTX_STREAMS, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT, .type = &conf_custom_vec,
	    .offset = offsetof(struct access_location, rules), .set = rule_set },
	{ .name = "deny", .contexts = CTX_HSL | CTX_LIMIT_EXCEPT | CTX_STREAMS, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .flags = CONF_REPEAT, .type = &conf_custom_vec,
	    .offset = offsetof(struct access_location, rules), .set = rule_set,
	    .param = access_denies },
	{ .name = "limit_except", .contexts = CTX_LOCATION, .min = 1, .max = CONF_ANY,
	    .scope = SCOPE_LOCATION, .flags = CONF_BLOCK | CONF_OWN, .type = &conf_custom_ptr,
	    .offset = offsetof(struct access_location, limit_except), .set = limit_except_set },
	{ .name = "auth_delay", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .type = &conf_msec,
	    .offset = offsetof(struct access_location, auth_delay), .dflt = "0s" },
	{ .name = NULL }
};

struct module access_module = {
	.name = "access",
	.sites = SITE_HTTP | SITE_STREAM,
	.size = { [SCOPE_LOCATION] = sizeof(struct access_location) },
	.rows = access_rows,
};
