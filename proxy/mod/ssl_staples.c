/*
 * OCSP staples.  Called when a configuration is loaded, by OpenSSL when a client
 * asks for the status of the certificate it is shown, and by the responder's
 * client when an answer came.
 *
 *	staple:  (no answer) -refresh due, a handshake asks-> asking -good-> answer, valid until ...
 *	                                                        \- bad: again in five minutes
 *
 * A staple that is asked for is of the process, in the registry, by certificate
 * and responder: a reload goes on with the answer.  One of a file is the site's.
 */
#include "mod/ssl_staples.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "http/registry.h"
#include "http/session.h"
#include "mod/ssl.h"
#include "mod/ssl_responder.h"
#include "net/tls.h"

#define RETRY_SEC	300
#define REFRESH_SEC	3600
#define SKEW_SEC	300

struct staple {
	pthread_mutex_t lock;		/* leaf: what follows */
	unsigned char *der;		/* the answer; NULL: none */
	int der_size;
	time_t valid;			/* ... until then */
	time_t refresh;			/* asked again from then on */
	bool asking;

	/* What answers are judged by; set when a configuration is loaded, under the lock. */
	X509 *cert, *issuer;
	STACK_OF(X509) *chain;
	X509_STORE *store;
	bool verify;
	struct staple_question question;
};

/* One certificate of a site. */
struct site_staple {
	X509 *cert;		/* NULL: all of them (a file) */
	struct staple *staple;
	bool own;		/* of a file */
};

struct ssl_staples {
	unsigned count;
	struct site_staple items[SSL_CERTS_MAX];
};

/* --- answers --- */

static void *
staple_make(void *arg)
{
	struct staple *staple = xcalloc(1, sizeof(*staple));

	(void)arg;
	pthread_mutex_init(&staple->lock, NULL);
	return (staple);
}

/* Under the lock; takes the bytes over. */
static void
staple_set(struct staple *staple, unsigned char *der, int size, time_t valid, time_t refresh)
{
	OPENSSL_free(staple->der);
	staple->der = der;
	staple->der_size = size;
	staple->valid = valid;
	staple->refresh = refresh;
}

void
staple_failed(struct staple *staple)
{
	pthread_mutex_lock(&staple->lock);
	staple->asking = false;
	staple->refresh = clock_wall() + RETRY_SEC;
	pthread_mutex_unlock(&staple->lock);
}

static time_t
asn1_to_time(const ASN1_GENERALIZEDTIME *time)
{
	struct tm tm;

	if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1)
		return (-1);
	return (timegm(&tm));
}

/* What an answer says of our certificate, and until when. */
struct staple_verdict {
	OCSP_BASICRESP *basic;
	OCSP_CERTID *id;
	time_t valid;
};

static const char *
answer_status(struct staple_verdict *v, char *room, size_t size)
{
	ASN1_GENERALIZEDTIME *this_update, *next_update;
	int status;

	if (OCSP_resp_find_status(v->basic, v->id, &status, NULL, NULL, &this_update,
	    &next_update) != 1)
		return ("certificate status not found in the OCSP response");
	if (status != V_OCSP_CERTSTATUS_GOOD) {
		(void)snprintf(room, size, "certificate status \"%s\" in the OCSP response",
		    OCSP_cert_status_str(status));
		return (room);
	}
	if (OCSP_check_validity(this_update, next_update, SKEW_SEC, -1) != 1)
		return ("OCSP_check_validity() failed");
	v->valid = (time_t)INT64_MAX;
	if (next_update != NULL && (v->valid = asn1_to_time(next_update)) == -1)
		return ("invalid nextUpdate time in certificate status");
	return (NULL);
}

static const char *
answer_judge(const struct staple *staple, OCSP_RESPONSE *response, struct staple_verdict *v,
    char *room, size_t size)
{
	int status;

	if (response == NULL)
		return ("d2i_OCSP_RESPONSE() failed");
	status = OCSP_response_status(response);
	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		(void)snprintf(room, size, "OCSP response not successful (%d: %s)", status,
		    OCSP_response_status_str(status));
		return (room);
	}
	v->basic = OCSP_response_get1_basic(response);
	if (v->basic == NULL)
		return ("OCSP_response_get1_basic() failed");
	if (OCSP_basic_verify(v->basic, staple->chain, staple->store,
	    staple->verify ? OCSP_TRUSTOTHER : OCSP_NOVERIFY) != 1)
		return ("OCSP_basic_verify() failed");
	v->id = OCSP_cert_to_id(NULL, staple->cert, staple->issuer);
	if (v->id == NULL)
		return ("OCSP_cert_to_id() failed");
	return (answer_status(v, room, size));
}

static time_t
refresh_time(time_t valid, time_t now)
{
	time_t refresh = valid - SKEW_SEC < now + REFRESH_SEC ? valid - SKEW_SEC :
	    now + REFRESH_SEC;

	return (refresh < now + RETRY_SEC ? now + RETRY_SEC : refresh);
}

/* The verification of a signature is done under the lock: it is short, and once an hour. */
const char *
staple_take_answer(struct staple *staple, struct str der, char *room, size_t size)
{
	const unsigned char *p = (const unsigned char *)der.p;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.n);
	struct staple_verdict v = { 0 };
	time_t now = clock_wall();
	const char *why;

	pthread_mutex_lock(&staple->lock);
	why = answer_judge(staple, response, &v, room, size);
	if (why == NULL)
		staple_set(staple, OPENSSL_memdup(der.p, der.n), (int)der.n, v.valid,
		    refresh_time(v.valid, now));
	else
		staple->refresh = now + RETRY_SEC;
	staple->asking = false;
	pthread_mutex_unlock(&staple->lock);
	OCSP_CERTID_free(v.id);
	OCSP_BASICRESP_free(v.basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return (why);
}

/* --- handshakes --- */

static struct staple *
staple_of(const struct ssl_staples *staples, const X509 *cert)
{
	for (unsigned i = 0; i < staples->count; i++)
		if (staples->items[i].cert == NULL || staples->items[i].cert == cert)
			return (staples->items[i].staple);
	return (NULL);
}

static int
status_callback(SSL *ssl, void *arg)
{
	const struct ssl_site *site = ssl_site_of(ssl);
	struct staple *staple = staple_of(site->staples, SSL_get_certificate(ssl));
	struct staple_question question;
	unsigned char *copy = NULL;
	time_t now = clock_wall();
	bool ask = false;
	int n = 0;

	(void)arg;
	if (staple == NULL)
		return (SSL_TLSEXT_ERR_NOACK);
	pthread_mutex_lock(&staple->lock);
	if (staple->der != NULL && staple->valid >= now) {
		n = staple->der_size;
		copy = OPENSSL_memdup(staple->der, (size_t)n);	/* OpenSSL frees it */
	}
	if (!staple->asking && staple->cert != NULL && staple->refresh <= now) {
		ask = staple->asking = true;
		question = staple->question;
	}
	pthread_mutex_unlock(&staple->lock);
	if (ask)
		ssl_responder_ask(session_thread(tls_arg(ssl))->loop, staple, &question);
	if (copy == NULL)
		return (SSL_TLSEXT_ERR_NOACK);
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, n);
	return (SSL_TLSEXT_ERR_OK);
}

/* --- from a file --- */

static struct staple *
file_staple(struct ssl_loader *l, struct str path)
{
	const unsigned char *p;
	OCSP_RESPONSE *response;
	struct staple *staple;
	unsigned char *der = NULL;
	struct str bytes;
	int n;

	if (ssl_read_file(l, path, "rb", &bytes) != 0) {
		ssl_load_failed(l, "BIO_new_file", path);
		return (NULL);
	}
	p = (const unsigned char *)bytes.p;
	response = d2i_OCSP_RESPONSE(NULL, &p, (long)bytes.n);
	if (response == NULL) {
		ssl_load_failed(l, "d2i_OCSP_RESPONSE_bio", path);
		return (NULL);
	}
	n = i2d_OCSP_RESPONSE(response, &der);
	OCSP_RESPONSE_free(response);
	if (n <= 0) {
		ssl_load_failed(l, "i2d_OCSP_RESPONSE", path);
		return (NULL);
	}
	staple = staple_make(NULL);
	staple_set(staple, der, n, (time_t)INT64_MAX, (time_t)INT64_MAX);
	return (staple);
}

bool
ssl_staple_file_check(struct ssl_loader *l, struct str path)
{
	struct staple *staple = file_staple(l, path);

	if (staple == NULL)
		return (false);
	OPENSSL_free(staple->der);
	pthread_mutex_destroy(&staple->lock);
	free(staple);
	return (true);
}

/* --- from a responder --- */

/* nginx's warnings: the site goes on without the staple. */
static void __attribute__((format(printf, 2, 3)))
staple_ignored(struct conf *cf, const char *format, ...)
{
	char text[SSL_WHY_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_write(cf->log, LOG_WARN, 0, 0, "\"ssl_stapling\" ignored, %s", text);
}

/* Where a responder is; false: "ssl_stapling" is ignored for this certificate, which was said. */
static bool
responder_find(struct conf *cf, struct str url, struct str cert, struct staple_question *q)
{
	struct vec addrs = VEC_OF(struct addr);
	struct str host;
	const char *error;
	size_t slash;

	if (!str_starts_ci(url, STR("http://"))) {
		staple_ignored(cf, "invalid URL prefix in OCSP responder \"" STR_FMT "\" in the "
		    "certificate \"" STR_FMT "\"", STR_ARG(url), STR_ARG(cert));
		return (false);
	}
	host = str_skip(url, 7);
	slash = str_chr(host, '/');
	(void)snprintf(q->path, sizeof(q->path), STR_FMT,
	    STR_ARG(slash == SIZE_MAX ? STR("/") : str_skip(host, slash)));
	if (slash != SIZE_MAX)
		host.n = slash;
	(void)snprintf(q->host, sizeof(q->host), STR_FMT, STR_ARG(host));
	error = addr_resolve(cf->temp, host, 80, &addrs);
	if (error != NULL) {
		staple_ignored(cf, "%s in OCSP responder \"" STR_FMT "\" in the certificate \""
		    STR_FMT "\"", error, STR_ARG(url), STR_ARG(cert));
		return (false);
	}
	q->addr = *vec_at(&addrs, struct addr, 0);
	return (true);
}

/* The URL in the configuration, or the certificate's own. */
static bool
responder_of(struct conf *cf, X509 *cert, struct str path, struct str configured,
    struct staple_question *q)
{
	STACK_OF(OPENSSL_STRING) *urls;
	bool found = false;

	if (configured.n > 0)
		return (responder_find(cf, configured, path, q));
	urls = X509_get1_ocsp(cert);
	if (urls != NULL && sk_OPENSSL_STRING_num(urls) > 0)
		found = responder_find(cf, str_from(sk_OPENSSL_STRING_value(urls, 0)), path, q);
	else
		staple_ignored(cf, "no OCSP responder URL in the certificate \"" STR_FMT "\"",
		    STR_ARG(path));
	X509_email_free(urls);
	return (found);
}

/* RFC 6960 A.1: GET {url}/{url-encoding of base-64 encoding of the request}. */
static bool
question_write(struct conf *cf, X509 *cert, X509 *issuer, struct staple_question *q)
{
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, issuer);
	unsigned char *der = NULL;
	struct str text;
	size_t used = strlen(q->path);
	int n = 0;

	if (request != NULL && id != NULL && OCSP_request_add0_id(request, id) != NULL) {
		id = NULL;
		n = i2d_OCSP_REQUEST(request, &der);
	}
	OCSP_CERTID_free(id);
	OCSP_REQUEST_free(request);
	if (n <= 0)
		return (false);
	text = encode_base64(cf->temp, str_make((char *)der, (size_t)n));
	text = encode_uri(cf->temp, text, ESCAPE_URI_COMPONENT);
	OPENSSL_free(der);
	n = snprintf(q->path + used, sizeof(q->path) - used, "%s" STR_FMT,
	    used > 0 && q->path[used - 1] == '/' ? "" : "/", STR_ARG(text));
	return ((size_t)n < sizeof(q->path) - used);
}

/* Among what is sent along, else among the trusted.  One reference, NULL: none. */
static X509 *
issuer_of(struct ssl_loader *l, X509 *cert, STACK_OF(X509) *chain)
{
	X509_STORE_CTX *search;
	X509 *issuer = NULL;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		issuer = sk_X509_value(chain, i);
		if (X509_check_issued(issuer, cert) == X509_V_OK) {
			X509_up_ref(issuer);
			return (issuer);
		}
	}
	issuer = NULL;
	search = X509_STORE_CTX_new();
	if (search != NULL &&
	    X509_STORE_CTX_init(search, SSL_CTX_get_cert_store(l->ctx), NULL, NULL) == 1 &&
	    X509_STORE_CTX_get1_issuer(&issuer, search, cert) != 1)
		issuer = NULL;
	X509_STORE_CTX_free(search);
	return (issuer);
}

/* The process' staple of this certificate, judged by the settings just loaded. */
static struct staple *
staple_adopt(struct conf *cf, struct ssl_loader *l, X509 *cert, X509 *issuer,
    STACK_OF(X509) *chain, const struct staple_question *q, bool verify)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	struct staple *staple;
	struct str name;
	unsigned n = 0;

	(void)X509_digest(cert, EVP_sha256(), md, &n);
	name = pool_printf(cf->temp, STR_FMT " %s%s", STR_ARG(encode_hex(cf->temp,
	    str_make((char *)md, n))), q->host, q->path);
	staple = registry_get(STR("ssl_staple"), name, staple_make, NULL);
	X509_up_ref(cert);
	X509_up_ref(issuer);
	X509_STORE_up_ref(SSL_CTX_get_cert_store(l->ctx));
	pthread_mutex_lock(&staple->lock);
	X509_free(staple->cert);
	X509_free(staple->issuer);
	sk_X509_pop_free(staple->chain, X509_free);
	X509_STORE_free(staple->store);
	staple->cert = cert;
	staple->issuer = issuer;
	staple->chain = X509_chain_up_ref(chain);
	staple->store = SSL_CTX_get_cert_store(l->ctx);
	staple->verify = verify;
	staple->question = *q;
	pthread_mutex_unlock(&staple->lock);
	return (staple);
}

static void
staples_add(struct ssl_staples *staples, struct conf *cf, struct ssl_loader *l, unsigned i,
    const struct ssl_settings *settings)
{
	struct site_staple *item = &staples->items[staples->count];
	struct staple_question question;
	STACK_OF(X509) *chain = NULL;
	X509 *cert = l->certs[i], *issuer;

	if (SSL_CTX_select_current_cert(l->ctx, cert) != 1)
		return;		/* a later one of its kind is used instead */
	SSL_CTX_get0_chain_certs(l->ctx, &chain);
	issuer = issuer_of(l, cert, chain);
	if (issuer == NULL) {
		staple_ignored(cf, "issuer certificate not found for certificate \"" STR_FMT "\"",
		    STR_ARG(l->paths[i]));
		return;
	}
	if (responder_of(cf, cert, l->paths[i], settings->stapling_responder, &question) &&
	    question_write(cf, cert, issuer, &question)) {
		X509_up_ref(cert);
		item->cert = cert;
		item->staple = staple_adopt(cf, l, cert, issuer, chain, &question,
		    settings->stapling_verify);
		staples->count++;
	}
	X509_free(issuer);
}

struct ssl_staples *
ssl_staples_new(struct conf *cf, struct ssl_loader *l, const struct ssl_settings *settings)
{
	struct ssl_staples *staples = xcalloc(1, sizeof(*staples));

	if (settings->stapling_file.n > 0) {
		struct str path = conf_path_in_folder(cf, settings->stapling_file);

		staples->items[0].own = true;
		staples->items[0].staple = file_staple(l, path);
		if (staples->items[0].staple == NULL) {
			free(staples);
			return (NULL);
		}
		staples->count = 1;
	} else {
		for (unsigned i = 0; i < l->cert_count; i++)
			staples_add(staples, cf, l, i, settings);
	}
	if (staples->count > 0)
		SSL_CTX_set_tlsext_status_cb(l->ctx, status_callback);
	ERR_clear_error();
	return (staples);
}

void
ssl_staples_free(struct ssl_staples *staples)
{
	if (staples == NULL)
		return;
	for (unsigned i = 0; i < staples->count; i++) {
		struct site_staple *item = &staples->items[i];

		X509_free(item->cert);
		if (!item->own)
			continue;
		OPENSSL_free(item->staple->der);
		pthread_mutex_destroy(&item->staple->lock);
		free(item->staple);
	}
	free(staples);
}
