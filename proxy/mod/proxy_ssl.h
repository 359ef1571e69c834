#ifndef WPROXY_MOD_PROXY_SSL_H
#define WPROXY_MOD_PROXY_SSL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "http/request.h"
#include "net/conn.h"

/*
 * TLS to back ends: what proxy_ssl_* and uwsgi_ssl_* say, the context made from
 * it when the configuration is read, and sessions to resume.
 */
struct ssl_context;
struct ssl_identity;
struct tpl;

struct upstream_ssl {
	struct tpl *certificate, *certificate_key;
	struct str password_file;
	struct str trusted_certificate;
	struct str crl;
	struct str ciphers;
	struct vec conf_commands;	/* struct str: name, value, name, value ... */
	unsigned protocols;
	uint64_t verify_depth;
	bool verify;
	bool session_reuse;
	bool server_name;
	struct tpl *name;		/* NULL: the host of the target */
	struct ssl_context *context;	/* made by upstream_ssl_init() */
};

/* For a location that may speak TLS to a back end.  -1 after conf_error(). */
int	upstream_ssl_init(struct conf *, struct upstream_ssl *, const struct upstream_ssl *parent)
	    __attribute__((warn_unused_result));

/*
 * What a connection is checked for, and shows: context, name, certificate.  Of this thread, one
 * reference; equal ones are one object.  Sessions to resume hang on it, so they never serve another
 * trust.  NULL: what is to be shown cannot be loaded, which was logged.
 */
struct ssl_identity	*ssl_identity_get(struct request *, const struct upstream_ssl *, struct str name);
void			 ssl_identity_hold(struct ssl_identity *);	/* NULL is allowed, here and below */
void			 ssl_identity_drop(struct ssl_identity *);

/*
 * Begins TLS as a client on an open connection: then tls_handshake().  -1: failed, logged by
 * OpenSSL's queue.
 */
int		 ssl_identity_start(struct ssl_identity *, struct conn *);
/* After the handshake: NULL, or why the peer is not who it should be (in the thread's scratch). */
const char	*ssl_identity_check(struct ssl_identity *, struct conn *);

#endif
