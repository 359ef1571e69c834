/*
 * auth_request: a subrequest decides who may see a location.  2xx: may; 401 and
 * 403 are passed on, a 401 with its challenges; anything else is an error.
 *
 *	access_step -> auth_request_check -> subrequest -> auth_answered -> access_decided
 */
#include "http/site.h"
#include "http/subrequest.h"
#include "http/tpl.h"
#include "http/var.h"
#include "mod/access.h"
#include "mod/modules.h"

struct auth_request_location {
	struct str uri;
	struct vec variables;		/* struct auth_variable */
};

/* auth_request_set: what of the answer outlives it. */
struct auth_variable {
	int variable;
	struct tpl *value;
};

static const struct auth_request_location *
auth_conf(const struct request *r)
{
	return (location_conf(r->location, auth_request_module));
}

/* A 401 says how to do better. */
static void
challenges_pass(struct request *r, const struct request *sub)
{
	const struct fields *from = &sub->authenticate;

	if (fields_get(&sub->out.fields, FIELD_WWW_AUTHENTICATE) != NULL)
		from = &sub->out.fields;
	for (unsigned i = 0; i < from->count; i++)
		if (from->items[i].id == FIELD_WWW_AUTHENTICATE)
			fields_add_id(&r->authenticate, r->pool, FIELD_WWW_AUTHENTICATE,
			    from->items[i].value);
}

static void
auth_answered(struct request *r, struct request *sub)
{
	unsigned status = sub->out.status;

	VEC_EACH(&auth_conf(r)->variables, const struct auth_variable, it)
		var_assign(r, it->variable, tpl_eval(sub, it->value));
	if (status == 401)
		challenges_pass(r, sub);
	if (status == 401 || status == 403) {
		access_decided(r, status);
	} else if (status >= 200 && status < 300) {
		access_decided(r, ACCESS_ALLOWED);
	} else {
		request_log(r, LOG_ERR, 0, "auth request unexpected status: %u", status);
		access_decided(r, 500);
	}
}

unsigned
auth_request_check(struct request *r)
{
	const struct auth_request_location *conf = auth_conf(r);

	if (str_eq(conf->uri, STR("off")))
		return (ACCESS_NONE);
	subrequest_start(r, conf->uri, auth_answered);
	return (ACCESS_WAIT);
}

/* --- directives --- */

static int
variable_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *variables = field;
	struct str name = cf->words[1].text;
	struct auth_variable *it;

	(void)row;
	if (!str_starts(name, STR("$")))
		return (conf_error_at(cf, 1, "invalid variable name \"" STR_FMT "\"",
		    STR_ARG(name)));
	if (variables->size == 0)
		*variables = VEC_OF(struct auth_variable);
	it = vec_push(variables, cf->pool);
	it->variable = var_define(cf, str_skip(name, 1), var_none, NULL, VAR_WEAK);
	if (it->variable < 0)
		return (-1);
	it->value = tpl_compile(cf, cf->words[2].text);
	return (it->value == NULL ? -1 : 0);
}

static const struct conf_row auth_request_rows[] = {
	{ .name = "auth_request", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .type = &conf_str,
	    .offset = offsetof(struct auth_request_location, uri), .dflt = "off" },
	{ .name = "auth_request_set", .contexts = CTX_HSL, .min = 2, .max = 2,
	    .flags = CONF_REPEAT, .scope = SCOPE_LOCATION, .type = &conf_custom_vec,
	    .offset = offsetof(struct auth_request_location, variables), .set = variable_set },
	{ .name = NULL }
};

struct module auth_request_module = {
	.name = "auth_request",
	.size = { [SCOPE_LOCATION] = sizeof(struct auth_request_location) },
	.rows = auth_request_rows,
};
