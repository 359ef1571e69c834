#ifndef WPROXY_HTTP_DIGEST_H
#define WPROXY_HTTP_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* OpenSSL's digests and random bytes, for ids, caches and password files. */
void	digest_md5(struct str, unsigned char out[static 16]);
void	digest_sha1(struct str, unsigned char out[static 20]);
void	digest_sha256(struct str, unsigned char out[static 32]);
/* -1 when the system has none (then the process cannot go on). */
int	digest_random(unsigned char *out, size_t n);
/*
 * A password against a htpasswd hash: $apr1$, {SHA}, {SSHA}, {PLAIN}, crypt(3) kinds.  Slow kinds
 * must run on the offload thread: password_is_slow() says which.
 */
bool	password_matches(struct str password, struct str hash);
bool	password_is_slow(struct str hash);

#endif
