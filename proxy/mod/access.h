#ifndef WPROXY_MOD_ACCESS_H
#define WPROXY_MOD_ACCESS_H

#include "http/request.h"

/* What one of the rules of access says; a refusal is the status to answer: 401, 403, 500. */
enum access_verdict { ACCESS_NONE = 0, ACCESS_ALLOWED = 1, ACCESS_WAIT = 2 };

/*
 * auth_basic.  ACCESS_WAIT: the request is held (request_wait() was called), and decided() is
 * called later with another verdict, no holder being set any more.
 */
unsigned	auth_basic_check(struct request *, void (*decided)(struct request *, unsigned verdict));

#endif
