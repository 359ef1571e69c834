#ifndef WPROXY_MOD_SSL_HELLO_H
#define WPROXY_MOD_SSL_HELLO_H

#include "base/str.h"
#include "http/site.h"

struct ssl_ctx_st;
struct ssl_st;

/* The callbacks of a context for what a client says first: SNI, of HTTP also ALPN. */
void	ssl_hello_use(struct ssl_ctx_st *, bool http);

#define SSL_NAME_MAX	255
/* The server that a connection's SNI name chose, of the current configuration. */
const struct server	*ssl_server_of(const struct ssl_st *);
/* The name itself, as host names are compared (in room); absent: none was sent. */
struct str	ssl_name_of(const struct ssl_st *, char room[static SSL_NAME_MAX]);

#endif
