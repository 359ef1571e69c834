/*
 * Configuration text: the lexer, the engine, its types and includes, and the
 * record that crosses from master to worker, must take any bytes.  The rows are
 * of the real language's shape: the same blocks, word lists and names, so that
 * the corpus (configurations of real sites) is read to its end.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"

enum { AT_MAIN = 1, AT_EVENTS = 2, AT_HTTP = 4, AT_SERVER = 8, AT_LOCATION = 16, AT_UPSTREAM = 32 };
#define AT_WEB	(AT_HTTP | AT_SERVER | AT_LOCATION)
#define AT_ANY	(AT_MAIN | AT_EVENTS | AT_WEB | AT_UPSTREAM)

/* Included files: the text itself under one name, so often and no more. */
#define READS_MAX	40

struct fuzz_source {
	struct conf_source source;
	struct str text;
	unsigned reads;
};

struct fields {
	bool flag, listening;
	uint64_t number, size, time, seconds;
	struct str text;
	struct vec list;
	unsigned choice, mask;
	struct conf_bufs bufs;
};

struct level {
	struct conf_frame frame;
	struct conf_values *values;
};

static const struct conf_row rows[];

static struct conf_values *
level_values(struct conf_frame *frame, unsigned module, unsigned scope)
{
	(void)module;
	(void)scope;
	return (((struct level *)frame->owner)->values);
}

/* param: the context of the block's contents. */
static int
block_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct level level = { { .context = *(const unsigned *)row->param,
	    .values = level_values, .owner = &level }, conf_values_new(cf->pool, rows,
	    sizeof(struct fields)) };
	struct level *outer = cf->frame->owner;

	(void)field;
	if (conf_block(cf, &level.frame) != 0)
		return (-1);
	return (conf_inherit(cf, level.values, outer->values, 0));
}

static int
words_count(struct conf *cf, void *arg)
{
	*(unsigned *)arg += cf->word_count;
	if (cf->word_count > 100)
		return (conf_error_at(cf, 99, "many words"));
	return (0);
}

static int
words_set(struct conf *cf, const struct conf_row *row, void *field)
{
	unsigned count = 0;

	(void)row;
	(void)field;
	return (conf_words(cf, words_count, &count));
}

static const unsigned at_events = AT_EVENTS, at_http = AT_HTTP, at_server = AT_SERVER,
    at_location = AT_LOCATION, at_upstream = AT_UPSTREAM;
static const struct conf_name choices[] = { { "off", 0 }, { "on", 1 }, { "auto", 2 },
	{ NULL, 0 } };
static const struct conf_name masks[] = { { "error", 1 }, { "timeout", 2 }, { "off", 4 },
	{ "TLSv1.2", 8 }, { "TLSv1.3", 16 }, { "any", 32 }, { NULL, 0 } };

#define BLOCK(n, where, most, inside)	{ .name = n, .contexts = where, .max = most,	\
	.flags = CONF_BLOCK | CONF_REPEAT, .set = block_set, .param = &inside }
#define WORDS(n, where, most)	{ .name = n, .contexts = where, .max = most,		\
	.flags = CONF_BLOCK | CONF_REPEAT, .set = words_set }
#define ONE(n, t, f)	{ .name = n, .contexts = AT_ANY, .min = 1, .max = 1,	\
	.type = &t,									\
	.offset = offsetof(struct fields, f), .param = choices }
#define LIST(n)		{ .name = n, .contexts = AT_ANY, .max = CONF_ANY,		\
	.flags = CONF_REPEAT,								\
	.type = &conf_strs, .offset = offsetof(struct fields, list), .dflt = "a b" }

static const struct conf_row rows[] = {
	BLOCK("events", AT_MAIN, 0, at_events),
	BLOCK("http", AT_MAIN, 0, at_http),
	BLOCK("stream", AT_MAIN, 0, at_http),
	BLOCK("server", AT_HTTP, 0, at_server),
	BLOCK("upstream", AT_HTTP | AT_MAIN, 1, at_upstream),
	BLOCK("upstream", AT_SERVER, 1, at_upstream),
	BLOCK("location", AT_HTTP | AT_SERVER | AT_LOCATION, 2, at_location),
	BLOCK("if", AT_SERVER | AT_LOCATION, CONF_ANY, at_location),
	BLOCK("limit_except", AT_LOCATION, CONF_ANY, at_location),
	WORDS("types", AT_WEB, 0),
	WORDS("map", AT_HTTP, 2),
	{ .name = "server", .contexts = AT_UPSTREAM, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_strs, .offset = offsetof(struct fields, list) },
	ONE("sendfile", conf_flag, flag),
	ONE("worker_connections", conf_uint, number),
	ONE("client_max_body_size", conf_size, size),
	ONE("keepalive_timeout", conf_sec, seconds),
	ONE("send_timeout", conf_msec, time),
	ONE("default_type", conf_str, text),
	ONE("proxy_buffering", conf_enum, choice),
	{ .name = "ssl_protocols", .contexts = AT_ANY, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_mask, .offset = offsetof(struct fields, mask),
	    .param = masks, .dflt = "TLSv1.2 TLSv1.3" },
	{ .name = "proxy_buffers", .contexts = AT_ANY, .min = 2, .max = 2, .type = &conf_bufs,
	    .offset = offsetof(struct fields, bufs), .dflt = "8 4k" },
	LIST("accept_mutex"), LIST("access_log"), LIST("add_header"), LIST("alias"), LIST("allow"),
	LIST("auth_basic"), LIST("auth_basic_user_file"), LIST("charset"),
	LIST("client_body_buffer_size"), LIST("client_body_temp_path"), LIST("deny"),
	LIST("error_log"), LIST("error_page"), LIST("expires"), LIST("gzip"), LIST("gzip_disable"),
	LIST("gzip_http_version"), LIST("gzip_min_length"), LIST("gzip_proxied"),
	LIST("gzip_types"), LIST("index"), LIST("ip_hash"), LIST("listen"), LIST("load_module"),
	LIST("log_format"), LIST("pid"), LIST("proxy_buffer_size"), LIST("proxy_connect_timeout"),
	LIST("proxy_http_version"), LIST("proxy_pass"), LIST("proxy_read_timeout"),
	LIST("proxy_redirect"), LIST("proxy_request_buffering"), LIST("proxy_send_timeout"),
	LIST("proxy_set_header"), LIST("proxy_temp_path"), LIST("resolver"), LIST("return"),
	LIST("rewrite"), LIST("root"), LIST("server_name"), LIST("ssl"), LIST("ssl_certificate"),
	LIST("ssl_certificate_key"), LIST("ssl_ciphers"), LIST("ssl_dhparam"),
	LIST("ssl_prefer_server_ciphers"), LIST("ssl_session_cache"), LIST("ssl_session_timeout"),
	LIST("ssl_stapling"), LIST("ssl_stapling_verify"), LIST("tcp_nodelay"),
	LIST("tcp_nopush"), LIST("try_files"), LIST("types_hash_max_size"), LIST("user"),
	LIST("uwsgi_pass"), LIST("worker_processes"), LIST("working_directory"),
	{ .name = NULL }
};
static const struct conf_table table = { rows, 0 };
static const struct conf_name contexts[] = { { "main", AT_MAIN }, { "http", AT_HTTP },
	{ NULL, 0 } };
static const struct conf_vocabulary vocabulary = { &table, 1, contexts };

/* "self" is the text again; anything else is a small file that is always there. */
static int
fuzz_read(struct conf_source *source, struct pool *pool, struct str path, struct str *bytes)
{
	struct fuzz_source *fs = (struct fuzz_source *)(void *)source;

	if (fs->reads++ >= READS_MAX) {
		errno = ENOENT;
		return (-1);
	}
	*bytes = pool_strdup(pool, str_ends(path, STR("self")) || fs->reads == 1 ? fs->text :
	    STR("# nothing\n"));
	return (0);
}

static int
fuzz_glob(struct conf_source *source, struct pool *pool, struct str pattern, struct vec *names)
{
	(void)source;
	if (str_starts(pattern, STR("/c/self")))
		*(struct str *)vec_push(names, pool) = STR("/c/self");
	return (0);
}

static void
conf_run(struct str text, struct log *log, bool command_line)
{
	struct fuzz_source fs = { { fuzz_read, fuzz_glob }, text, 0 };
	struct conf cf = { .pool = pool_new(0), .temp = pool_new(0), .source = &fs.source,
		.vocabulary = &vocabulary, .folder = STR("/c"), .caret = true, .log = log };
	struct level top = { { .context = AT_MAIN, .values = level_values, .owner = &top },
	    conf_values_new(cf.pool, rows, sizeof(struct fields)) };
	int rc;

	if (command_line)
		rc = conf_read_text(&cf, text, &top.frame);
	else
		rc = conf_read(&cf, STR("/c/main"), &top.frame);
	/* A refusal is said once; what is read had nothing said against it. */
	if (cf.errors != (rc == 0 ? 0 : 1) || cf.lexer != NULL || cf.include_depth != 0)
		abort();
	if (rc == 0 && conf_inherit(&cf, top.values, NULL, 0) != 0)
		abort();
	pool_free(cf.temp);
	pool_free(cf.pool);
}

static void
replay_run(struct str record)
{
	struct pool *pool = pool_new(0);
	struct conf_source *source = conf_source_replay(pool, record);
	struct str bytes;

	if (source != NULL) {
		struct str again = conf_source_record(source, pool);

		if (!str_eq(again, record))
			abort();
		if (source->read(source, pool, STR("a"), &bytes) == 0 && bytes.p[bytes.n] != '\0')
			abort();
	}
	pool_free(pool);
}

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct log_file *nowhere;
	struct str text = { (const char *)bytes, size };
	struct log log = { .level = LOG_DEBUG };
	struct pool *pool = pool_new(0);

	if (nowhere == NULL)
		nowhere = log_file_open("/dev/null", -1);
	log.file = nowhere;
	if (text.n == 0)
		text = STR("");
	conf_run(text, &log, false);
	conf_run(text, &log, true);
	/* A fragment of a site, as it is included in http {}. */
	conf_run(pool_concat(pool, 3, (struct str[]){ STR("http {\n"), text, STR("\n}\n") }), &log,
	    false);
	replay_run(text);
	pool_free(pool);
	return (0);
}
