#ifndef WPROXY_MOD_MODULES_H
#define WPROXY_MOD_MODULES_H

#include "http/filter.h"
#include "http/module.h"

/*
 * What modules.c puts into its tables, where a file of mod/ has no header of its
 * own.  A plain list: a module, its steps, its filters.
 */
extern struct module rewrite_module;
enum step_result	server_rewrite_step(struct request *);	/* before find_location */
enum step_result	rewrite_step(struct request *);		/* after limit_except; relocates */

extern struct module map_module;
extern struct module split_clients_module;
extern struct module geo_module;

extern struct module headers_module;
extern const struct filter headers_filter;	/* add_header, expires, add_trailer */

extern struct module access_module;
extern struct module auth_basic_module;
extern struct module auth_request_module;
/* Behind find_location, and where named locations are entered: limit_except's settings. */
enum step_result	limit_except_step(struct request *);
enum step_result	stream_access_step(struct request *);	/* allow, deny */
enum step_result	access_step(struct request *);		/* and auth_basic, auth_request */

extern struct module realip_module;
enum step_result	realip_step(struct request *);		/* first: by the server's */
enum step_result	realip_location_step(struct request *);	/* before the limits: the location's */

extern struct module limit_req_module;
extern struct module limit_conn_module;
enum step_result	limit_req_step(struct request *);
enum step_result	limit_conn_step(struct request *);

extern struct module ssl_module;
enum step_result	ssl_client_step(struct request *);	/* before others: 421, 495, 496 */

extern struct module upstream_module;
extern struct module proxy_module;
extern struct module uwsgi_module;

extern struct module stream_module;

extern struct module index_module;
extern struct module autoindex_module;
extern struct module status_module;
extern struct module try_files_module;
extern struct module charset_module;
extern struct module sub_filter_module;
extern struct module gzip_module;
enum step_result	try_files_step(struct request *);
enum step_result	index_step(struct request *);
enum step_result	autoindex_step(struct request *);
enum step_result	gzip_static_step(struct request *);
enum step_result	static_step(struct request *);
extern const struct filter conditional_filter;
extern const struct filter charset_filter;
/* X-Accel-Charset may name it: some "charset" of the configuration does. */
bool	charset_is_declared(const struct http_conf *, struct str);
extern const struct filter sub_filter;
extern const struct filter gzip_filter;
extern const struct filter ranges_filter;

#endif
