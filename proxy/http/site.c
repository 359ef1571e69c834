/*
 * The builder of http {} and stream {}: the rows http, stream, server, location,
 * listen and server_name, the levels they open, inheritance between them and the order in
 * which modules complete a configuration.  Called by the engine while a file is
 * read; nothing here runs once the configuration is published.
 *
 *	http { | stream { -> levels filled -> values inherited -> modules init -> routes -> frozen
 */
#include "http/site.h"

#include <limits.h>
#include <unistd.h>

#include "http/core.h"
#include "http/listen.h"
#include "http/route.h"
#include "http/var.h"

const struct conf_name context_names[] = {
	{ "main", CTX_MAIN }, { "events", CTX_EVENTS }, { "http", CTX_HTTP },
	{ "server", CTX_SERVER }, { "location", CTX_LOCATION }, { "upstream", CTX_UPSTREAM },
	{ "if in server", CTX_IF_SERVER }, { "if in location", CTX_IF_LOCATION },
	{ "limit_except", CTX_LIMIT_EXCEPT }, { "stream", CTX_STREAM },
	{ "server in stream", CTX_STREAM_SERVER }, { "upstream in stream", CTX_STREAM_UPSTREAM },
	{ NULL, 0 }
};

void
modules_number(void)
{
	for (unsigned i = 0; i < module_count; i++)
		modules[i]->index = i;
}

/* The struct of (module, scope) at the level a location stands for. */
static struct conf_values *
level_values(struct conf_frame *frame, unsigned module, unsigned scope)
{
	struct location *loc = frame->owner;

	switch (scope) {
	case SCOPE_MAIN:
		return (loc->http->main_values[module]);
	case SCOPE_SERVER:
		if (loc->server != NULL)
			return (loc->server->values[module]);
		return (loc->http->server_values[module]);
	case SCOPE_LOCATION:
		return (loc->values[module]);
	default:
		return (NULL);
	}
}

bool
module_serves(const struct module *module, const struct http_conf *http)
{
	unsigned sites = module->sites == 0 ? SITE_HTTP : module->sites;

	return ((sites & http->kind->site) != 0);
}

static struct conf_values **
values_new(const struct http_conf *http, enum module_scope scope)
{
	struct conf_values **values = pool_zalloc(http->pool, module_count * sizeof(*values));

	for (unsigned i = 0; i < module_count; i++)
		if (modules[i]->size[scope] != 0 && module_serves(modules[i], http))
			values[i] = conf_values_new(http->pool, modules[i]->rows,
			    modules[i]->size[scope]);
	return (values);
}

static void **
values_data(struct pool *pool, struct conf_values **values)
{
	void **data = pool_zalloc(pool, module_count * sizeof(*data));

	for (unsigned i = 0; i < module_count; i++)
		data[i] = values[i] == NULL ? NULL : values[i]->data;
	return (data);
}

struct location *
location_new(struct conf *cf, struct location *parent, enum location_kind kind, struct str name)
{
	struct location *loc = pool_new_object(cf->pool, struct location);

	loc->kind = kind;
	loc->name = name;
	if (cf->word_count > 0)
		loc->at = cf->words[0].at;
	loc->http = conf_http(cf);
	loc->parent = parent;
	loc->children = VEC_OF(struct location *);
	loc->values = values_new(loc->http, SCOPE_LOCATION);
	loc->conf = values_data(cf->pool, loc->values);
	loc->core = loc->conf[core_module.index];
	if (parent != NULL) {
		loc->server = parent->server;
		loc->in_named = parent->in_named || kind == LOCATION_NAMED;
		loc->in_regex = parent->in_regex || kind == LOCATION_REGEX;
		*(struct location **)vec_push(&parent->children, cf->pool) = loc;
	}
	return (loc);
}

void
location_frame(struct location *loc, struct conf_frame *frame, unsigned context)
{
	*frame = (struct conf_frame){ .context = context, .values = level_values, .owner = loc };
}

struct location *
conf_location(struct conf *cf)
{
	const unsigned levels = CTX_HTTP | CTX_SERVER | CTX_LOCATION | CTX_IF_SERVER |
	    CTX_IF_LOCATION | CTX_LIMIT_EXCEPT | CTX_STREAMS;

	for (struct conf_frame *f = cf->frame; f != NULL; f = f->parent)
		if ((f->context & levels) != 0)
			return (f->owner);
	return (NULL);
}

struct server *
conf_server(struct conf *cf)
{
	struct location *loc = conf_location(cf);

	return (loc == NULL ? NULL : loc->server);
}

void
http_conf_unpin(struct http_conf *http, unsigned loop_index)
{
	if (--http->pins[loop_index] == 0 && http->retired[loop_index] && http->unpinned != NULL)
		http->unpinned(http, loop_index);
}

static int
inherit_all(struct conf *cf, struct conf_values **child, struct conf_values **parent,
    enum module_scope scope)
{
	for (unsigned i = 0; i < module_count; i++) {
		if (child[i] == NULL)
			continue;
		if (conf_inherit(cf, child[i], parent == NULL ? NULL : parent[i], scope) != 0)
			return (-1);
	}
	return (0);
}

/* A level takes what it lacks from the level around it, then the levels inside it do. */
static int
level_inherit(struct conf *cf, struct location *loc)
{
	if (inherit_all(cf, loc->values, loc->parent == NULL ? NULL : loc->parent->values,
	    SCOPE_LOCATION) != 0)
		return (-1);
	VEC_EACH(&loc->children, struct location *, child)
		if (level_inherit(cf, *child) != 0)
			return (-1);
	return (0);
}

static int
level_init(struct conf *cf, struct location *loc)
{
	/* What answers in the level around "if" and limit_except answers inside it too. */
	if (loc->content == NULL && loc->parent != NULL &&
	    (loc->kind == LOCATION_IF || loc->kind == LOCATION_LIMIT_EXCEPT))
		loc->content = loc->parent->content;
	for (unsigned i = 0; i < module_count; i++)
		if (modules[i]->init_location != NULL && module_serves(modules[i], loc->http) &&
		    modules[i]->init_location(cf, loc) != 0)
			return (-1);
	VEC_EACH(&loc->children, struct location *, child)
		if (level_init(cf, *child) != 0)
			return (-1);
	return (0);
}

static int
servers_complete(struct conf *cf, struct http_conf *http)
{
	VEC_EACH(&http->servers, struct server *, it) {
		struct server *server = *it;

		if (inherit_all(cf, server->values, http->server_values, SCOPE_SERVER) != 0 ||
		    level_inherit(cf, server->root) != 0)
			return (-1);
	}
	if (level_init(cf, http->root) != 0)
		return (-1);
	VEC_EACH(&http->servers, struct server *, it) {
		if (level_init(cf, (*it)->root) != 0)
			return (-1);
		for (unsigned i = 0; i < module_count; i++)
			if (modules[i]->init_server != NULL && module_serves(modules[i], http) &&
			    modules[i]->init_server(cf, *it) != 0)
				return (-1);
		if (route_compile_locations(cf, (*it)->root) != 0)
			return (-1);
	}
	return (0);
}

static int
http_complete(struct conf *cf, struct http_conf *http)
{
	if (inherit_all(cf, http->main_values, NULL, SCOPE_MAIN) != 0 ||
	    inherit_all(cf, http->server_values, NULL, SCOPE_SERVER) != 0 ||
	    level_inherit(cf, http->root) != 0 || servers_complete(cf, http) != 0)
		return (-1);
	for (unsigned i = 0; i < module_count; i++)
		if (modules[i]->init_main != NULL && module_serves(modules[i], http) &&
		    modules[i]->init_main(cf, http) != 0)
			return (-1);
	if (listen_complete(cf, http) != 0)
		return (-1);
	VEC_EACH(&http->listens, struct listen *, it)
		if (route_compile_hosts(cf, *it) != 0)
			return (-1);
	if (var_table_close(cf, http) != 0)
		return (-1);
	http->complete = true;
	return (0);
}

static const struct site_kind http_kind = {
	.site = SITE_HTTP, .context = CTX_HTTP, .server_context = CTX_SERVER, .steps = req_steps
};
static const struct site_kind stream_kind = {
	.site = SITE_STREAM, .context = CTX_STREAM, .server_context = CTX_STREAM_SERVER,
	.steps = stream_steps, .headless = true
};

struct http_conf *
http_conf_of(struct conf *cf, enum module_sites site)
{
	struct http_conf *http = cf->user;

	while (http != NULL && http->kind->site != site)
		http = http->next;
	return (http);
}

static struct http_conf *
site_new(struct conf *cf, const struct site_kind *kind)
{
	struct http_conf *http = pool_new_object(cf->pool, struct http_conf);

	http->kind = kind;
	http->next = cf->user;
	cf->user = http;
	http->pool = cf->pool;
	http->prefix = cf->prefix;
	http->servers = VEC_OF(struct server *);
	http->listens = VEC_OF(struct listen *);
	http->temp_paths = VEC_OF(struct temp_path *);
	http->main_values = values_new(http, SCOPE_MAIN);
	http->main = values_data(cf->pool, http->main_values);
	http->server_values = values_new(http, SCOPE_SERVER);
	http->vars = var_table_new(http);
	http->root = location_new(cf, NULL, LOCATION_LEVEL, STR_NULL);
	return (http);
}

/* The row's param is the kind. */
static int
site_block(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct site_kind *kind = row->param;
	struct http_conf *http;
	struct conf_frame frame;
	char name[HOST_NAME_MAX + 1] = "";

	(void)field;
	if (http_conf_of(cf, kind->site) != NULL)
		return (conf_error(cf, "\"%s\" directive is duplicate", row->name));
	if (gethostname(name, sizeof(name) - 1) != 0)
		return (conf_error(cf, "gethostname() failed"));
	http = site_new(cf, kind);
	http->hostname = pool_strdup(cf->pool, str_from(name));
	for (unsigned i = 0; i < module_count; i++)
		if (modules[i]->prepare != NULL && module_serves(modules[i], http) &&
		    modules[i]->prepare(cf, http) != 0)
			return (-1);
	location_frame(http->root, &frame, kind->context);
	if (conf_block(cf, &frame) != 0)
		return (-1);
	return (http_complete(cf, http));
}

int
site_complete(struct conf *cf)
{
	struct http_conf *http = http_conf_of(cf, SITE_HTTP);
	struct http_conf *stream = http_conf_of(cf, SITE_STREAM);

	if (stream == NULL)
		return (0);
	VEC_EACH(&stream->listens, struct listen *, it) {
		VEC_EACH(&http->listens, struct listen *, other)
			if (addr_eq(&(*it)->addr, &(*other)->addr))
				return (conf_error(cf, "a duplicate listen " STR_FMT
				    ": http {} has it, and stream {}", STR_ARG((*it)->text)));
	}
	VEC_EACH(&stream->listens, struct listen *, it)
		*(struct listen **)vec_push(&http->listens, cf->pool) = *it;
	cf->user = http;
	http->next = stream;
	stream->next = NULL;
	return (0);
}

static int
server_block(struct conf *cf, const struct conf_row *row, void *field)
{
	struct http_conf *http = conf_http(cf);
	struct server *server = pool_new_object(cf->pool, struct server);
	struct conf_frame frame;

	(void)row;
	(void)field;
	server->http = http;
	server->file = cf->words[0].at.file;
	server->line = cf->words[0].at.line;
	server->names = VEC_OF(struct server_name);
	server->listens = VEC_OF(struct listen *);
	server->values = values_new(http, SCOPE_SERVER);
	server->conf = values_data(cf->pool, server->values);
	server->core = server->conf[core_module.index];
	server->named = hash_new(cf->pool, false);
	server->root = location_new(cf, NULL, LOCATION_LEVEL, STR_NULL);
	server->root->parent = http->root;
	server->root->server = server;
	*(struct server **)vec_push(&http->servers, cf->pool) = server;
	location_frame(server->root, &frame, http->kind->server_context);
	if (conf_block(cf, &frame) != 0)
		return (-1);
	if (server->listens.count == 0 && listen_default(cf, server) != 0)
		return (-1);
	return (server_names_complete(cf, server));
}

/* How a location's words begin: nginx accepts the modifier apart from the name and glued to it. */
static const struct location_modifier {
	struct str text;
	enum location_kind kind;
	bool no_regex;
	bool ignore_case;
} location_modifiers[] = {
	{ { "~*", 2 }, LOCATION_REGEX, false, true },
	{ { "^~", 2 }, LOCATION_PREFIX, true, false },
	{ { "=", 1 }, LOCATION_EXACT, false, false },
	{ { "~", 1 }, LOCATION_REGEX, false, false },
	{ { "@", 1 }, LOCATION_NAMED, false, false },
};

static const struct location_modifier *
location_modifier_find(struct str text, bool whole)
{
	for (size_t i = 0; i < sizeof(location_modifiers) / sizeof(location_modifiers[0]); i++) {
		const struct location_modifier *m = &location_modifiers[i];

		if (whole ? str_eq(text, m->text) : str_starts(text, m->text))
			return (m);
	}
	return (NULL);
}

/* Where a location may stand inside another one (nginx's rules and words). */
static int
location_check_nesting(struct conf *cf, struct location *loc)
{
	struct location *around = loc->parent;

	if (cf->frame->context != CTX_LOCATION)
		return (0);
	if (around->kind == LOCATION_EXACT)
		return (conf_error(cf, "location \"" STR_FMT
		    "\" cannot be inside the exact location \"" STR_FMT "\"",
		    STR_ARG(loc->name), STR_ARG(around->name)));
	if (around->kind == LOCATION_NAMED)
		return (conf_error(cf, "location \"" STR_FMT
		    "\" cannot be inside the named location \"" STR_FMT "\"",
		    STR_ARG(loc->name), STR_ARG(around->name)));
	if (loc->kind == LOCATION_NAMED)
		return (conf_error(cf, "named location \"" STR_FMT
		    "\" can be on the server level only", STR_ARG(loc->name)));
	if (loc->kind != LOCATION_REGEX && !str_starts(loc->name, around->name))
		return (conf_error(cf, "location \"" STR_FMT "\" is outside location \"" STR_FMT "\"",
		    STR_ARG(loc->name), STR_ARG(around->name)));
	return (0);
}

static int
location_block(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str name = cf->words[cf->word_count - 1].text;
	const struct location_modifier *m = NULL;
	struct location *loc;
	struct conf_frame frame;

	(void)row;
	(void)field;
	if (cf->word_count == 3) {
		m = location_modifier_find(cf->words[1].text, true);
		if (m == NULL || m->kind == LOCATION_NAMED)
			return (conf_error(cf, "invalid location modifier \"" STR_FMT "\"",
			    STR_ARG(cf->words[1].text)));
	} else if ((m = location_modifier_find(name, false)) != NULL && m->kind != LOCATION_NAMED) {
		name = str_skip(name, m->text.n);
	}
	loc = location_new(cf, conf_location(cf), m == NULL ? LOCATION_PREFIX : m->kind, name);
	loc->no_regex = m != NULL && m->no_regex;
	if (location_check_nesting(cf, loc) != 0)
		return (-1);
	if (loc->kind == LOCATION_REGEX) {
		loc->matcher = matcher_new(cf, name, m->ignore_case);
		if (loc->matcher == NULL)
			return (-1);
	}
	location_frame(loc, &frame, CTX_LOCATION);
	return (conf_block(cf, &frame));
}

static const struct conf_row site_rows[] = {
	{ .name = "http", .contexts = CTX_MAIN, .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN,
	    .set = site_block, .param = &http_kind },
	{ .name = "stream", .contexts = CTX_MAIN, .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN,
	    .set = site_block, .param = &stream_kind },
	{ .name = "server", .contexts = CTX_HTTP | CTX_STREAM, .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN,
	    .set = server_block },
	{ .name = "location", .contexts = CTX_SERVER | CTX_LOCATION, .min = 1, .max = 2,
	    .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN, .set = location_block },
	{ .name = "listen", .contexts = CTX_SERVER | CTX_STREAM_SERVER, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT | CONF_OWN, .set = listen_set },
	{ .name = "server_name", .contexts = CTX_SERVER, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT | CONF_OWN, .set = server_name_set },
	{ .name = NULL }
};

struct module site_module = { .name = "site", .sites = SITE_HTTP | SITE_STREAM,
	.rows = site_rows };
