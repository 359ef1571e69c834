#ifndef WPROXY_HTTP_SUBREQUEST_H
#define WPROXY_HTTP_SUBREQUEST_H

#include "base/str.h"
#include "http/request.h"

/*
 * Asks the request's own server for uri, as a GET with the fields of r but without its body,
 * through the steps from server_rewrite on; internal locations are open.  r is held meanwhile
 * (request_wait()); whatever ends or redirects it ends the subrequest too.
 *
 * done is called later, never from here, with no holder of r set any more.  What was answered
 * (sub->out, its variables) may be read as long as r lives; the body went nowhere.
 */
void	subrequest_start(struct request *r, struct str uri,
	    void (*done)(struct request *r, struct request *sub));

#endif
