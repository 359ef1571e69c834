#ifndef WPROXY_MOD_SSL_DYNAMIC_H
#define WPROXY_MOD_SSL_DYNAMIC_H

#include "http/request.h"

struct ssl_ctx_st;
struct ssl_st;
struct tpl;

/*
 * ssl_certificate with variables: certificates and keys are found per handshake,
 * read with the rights of the worker, and kept until a file changes.
 */
void	ssl_dynamic_use(struct ssl_ctx_st *);

/*
 * The pair that these templates name, relative to folder; a reference.  Equal ones are one object
 * while somebody refers to it.  NULL: it cannot be loaded, which was logged.
 */
struct ssl_ctx_st	*ssl_pair_get(struct request *, struct str folder, const struct tpl *cert,
			    const struct tpl *key, const struct vec *passwords);
/* The connection shows it. */
bool			 ssl_pair_apply(struct ssl_st *, struct ssl_ctx_st *);

#endif
