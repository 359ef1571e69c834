/*
 * The composition root: which modules there are, what a request, a connection of
 * stream {} and a response go through, in order.  Tables, and nothing else.
 */
#include "mod/modules.h"

#include "http/access_log.h"
#include "http/core.h"
#include "http/error_page.h"
#include "http/request.h"
#include "http/response.h"
#include "http/site.h"
#include "http/var.h"
#include "mod/unbuilt.h"

struct module *const modules[] = {
	&site_module,
	&core_module,
	&var_module,
	&var_sent_module,
	&error_page_module,
	&access_log_module,
	&realip_module,
	&rewrite_module,
	&map_module,
	&split_clients_module,
	&geo_module,
	&limit_req_module,
	&limit_conn_module,
	&access_module,
	&auth_basic_module,
	&auth_request_module,
	&ssl_module,
	&try_files_module,
	&index_module,
	&autoindex_module,
	&status_module,
	&charset_module,
	&headers_module,
	&sub_filter_module,
	&gzip_module,
	&upstream_module,
	&proxy_module,
	&uwsgi_module,
	&stream_module,
	&unbuilt_module,
};
const unsigned module_count = sizeof(modules) / sizeof(modules[0]);

const struct req_step req_steps[] = {
	{ .name = "ssl_client", .run = ssl_client_step, .once = true },
	{ .name = "realip", .run = realip_step, .once = true },
	{ .name = "server_rewrite", .run = server_rewrite_step, .entry = ENTRY_REDIRECT },
	{ .name = "find_location", .run = find_location_step, .entry = ENTRY_RELOCATE },
	{ .name = "limit_except", .run = limit_except_step, .entry = ENTRY_NAMED },
	{ .name = "rewrite", .run = rewrite_step },
	{ .name = "realip_location", .run = realip_location_step, .once = true },
	{ .name = "limit_req", .run = limit_req_step },
	{ .name = "limit_conn", .run = limit_conn_step },
	{ .name = "access", .run = access_step },
	{ .name = "try_files", .run = try_files_step },
	{ .name = "content", .run = content_step },
	{ .name = "index", .run = index_step },
	{ .name = "autoindex", .run = autoindex_step },
	{ .name = "gzip_static", .run = gzip_static_step },
	{ .name = "static", .run = static_step },
	{ .name = NULL }
};

const struct req_step stream_steps[] = {
	{ .name = "ssl_client", .run = ssl_client_step },
	{ .name = "access", .run = stream_access_step },
	{ .name = "content", .run = content_step },
	{ .name = NULL }
};

const struct filter *const filters[] = {
	&conditional_filter,
	&headers_filter,
	&sub_filter,
	&charset_filter,
	&gzip_filter,
	&ranges_filter,
	&framing_filter,
	NULL
};
