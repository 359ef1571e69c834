/*
 * Directives of nginx that wproxy knows but does not implement: never silently
 * wrong.  Rows only; each is one of
 *
 *	INERT	tunes something that wproxy does in another way: taken silently
 *	IGNORED	its absence costs time or comfort: one [warn] for the whole feature
 *	REFUSED	ignoring it would change who may see what, or what is answered: [emerg],
 *		unless its argument is the one that turns it off
 *
 * Arguments and contexts are those of nginx 1.22 (or of the first version that has the
 * directive), so that a misplaced one is told apart.  Also here: load_module, whose
 * module is either built in or cannot be had.
 */
#include "mod/unbuilt.h"

enum feature_number { FEATURE_CACHE, FEATURE_FASTCGI, FEATURE_SCGI, FEATURE_GRPC,
	FEATURE_MEMCACHED, FEATURE_SLICE, FEATURE_RANGES, FEATURE_RATE, FEATURE_PUSH, FEATURE_QUIC,
	FEATURE_COMPRESSION, FEATURE_STATISTICS, FEATURE_COUNT };

static const struct feature {
	const char *text;
} features[FEATURE_COUNT] = {
	[FEATURE_CACHE] = { "wproxy does not cache answers of back ends" },
	[FEATURE_FASTCGI] = { "wproxy does not speak FastCGI" },
	[FEATURE_SCGI] = { "wproxy does not speak SCGI" },
	[FEATURE_GRPC] = { "wproxy does not speak gRPC" },
	[FEATURE_MEMCACHED] = { "wproxy does not speak memcached's protocol" },
	[FEATURE_SLICE] = { "wproxy asks back ends for what the client asked for" },
	[FEATURE_RANGES] = { "wproxy leaves ranges of proxied answers to the back end" },
	[FEATURE_RATE] = { "wproxy reads from back ends as fast as clients do" },
	[FEATURE_PUSH] = { "wproxy does not push" },
	[FEATURE_QUIC] = { "wproxy does not speak HTTP/3" },
	[FEATURE_COMPRESSION] = { "wproxy compresses with gzip only" },
	[FEATURE_STATISTICS] = { "wproxy keeps no such statistics" },
};

/* One for each http {}: a feature is warned of once. */
struct unbuilt_main {
	bool said[FEATURE_COUNT];
};

struct refusal {
	const char *off;	/* the argument that asks for nothing, or NULL */
	const char *changes;
};

#define WHO	"who may see what"
#define WHAT	"what is answered"
#define VALUES	"the value of variables"
#define EFFECT	"what happens beside the answer"

static int
ignored_set(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct feature *feature = row->param;
	bool *said = field;

	if ((said != NULL && *said) ||
	    (cf->word_count == 2 && str_eq(cf->words[1].text, STR("off"))))
		return (0);
	if (said != NULL)
		*said = true;
	conf_warn(cf, "\"%s\" is ignored: %s", row->name, feature->text);
	return (0);
}

/* wproxy's file cache needs no settings; what is written is still held to nginx's grammar. */
static int
open_file_cache_set(struct conf *cf, const struct conf_row *row, void *field)
{
	bool max = false;

	(void)row;
	(void)field;
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct str word = cf->words[i].text;
		uint64_t n;

		if (str_starts(word, STR("max=")) &&
		    str_to_uint(str_skip(word, 4), UINT32_MAX, &n) && n > 0)
			max = true;
		else if (str_eq(word, STR("off")))
			return (0);
		else if (!str_starts(word, STR("inactive=")) || !str_to_sec(str_skip(word, 9), &n))
			return (conf_error_at(cf, i,
			    "invalid \"open_file_cache\" parameter \"" STR_FMT "\"",
			    STR_ARG(word)));
	}
	if (!max)
		return (conf_error(cf, "\"open_file_cache\" must have the \"max\" parameter"));
	return (0);
}

static int
refused_set(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct refusal *refusal = row->param;

	(void)field;
	if (refusal->off != NULL && cf->word_count == 2 && cf->end == LEX_SEMICOLON &&
	    str_eq(cf->words[1].text, str_from(refusal->off)))
		return (0);
	return (conf_error_at(cf, 0, "wproxy does not implement the \"%s\" directive, and to "
	    "ignore it would change %s", row->name, refusal->changes));
}

/* An inert value must still be one: param is its type. */
static int
checked_set(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct conf_type *type = row->param;
	union {
		bool flag;
		uint64_t number;
		struct conf_bufs bufs;
	} unused = { 0 };
	struct conf_row plain = *row;

	(void)field;
	plain.param = NULL;
	return (type->set(cf, &plain, &unused));
}

/* --- load_module --- */

/* What stands between ngx_ and _module.so. */
static const char *const modules_built_in[] = { "http_access", "http_auth_basic",
	"http_auth_request", "http_autoindex", "http_charset", "http_gzip", "http_gzip_static",
	"http_headers", "http_index",
	"http_limit_conn", "http_limit_req", "http_log", "http_map", "http_proxy", "http_realip",
	"http_rewrite", "http_ssl", "http_stub_status", "http_sub", "http_upstream_hash",
	"http_upstream_ip_hash", "http_upstream_keepalive", "http_upstream_least_conn",
	"http_upstream_random", "http_upstream_zone", "http_uwsgi", "http_v2", "stream" };
static const char *const modules_ignored[] = { "http_brotli_filter", "http_brotli_static",
	"http_cache_purge", "http_slice", "http_vhost_traffic_status", "http_zstd_filter",
	"http_zstd_static" };
/* Debian's packages load them whether they are used or not; their directives are errors. */
static const char *const modules_unused[] = { "http_auth_pam", "http_dav_ext", "http_echo",
	"http_fancyindex", "http_geoip", "http_geoip2", "http_headers_more_filter",
	"http_image_filter", "http_js", "http_lua", "http_memc", "http_modsecurity", "http_perl",
	"http_set_misc", "http_srcache_filter", "http_subs_filter", "http_uploadprogress",
	"http_upstream_fair", "http_xslt_filter", "mail", "nchan", "ndk_http", "rtmp",
	"stream_geoip", "stream_geoip2", "stream_js" };

static bool
name_is_in(struct str name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(name, str_from(names[i])))
			return (true);
	return (false);
}
#define IS_IN(name, names)	name_is_in((name), (names), sizeof(names) / sizeof((names)[0]))

/* "modules/ngx_http_gzip_static_module.so" -> "http_gzip_static". */
static struct str
module_name(struct str path)
{
	size_t slash = str_rchr(path, '/');
	struct str name = slash == SIZE_MAX ? path : str_skip(path, slash + 1);

	if (str_ends(name, STR(".so")))
		name.n -= 3;
	if (str_starts(name, STR("ngx_")))
		name = str_skip(name, 4);
	if (str_ends(name, STR("_module")))
		name.n -= 7;
	return (name);
}

static int
load_module_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str name = module_name(cf->words[1].text);

	(void)row;
	(void)field;
	if (IS_IN(name, modules_built_in))
		return (0);
	if (IS_IN(name, modules_ignored)) {
		conf_warn_at(cf, 1, "module \"" STR_FMT "\" is ignored: wproxy does without it",
		    STR_ARG(name));
		return (0);
	}
	if (IS_IN(name, modules_unused)) {
		conf_warn_at(cf, 1, "module \"" STR_FMT "\" is not part of wproxy: "
		    "its directives will be refused", STR_ARG(name));
		return (0);
	}
	return (conf_error_at(cf, 1, "wproxy does not implement the module \"" STR_FMT "\" of \""
	    STR_FMT "\"", STR_ARG(name), STR_ARG(cf->words[1].text)));
}

/* --- rows --- */

#define CTX_HS		(CTX_HTTP | CTX_SERVER)
#define CTX_SL		(CTX_SERVER | CTX_LOCATION)
#define CTX_LI		(CTX_LOCATION | CTX_IF_LOCATION)

#define INERT(n, where, least, most)							\
	{ .name = n, .contexts = where, .min = least, .max = most, .flags = CONF_REPEAT,	\
	    .type = &conf_inert }
#define CHECKED(n, where, args, checked)						\
	{ .name = n, .contexts = where, .min = args, .max = args, .flags = CONF_REPEAT,	\
	    .type = &conf_inert, .set = checked_set, .param = &checked }
#define FLAG(n, where)		CHECKED(n, where, 1, conf_flag)
#define NUMBER(n, where)	CHECKED(n, where, 1, conf_uint)
#define SIZE(n, where)		CHECKED(n, where, 1, conf_size)
#define SECONDS(n, where)	CHECKED(n, where, 1, conf_sec)
#define BUFFERS(n, where)	CHECKED(n, where, 2, conf_bufs)

static const struct conf_type conf_said = { "not implemented", sizeof(bool), ignored_set, NULL };
#define IGNORED(n, where, least, most, feature)						\
	{ .name = n, .contexts = where, .min = least, .max = most,			\
	    .flags = CONF_REPEAT | CONF_OWN | CONF_UNBUILT, .type = &conf_said,		\
	    .scope = SCOPE_MAIN,							\
	    .offset = offsetof(struct unbuilt_main, said) + (feature) * sizeof(bool),	\
	    .set = ignored_set, .param = &features[feature] }

/* A block or not: it is refused before its contents are read. */
#define REFUSED(n, where, least, most, word, what)					\
	{ .name = n, .contexts = where, .min = least, .max = most,			\
	    .flags = CONF_REPEAT | CONF_FLAG_ARG | CONF_UNBUILT, .set = refused_set,	\
	    .param = &(const struct refusal){ word, what } }
#define REFUSED_FLAG(n, where, what)	REFUSED(n, where, 1, 1, "off", what)

/* What nginx's modules for other protocols have in common: all of them, all but memcached ... */
#define PEER_ROWS(p, f)									\
	IGNORED(p "bind", CTX_HSL, 1, 2, f),						\
	IGNORED(p "socket_keepalive", CTX_HSL, 1, 1, f),				\
	IGNORED(p "connect_timeout", CTX_HSL, 1, 1, f),					\
	IGNORED(p "send_timeout", CTX_HSL, 1, 1, f),					\
	IGNORED(p "read_timeout", CTX_HSL, 1, 1, f),					\
	IGNORED(p "buffer_size", CTX_HSL, 1, 1, f),					\
	IGNORED(p "next_upstream", CTX_HSL, 1, CONF_ANY, f),				\
	IGNORED(p "next_upstream_tries", CTX_HSL, 1, 1, f),				\
	IGNORED(p "next_upstream_timeout", CTX_HSL, 1, 1, f),				\
	REFUSED(p "pass", CTX_LI, 1, 1, NULL, WHAT)
#define HEADER_ROWS(p, f)								\
	IGNORED(p "intercept_errors", CTX_HSL, 1, 1, f),				\
	IGNORED(p "pass_header", CTX_HSL, 1, 1, f),					\
	IGNORED(p "hide_header", CTX_HSL, 1, 1, f),					\
	IGNORED(p "ignore_headers", CTX_HSL, 1, CONF_ANY, f)
/* ... those with a body, parameters and temporary files ... */
#define BODY_ROWS(p, f)									\
	IGNORED(p "store", CTX_HSL, 1, 1, f),						\
	IGNORED(p "store_access", CTX_HSL, 1, 3, f),					\
	IGNORED(p "buffering", CTX_HSL, 1, 1, f),					\
	IGNORED(p "request_buffering", CTX_HSL, 1, 1, f),				\
	IGNORED(p "ignore_client_abort", CTX_HSL, 1, 1, f),				\
	IGNORED(p "pass_request_headers", CTX_HSL, 1, 1, f),				\
	IGNORED(p "pass_request_body", CTX_HSL, 1, 1, f),				\
	IGNORED(p "buffers", CTX_HSL, 2, 2, f),						\
	IGNORED(p "busy_buffers_size", CTX_HSL, 1, 1, f),				\
	IGNORED(p "force_ranges", CTX_HSL, 1, 1, f),					\
	IGNORED(p "limit_rate", CTX_HSL, 1, 1, f),					\
	IGNORED(p "temp_path", CTX_HSL, 1, 4, f),					\
	IGNORED(p "max_temp_file_size", CTX_HSL, 1, 1, f),				\
	IGNORED(p "temp_file_write_size", CTX_HSL, 1, 1, f),				\
	IGNORED(p "param", CTX_HSL, 2, 3, f)
/* ... and the cache of each. */
#define CACHE_ROWS(p, f)								\
	IGNORED(p "cache", CTX_HSL, 1, 1, f),						\
	IGNORED(p "cache_key", CTX_HSL, 1, 1, f),					\
	IGNORED(p "cache_path", CTX_HTTP, 2, CONF_ANY, f),				\
	IGNORED(p "cache_bypass", CTX_HSL, 1, CONF_ANY, f),				\
	IGNORED(p "no_cache", CTX_HSL, 1, CONF_ANY, f),					\
	IGNORED(p "cache_valid", CTX_HSL, 1, CONF_ANY, f),				\
	IGNORED(p "cache_min_uses", CTX_HSL, 1, 1, f),					\
	IGNORED(p "cache_max_range_offset", CTX_HSL, 1, 1, f),				\
	IGNORED(p "cache_use_stale", CTX_HSL, 1, CONF_ANY, f),				\
	IGNORED(p "cache_methods", CTX_HSL, 1, CONF_ANY, f),				\
	IGNORED(p "cache_lock", CTX_HSL, 1, 1, f),					\
	IGNORED(p "cache_lock_timeout", CTX_HSL, 1, 1, f),				\
	IGNORED(p "cache_lock_age", CTX_HSL, 1, 1, f),					\
	IGNORED(p "cache_revalidate", CTX_HSL, 1, 1, f),				\
	IGNORED(p "cache_background_update", CTX_HSL, 1, 1, f),				\
	IGNORED(p "cache_purge", CTX_HSL, 1, CONF_ANY, f)
#define TLS_ROWS(p, f)									\
	IGNORED(p "ssl_session_reuse", CTX_HSL, 1, 1, f),				\
	IGNORED(p "ssl_protocols", CTX_HSL, 1, CONF_ANY, f),				\
	IGNORED(p "ssl_ciphers", CTX_HSL, 1, 1, f),					\
	IGNORED(p "ssl_name", CTX_HSL, 1, 1, f),					\
	IGNORED(p "ssl_server_name", CTX_HSL, 1, 1, f),					\
	IGNORED(p "ssl_verify", CTX_HSL, 1, 1, f),					\
	IGNORED(p "ssl_verify_depth", CTX_HSL, 1, 1, f),				\
	IGNORED(p "ssl_trusted_certificate", CTX_HSL, 1, 1, f),				\
	IGNORED(p "ssl_crl", CTX_HSL, 1, 1, f),						\
	IGNORED(p "ssl_certificate", CTX_HSL, 1, 1, f),					\
	IGNORED(p "ssl_certificate_key", CTX_HSL, 1, 1, f),				\
	IGNORED(p "ssl_password_file", CTX_HSL, 1, 1, f),				\
	IGNORED(p "ssl_conf_command", CTX_HSL, 2, 2, f)

/* A language inside nginx: each phase as a block of code and as a file. */
#define LUA(n, where)									\
	REFUSED(n "_by_lua", where, 0, CONF_ANY, NULL, WHAT),				\
	REFUSED(n "_by_lua_block", where, 0, CONF_ANY, NULL, WHAT),			\
	REFUSED(n "_by_lua_file", where, 0, CONF_ANY, NULL, WHAT)

static const struct conf_row unbuilt_rows[] = {
	{ .name = "load_module", .contexts = CTX_MAIN, .min = 1, .max = 1, .flags = CONF_REPEAT,
	    .set = load_module_set },

	/* main, events */
	INERT("ssl_engine", CTX_MAIN, 1, 1),
	FLAG("quic_bpf", CTX_MAIN),
	FLAG("ssl_object_cache_inheritable", CTX_MAIN),
	NUMBER("epoll_events", CTX_EVENTS),
	REFUSED("mail", CTX_MAIN, 0, 0, NULL, "which ports are served"),
	REFUSED("rtmp", CTX_MAIN, 0, 0, NULL, "which ports are served"),
	REFUSED("google_perftools_profiles", CTX_MAIN, 1, 1, NULL, EFFECT),

	/* memory, hash tables, sending */
	NUMBER("server_names_hash_max_size", CTX_HTTP),
	NUMBER("server_names_hash_bucket_size", CTX_HTTP),
	NUMBER("variables_hash_max_size", CTX_HTTP | CTX_STREAM),
	NUMBER("variables_hash_bucket_size", CTX_HTTP | CTX_STREAM),
	NUMBER("map_hash_max_size", CTX_HTTP | CTX_STREAM),
	NUMBER("map_hash_bucket_size", CTX_HTTP | CTX_STREAM),
	NUMBER("types_hash_max_size", CTX_HSL),
	NUMBER("types_hash_bucket_size", CTX_HSL),
	NUMBER("referer_hash_max_size", CTX_SL),
	NUMBER("referer_hash_bucket_size", CTX_SL),
	NUMBER("proxy_headers_hash_max_size", CTX_HSL),
	NUMBER("proxy_headers_hash_bucket_size", CTX_HSL),
	NUMBER("uwsgi_headers_hash_max_size", CTX_HSL),
	NUMBER("uwsgi_headers_hash_bucket_size", CTX_HSL),
	NUMBER("max_headers", CTX_HS),
	SIZE("connection_pool_size", CTX_HS),
	SIZE("request_pool_size", CTX_HS),
	SIZE("subrequest_output_buffer_size", CTX_HSL),
	BUFFERS("output_buffers", CTX_HSL),
	SIZE("postpone_output", CTX_HSL),
	SIZE("send_lowat", CTX_HSL),
	SIZE("proxy_send_lowat", CTX_HSL),
	FLAG("client_body_in_single_buffer", CTX_HSL),	/* $request_body is put together when asked for */
	SIZE("sendfile_max_chunk", CTX_HSL),		/* a turn of a connection is bounded */
	FLAG("tcp_nopush", CTX_HSL),
	INERT("aio", CTX_HSL, 1, 1),
	FLAG("aio_write", CTX_HSL),
	SIZE("read_ahead", CTX_HSL),
	INERT("directio", CTX_HSL, 1, 1),
	SIZE("directio_alignment", CTX_HSL),
	{ .name = "open_file_cache", .contexts = CTX_HSL, .min = 1, .max = 2, .flags = CONF_REPEAT,
	    .type = &conf_inert, .set = open_file_cache_set },
	SECONDS("open_file_cache_valid", CTX_HSL),
	NUMBER("open_file_cache_min_uses", CTX_HSL),
	FLAG("open_file_cache_errors", CTX_HSL),
	FLAG("open_file_cache_events", CTX_HSL),
	BUFFERS("gzip_buffers", CTX_HSL),
	SIZE("gzip_window", CTX_HSL),
	SIZE("gzip_hash", CTX_HSL),
	SIZE("postpone_gzipping", CTX_HSL),
	FLAG("gzip_no_buffer", CTX_HSL),
	FLAG("msie_refresh", CTX_HSL),

	/* wproxy logs a request once */

	/* HTTP/2 and HTTP/3: only HTTP/1.1 is offered to clients */
	SIZE("http2_recv_buffer_size", CTX_HTTP),
	SIZE("http2_pool_size", CTX_HS),
	NUMBER("http2_max_concurrent_streams", CTX_HS),
	NUMBER("http2_max_concurrent_pushes", CTX_HS),
	INERT("http2_max_requests", CTX_HS, 1, 1),
	INERT("http2_max_field_size", CTX_HS, 1, 1),
	INERT("http2_max_header_size", CTX_HS, 1, 1),
	SIZE("http2_body_preread_size", CTX_HS),
	NUMBER("http2_streams_index_size", CTX_HS),
	INERT("http2_recv_timeout", CTX_HS, 1, 1),
	INERT("http2_idle_timeout", CTX_HS, 1, 1),
	SIZE("http2_chunk_size", CTX_HSL),
	IGNORED("http2_push_preload", CTX_HSL, 1, 1, FEATURE_PUSH),
	IGNORED("http2_push", CTX_HSL, 1, 1, FEATURE_PUSH),
	IGNORED("http3", CTX_HS, 1, 1, FEATURE_QUIC),
	IGNORED("http3_hq", CTX_HS, 1, 1, FEATURE_QUIC),
	IGNORED("http3_max_concurrent_streams", CTX_HS, 1, 1, FEATURE_QUIC),
	IGNORED("http3_stream_buffer_size", CTX_HS, 1, 1, FEATURE_QUIC),
	IGNORED("quic_active_connection_id_limit", CTX_HS, 1, 1, FEATURE_QUIC),
	IGNORED("quic_gso", CTX_HS, 1, 1, FEATURE_QUIC),
	IGNORED("quic_host_key", CTX_HS, 1, 1, FEATURE_QUIC),
	IGNORED("quic_retry", CTX_HS, 1, 1, FEATURE_QUIC),

	/* back ends over HTTP and uwsgi */
	CACHE_ROWS("proxy_", FEATURE_CACHE),
	IGNORED("proxy_cache_convert_head", CTX_HSL, 1, 1, FEATURE_CACHE),
	CACHE_ROWS("uwsgi_", FEATURE_CACHE),
	IGNORED("slice", CTX_HSL, 1, 1, FEATURE_SLICE),
	IGNORED("proxy_force_ranges", CTX_HSL, 1, 1, FEATURE_RANGES),
	IGNORED("uwsgi_force_ranges", CTX_HSL, 1, 1, FEATURE_RANGES),
	IGNORED("proxy_limit_rate", CTX_HSL, 1, 1, FEATURE_RATE),
	IGNORED("uwsgi_limit_rate", CTX_HSL, 1, 1, FEATURE_RATE),
	REFUSED("proxy_store", CTX_HSL, 1, 1, "off", EFFECT),
	REFUSED("uwsgi_store", CTX_HSL, 1, 1, "off", EFFECT),
	INERT("proxy_store_access", CTX_HSL, 1, 3),
	INERT("uwsgi_store_access", CTX_HSL, 1, 3),
	REFUSED("proxy_set_body", CTX_HSL, 1, 1, NULL, "what back ends are sent"),
	REFUSED("uwsgi_string", CTX_HSL, 1, 1, NULL, "what back ends are sent"),
	REFUSED("mirror", CTX_HSL, 1, 1, "off", EFFECT),
	INERT("mirror_request_body", CTX_HSL, 1, 1),
	REFUSED("post_action", CTX_HSLI, 1, 1, "off", EFFECT),
	REFUSED("sticky", CTX_UPSTREAM, 1, CONF_ANY, NULL, "which back end answers"),
	REFUSED("sticky_cookie_insert", CTX_UPSTREAM, 1, 4, NULL, "which back end answers"),
	REFUSED("ntlm", CTX_UPSTREAM, 0, 1, NULL, WHO),
	REFUSED("state", CTX_UPSTREAM, 1, 1, NULL, "which back end answers"),
	REFUSED("fair", CTX_UPSTREAM, 0, CONF_ANY, NULL, "which back end answers"),

	/* other protocols */
	PEER_ROWS("fastcgi_", FEATURE_FASTCGI),
	HEADER_ROWS("fastcgi_", FEATURE_FASTCGI),
	BODY_ROWS("fastcgi_", FEATURE_FASTCGI),
	CACHE_ROWS("fastcgi_", FEATURE_FASTCGI),
	IGNORED("fastcgi_send_lowat", CTX_HSL, 1, 1, FEATURE_FASTCGI),
	IGNORED("fastcgi_index", CTX_HSL, 1, 1, FEATURE_FASTCGI),
	IGNORED("fastcgi_split_path_info", CTX_HSL, 1, 1, FEATURE_FASTCGI),
	IGNORED("fastcgi_catch_stderr", CTX_HSL, 1, 1, FEATURE_FASTCGI),
	IGNORED("fastcgi_keep_conn", CTX_HSL, 1, 1, FEATURE_FASTCGI),
	IGNORED("fastcgi_allow_upstream", CTX_HSL, 1, CONF_ANY, FEATURE_FASTCGI),
	PEER_ROWS("scgi_", FEATURE_SCGI),
	HEADER_ROWS("scgi_", FEATURE_SCGI),
	BODY_ROWS("scgi_", FEATURE_SCGI),
	CACHE_ROWS("scgi_", FEATURE_SCGI),
	PEER_ROWS("grpc_", FEATURE_GRPC),
	HEADER_ROWS("grpc_", FEATURE_GRPC),
	TLS_ROWS("grpc_", FEATURE_GRPC),
	IGNORED("grpc_set_header", CTX_HSL, 2, 2, FEATURE_GRPC),
	PEER_ROWS("memcached_", FEATURE_MEMCACHED),
	IGNORED("memcached_gzip_flag", CTX_HSL, 1, 1, FEATURE_MEMCACHED),

	/* who may see what */
	REFUSED("auth_jwt", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 2, "off", WHO),
	INERT("auth_jwt_claim_set", CTX_HTTP, 2, CONF_ANY),
	INERT("auth_jwt_header_set", CTX_HTTP, 2, CONF_ANY),
	INERT("auth_jwt_key_cache", CTX_HSL, 1, 1),
	INERT("auth_jwt_key_file", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 1),
	INERT("auth_jwt_key_request", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 1),
	INERT("auth_jwt_leeway", CTX_HSL, 1, 1),
	REFUSED("auth_jwt_require", CTX_HSL | CTX_LIMIT_EXCEPT, 1, CONF_ANY, NULL, WHO),
	INERT("auth_jwt_type", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 1),
	REFUSED("auth_oidc", CTX_HSL, 1, 1, "off", WHO),
	REFUSED("auth_require", CTX_HSL | CTX_LIMIT_EXCEPT, 1, CONF_ANY, NULL, WHO),
	REFUSED("oidc_provider", CTX_HTTP, 1, 1, NULL, WHO),
	REFUSED("auth_pam", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 1, "off", WHO),
	INERT("auth_pam_service_name", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 1),
	INERT("auth_pam_set_pam_env", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 1),
	REFUSED("auth_ldap", CTX_HSL | CTX_LIMIT_EXCEPT, 1, 1, "off", WHO),
	REFUSED("auth_ldap_servers", CTX_HSL, 1, CONF_ANY, NULL, WHO),
	REFUSED("auth_gss", CTX_HSL, 1, 1, "off", WHO),
	REFUSED("ldap_server", CTX_HTTP, 1, 1, NULL, WHO),
	REFUSED("secure_link", CTX_HSL, 1, 1, NULL, WHO),
	REFUSED("secure_link_md5", CTX_HSL, 1, 1, NULL, WHO),
	REFUSED("secure_link_secret", CTX_HSL, 1, 1, NULL, WHO),
	REFUSED("valid_referers", CTX_SL, 1, CONF_ANY, NULL, WHO),
	REFUSED("ssl_ocsp", CTX_HS, 1, 1, "off", WHO),
	INERT("ssl_ocsp_responder", CTX_HS, 1, 1),
	INERT("ssl_ocsp_cache", CTX_HS, 1, 1),
	REFUSED_FLAG("modsecurity", CTX_HSL, WHO),
	INERT("modsecurity_rules_file", CTX_HSL, 1, 1),
	INERT("modsecurity_rules", CTX_HSL, 1, 1),
	INERT("modsecurity_rules_remote", CTX_HSL, 2, 2),
	INERT("modsecurity_transaction_id", CTX_HSL, 1, 1),
	REFUSED("internal_redirect", CTX_LOCATION, 1, 1, NULL, WHAT),
	REFUSED("acme_issuer", CTX_HTTP, 1, 1, NULL, "which certificates there are"),
	REFUSED("acme_certificate", CTX_SERVER, 1, CONF_ANY, NULL, "which certificates there are"),

	/* variables */
	REFUSED("num_map", CTX_HTTP, 2, 2, NULL, VALUES),
	REFUSED("keyval", CTX_HTTP, 3, 3, NULL, VALUES),
	REFUSED("keyval_zone", CTX_HTTP, 1, CONF_ANY, NULL, VALUES),
	REFUSED("geoip_country", CTX_HTTP, 1, 2, NULL, VALUES),
	REFUSED("geoip_city", CTX_HTTP, 1, 2, NULL, VALUES),
	REFUSED("geoip_org", CTX_HTTP, 1, 2, NULL, VALUES),
	REFUSED("geoip_proxy", CTX_HTTP, 1, 1, NULL, VALUES),
	REFUSED("geoip_proxy_recursive", CTX_HTTP, 1, 1, "off", VALUES),
	REFUSED("geoip2", CTX_HTTP, 1, 1, NULL, VALUES),
	REFUSED("geoip2_proxy", CTX_HTTP, 1, 1, NULL, VALUES),
	REFUSED("geoip2_proxy_recursive", CTX_HTTP, 1, 1, "off", VALUES),
	REFUSED("modern_browser", CTX_HSL, 1, 2, NULL, VALUES),
	REFUSED("modern_browser_value", CTX_HSL, 1, 1, NULL, VALUES),
	REFUSED("ancient_browser", CTX_HSL, 1, CONF_ANY, NULL, VALUES),
	REFUSED("ancient_browser_value", CTX_HSL, 1, 1, NULL, VALUES),
	REFUSED("set_by_lua", CTX_SL | CTX_IF_SERVER | CTX_IF_LOCATION, 0, CONF_ANY, NULL, VALUES),
	REFUSED("set_by_lua_block", CTX_SL | CTX_IF_SERVER | CTX_IF_LOCATION, 0, CONF_ANY, NULL,
	    VALUES),
	REFUSED("set_by_lua_file", CTX_SL | CTX_IF_SERVER | CTX_IF_LOCATION, 0, CONF_ANY, NULL,
	    VALUES),
	REFUSED("userid", CTX_HSL, 1, 1, "off", WHAT),
	INERT("userid_service", CTX_HSL, 1, 1),
	INERT("userid_name", CTX_HSL, 1, 1),
	INERT("userid_domain", CTX_HSL, 1, 1),
	INERT("userid_path", CTX_HSL, 1, 1),
	INERT("userid_expires", CTX_HSL, 1, 1),
	INERT("userid_flags", CTX_HSL, 1, 3),
	INERT("userid_p3p", CTX_HSL, 1, 1),
	INERT("userid_mark", CTX_HSL, 1, 1),

	/* what is answered: handlers */
	REFUSED("empty_gif", CTX_LOCATION, 0, 0, NULL, WHAT),
	REFUSED("flv", CTX_LOCATION, 0, 0, NULL, WHAT),
	REFUSED("mp4", CTX_LOCATION, 0, 0, NULL, WHAT),
	SIZE("mp4_buffer_size", CTX_HSL),
	SIZE("mp4_max_buffer_size", CTX_HSL),
	FLAG("mp4_start_key_frame", CTX_HSL),
	REFUSED("hls", CTX_LOCATION, 0, 0, NULL, WHAT),
	REFUSED("f4f", CTX_LOCATION, 0, 0, NULL, WHAT),
	REFUSED("dav_methods", CTX_HSL, 1, CONF_ANY, "off", WHAT),
	REFUSED("dav_ext_methods", CTX_HSL, 1, CONF_ANY, "off", WHAT),
	REFUSED("dav_ext_lock_zone", CTX_HTTP, 1, 1, NULL, WHAT),
	FLAG("create_full_put_path", CTX_HSL),
	NUMBER("min_delete_depth", CTX_HSL),
	INERT("dav_access", CTX_HSL, 1, 3),
	REFUSED_FLAG("fancyindex", CTX_HSLI, WHAT),
	REFUSED_FLAG("random_index", CTX_LOCATION, WHAT),
	REFUSED("api", CTX_LOCATION, 0, 1, NULL, WHAT),
	REFUSED("perl", CTX_LOCATION | CTX_LIMIT_EXCEPT, 1, 1, NULL, WHAT),
	REFUSED("perl_set", CTX_HTTP, 2, 2, NULL, VALUES),
	INERT("perl_modules", CTX_HTTP, 1, 1),
	INERT("perl_require", CTX_HTTP, 1, 1),
	REFUSED("js_import", CTX_HSL, 1, 3, NULL, WHAT),
	REFUSED("js_include", CTX_HTTP, 1, 1, NULL, WHAT),
	REFUSED("js_content", CTX_LI | CTX_LIMIT_EXCEPT, 1, 1, NULL, WHAT),
	REFUSED("js_access", CTX_HSL, 1, 1, NULL, WHO),
	REFUSED("js_set", CTX_HSL, 2, 3, NULL, VALUES),
	REFUSED("js_var", CTX_HSL, 1, 2, NULL, VALUES),
	REFUSED("js_header_filter", CTX_LI | CTX_LIMIT_EXCEPT, 1, 1, NULL, WHAT),
	REFUSED("js_body_filter", CTX_LI | CTX_LIMIT_EXCEPT, 1, 2, NULL, WHAT),
	REFUSED("js_periodic", CTX_LOCATION, 1, CONF_ANY, NULL, EFFECT),
	REFUSED("js_preload_object", CTX_HSL, 1, 3, NULL, WHAT),
	REFUSED("js_shared_dict_zone", CTX_HTTP, 1, CONF_ANY, NULL, WHAT),
	INERT("js_path", CTX_HSL, 1, 1),
	INERT("js_engine", CTX_HSL, 1, 1),
	LUA("init", CTX_HTTP),
	LUA("init_worker", CTX_HTTP),
	LUA("rewrite", CTX_HSLI),
	LUA("access", CTX_HSLI),
	LUA("content", CTX_LI),
	LUA("header_filter", CTX_HSLI),
	LUA("body_filter", CTX_HSLI),
	LUA("log", CTX_HSLI),
	LUA("balancer", CTX_UPSTREAM),
	LUA("ssl_certificate", CTX_HS),
	INERT("lua_package_path", CTX_HTTP, 1, 1),
	INERT("lua_package_cpath", CTX_HTTP, 1, 1),
	INERT("lua_shared_dict", CTX_HTTP, 2, 2),
	INERT("lua_code_cache", CTX_HSLI, 1, 1),
	REFUSED("echo", CTX_LI, 0, CONF_ANY, NULL, WHAT),
	REFUSED("passenger_enabled", CTX_HSLI, 1, 1, "off", WHAT),
	REFUSED("passenger_root", CTX_HTTP, 1, 1, NULL, WHAT),

	/* stream {} */
	REFUSED("ssl_preread", CTX_STREAMS, 1, 1, "off", "which back end answers"),
	REFUSED("preread_buffer_size", CTX_STREAMS, 1, 1, NULL, "which back end answers"),
	REFUSED("preread_timeout", CTX_STREAMS, 1, 1, NULL, "which back end answers"),
	REFUSED("proxy_ssl", CTX_STREAMS, 1, 1, "off", "what back ends are sent"),
	REFUSED("proxy_upload_rate", CTX_STREAMS, 1, 1, "0", "how fast it is sent"),
	REFUSED("proxy_download_rate", CTX_STREAMS, 1, 1, "0", "how fast it is sent"),
	REFUSED("js_preread", CTX_STREAMS, 1, 1, NULL, WHAT),
	INERT("proxy_responses", CTX_STREAMS, 1, 1),	/* of UDP, which listen refuses */
	INERT("proxy_requests", CTX_STREAMS, 1, 1),

	/* what is answered: filters */
	REFUSED_FLAG("ssi", CTX_HSLI, WHAT),
	FLAG("ssi_silent_errors", CTX_HSL),
	FLAG("ssi_ignore_recycled_buffers", CTX_HSL),
	FLAG("ssi_last_modified", CTX_HSL),
	SIZE("ssi_min_file_chunk", CTX_HSL),
	SIZE("ssi_value_length", CTX_HSL),
	INERT("ssi_types", CTX_HSL, 1, CONF_ANY),
	REFUSED("subs_filter", CTX_HSL, 2, 3, NULL, WHAT),
	INERT("subs_filter_types", CTX_HSL, 1, CONF_ANY),
	REFUSED("add_before_body", CTX_HSL, 1, 1, NULL, WHAT),
	REFUSED("add_after_body", CTX_HSL, 1, 1, NULL, WHAT),
	INERT("addition_types", CTX_HSL, 1, CONF_ANY),
	REFUSED_FLAG("gunzip", CTX_HSL, WHAT),
	BUFFERS("gunzip_buffers", CTX_HSL),
	REFUSED("charset_map", CTX_HTTP, 2, 2, NULL, WHAT),
	REFUSED("source_charset", CTX_HSLI, 1, 1, "off", WHAT),
	REFUSED("image_filter", CTX_LOCATION, 1, 3, "off", WHAT),
	SIZE("image_filter_buffer", CTX_HSL),
	INERT("image_filter_jpeg_quality", CTX_HSL, 1, 1),
	INERT("image_filter_webp_quality", CTX_HSL, 1, 1),
	INERT("image_filter_sharpen", CTX_HSL, 1, 1),
	FLAG("image_filter_transparency", CTX_HSL),
	FLAG("image_filter_interlace", CTX_HSL),
	REFUSED("xml_entities", CTX_HSL, 1, 1, NULL, WHAT),
	REFUSED("xslt_stylesheet", CTX_LOCATION, 1, CONF_ANY, NULL, WHAT),
	INERT("xslt_param", CTX_HSL, 2, 2),
	INERT("xslt_string_param", CTX_HSL, 2, 2),
	FLAG("xslt_last_modified", CTX_HSL),
	INERT("xslt_types", CTX_HSL, 1, CONF_ANY),
	REFUSED("more_set_headers", CTX_HSLI, 1, CONF_ANY, NULL, WHAT),
	REFUSED("more_clear_headers", CTX_HSLI, 1, CONF_ANY, NULL, WHAT),
	REFUSED("more_set_input_headers", CTX_HSLI, 1, CONF_ANY, NULL, "what back ends are sent"),
	REFUSED("more_clear_input_headers", CTX_HSLI, 1, CONF_ANY, NULL,
	    "what back ends are sent"),
	REFUSED_FLAG("pagespeed", CTX_HSL, WHAT),
	IGNORED("brotli", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("brotli_static", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("brotli_comp_level", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("brotli_types", CTX_HSLI, 1, CONF_ANY, FEATURE_COMPRESSION),
	IGNORED("brotli_buffers", CTX_HSLI, 2, 2, FEATURE_COMPRESSION),
	IGNORED("brotli_window", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("brotli_min_length", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("zstd", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("zstd_static", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("zstd_comp_level", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("zstd_types", CTX_HSLI, 1, CONF_ANY, FEATURE_COMPRESSION),
	IGNORED("zstd_min_length", CTX_HSLI, 1, 1, FEATURE_COMPRESSION),
	IGNORED("status_zone", CTX_SL, 1, 1, FEATURE_STATISTICS),
	IGNORED("vhost_traffic_status", CTX_HSL, 1, 1, FEATURE_STATISTICS),
	IGNORED("vhost_traffic_status_zone", CTX_HTTP, 0, 1, FEATURE_STATISTICS),
	REFUSED("vhost_traffic_status_display", CTX_HSL, 0, 0, NULL, WHAT),
	{ .name = NULL }
};

struct module unbuilt_module = {
	.name = "unbuilt",
	.sites = SITE_HTTP | SITE_STREAM,
	.size = { [SCOPE_MAIN] = sizeof(struct unbuilt_main) },
	.rows = unbuilt_rows
};
