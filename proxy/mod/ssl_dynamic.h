#ifndef WPROXY_MOD_SSL_DYNAMIC_H
#define WPROXY_MOD_SSL_DYNAMIC_H

struct ssl_ctx_st;

/*
 * ssl_certificate with variables: certificates and keys are found per handshake,
 * read with the rights of the worker, and kept until a file changes.
 */
void	ssl_dynamic_use(struct ssl_ctx_st *);

#endif
