#ifndef WPROXY_HTTP_CREDENTIALS_H
#define WPROXY_HTTP_CREDENTIALS_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"

/*
 * The user and password of an Authorization value ("Basic dXNlcjpwYXNz"), in the pool, NUL
 * behind.  False: another scheme, no base64, no colon, or an empty user, as in nginx.
 */
bool	credentials_basic(struct pool *, struct str authorization, struct str *user,
	    struct str *password);

#endif
