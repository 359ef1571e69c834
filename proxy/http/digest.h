#ifndef WPROXY_HTTP_DIGEST_H
#define WPROXY_HTTP_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Random bytes, for ids and keys; -1 when the system has none (then the process cannot go on). */
int	digest_random(unsigned char *out, size_t n);
/*
 * A password against a htpasswd hash: $apr1$, {SHA}, {SSHA}, {PLAIN}, crypt(3) kinds.  Slow kinds
 * must run on the offload thread: password_is_slow() says which.
 */
bool	password_matches(struct str password, struct str hash);
bool	password_is_slow(struct str hash);

#endif
