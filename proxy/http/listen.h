#ifndef WPROXY_HTTP_LISTEN_H
#define WPROXY_HTTP_LISTEN_H

#include "http/site.h"

/* The words of listen and server_name, for the builder (site.c). */
int	listen_set(struct conf *, const struct conf_row *, void *field);
int	server_name_set(struct conf *, const struct conf_row *, void *field);
/* A server without listen: *:80 for root, *:8000 for others. */
int	listen_default(struct conf *, struct server *) __attribute__((warn_unused_result));
/* A server without server_name answers to "". */
int	server_names_complete(struct conf *, struct server *) __attribute__((warn_unused_result));
/* Default servers, and which address is covered by a wildcard's socket. */
int	listen_complete(struct conf *, struct http_conf *) __attribute__((warn_unused_result));

#endif
