#ifndef WPROXY_MOD_SSL_PEM_H
#define WPROXY_MOD_SSL_PEM_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"
#include "base/vec.h"
#include "conf/source.h"

/*
 * Certificates, keys, lists of authorities and revocations, DH parameters: from
 * files of a configuration into an SSL_CTX.  Each function returns 0, or -1 with
 * nginx's words in loader->why.  Paths are absolute with a NUL behind.
 */
struct ssl_ctx_st;
struct x509_st;

#define SSL_WHY_MAX	1024
#define SSL_CERTS_MAX	16	/* RSA, ECDSA, Ed25519 ... */

struct ssl_loader {
	struct conf_source *source;
	struct pool *pool;		/* for the bytes read */
	struct ssl_ctx_st *ctx;
	char why[SSL_WHY_MAX];
	struct x509_st *certs[SSL_CERTS_MAX];	/* loaded; each with a reference */
	struct str paths[SSL_CERTS_MAX];	/* ... from here */
	unsigned cert_count;

	/* Of the failure that why tells, for ssl_load_hint(). */
	struct str unread;		/* a file that could not be read; absent: it is not that */
	int unread_error;
	unsigned long reason;		/* OpenSSL's */
};

/* "data:..." stands for the bytes behind it, here and for keys. */
int	ssl_load_certificate(struct ssl_loader *, struct str path)
	    __attribute__((warn_unused_result));
/* passwords: struct str, each is tried. */
int	ssl_load_key(struct ssl_loader *, struct str path, const struct vec *passwords)
	    __attribute__((warn_unused_result));
/* Has each certificate of the context its key?  path: of a key, for the text. */
int	ssl_check_keys(struct ssl_loader *, struct str path) __attribute__((warn_unused_result));
/* Authorities that are believed; names: their names are also sent to clients. */
int	ssl_load_trusted(struct ssl_loader *, struct str path, bool names)
	    __attribute__((warn_unused_result));
int	ssl_load_crl(struct ssl_loader *, struct str path) __attribute__((warn_unused_result));
int	ssl_load_dhparam(struct ssl_loader *, struct str path) __attribute__((warn_unused_result));

void	ssl_loader_fini(struct ssl_loader *);

/* The lines of a password file behind what is in passwords.  bytes must stay. */
void	ssl_read_passwords(struct str bytes, struct vec *passwords, struct pool *);
/* OpenSSL's queue as: what "path" failed (SSL: ...). */
int	ssl_load_failed(struct ssl_loader *, const char *call, struct str path);
/* What would help, for who reads a configuration: see hint_path(). */
struct str	ssl_load_hint(const struct ssl_loader *);
/* A file.  -1: OpenSSL's queue says why, as if it had opened it (mode: fopen()'s). */
int	ssl_read_file(struct ssl_loader *, struct str path, const char *mode, struct str *bytes)
	    __attribute__((warn_unused_result));

#endif
