/*
 * Variables: names and their definitions while a configuration is read, values
 * per request afterwards.  Rows come from modules[], further definitions from
 * "set", "map" and named groups of regular expressions.  A reference is an index
 * into the request's slots; only what is referred to somewhere has one.
 *
 *	slot: UNKNOWN -> EVALUATING -> VALUE | NONE	(VAR_NOCACHE: -> UNKNOWN)
 */
#include "http/var.h"

#include "http/module.h"
#include "http/request.h"
#include "http/site.h"

/* What a name means. */
struct var_def {
	var_get get;		/* NULL: assigned only ("set" before it is defined otherwise) */
	void (*set)(struct request *, const void *param, struct str value);
	const void *param;
	unsigned flags;
};

/* A name that is referred to: one slot in each request. */
struct var {
	struct str name;	/* lower case */
	struct str argument;	/* what get() is told: the name, or what follows a prefix */
	struct var_def def;
	struct conf_position at;	/* of the first reference */
};

struct var_table {
	struct pool *pool;
	struct hash *defs;	/* name -> struct var_def */
	struct hash *refs;	/* name -> index + 1 */
	struct vec vars;	/* struct var */
	struct vec prefixes;	/* const struct var_row * */
};

struct matcher_name {
	unsigned group;
	int index;
};

struct matcher {
	struct regex *regex;
	struct vec names;	/* struct matcher_name */
};

static struct str
name_lower(struct pool *pool, struct str name)
{
	struct str copy = pool_strdup(pool, name);

	for (size_t i = 0; i < copy.n; i++)
		((char *)(uintptr_t)copy.p)[i] = (char)ascii_lower((unsigned char)copy.p[i]);
	return (copy);
}

static void
row_enter(struct var_table *table, const struct var_row *row)
{
	struct var_def *def;

	if ((row->flags & VAR_PREFIX) != 0) {
		*(const struct var_row **)vec_push(&table->prefixes, table->pool) = row;
		return;
	}
	def = pool_new_object(table->pool, struct var_def);
	*def = (struct var_def){ row->get, row->set, row->param, row->flags };
	*hash_slot(table->defs, str_from(row->name)) = def;
}

/* What of HTTP's variables has a meaning without HTTP says so itself. */
static bool
row_serves(const struct module *module, const struct var_row *row, const struct http_conf *http)
{
	if (http->kind->site == SITE_STREAM && module->sites != SITE_STREAM)
		return ((row->flags & VAR_STREAM) != 0);
	return (module_serves(module, http));
}

struct var_table *
var_table_new(const struct http_conf *http)
{
	struct pool *pool = http->pool;
	struct var_table *table = pool_new_object(pool, struct var_table);

	table->pool = pool;
	table->defs = hash_new(pool, true);
	table->refs = hash_new(pool, true);
	table->vars = VEC_OF(struct var);
	table->prefixes = VEC_OF(const struct var_row *);
	for (unsigned i = 0; i < module_count; i++) {
		const struct var_row *row = modules[i]->vars;

		for (; row != NULL && row->name != NULL; row++)
			if (row_serves(modules[i], row, http))
				row_enter(table, row);
	}
	return (table);
}

int
var_ref(struct conf *cf, struct str name)
{
	struct var_table *table = conf_http(cf)->vars;
	uintptr_t number = (uintptr_t)hash_get(table->refs, name);
	struct var *var;

	if (name.n == 0)
		return (conf_error(cf, "invalid variable name \"$\""));
	if (number != 0)
		return ((int)(number - 1));
	var = vec_push(&table->vars, table->pool);
	var->name = var->argument = name_lower(table->pool, name);
	if (cf->word_count > 0)
		var->at = cf->words[0].at;
	*hash_slot(table->refs, var->name) = (void *)(uintptr_t)table->vars.count;
	return ((int)table->vars.count - 1);
}

int
var_define(struct conf *cf, struct str name, var_get get, const void *param, unsigned flags)
{
	struct var_table *table = conf_http(cf)->vars;
	int index = var_ref(cf, name);
	struct var_def *def;

	if (index < 0)
		return (-1);
	name = vec_at(&table->vars, struct var, index)->name;
	def = hash_get(table->defs, name);
	if (def == NULL) {
		def = pool_new_object(table->pool, struct var_def);
		*def = (struct var_def){ get, NULL, param, flags | VAR_CHANGEABLE };
		*hash_slot(table->defs, name) = def;
		return (index);
	}
	if ((def->flags & VAR_CHANGEABLE) == 0)
		return (conf_error(cf, "the duplicate \"" STR_FMT "\" variable", STR_ARG(name)));
	if ((flags & VAR_WEAK) != 0 && (def->flags & VAR_WEAK) == 0)
		return (index);
	/* A builtin that may be assigned ($args) keeps its own functions. */
	if (def->set == NULL)
		*def = (struct var_def){ get, NULL, param, flags | VAR_CHANGEABLE };
	return (index);
}

/* The row with the longest prefix of this name. */
static const struct var_row *
prefix_find(const struct var_table *table, struct str name)
{
	const struct var_row *best = NULL;
	size_t length = 0;

	VEC_EACH(&table->prefixes, const struct var_row *, it) {
		struct str prefix = str_from((*it)->name);

		if (name.n >= prefix.n && prefix.n > length && str_starts_ci(name, prefix)) {
			best = *it;
			length = prefix.n;
		}
	}
	return (best);
}

static bool
var_bind(const struct var_table *table, struct var *var)
{
	const struct var_def *def = hash_get(table->defs, var->name);
	const struct var_row *row = NULL;

	/* A $http_x that "set" may assign is the client's field until it does. */
	if (def == NULL || (def->flags & VAR_WEAK) != 0)
		row = prefix_find(table, var->name);
	if (row != NULL) {
		var->def = (struct var_def){ row->get, row->set, row->param, row->flags };
		var->argument = str_skip(var->name, strlen(row->name));
		return (true);
	}
	if (def == NULL)
		return (false);
	var->def = *def;
	return (true);
}

/* The error stands where the name was used first. */
static int
var_unknown(struct conf *cf, const struct var *var)
{
	struct conf_word word = { .text = var->name, .at = var->at };
	struct lexer *lexer = cf->lexer, there;
	bool caret = cf->caret;

	cf->words = &word;
	cf->word_count = 1;
	if (lexer != NULL && var->at.file.n > 0) {
		there = *lexer;
		there.at = var->at;
		cf->lexer = &there;
		/* The source line can only be shown of the file under way. */
		cf->caret = caret && str_eq(lexer->at.file, var->at.file);
	}
	conf_error(cf, "unknown \"" STR_FMT "\" variable", STR_ARG(var->name));
	cf->lexer = lexer;
	cf->caret = caret;
	cf->words = NULL;
	cf->word_count = 0;
	return (-1);
}

int
var_table_close(struct conf *cf, struct http_conf *http)
{
	struct var_table *table = http->vars;

	VEC_EACH(&table->vars, struct var, var)
		if (!var_bind(table, var))
			return (var_unknown(cf, var));
	return (0);
}

unsigned
var_count(const struct http_conf *http)
{
	return ((unsigned)http->vars->vars.count);
}

static bool
var_evaluate(struct request *r, const struct var *var, struct var_slot *slot, struct str *value)
{
	bool found;

	*value = STR("");
	if (slot->state == VAR_EVALUATING) {
		request_log(r, LOG_ERR, 0, "cycle while evaluating variable \"" STR_FMT "\"",
		    STR_ARG(var->name));
		return (false);
	}
	if (var->def.get == NULL)
		return (false);
	slot->state = VAR_EVALUATING;
	found = var->def.get(r, var->def.param, var->argument, value);
	if (!found)
		*value = STR("");
	slot->value = *value;
	if ((var->def.flags & VAR_NOCACHE) != 0)
		slot->state = VAR_UNKNOWN;
	else
		slot->state = found ? VAR_VALUE : VAR_NONE;
	return (found);
}

bool
var_value(struct request *r, int index, struct str *value)
{
	const struct vec *vars = &r->http->vars->vars;
	struct var_slot *slot = &r->vars[index];

	if (slot->state == VAR_VALUE || slot->state == VAR_NONE) {
		*value = slot->value;
		return (slot->state == VAR_VALUE);
	}
	return (var_evaluate(r, vec_at(vars, const struct var, index), slot, value));
}

void
var_assign(struct request *r, int index, struct str value)
{
	const struct var *var = vec_at(&r->http->vars->vars, const struct var, index);

	if (var->def.set != NULL) {
		var->def.set(r, var->def.param, value);
		return;
	}
	r->vars[index] = (struct var_slot){ value, VAR_VALUE };
}

/* --- regular expressions with named groups --- */

bool
var_none(struct request *r, const void *param, struct str name, struct str *value)
{
	(void)r;
	(void)param;
	(void)name;
	(void)value;
	return (false);
}

struct matcher_making {
	struct conf *cf;
	struct matcher *matcher;
	bool failed;
};

static void
group_name(struct str name, unsigned group, void *arg)
{
	struct matcher_making *making = arg;
	int index = var_define(making->cf, name, var_none, NULL, 0);
	struct matcher_name *bound;

	if (index < 0) {
		making->failed = true;
		return;
	}
	bound = vec_push(&making->matcher->names, making->cf->pool);
	bound->group = group;
	bound->index = index;
}

struct matcher *
matcher_new(struct conf *cf, struct str pattern, bool ignore_case)
{
	struct matcher *matcher = pool_new_object(cf->pool, struct matcher);
	struct matcher_making making = { cf, matcher, false };
	struct str error;

	matcher->names = VEC_OF(struct matcher_name);
	matcher->regex = regex_compile(cf->pool, pattern, ignore_case, &error);
	if (matcher->regex == NULL) {
		conf_error(cf, STR_FMT, STR_ARG(error));
		return (NULL);
	}
	regex_names(matcher->regex, group_name, &making);
	return (making.failed ? NULL : matcher);
}

int
matcher_match(struct request *r, const struct matcher *matcher, struct str subject)
{
	struct captures found;
	int rc;

	if (r == NULL)
		return (regex_match(matcher->regex, subject, NULL));
	/* Groups of an earlier match stay where this one fails. */
	rc = regex_match(matcher->regex, subject, &found);
	if (rc < 0)
		request_log(r, LOG_ALERT, 0, "%s while matching \"" STR_FMT "\" using \"" STR_FMT
		    "\"", regex_error(), STR_ARG(subject), STR_ARG(regex_pattern(matcher->regex)));
	if (rc <= 0)
		return (rc);
	if (r->captures == NULL)
		r->captures = pool_alloc(r->pool, sizeof(*r->captures));
	r->captures->count = found.count;
	memcpy(r->captures->group, found.group, found.count * sizeof(found.group[0]));
	VEC_EACH(&matcher->names, const struct matcher_name, name)
		var_assign(r, name->index, name->group < found.count ? found.group[name->group] :
		    STR(""));
	return (1);
}

struct str
matcher_pattern(const struct matcher *matcher)
{
	return (regex_pattern(matcher->regex));
}
