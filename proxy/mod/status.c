/* stub_status: connections and requests of all threads, as nginx's page and variables. */
#include "http/response.h"
#include "http/tally.h"
#include "http/var_give.h"
#include "mod/modules.h"

static enum step_result
status_content(struct request *r)
{
	/* Each accepted connection is served: a thread that is full accepts none. */
	unsigned long long accepted = tally_sum(TALLY_ACCEPTED);

	if (r->in.method != METHOD_GET && r->in.method != METHOD_HEAD)
		return (request_fail(r, 405));
	return (request_answer(r, 200, STR("text/plain"), pool_printf(r->pool,
	    "Active connections: %llu \nserver accepts handled requests\n %llu %llu %llu \n"
	    "Reading: %llu Writing: %llu Waiting: %llu \n",
	    (unsigned long long)tally_sum(TALLY_ACTIVE), accepted, accepted,
	    (unsigned long long)tally_sum(TALLY_REQUESTS),
	    (unsigned long long)tally_sum(TALLY_READING),
	    (unsigned long long)tally_sum(TALLY_WRITING),
	    (unsigned long long)tally_sum(TALLY_WAITING))));
}

/* Older files say "on"; nginx takes any word. */
static int
status_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	(void)field;
	conf_location(cf)->content = status_content;
	return (0);
}

/* param: enum tally_kind. */
static bool
status_get(struct request *r, const void *param, struct str name, struct str *value)
{
	UNUSED(name);
	return (give_uint(r, tally_sum((enum tally_kind)PARAM_OF(param)), value));
}

static const struct conf_row status_rows[] = {
	{ .name = "stub_status", .contexts = CTX_SERVER | CTX_LOCATION, .min = 0, .max = 1,
	    .flags = CONF_REPEAT | CONF_OWN, .scope = SCOPE_LOCATION, .set = status_set },
	{ .name = NULL }
};

static const struct var_row status_vars[] = {
	{ "connections_active", status_get, PARAM(TALLY_ACTIVE), VAR_NOCACHE, NULL },
	{ "connections_reading", status_get, PARAM(TALLY_READING), VAR_NOCACHE, NULL },
	{ "connections_writing", status_get, PARAM(TALLY_WRITING), VAR_NOCACHE, NULL },
	{ "connections_waiting", status_get, PARAM(TALLY_WAITING), VAR_NOCACHE, NULL },
	{ NULL, NULL, NULL, 0, NULL }
};

struct module status_module = {
	.name = "status",
	.rows = status_rows,
	.vars = status_vars,
};
