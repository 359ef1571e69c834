/*
 * $ssl_*: what of a client's handshake and certificate configurations may refer
 * to.  On a plain connection none of these variables has a value.
 */
#include "mod/ssl_vars.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/encode.h"
#include "http/request.h"
#include "http/session.h"
#include "http/var_give.h"
#include "net/tls.h"

static SSL *
ssl_of(const struct request *r)
{
	const struct conn *conn = session_conn(r);

	return (conn == NULL ? NULL : tls_ssl(conn));
}

static bool
give_text(struct request *r, const char *text, struct str *value)
{
	if (text == NULL || text[0] == '\0')
		return (false);
	*value = pool_strdup(r->pool, str_from(text));
	return (true);
}

/* --- the connection --- */

/* param: which of OpenSSL's texts. */
struct ssl_text {
	const char *(*get)(const SSL *);
};

static const char *
server_name(const SSL *ssl)
{
	return (SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
}

static const char *
cipher_name(const SSL *ssl)
{
	return (SSL_get_cipher_name(ssl));
}

static const char *
session_reused(const SSL *ssl)
{
	return (SSL_session_reused(ssl) ? "r" : ".");
}

/* Only what is read before the handshake is complete can be a replay. */
static const char *
early_data(const SSL *ssl)
{
	return (SSL_is_init_finished(ssl) ? "" : "1");
}

static const struct ssl_text text_protocol = { SSL_get_version };
static const struct ssl_text text_cipher = { cipher_name };
static const struct ssl_text text_server_name = { server_name };
static const struct ssl_text text_session_reused = { session_reused };
static const struct ssl_text text_early_data = { early_data };

static bool
get_text(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct ssl_text *text = param;
	SSL *ssl = ssl_of(r);

	(void)name;
	return (ssl != NULL && give_text(r, text->get(ssl), value));
}

static bool
get_alpn(struct request *r, const void *param, struct str name, struct str *value)
{
	const unsigned char *protocol;
	unsigned n;
	SSL *ssl = ssl_of(r);

	(void)param;
	(void)name;
	if (ssl == NULL)
		return (false);
	SSL_get0_alpn_selected(ssl, &protocol, &n);
	*value = pool_strdup(r->pool, str_make((const char *)protocol, n));
	return (n > 0);
}

static bool
get_session_id(struct request *r, const void *param, struct str name, struct str *value)
{
	const unsigned char *id;
	const SSL_SESSION *session;
	unsigned n;
	SSL *ssl = ssl_of(r);

	(void)param;
	(void)name;
	session = ssl == NULL ? NULL : SSL_get_session(ssl);
	if (session == NULL)
		return (false);
	id = SSL_SESSION_get_id(session, &n);
	*value = encode_hex(r->pool, str_make((const char *)id, n));
	return (n > 0);
}

/* Names behind one another; those OpenSSL does not know in hex. */
static void
list_add(struct request *r, struct str *list, const char *name, unsigned number)
{
	struct str parts[3] = { *list, list->n > 0 ? STR(":") : STR(""), str_from(name) };

	if (name == NULL)
		parts[2] = pool_printf(r->pool, "0x%04x", number);
	*list = pool_concat(r->pool, 3, parts);
}

/* What the client offered. */
static bool
get_ciphers(struct request *r, const void *param, struct str name, struct str *value)
{
	unsigned char *raw;
	size_t n;
	SSL *ssl = ssl_of(r);

	(void)param;
	(void)name;
	if (ssl == NULL || SSL_get0_raw_cipherlist(ssl, NULL) != 2)
		return (false);
	n = SSL_get0_raw_cipherlist(ssl, &raw);
	*value = STR("");
	for (size_t i = 0; i + 1 < n; i += 2) {
		const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, raw + i);

		list_add(r, value, cipher == NULL ? NULL : SSL_CIPHER_get_name(cipher),
		    (unsigned)raw[i] << 8 | raw[i + 1]);
	}
	return (value->n > 0);
}

static const char *
group_name(int group)
{
	return ((group & TLSEXT_nid_unknown) != 0 ? NULL : OBJ_nid2sn(group));
}

static bool
get_curves(struct request *r, const void *param, struct str name, struct str *value)
{
	SSL *ssl = ssl_of(r);
	int n, *groups;

	(void)param;
	(void)name;
	n = ssl == NULL ? 0 : (int)SSL_get1_groups(ssl, NULL);
	if (n <= 0)
		return (false);
	groups = pool_alloc(r->pool, (size_t)n * sizeof(*groups));
	n = (int)SSL_get1_groups(ssl, groups);
	*value = STR("");
	for (int i = 0; i < n; i++)
		list_add(r, value, group_name(groups[i]), (unsigned)groups[i] & 0xffff);
	return (value->n > 0);
}

static bool
get_curve(struct request *r, const void *param, struct str name, struct str *value)
{
	SSL *ssl = ssl_of(r);
	int group = ssl == NULL ? NID_undef : (int)SSL_get_negotiated_group(ssl);

	(void)param;
	(void)name;
	if (group == NID_undef)
		return (false);
	*value = STR("");
	list_add(r, value, group_name(group), (unsigned)group & 0xffff);
	return (true);
}

/* --- the client's certificate --- */

/* Takes what was written to the bio and frees it. */
static bool
give_bio(struct request *r, BIO *bio, bool written, struct str *value)
{
	char *bytes;
	long n = BIO_get_mem_data(bio, &bytes);

	*value = pool_strdup(r->pool, str_make(bytes, written && n > 0 ? (size_t)n : 0));
	BIO_free(bio);
	return (value->n > 0);
}

static bool
give_pem(struct request *r, X509 *cert, struct str *value)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return (bio != NULL && give_bio(r, bio, PEM_write_bio_X509(bio, cert) == 1, value));
}

/* For a header field: each line but the first begins with a tab, no line end at the end. */
static bool
give_cert(struct request *r, X509 *cert, struct str *value)
{
	struct str pem;
	char *out, *p;

	if (!give_pem(r, cert, &pem))
		return (false);
	p = out = pool_alloc(r->pool, 2 * pem.n);
	for (size_t i = 0; i + 1 < pem.n; i++) {
		*p++ = pem.p[i];
		if (pem.p[i] == '\n')
			*p++ = '\t';
	}
	*value = str_make(out, (size_t)(p - out));
	return (true);
}

static bool
give_escaped_cert(struct request *r, X509 *cert, struct str *value)
{
	struct str pem;

	if (!give_pem(r, cert, &pem))
		return (false);
	*value = encode_uri(r->pool, pem, ESCAPE_URI_COMPONENT);
	return (true);
}

static bool
give_dn(struct request *r, const X509_NAME *dn, struct str *value)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return (bio != NULL &&
	    give_bio(r, bio, X509_NAME_print_ex(bio, dn, 0, XN_FLAG_RFC2253) >= 0, value));
}

static bool
give_subject(struct request *r, X509 *cert, struct str *value)
{
	return (give_dn(r, X509_get_subject_name(cert), value));
}

static bool
give_issuer(struct request *r, X509 *cert, struct str *value)
{
	return (give_dn(r, X509_get_issuer_name(cert), value));
}

static bool
give_dn_legacy(struct request *r, const X509_NAME *dn, struct str *value)
{
	char *text = X509_NAME_oneline(dn, NULL, 0);
	bool found = give_text(r, text, value);

	OPENSSL_free(text);
	return (found);
}

static bool
give_subject_legacy(struct request *r, X509 *cert, struct str *value)
{
	return (give_dn_legacy(r, X509_get_subject_name(cert), value));
}

static bool
give_issuer_legacy(struct request *r, X509 *cert, struct str *value)
{
	return (give_dn_legacy(r, X509_get_issuer_name(cert), value));
}

static bool
give_serial(struct request *r, X509 *cert, struct str *value)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return (bio != NULL && give_bio(r, bio,
	    i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(cert)) > 0, value));
}

static bool
give_fingerprint(struct request *r, X509 *cert, struct str *value)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;

	if (X509_digest(cert, EVP_sha1(), digest, &n) != 1)
		return (false);
	*value = encode_hex(r->pool, str_make((const char *)digest, n));
	return (true);
}

static bool
give_time(struct request *r, const ASN1_TIME *time, struct str *value)
{
	BIO *bio = BIO_new(BIO_s_mem());

	return (bio != NULL && give_bio(r, bio, ASN1_TIME_print(bio, time) == 1, value));
}

static bool
give_start(struct request *r, X509 *cert, struct str *value)
{
	return (give_time(r, X509_get0_notBefore(cert), value));
}

static bool
give_end(struct request *r, X509 *cert, struct str *value)
{
	return (give_time(r, X509_get0_notAfter(cert), value));
}

/* Whole days. */
static bool
give_remain(struct request *r, X509 *cert, struct str *value)
{
	int days, seconds;

	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
		return (false);
	return (give_uint(r, days > 0 ? (uint64_t)days : 0, value));
}

/* param: what of the certificate. */
struct cert_text {
	bool (*give)(struct request *, X509 *, struct str *);
};

static const struct cert_text cert_pem = { give_cert };
static const struct cert_text cert_raw = { give_pem };
static const struct cert_text cert_escaped = { give_escaped_cert };
static const struct cert_text cert_subject = { give_subject };
static const struct cert_text cert_issuer = { give_issuer };
static const struct cert_text cert_subject_legacy = { give_subject_legacy };
static const struct cert_text cert_issuer_legacy = { give_issuer_legacy };
static const struct cert_text cert_serial = { give_serial };
static const struct cert_text cert_fingerprint = { give_fingerprint };
static const struct cert_text cert_start = { give_start };
static const struct cert_text cert_end = { give_end };
static const struct cert_text cert_remain = { give_remain };

static bool
get_client(struct request *r, const void *param, struct str name, struct str *value)
{
	const struct cert_text *text = param;
	SSL *ssl = ssl_of(r);
	X509 *cert = ssl == NULL ? NULL : SSL_get0_peer_certificate(ssl);

	(void)name;
	return (cert != NULL && text->give(r, cert, value));
}

static bool
get_client_verify(struct request *r, const void *param, struct str name, struct str *value)
{
	SSL *ssl = ssl_of(r);
	long rc;

	(void)param;
	(void)name;
	if (ssl == NULL)
		return (false);
	rc = SSL_get_verify_result(ssl);
	if (SSL_get0_peer_certificate(ssl) == NULL)
		*value = STR("NONE");
	else if (rc == X509_V_OK)
		*value = STR("SUCCESS");
	else
		*value = pool_printf(r->pool, "FAILED:%s", X509_verify_cert_error_string(rc));
	return (true);
}

const struct var_row ssl_vars[] = {
	{ "ssl_protocol", get_text, &text_protocol, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_cipher", get_text, &text_cipher, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_ciphers", get_ciphers, NULL, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_curve", get_curve, NULL, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_curves", get_curves, NULL, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_server_name", get_text, &text_server_name, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_session_id", get_session_id, NULL, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_session_reused", get_text, &text_session_reused, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_early_data", get_text, &text_early_data, VAR_NOCACHE | VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_alpn_protocol", get_alpn, NULL, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_verify", get_client_verify, NULL, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_cert", get_client, &cert_pem, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_raw_cert", get_client, &cert_raw, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_escaped_cert", get_client, &cert_escaped, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_s_dn", get_client, &cert_subject, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_i_dn", get_client, &cert_issuer, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_s_dn_legacy", get_client, &cert_subject_legacy, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_i_dn_legacy", get_client, &cert_issuer_legacy, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_serial", get_client, &cert_serial, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_fingerprint", get_client, &cert_fingerprint, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_v_start", get_client, &cert_start, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_v_end", get_client, &cert_end, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ "ssl_client_v_remain", get_client, &cert_remain, VAR_CHANGEABLE | VAR_STREAM, NULL },
	{ NULL, NULL, NULL, 0, NULL }
};
