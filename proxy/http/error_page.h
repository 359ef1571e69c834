#ifndef WPROXY_HTTP_ERROR_PAGE_H
#define WPROXY_HTTP_ERROR_PAGE_H

#include "http/module.h"

/* error_page, recursive_error_pages, error_page_fallback; request_fail() is declared in http/request.h. */
extern struct module error_page_module;

#endif
