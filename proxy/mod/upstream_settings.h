#ifndef WPROXY_MOD_UPSTREAM_SETTINGS_H
#define WPROXY_MOD_UPSTREAM_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/vec.h"
#include "conf/conf.h"
#include "http/core.h"
#include "mod/proxy_ssl.h"
#include "mod/ssl_options.h"

struct request;

/*
 * What proxy_* and uwsgi_* directives have in common: one struct, and one list
 * of rows that both modules take with their prefix.
 */
enum next_upstream {
	NEXT_ERROR = 1, NEXT_TIMEOUT = 2, NEXT_INVALID_HEADER = 4, NEXT_500 = 8, NEXT_502 = 16,
	NEXT_503 = 32, NEXT_504 = 64, NEXT_403 = 128, NEXT_404 = 256, NEXT_429 = 512,
	NEXT_NON_IDEMPOTENT = 1024, NEXT_UPDATING = 2048, NEXT_OFF = 4096
};

enum ignored_header {
	IGNORE_XA_REDIRECT = 1, IGNORE_XA_EXPIRES = 2, IGNORE_XA_LIMIT_RATE = 4,
	IGNORE_XA_BUFFERING = 8, IGNORE_XA_CHARSET = 16, IGNORE_EXPIRES = 32,
	IGNORE_CACHE_CONTROL = 64, IGNORE_SET_COOKIE = 128, IGNORE_VARY = 256
};

/* The address of proxy_bind: "off", an address, or variables. */
struct upstream_bind {
	struct tpl *text;	/* NULL: off */
	struct addr addr;	/* of a literal */
};

struct upstream_times {
	uint64_t connect, send, read;
};

struct upstream_buffers {
	bool buffering;
	bool request_buffering;
	struct buffer_size {
		uint64_t n;
		bool written;		/* in the file */
	} head;				/* buffer_size */
	struct buffer_list {
		struct conf_bufs n;
		bool written;
	} body;				/* buffers */
	uint64_t busy;			/* busy_buffers_size: accepted, not needed */
	uint64_t file_max;		/* max_temp_file_size */
	uint64_t file_write;		/* temp_file_write_size: accepted, not needed */
	struct temp_path *temp_path;
	uint64_t read_ahead;		/* of one answer, unbuffered */
};

struct upstream_next {
	unsigned when;
	uint64_t tries;
	uint64_t timeout;
};

struct upstream_settings {
	struct upstream_times times;
	struct upstream_buffers buffers;
	struct upstream_next next;
	unsigned ignore_headers;
	struct vec hide, pass;		/* struct str */
	bool pass_request_headers;
	bool pass_request_body;
	bool intercept_errors;
	bool ignore_client_abort;
	bool socket_keepalive;
	struct upstream_bind *bind;
	struct upstream_ssl ssl;

	/* Made by upstream_settings_init(). */
	uint64_t hidden;		/* FIELD_BITs */
	struct hash *hidden_names;	/* others; NULL: none */
};

extern const struct conf_name next_upstream_names[];
extern const struct conf_name ignored_header_names[];
extern const struct conf_type conf_upstream_bind;
/* Where this request's connections to back ends come from; len 0: anywhere. */
void	upstream_bind_eval(struct request *, const struct upstream_bind *, struct addr *local);
extern const struct conf_type conf_buffer_size;	/* struct buffer_size */
extern const struct conf_type conf_buffer_list;	/* struct buffer_list */
int	upstream_conf_commands_set(struct conf *, const struct conf_row *, void *);
int	upstream_read_ahead_set(struct conf *, const struct conf_row *, void *);

/*
 * nginx's rules for the sizes of buffers; prefix "proxy" or "uwsgi" is for its words.  -1 after
 * conf_error().
 */
int	upstream_buffers_check(struct conf *, const struct upstream_buffers *, const char *prefix)
	    __attribute__((warn_unused_result));
/* hidden: names hidden by default, ends with NULL.  parent: of the level around, or NULL. */
int	upstream_settings_init(struct conf *, struct upstream_settings *,
	    const struct upstream_settings *parent, const char *const *hidden, bool tls)
	    __attribute__((warn_unused_result));

#define UPSTREAM_ROW(n, where, least, most, kind, type_struct, f, default_text)		\
	{ .name = n, .contexts = where, .min = least, .max = most, .type = &kind,		\
	    .scope = SCOPE_LOCATION, .offset = offsetof(type_struct, f), .dflt = default_text }
#define UPSTREAM_NAMED_ROW(n, where, most, kind, type_struct, f, default_text, names)	\
	{ .name = n, .contexts = where, .min = 1, .max = most, .type = &kind,			\
	    .scope = SCOPE_LOCATION, .offset = offsetof(type_struct, f), .dflt = default_text,	\
	    .param = names }

/* P: "proxy_" or "uwsgi_"; S: the module's struct, whose field `up' is the settings. */
#define UPSTREAM_ROWS(P, S)									\
	UPSTREAM_ROW(P "connect_timeout", CTX_HSL, 1, 1, conf_msec, S, up.times.connect, "60s"), \
	UPSTREAM_ROW(P "send_timeout", CTX_HSL, 1, 1, conf_msec, S, up.times.send, "60s"),	\
	UPSTREAM_ROW(P "read_timeout", CTX_HSL, 1, 1, conf_msec, S, up.times.read, "60s"),	\
	UPSTREAM_ROW(P "buffering", CTX_HSL, 1, 1, conf_flag, S, up.buffers.buffering, "on"),	\
	UPSTREAM_ROW(P "request_buffering", CTX_HSL, 1, 1, conf_flag, S,			\
	    up.buffers.request_buffering, "on"),						\
	UPSTREAM_ROW(P "buffer_size", CTX_HSL, 1, 1, conf_buffer_size, S, up.buffers.head, "16k"),	\
	UPSTREAM_ROW(P "buffers", CTX_HSL, 2, 2, conf_buffer_list, S, up.buffers.body, "8 8k"),	\
	UPSTREAM_ROW(P "busy_buffers_size", CTX_HSL, 1, 1, conf_size, S, up.buffers.busy, NULL), \
	UPSTREAM_ROW(P "max_temp_file_size", CTX_HSL, 1, 1, conf_size, S, up.buffers.file_max,	\
	    "1024m"),										\
	UPSTREAM_ROW(P "temp_file_write_size", CTX_HSL, 1, 1, conf_size, S,			\
	    up.buffers.file_write, NULL),							\
	UPSTREAM_ROW(P "temp_path", CTX_HSL, 1, 4, conf_temp_path, S, up.buffers.temp_path,	\
	    P "temp"),										\
	UPSTREAM_NAMED_ROW(P "next_upstream", CTX_HSL, CONF_ANY, conf_mask, S, up.next.when,	\
	    "error timeout", next_upstream_names),						\
	UPSTREAM_ROW(P "next_upstream_tries", CTX_HSL, 1, 1, conf_uint, S, up.next.tries, "0"),	\
	UPSTREAM_ROW(P "next_upstream_timeout", CTX_HSL, 1, 1, conf_msec, S, up.next.timeout,	\
	    "0"),										\
	UPSTREAM_NAMED_ROW(P "ignore_headers", CTX_HSL, CONF_ANY, conf_mask, S,		\
	    up.ignore_headers, NULL, ignored_header_names),					\
	{ .name = P "hide_header", .contexts = CTX_HSL, .min = 1, .max = 1, .flags = CONF_REPEAT, \
	    .type = &conf_strs, .scope = SCOPE_LOCATION, .offset = offsetof(S, up.hide) },	\
	{ .name = P "pass_header", .contexts = CTX_HSL, .min = 1, .max = 1, .flags = CONF_REPEAT, \
	    .type = &conf_strs, .scope = SCOPE_LOCATION, .offset = offsetof(S, up.pass) },	\
	UPSTREAM_ROW(P "pass_request_headers", CTX_HSL, 1, 1, conf_flag, S,			\
	    up.pass_request_headers, "on"),							\
	UPSTREAM_ROW(P "pass_request_body", CTX_HSL, 1, 1, conf_flag, S, up.pass_request_body,	\
	    "on"),										\
	UPSTREAM_ROW(P "intercept_errors", CTX_HSL, 1, 1, conf_flag, S, up.intercept_errors,	\
	    "off"),										\
	UPSTREAM_ROW(P "ignore_client_abort", CTX_HSL, 1, 1, conf_flag, S,			\
	    up.ignore_client_abort, "off"),							\
	UPSTREAM_ROW(P "socket_keepalive", CTX_HSL, 1, 1, conf_flag, S, up.socket_keepalive,	\
	    "off"),										\
	UPSTREAM_ROW(P "bind", CTX_HSL, 1, 2, conf_upstream_bind, S, up.bind, "off"),		\
	UPSTREAM_ROW(P "ssl_certificate", CTX_HSL, 1, 1, conf_tpl, S, up.ssl.certificate, NULL), \
	UPSTREAM_ROW(P "ssl_certificate_key", CTX_HSL, 1, 1, conf_tpl, S,			\
	    up.ssl.certificate_key, NULL),							\
	UPSTREAM_ROW(P "ssl_password_file", CTX_HSL, 1, 1, conf_str, S, up.ssl.password_file,	\
	    NULL),										\
	UPSTREAM_ROW(P "ssl_trusted_certificate", CTX_HSL, 1, 1, conf_str, S,			\
	    up.ssl.trusted_certificate, NULL),							\
	UPSTREAM_ROW(P "ssl_crl", CTX_HSL, 1, 1, conf_str, S, up.ssl.crl, NULL),		\
	UPSTREAM_ROW(P "ssl_ciphers", CTX_HSL, 1, 1, conf_str, S, up.ssl.ciphers, "DEFAULT"),	\
	{ .name = P "ssl_conf_command", .contexts = CTX_HSL, .min = 2, .max = 2,		\
	    .flags = CONF_REPEAT, .type = &conf_custom_vec, .scope = SCOPE_LOCATION,		\
	    .offset = offsetof(S, up.ssl.conf_commands), .set = upstream_conf_commands_set },	\
	UPSTREAM_NAMED_ROW(P "ssl_protocols", CTX_HSL, CONF_ANY, conf_mask, S,			\
	    up.ssl.protocols, "TLSv1.2 TLSv1.3", ssl_protocol_names),				\
	UPSTREAM_ROW(P "ssl_verify", CTX_HSL, 1, 1, conf_flag, S, up.ssl.verify, "off"),	\
	UPSTREAM_ROW(P "ssl_verify_depth", CTX_HSL, 1, 1, conf_uint, S, up.ssl.verify_depth, "1"), \
	UPSTREAM_ROW(P "ssl_session_reuse", CTX_HSL, 1, 1, conf_flag, S, up.ssl.session_reuse,	\
	    "on"),										\
	UPSTREAM_ROW(P "ssl_server_name", CTX_HSL, 1, 1, conf_flag, S, up.ssl.server_name, "off"), \
	UPSTREAM_ROW(P "ssl_name", CTX_HSL, 1, 1, conf_tpl, S, up.ssl.name, NULL)

#endif
