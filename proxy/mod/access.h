#ifndef WPROXY_MOD_ACCESS_H
#define WPROXY_MOD_ACCESS_H

#include "http/request.h"

/* What one of the rules of access says; a refusal is the status to answer: 401, 403, 500. */
enum access_verdict { ACCESS_NONE = 0, ACCESS_ALLOWED = 1, ACCESS_WAIT = 2 };

/*
 * The checks behind allow and deny.  ACCESS_WAIT: the request is held (request_wait() was
 * called), and access_decided() is called later with another verdict, no holder being set any
 * more.  A 401 adds its challenges to r->authenticate.
 */
unsigned	auth_basic_check(struct request *);
unsigned	auth_request_check(struct request *);
void		access_decided(struct request *, unsigned verdict);

#endif
