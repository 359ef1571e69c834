#ifndef WPROXY_HTTP_CORE_H
#define WPROXY_HTTP_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/log.h"
#include "conf/type.h"
#include "http/module.h"
#include "http/tpl.h"

#define ALIAS_WHOLE	SIZE_MAX	/* alias_prefix in a regex location */
/* Settings that http/ itself acts on: rows and defaults in core.c. */
extern struct module core_module;

struct file;

enum satisfy { SATISFY_ALL, SATISFY_ANY };

struct core_location {
	struct tpl *root;		/* of root or alias; never NULL after init */
	bool alias;
	/* bytes of the uri that an alias replaces; regex location: all */
	size_t alias_prefix;
	struct hash *types;		/* extension (lower case) -> struct str * */
	struct str default_type;
	bool internal;
	unsigned satisfy;
	uint64_t client_max_body_size;
	uint64_t client_body_buffer_size;
	uint64_t client_body_timeout;
	unsigned client_body_in_file_only;	/* 0 off, 1 on, 2 clean */
	struct temp_path *client_body_temp_path;
	bool sendfile;
	bool tcp_nodelay;
	uint64_t send_timeout;
	uint64_t keepalive_timeout, keepalive_header;	/* ms; header seconds, 0: none */
	uint64_t keepalive_requests;
	uint64_t keepalive_time;
	unsigned keepalive_disable;
	unsigned lingering_close;	/* 0 off, 1 on, 2 always */
	uint64_t lingering_time, lingering_timeout;
	bool reset_timedout_connection;
	bool etag;
	unsigned if_modified_since;	/* 0 off, 1 exact, 2 before */
	uint64_t max_ranges;
	bool log_not_found;
	bool absolute_redirect, server_name_in_redirect, port_in_redirect;
	unsigned server_tokens;		/* 0 off, 1 on, 2 build */
	bool chunked_transfer_encoding;
	struct tpl *limit_rate, *limit_rate_after;
	struct log *error_log;
	struct vec resolver_servers;	/* struct addr */
	uint64_t resolver_valid, resolver_timeout;
	bool resolver_set, resolver_ipv6_off;
	unsigned disable_symlinks;	/* enum links_rule */
	struct tpl *symlinks_from;	/* the part of a path that is not looked at; NULL: none */
};

struct core_server {
	uint64_t client_header_buffer_size;
	uint64_t client_header_timeout;
	struct conf_bufs large_client_header_buffers;
	bool ignore_invalid_headers, underscores_in_headers, merge_slashes;
};

/* A folder for temporary files: client_body_temp_path, proxy_temp_path. */
struct temp_path {
	struct str path;
	unsigned levels[3];
};
extern const struct conf_type conf_temp_path;	/* struct temp_path * */
extern const struct conf_type conf_error_log;	/* struct log * */

/*
 * The file that the request's uri with name behind it (an index, or nothing) means by root or
 * alias.  NUL behind.  404 when an alias seam would produce ".."; 0 when *path is set.
 */
int	core_map_uri(struct request *, struct str name, struct str *path);
/* The same of another uri (try_files): it also stands behind an alias that is a whole path. */
int	core_map_item(struct request *, struct str uri, struct str *path);
/*
 * The file at such a path for this location's use (file_get(), disable_symlinks). NULL with errno.
 */
struct file	*core_file(struct request *, struct str path, bool want_bytes);
/* MIME type by the uri's extension, or default_type. */
struct str	core_content_type(const struct request *, struct str uri);

#endif
