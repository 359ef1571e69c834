/*
 * PEM files of a configuration, read through its source and given to OpenSSL.
 * Called while a configuration is loaded (ssl_context.c), when a renewed pair is
 * tried (ssl_renewal.c) and for certificates with variables (ssl_dynamic.c).
 */
#include "mod/ssl_pem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/decodererr.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/proverr.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509err.h>

#include "base/hint.h"
#include "net/tls_error.h"

int
ssl_load_failed(struct ssl_loader *l, const char *call, struct str path)
{
	char with_path[SSL_WHY_MAX / 2];
	bool peers;

	l->reason = ERR_peek_error();
	(void)snprintf(with_path, sizeof(with_path), "%s(\"" STR_FMT "\")", call, STR_ARG(path));
	tls_error_take(with_path, l->why, sizeof(l->why), &peers);
	return (-1);
}

/* cannot load WHAT "path": CALL() failed (SSL: ...) */
static int
load_failed_at(struct ssl_loader *l, const char *what, struct str path, const char *call)
{
	int n = snprintf(l->why, sizeof(l->why) / 2, "cannot load %s \"" STR_FMT "\": ", what,
	    STR_ARG(path));
	size_t used = n < (int)sizeof(l->why) / 2 ? (size_t)n : sizeof(l->why) / 2 - 1;
	bool peers;

	l->reason = ERR_peek_error();
	tls_error_take(call, l->why + used, sizeof(l->why) - used, &peers);
	return (-1);
}

static const struct {
	int library, reason;
	const char *hint;
} reason_hints[] = {
	{ ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH,
	    "the key is another certificate's; the first certificate of the file must be the "
	    "site's own, those of its authorities behind it" },
	{ ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH, "the key is another certificate's" },
	{ ERR_LIB_PEM, PEM_R_NO_START_LINE,
	    "the file holds no \"-----BEGIN ...-----\" of that kind; PEM is wanted" },
	{ ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED,
	    "the file holds no \"-----BEGIN PRIVATE KEY-----\"; PEM is wanted" },
	{ ERR_LIB_CRYPTO, ERR_R_INTERRUPTED_OR_CANCELLED,	/* by password_give() */
	    "the key is encrypted: \"ssl_password_file\" names a file with its password" },
	{ ERR_LIB_PROV, PROV_R_BAD_DECRYPT,
	    "no line of the \"ssl_password_file\" is the key's password" },
};

struct str
ssl_load_hint(const struct ssl_loader *l)
{
	if (l->unread.p != NULL)
		return (hint_path(l->pool, l->unread, l->unread_error));
	for (size_t i = 0; i < sizeof(reason_hints) / sizeof(reason_hints[0]); i++)
		if (ERR_GET_LIB(l->reason) == reason_hints[i].library &&
		    ERR_GET_REASON(l->reason) == reason_hints[i].reason)
			return (str_from(reason_hints[i].hint));
	return (STR_NULL);
}

int
ssl_read_file(struct ssl_loader *l, struct str path, const char *mode, struct str *bytes)
{
	int error;

	ERR_clear_error();
	if (l->source->read(l->source, l->pool, path, bytes) == 0)
		return (0);
	error = errno;
	l->unread = path;
	l->unread_error = error;
	ERR_raise_data(ERR_LIB_SYS, error, "calling fopen(" STR_FMT ", %s)", STR_ARG(path), mode);
	if (error == ENOENT || error == ENXIO)
		ERR_raise(ERR_LIB_BIO, BIO_R_NO_SUCH_FILE);
	else
		ERR_raise(ERR_LIB_BIO, ERR_R_SYS_LIB);
	return (-1);
}

/* A file's bytes, or what stands behind "data:".  NULL: as ssl_read_file(). */
static BIO *
pem_open(struct ssl_loader *l, struct str path)
{
	struct str bytes;

	ERR_clear_error();
	if (str_starts(path, STR("data:")))
		bytes = str_skip(path, 5);
	else if (ssl_read_file(l, path, "r", &bytes) != 0)
		return (NULL);
	return (BIO_new_mem_buf(bytes.n > 0 ? bytes.p : "", (int)bytes.n));
}

/* At the end of a PEM file OpenSSL says "no start line": that is no error. */
static bool
pem_ended(void)
{
	unsigned long error = ERR_peek_last_error();

	if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
		return (false);
	ERR_clear_error();
	return (true);
}

/* --- pairs --- */

static int
chain_take(struct ssl_loader *l, BIO *bio, struct str path)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert;

	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		sk_X509_push(chain, cert);
	if (!pem_ended()) {
		sk_X509_pop_free(chain, X509_free);
		return (load_failed_at(l, "certificate", path, "PEM_read_bio_X509()"));
	}
	if (SSL_CTX_set0_chain(l->ctx, chain) != 1) {
		sk_X509_pop_free(chain, X509_free);
		return (ssl_load_failed(l, "SSL_CTX_set0_chain", path));
	}
	return (0);
}

static int
cert_note(struct ssl_loader *l, X509 *cert, struct str path)
{
	if (l->cert_count == SSL_CERTS_MAX) {
		(void)snprintf(l->why, sizeof(l->why), "more than %u certificates of one server",
		    SSL_CERTS_MAX);
		return (-1);
	}
	X509_up_ref(cert);
	l->paths[l->cert_count] = path;
	l->certs[l->cert_count++] = cert;
	return (0);
}

void
ssl_loader_fini(struct ssl_loader *l)
{
	while (l->cert_count > 0)
		X509_free(l->certs[--l->cert_count]);
}

int
ssl_load_certificate(struct ssl_loader *l, struct str path)
{
	BIO *bio = pem_open(l, path);
	X509 *cert;
	int rc;

	if (bio == NULL)
		return (load_failed_at(l, "certificate", path, "BIO_new_file()"));
	cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	if (cert == NULL)
		rc = load_failed_at(l, "certificate", path, "PEM_read_bio_X509_AUX()");
	else if (SSL_CTX_use_certificate(l->ctx, cert) != 1)
		rc = ssl_load_failed(l, "SSL_CTX_use_certificate", path);
	else
		rc = chain_take(l, bio, path);
	if (rc == 0)
		rc = cert_note(l, cert, path);
	X509_free(cert);
	BIO_free(bio);
	return (rc);
}

/* Without a password nobody is asked at a terminal. */
static int
password_give(char *room, int size, int writing, void *arg)
{
	const struct str *password = arg;

	(void)writing;
	if (password == NULL || password->n > (size_t)size)
		return (-1);
	memcpy(room, password->p, password->n);
	return ((int)password->n);
}

int
ssl_load_key(struct ssl_loader *l, struct str path, const struct vec *passwords)
{
	BIO *bio = pem_open(l, path);
	EVP_PKEY *key = NULL;
	int rc = 0;

	if (bio == NULL)
		return (load_failed_at(l, "certificate key", path, "BIO_new_file()"));
	if (passwords == NULL || passwords->count == 0)
		key = PEM_read_bio_PrivateKey(bio, NULL, password_give, NULL);
	for (size_t i = 0; key == NULL && passwords != NULL && i < passwords->count; i++) {
		ERR_clear_error();
		(void)BIO_reset(bio);
		key = PEM_read_bio_PrivateKey(bio, NULL, password_give,
		    vec_at(passwords, struct str, i));
	}
	BIO_free(bio);
	if (key == NULL)
		return (load_failed_at(l, "certificate key", path, "PEM_read_bio_PrivateKey()"));
	if (SSL_CTX_use_PrivateKey(l->ctx, key) != 1)
		rc = ssl_load_failed(l, "SSL_CTX_use_PrivateKey", path);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return (rc);
}

/* Is there a certificate of this kind with its key? */
static bool
kind_is_usable(SSL_CTX *ctx, int kind)
{
	for (long rc = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); rc == 1;
	    rc = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
		if (EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_CTX_get0_certificate(ctx))) == kind)
			return (true);
	return (false);
}

/*
 * A key of another kind than the certificate's goes to a slot of its own: nginx starts with such
 * a pair, and no client can use it.
 */
int
ssl_check_keys(struct ssl_loader *l, struct str path)
{
	ERR_clear_error();
	for (unsigned i = 0; i < l->cert_count; i++) {
		if (kind_is_usable(l->ctx, EVP_PKEY_get_base_id(X509_get0_pubkey(l->certs[i]))))
			continue;
		ERR_raise(ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH);
		return (ssl_load_failed(l, "SSL_CTX_use_PrivateKey", path));
	}
	return (0);
}

void
ssl_read_passwords(struct str bytes, struct vec *passwords, struct pool *pool)
{
	struct str line;

	while (str_cut(&bytes, '\n', &line)) {
		if (str_ends(line, STR("\r")))
			line.n--;
		if (line.n > 0)
			*(struct str *)vec_push(passwords, pool) = line;
	}
}

/* --- authorities and revocations --- */

/* Certificates and lists of the file go to the context's store; how many, -1: one is broken. */
static int
store_add(SSL_CTX *ctx, BIO *bio)
{
	STACK_OF(X509_INFO) *infos = PEM_X509_INFO_read_bio(bio, NULL, password_give, NULL);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	int added = 0;

	if (infos == NULL)
		return (-1);
	for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
		X509_INFO *info = sk_X509_INFO_value(infos, i);

		if (info->x509 != NULL && X509_STORE_add_cert(store, info->x509) == 1)
			added++;
		if (info->crl != NULL && X509_STORE_add_crl(store, info->crl) == 1)
			added++;
	}
	sk_X509_INFO_pop_free(infos, X509_INFO_free);
	if (added == 0)
		ERR_raise(ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND);
	return (added);
}

static int
store_load(struct ssl_loader *l, struct str path, const char *call)
{
	BIO *bio = pem_open(l, path);
	int added;

	if (bio == NULL) {
		ERR_raise(ERR_LIB_X509, ERR_R_SYS_LIB);
		return (ssl_load_failed(l, call, path));
	}
	added = store_add(l->ctx, bio);
	BIO_free(bio);
	if (added <= 0)
		return (ssl_load_failed(l, call, path));
	ERR_clear_error();
	return (0);
}

static int
names_load(struct ssl_loader *l, struct str path)
{
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new(NULL);
	BIO *bio = pem_open(l, path);
	X509 *cert;

	if (bio == NULL) {
		sk_X509_NAME_free(names);
		return (ssl_load_failed(l, "SSL_load_client_CA_file", path));
	}
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));
		bool known = false;

		for (int i = 0; i < sk_X509_NAME_num(names); i++)
			known |= X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0;
		if (known)
			X509_NAME_free(name);
		else
			sk_X509_NAME_push(names, name);
		X509_free(cert);
	}
	BIO_free(bio);
	SSL_CTX_set_client_CA_list(l->ctx, names);
	ERR_clear_error();
	return (0);
}

int
ssl_load_trusted(struct ssl_loader *l, struct str path, bool names)
{
	if (store_load(l, path, "SSL_CTX_load_verify_locations") != 0)
		return (-1);
	return (names ? names_load(l, path) : 0);
}

int
ssl_load_crl(struct ssl_loader *l, struct str path)
{
	if (store_load(l, path, "X509_LOOKUP_load_file") != 0)
		return (-1);
	X509_STORE_set_flags(SSL_CTX_get_cert_store(l->ctx),
	    X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return (0);
}

int
ssl_load_dhparam(struct ssl_loader *l, struct str path)
{
	BIO *bio = pem_open(l, path);
	EVP_PKEY *params;
	int rc = 0;

	if (bio == NULL)
		return (ssl_load_failed(l, "BIO_new_file", path));
	params = PEM_read_bio_Parameters(bio, NULL);
	BIO_free(bio);
	/* DHX: what "openssl dhparam -dsaparam" writes. */
	if (params == NULL ||
	    !(EVP_PKEY_is_a(params, "DH") || EVP_PKEY_is_a(params, "DHX")))
		rc = ssl_load_failed(l, "PEM_read_bio_DHparams", path);
	else if (SSL_CTX_set0_tmp_dh_pkey(l->ctx, params) == 1)
		params = NULL;		/* taken over */
	else
		rc = ssl_load_failed(l, "SSL_CTX_set_tmp_dh", path);
	EVP_PKEY_free(params);
	ERR_clear_error();
	return (rc);
}
