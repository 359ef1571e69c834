#ifndef WPROXY_NET_TLS_H
#define WPROXY_NET_TLS_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"
#include "net/conn.h"

/*
 * TLS on a conn, over an own BIO (read-ahead; writes collected and sent once
 * per turn).  Contexts are made above (mod/ssl.c) and only used here.
 */
struct ssl_st;
struct ssl_ctx_st;

/*
 * Turns an open conn into the server or client side of TLS.  name: SNI of a client
 * ("" for none).  The handshake runs inside tls_handshake().  The SSL* carries arg as
 * app data (tls_arg).  -1 out of OpenSSL's own errors (logged).
 */
int	tls_start(struct conn *, struct ssl_ctx_st *, bool server, struct str name, void *arg);
/*
 * 1: done; 0: would block (an event will come; call again); -1: failed (conn->error or
 * tls_error()).
 */
int	tls_handshake(struct conn *);
/* "SSL_do_handshake() failed (SSL: error:0A000...: ...)" of the last failure on this conn. */
const char	*tls_error(struct conn *);
/* True when the failure is the client's mistake (nginx logs those at info). */
bool	tls_error_is_peers(struct conn *);
struct ssl_st	*tls_ssl(const struct conn *);	/* NULL on a plain conn */
void	*tls_arg(const struct ssl_st *);
/*
 * A first byte that is a plain HTTP request instead of a ClientHello was seen; the bytes are
 * readable by conn_recv as plain after tls_abandon().
 */
bool	tls_is_plain_http(struct conn *);
void	tls_abandon(struct conn *);
/* Largest record written (ssl_buffer_size); 16384 is the protocol's limit and the default. */
void	tls_set_record_max(struct conn *, size_t bytes);
/*
 * True from tls_handshake() having answered 1 with early data of the client (a context with
 * SSL_CTX_set_max_early_data) until the handshake has really ended: such a request may be a replay.
 */
bool	tls_is_early(const struct conn *);

#endif
