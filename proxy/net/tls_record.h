#ifndef WPROXY_NET_TLS_RECORD_H
#define WPROXY_NET_TLS_RECORD_H

#include <stddef.h>

enum { TLS_RECORD_HEAD = 5 };

/*
 * The size of the record that begins with these TLS_RECORD_HEAD bytes, its head included;
 * TLS_RECORD_HEAD where they are none, which is for OpenSSL to say.
 */
size_t	tls_record_size(const unsigned char *);
/*
 * How many bytes of a client must be there for its ClientHello to be whole; at most n: it is, or
 * it is none.
 */
size_t	tls_hello_size(const unsigned char *, size_t n);

#endif
