/*
 * Settings that http/ itself acts on: their rows and defaults, root and alias,
 * MIME types, error logs, temporary folders.  Filled while a configuration is read.
 */
#include "http/core.h"

#include "base/list.h"
#include "http/file.h"
#include "http/request.h"
#include "http/site.h"
#include "http/uri.h"
#include "net/addr.h"

static int
types_word(struct conf *cf, void *arg)
{
	struct hash *types = arg;
	struct str *type = pool_new_object(cf->pool, struct str);

	*type = pool_strdup(cf->pool, cf->words[0].text);
	for (unsigned i = 1; i < cf->word_count; i++) {
		void **slot = hash_slot(types, pool_strdup(cf->pool, cf->words[i].text));

		if (*slot != NULL && !str_eq(*(struct str *)*slot, *type))
			conf_warn(cf,
			    "duplicate extension \"" STR_FMT "\", content type: \"" STR_FMT
			    "\", previous content type: \"" STR_FMT "\"",
			    STR_ARG(cf->words[i].text), STR_ARG(*type),
			    STR_ARG(*(struct str *)*slot));
		*slot = type;
	}
	return (0);
}

static int
types_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct hash **types = field;

	(void)row;
	if (*types == NULL)
		*types = hash_new(cf->pool, true);
	return (conf_words(cf, types_word, *types));
}

/*
 * The struct around a field: rows that fill several fields at once say where the first of
 * them is, which tells the engine the rows of one thing from those of another.
 */
#define CORE_OF(field, member)							\
	((struct core_location *)((char *)(uintptr_t)(field) -			\
	offsetof(struct core_location, member)))

/* The variables that are made of the root cannot be part of it. */
static int
root_check(struct conf *cf, struct str path)
{
	static const struct { struct str name, braced; } made_of_root[] = {
		{ { "$document_root", 14 }, { "${document_root}", 16 } },
		{ { "$realpath_root", 14 }, { "${realpath_root}", 16 } },
	};

	for (size_t i = 0; i < sizeof(made_of_root) / sizeof(made_of_root[0]); i++)
		if (str_find(path, made_of_root[i].name) != SIZE_MAX ||
		    str_find(path, made_of_root[i].braced) != SIZE_MAX)
			return (conf_error_at(cf, 1, "the " STR_FMT " variable cannot be used in the "
			    "\"" STR_FMT "\" directive", STR_ARG(made_of_root[i].name),
			    STR_ARG(cf->words[0].text)));
	return (0);
}

/* nginx: root and alias exclude each other and themselves at one level. */
static int
root_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct core_location *core = CORE_OF(field, root);
	bool alias = str_eq(cf->words[0].text, STR("alias"));
	struct str path = cf->words[1].text;

	(void)row;
	if (core->root != NULL) {
		if (core->alias == alias)
			return (conf_error(cf, "\"" STR_FMT "\" directive is duplicate",
			    STR_ARG(cf->words[0].text)));
		return (conf_error(cf, "\"" STR_FMT "\" directive is duplicate, \"%s\" directive was "
		    "specified earlier", STR_ARG(cf->words[0].text), core->alias ? "alias" : "root"));
	}
	if (alias && conf_location(cf)->in_named)
		return (conf_error(cf, "the \"alias\" directive cannot be used inside the named location"));
	if (root_check(cf, path) != 0)
		return (-1);
	core->alias = alias;
	if (alias)
		core->alias_prefix = conf_location(cf)->kind == LOCATION_REGEX ? ALIAS_WHOLE :
		    conf_location(cf)->name.n;
	if (!alias && path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	if (!str_starts(path, STR("$")))
		path = conf_path_in_prefix(cf, path);
	core->root = tpl_compile(cf, path);
	return (core->root == NULL ? -1 : 0);
}

/* The names of sub-folders are taken from the ten digits of a file's name. */
#define FILE_NAME_DIGITS	10

static int
temp_path_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct temp_path *path = pool_new_object(cf->pool, struct temp_path);
	uint64_t level, left = FILE_NAME_DIGITS;

	(void)row;
	path->path = conf_path_in_prefix(cf, cf->words[1].text);
	for (unsigned i = 2; i < cf->word_count; i++) {
		if (!str_to_uint(cf->words[i].text, left, &level) || level == 0)
			return (conf_error_at(cf, i, "\"" STR_FMT "\" directive invalid value",
			    STR_ARG(cf->words[0].text)));
		path->levels[i - 2] = (unsigned)level;
		left -= level;
	}
	*(struct temp_path **)field = path;
	if (conf_http(cf) != NULL)
		*(struct temp_path **)vec_push(&conf_http(cf)->temp_paths, cf->pool) = path;
	return (0);
}

const struct conf_type conf_temp_path = {
	.name = "path", .size = sizeof(struct temp_path *), .set = temp_path_set
};

/* nginx's parts of debug are all of it here. */
static int
error_level(struct str word)
{
	static const char *const parts[] = { "debug_core", "debug_alloc", "debug_mutex",
		"debug_event", "debug_http", "debug_mail", "debug_stream" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (str_eq(word, str_from(parts[i])))
			return (LOG_DEBUG);
	return (log_level_by_name(word));
}

/* Every level keeps its own chain; "error_log" replaces what is around it. */
static int
error_log_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct log **chain = field, *log = pool_new_object(cf->pool, struct log);
	struct str path = cf->words[1].text;

	(void)row;
	log->level = LOG_ERR;
	for (unsigned i = 2; i < cf->word_count; i++) {
		int level = error_level(cf->words[i].text);

		if (level <= LOG_STDERR ||
		    (i > 2 && (level != LOG_DEBUG || log->level != LOG_DEBUG)))
			return (conf_error_at(cf, i, "%s log level \"" STR_FMT "\"",
			    level <= LOG_STDERR ? "invalid" : "duplicate",
			    STR_ARG(cf->words[i].text)));
		log->level = (enum log_level)level;
	}
	log->file = cf->open_log(cf, path);
	if (log->file == NULL)
		return (-1);
	log->next = *chain;
	*chain = log;
	return (0);
}

const struct conf_type conf_error_log = {
	.name = "error_log", .size = sizeof(struct log *), .set = error_log_set
};

static int
keepalive_timeout_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct core_location *core = CORE_OF(field, keepalive_timeout);

	(void)row;
	if (!str_to_msec(cf->words[1].text, &core->keepalive_timeout))
		return (conf_error_at(cf, 1, "\"keepalive_timeout\" directive invalid value"));
	core->keepalive_header = 0;
	if (cf->word_count == 3) {
		if (!str_to_sec(cf->words[2].text, &core->keepalive_header))
			return (conf_error_at(cf, 2, "\"keepalive_timeout\" directive invalid value"));
	}
	return (0);
}

static void
keepalive_timeout_inherit(struct conf *cf, const struct conf_row *row, void *child,
    const void *parent)
{
	struct core_location *to = CORE_OF(child, keepalive_timeout);
	const struct core_location *from = CORE_OF(parent, keepalive_timeout);

	(void)cf;
	(void)row;
	to->keepalive_timeout = from->keepalive_timeout;
	to->keepalive_header = from->keepalive_header;
}

static void
root_inherit(struct conf *cf, const struct conf_row *row, void *child, const void *parent)
{
	struct core_location *to = CORE_OF(child, root);
	const struct core_location *from = CORE_OF(parent, root);

	(void)cf;
	(void)row;
	to->root = from->root;
	to->alias = from->alias;
	to->alias_prefix = from->alias_prefix;
}

static const struct conf_type conf_root = {
	.name = "path", .size = sizeof(struct tpl *), .inherit = root_inherit
};
static const struct conf_type conf_keepalive_timeout = {
	.name = "time", .size = sizeof(uint64_t), .inherit = keepalive_timeout_inherit
};
static const struct conf_type conf_types = {
	.name = "types", .size = sizeof(struct hash *), .set = types_set
};

static int
resolver_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct core_location *core = CORE_OF(field, resolver_servers);

	(void)row;
	core->resolver_servers = VEC_OF(struct addr);
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct str word = cf->words[i].text;
		const char *error;

		if (str_starts(word, STR("valid="))) {
			if (!str_to_sec(str_skip(word, 6), &core->resolver_valid))
				return (conf_error_at(cf, i, "invalid parameter: " STR_FMT, STR_ARG(word)));
			core->resolver_valid *= 1000;
			continue;
		}
		if (str_starts(word, STR("ipv6=")) || str_starts(word, STR("ipv4=")) ||
		    str_starts(word, STR("status_zone="))) {
			if (!str_starts(word, STR("status_zone=")) &&
			    !str_eq(str_skip(word, 5), STR("on")) && !str_eq(str_skip(word, 5), STR("off")))
				return (conf_error_at(cf, i, "invalid parameter: " STR_FMT, STR_ARG(word)));
			if (str_eq(word, STR("ipv6=off")))
				core->resolver_ipv6_off = true;
			continue;
		}
		error = addr_resolve(cf->pool, word, 53, &core->resolver_servers);
		if (error != NULL)
			return (conf_error_at(cf, i, "%s in resolver \"" STR_FMT "\"", error,
			    STR_ARG(word)));
	}
	if (core->resolver_servers.count == 0)
		return (conf_error(cf, "no name servers defined"));
	core->resolver_set = true;
	return (0);
}

static void
resolver_inherit(struct conf *cf, const struct conf_row *row, void *child, const void *parent)
{
	struct core_location *to = CORE_OF(child, resolver_servers);
	const struct core_location *from = CORE_OF(parent, resolver_servers);

	(void)cf;
	(void)row;
	to->resolver_servers = from->resolver_servers;
	to->resolver_valid = from->resolver_valid;
	to->resolver_ipv6_off = from->resolver_ipv6_off;
	to->resolver_set = from->resolver_set;
}

static const struct conf_type conf_resolver = {
	.name = "resolver", .size = sizeof(struct vec), .set = resolver_set, .inherit = resolver_inherit
};

static int
internal_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)cf;
	(void)row;
	*(bool *)field = true;
	return (0);
}

static const struct conf_name names_symlinks[] = {
	{ "off", LINKS_FOLLOW }, { "on", LINKS_REFUSE }, { "if_not_owner", LINKS_OF_OWNER },
	{ NULL, 0 }
};

/* "on", "off", "if_not_owner", with an optional "from=" part. */
static int
symlinks_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct core_location *core = CORE_OF(field, disable_symlinks);
	bool said = false;

	for (unsigned i = 1; i < cf->word_count; i++) {
		const struct conf_name *name = row->param;
		struct str word = cf->words[i].text;

		if (str_starts(word, STR("from="))) {
			core->symlinks_from = tpl_compile(cf, str_skip(word, 5));
			if (core->symlinks_from == NULL)
				return (-1);
			continue;
		}
		while (name->name != NULL && !str_eq(word, str_from(name->name)))
			name++;
		if (name->name == NULL)
			return (conf_error_at(cf, i, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
		if (said)
			return (conf_error(cf, "duplicate parameters \"" STR_FMT " " STR_FMT "\"",
			    STR_ARG(cf->words[1].text), STR_ARG(cf->words[2].text)));
		core->disable_symlinks = name->value;
		said = true;
	}
	if (said && core->disable_symlinks == LINKS_FOLLOW && core->symlinks_from != NULL)
		return (conf_error(cf, "\"from=\" cannot be used with \"off\" parameter"));
	if (!said)
		return (conf_error(cf, "\"disable_symlinks\" must have \"off\", \"on\" or "
		    "\"if_not_owner\" parameter"));
	return (0);
}

static void
symlinks_inherit(struct conf *cf, const struct conf_row *row, void *child, const void *parent)
{
	struct core_location *to = CORE_OF(child, disable_symlinks);
	const struct core_location *from = CORE_OF(parent, disable_symlinks);

	(void)cf;
	(void)row;
	to->disable_symlinks = from->disable_symlinks;
	to->symlinks_from = from->symlinks_from;
}

static const struct conf_type conf_symlinks = {
	.name = "name", .size = sizeof(unsigned), .set = symlinks_set, .inherit = symlinks_inherit
};

static const struct conf_name names_satisfy[] = {
	{ "all", SATISFY_ALL }, { "any", SATISFY_ANY }, { NULL, 0 }
};
static const struct conf_name names_in_file[] = {
	{ "off", 0 }, { "on", 1 }, { "clean", 2 }, { NULL, 0 }
};
static const struct conf_name names_lingering[] = {
	{ "off", 0 }, { "on", 1 }, { "always", 2 }, { NULL, 0 }
};
static const struct conf_name names_modified[] = {
	{ "off", 0 }, { "exact", 1 }, { "before", 2 }, { NULL, 0 }
};
static const struct conf_name names_tokens[] = {
	{ "off", 0 }, { "on", 1 }, { "build", 2 }, { NULL, 0 }
};
static const struct conf_name names_keepalive_disable[] = {
	{ "none", 0 }, { "msie6", 1 }, { "safari", 2 }, { NULL, 0 }
};

#define IN_LOCATION(field)	.scope = SCOPE_LOCATION, .offset = offsetof(struct core_location, field)
#define IN_SERVER(field)	.scope = SCOPE_SERVER, .offset = offsetof(struct core_server, field)

static const struct conf_row core_rows[] = {
	/* name, contexts, arguments, type, field, default */
	{ .name = "root", .contexts = CTX_HSLI, .min = 1, .max = 1, .flags = CONF_REPEAT,
	    .type = &conf_root, .set = root_set, IN_LOCATION(root), .dflt = "html" },
	{ .name = "alias", .contexts = CTX_LOCATION, .min = 1, .max = 1, .flags = CONF_REPEAT,
	    .type = &conf_root, .set = root_set, IN_LOCATION(root) },
	{ .name = "types", .contexts = CTX_HSL, .flags = CONF_BLOCK | CONF_REPEAT,
	    .type = &conf_types, IN_LOCATION(types) },
	{ .name = "default_type", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_str,
	    IN_LOCATION(default_type), .dflt = "text/plain" },
	{ .name = "internal", .contexts = CTX_LOCATION, .flags = CONF_OWN, .set = internal_set,
	    .type = &conf_flag, IN_LOCATION(internal) },
	{ .name = "satisfy", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_enum,
	    .param = names_satisfy, IN_LOCATION(satisfy), .dflt = "all" },
	{ .name = "client_max_body_size", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_offset, IN_LOCATION(client_max_body_size), .dflt = "1m" },
	{ .name = "client_body_buffer_size", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_size, IN_LOCATION(client_body_buffer_size), .dflt = "16k" },
	{ .name = "client_body_timeout", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_msec,
	    IN_LOCATION(client_body_timeout), .dflt = "60s" },
	{ .name = "client_body_in_file_only", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_enum, .param = names_in_file, IN_LOCATION(client_body_in_file_only),
	    .dflt = "off" },
	{ .name = "client_body_temp_path", .contexts = CTX_HSL, .min = 1, .max = 4,
	    .type = &conf_temp_path, IN_LOCATION(client_body_temp_path), .dflt = "client_body_temp" },
	{ .name = "sendfile", .contexts = CTX_HSLI, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(sendfile), .dflt = "off" },
	{ .name = "tcp_nodelay", .contexts = CTX_HSL | CTX_STREAMS, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(tcp_nodelay), .dflt = "on" },
	{ .name = "send_timeout", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_msec,
	    IN_LOCATION(send_timeout), .dflt = "60s" },
	{ .name = "keepalive_timeout", .contexts = CTX_HSL, .min = 1, .max = 2,
	    .type = &conf_keepalive_timeout, .set = keepalive_timeout_set, IN_LOCATION(keepalive_timeout),
	    .dflt = "75s" },
	{ .name = "keepalive_requests", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_uint,
	    IN_LOCATION(keepalive_requests), .dflt = "1000" },
	{ .name = "keepalive_time", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_msec,
	    IN_LOCATION(keepalive_time), .dflt = "1h" },
	{ .name = "keepalive_disable", .contexts = CTX_HSL, .min = 1, .max = 2, .type = &conf_mask,
	    .param = names_keepalive_disable, IN_LOCATION(keepalive_disable), .dflt = "msie6" },
	{ .name = "lingering_close", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_enum,
	    .param = names_lingering, IN_LOCATION(lingering_close), .dflt = "on" },
	{ .name = "lingering_time", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_msec,
	    IN_LOCATION(lingering_time), .dflt = "30s" },
	{ .name = "lingering_timeout", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_msec,
	    IN_LOCATION(lingering_timeout), .dflt = "5s" },
	{ .name = "reset_timedout_connection", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(reset_timedout_connection), .dflt = "off" },
	{ .name = "etag", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(etag), .dflt = "on" },
	{ .name = "if_modified_since", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_enum,
	    .param = names_modified, IN_LOCATION(if_modified_since), .dflt = "exact" },
	{ .name = "max_ranges", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_uint,
	    IN_LOCATION(max_ranges), .dflt = "2147483647" },
	{ .name = "log_not_found", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(log_not_found), .dflt = "on" },
	{ .name = "absolute_redirect", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(absolute_redirect), .dflt = "on" },
	{ .name = "server_name_in_redirect", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(server_name_in_redirect), .dflt = "off" },
	{ .name = "port_in_redirect", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(port_in_redirect), .dflt = "on" },
	{ .name = "server_tokens", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_enum,
	    .param = names_tokens, IN_LOCATION(server_tokens), .dflt = "on" },
	{ .name = "chunked_transfer_encoding", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(chunked_transfer_encoding), .dflt = "on" },
	{ .name = "limit_rate", .contexts = CTX_HSLI, .min = 1, .max = 1, .type = &conf_tpl_size,
	    IN_LOCATION(limit_rate) },
	{ .name = "limit_rate_after", .contexts = CTX_HSLI, .min = 1, .max = 1, .type = &conf_tpl_size,
	    IN_LOCATION(limit_rate_after) },
	{ .name = "error_log", .contexts = CTX_HSL | CTX_STREAMS, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_error_log, IN_LOCATION(error_log) },
	{ .name = "resolver", .contexts = CTX_HSL | CTX_STREAMS, .min = 1, .max = CONF_ANY,
	    .type = &conf_resolver, IN_LOCATION(resolver_servers) },
	{ .name = "resolver_timeout", .contexts = CTX_HSL | CTX_STREAMS, .min = 1, .max = 1,
	    .type = &conf_msec, IN_LOCATION(resolver_timeout), .dflt = "30s" },
	{ .name = "disable_symlinks", .contexts = CTX_HSL, .min = 1, .max = 2,
	    .type = &conf_symlinks, .param = names_symlinks, IN_LOCATION(disable_symlinks),
	    .dflt = "off" },

	{ .name = "client_header_buffer_size", .contexts = CTX_HTTP | CTX_SERVER, .min = 1, .max = 1,
	    .type = &conf_size, IN_SERVER(client_header_buffer_size), .dflt = "1k" },
	{ .name = "client_header_timeout", .contexts = CTX_HTTP | CTX_SERVER, .min = 1, .max = 1,
	    .type = &conf_msec, IN_SERVER(client_header_timeout), .dflt = "60s" },
	/* What precedes a connection's own bytes: one deadline, whatever it is. */
	{ .name = "proxy_protocol_timeout", .contexts = CTX_STREAMS, .min = 1, .max = 1,
	    .type = &conf_msec, IN_SERVER(client_header_timeout) },
	{ .name = "ssl_handshake_timeout", .contexts = CTX_STREAMS, .min = 1, .max = 1,
	    .type = &conf_msec, IN_SERVER(client_header_timeout) },
	{ .name = "large_client_header_buffers", .contexts = CTX_HTTP | CTX_SERVER, .min = 2, .max = 2,
	    .type = &conf_bufs, IN_SERVER(large_client_header_buffers), .dflt = "4 8k" },
	{ .name = "ignore_invalid_headers", .contexts = CTX_HTTP | CTX_SERVER, .min = 1, .max = 1,
	    .type = &conf_flag, IN_SERVER(ignore_invalid_headers), .dflt = "on" },
	{ .name = "underscores_in_headers", .contexts = CTX_HTTP | CTX_SERVER, .min = 1, .max = 1,
	    .type = &conf_flag, IN_SERVER(underscores_in_headers), .dflt = "off" },
	{ .name = "merge_slashes", .contexts = CTX_HTTP | CTX_SERVER, .min = 1, .max = 1,
	    .type = &conf_flag, IN_SERVER(merge_slashes), .dflt = "on" },
	{ .name = NULL }
};

/* nginx's types where none are configured. */
static const struct {
	struct str extension, type;
} default_types[] = {
	{ { "html", 4 }, { "text/html", 9 } },
	{ { "gif", 3 }, { "image/gif", 9 } },
	{ { "jpg", 3 }, { "image/jpeg", 10 } },
};

struct str
core_content_type(const struct request *r, struct str uri)
{
	const struct core_location *core = r->location->core;
	struct str extension = uri_extension(uri), *type;

	if (extension.n == 0)
		return (core->default_type);
	if (core->types != NULL) {
		type = hash_get(core->types, extension);
		return (type == NULL ? core->default_type : *type);
	}
	for (size_t i = 0; i < sizeof(default_types) / sizeof(default_types[0]); i++)
		if (str_eq_ci(default_types[i].extension, extension))
			return (default_types[i].type);
	return (core->default_type);
}

/* behind: what follows an alias that is a whole path (of a regex location). */
static int
map_path(struct request *r, struct str uri, struct str behind, struct str *path)
{
	const struct core_location *core = r->location->core;
	struct str parts[2] = { tpl_eval(r, core->root), uri };

	if (core->alias && r->uri_detached) {
		request_log(r, LOG_ALERT, 0, "\"alias\" cannot be used in location \"" STR_FMT
		    "\" where URI was rewritten", STR_ARG(r->location->name));
		return (500);
	}
	if (core->alias) {
		if (core->alias_prefix == ALIAS_WHOLE)
			parts[1] = behind;
		/* try_files may name a file that is not below the location's own prefix. */
		else if (uri.n >= core->alias_prefix && r->uri.n >= core->alias_prefix &&
		    memcmp(uri.p, r->uri.p, core->alias_prefix) == 0)
			parts[1] = str_skip(uri, core->alias_prefix);
		/* A ".." that only the concatenation makes would leave the aliased folder. */
		if (parts[0].n > 0 && parts[1].n >= 2 && str_starts(parts[1], STR("..")) &&
		    (parts[1].n == 2 || parts[1].p[2] == '/') && parts[0].p[parts[0].n - 1] == '/')
			return (404);
		if (parts[0].n > 0 && parts[1].n > 0 && parts[0].p[parts[0].n - 1] == '.' &&
		    uri_has_dotdot(pool_concat(r->pool, 2, parts)))
			return (404);
	}
	if (!str_starts(parts[0], STR("/"))) {
		struct str whole[4] = { r->http->prefix, STR("/"), parts[0], parts[1] };

		if (str_ends(r->http->prefix, STR("/")))
			whole[1] = STR("");
		*path = pool_concat(r->pool, 4, whole);
		return (0);
	}
	*path = pool_concat(r->pool, 2, parts);
	return (0);
}

int
core_map_uri(struct request *r, struct str name, struct str *path)
{
	struct str parts[2] = { r->uri, name };
	struct str uri = name.n == 0 ? r->uri : pool_concat(r->pool, 2, parts);

	return (map_path(r, uri, r->uri_below_alias ? uri : name, path));
}

int
core_map_item(struct request *r, struct str uri, struct str *path)
{
	return (map_path(r, uri, uri, path));
}

struct file *
core_file(struct request *r, struct str path, bool want_bytes)
{
	const struct core_location *core = r->location->core;
	struct str from = core->symlinks_from == NULL ? STR("") : tpl_eval(r, core->symlinks_from);

	if (core->disable_symlinks == LINKS_FOLLOW || (from.n > 0 && str_eq(from, path)))
		return (file_get(r->thread, path, want_bytes));
	/* As nginx: a part that is not a part, or ends within a name, is none. */
	if (from.n > 0 && str_starts(path, from) && from.p[from.n - 1] == '/')
		from.n--;
	if (from.n > 0 && (!str_starts(path, from) || path.p[from.n] != '/'))
		from.n = 0;
	return (file_get_guarded(path, from.n, core->disable_symlinks, want_bytes));
}

/*
 * Warnings for mismatches of slashes (SEMANTICS e3): one lets "/static../x" leave an aliased
 * folder, the other looks for "/datax" where "/data/x" is meant.
 */
static int
core_init_location(struct conf *cf, struct location *loc)
{
	const struct core_location *core = loc->core;
	struct str root;

	if (!core->alias || loc->kind != LOCATION_PREFIX || core->alias_prefix != loc->name.n)
		return (0);
	root = tpl_text(core->root);
	if (!str_ends(loc->name, STR("/")) && str_ends(root, STR("/")))
		log_write(cf->log, LOG_WARN, 0, 0, "location \"" STR_FMT "\" has no slash at its end "
		    "while its alias \"" STR_FMT "\" has one: paths like \"" STR_FMT "../\" are refused",
		    STR_ARG(loc->name), STR_ARG(root), STR_ARG(loc->name));
	else if (str_ends(loc->name, STR("/")) && !str_ends(root, STR("/")) &&
	    tpl_is_literal(core->root))
		log_write(cf->log, LOG_WARN, 0, 0,
		    "location \"" STR_FMT "\" has a slash at its end "
		    "while its alias \"" STR_FMT "\" has none: \"" STR_FMT
		    "x\" is looked for as \"" STR_FMT "x\"",
		    STR_ARG(loc->name), STR_ARG(root), STR_ARG(loc->name), STR_ARG(root));
	return (0);
}

static int
core_init_server(struct conf *cf, struct server *server)
{
	if (server->core->large_client_header_buffers.size < 64)
		return (conf_error(cf, "the \"large_client_header_buffers\" size must be at least 64"));
	return (0);
}

struct module core_module = {
	.name = "core",
	.sites = SITE_HTTP | SITE_STREAM,
	.size = {
		[SCOPE_SERVER] = sizeof(struct core_server),
		[SCOPE_LOCATION] = sizeof(struct core_location),
	},
	.rows = core_rows,
	.init_location = core_init_location,
	.init_server = core_init_server,
};
