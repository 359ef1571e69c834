#ifndef WPROXY_HTTP_ERROR_PAGE_H
#define WPROXY_HTTP_ERROR_PAGE_H

#include "http/request.h"

/*
 * error_page, recursive_error_pages, error_page_fallback; request_fail() is declared in
 * http/request.h.
 */
extern struct module error_page_module;

/* Does the location's error_page name this status (proxy_intercept_errors)? */
bool	request_has_error_page(const struct request *, unsigned status);

/* The built-in page of a status, in the request's pool. */
struct str	error_page_text(struct request *, unsigned status);

#endif
