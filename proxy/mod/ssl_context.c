/*
 * A server's SSL_CTX from its settings.  Called for each server when http {}
 * closes, in the master and again in the worker, where files come from the
 * record.  What callbacks need hangs on the context as its site (ssl.h).
 *
 *	new -> parts, in nginx's order -> digest of what clients are believed by -> published
 *
 * One context for all threads.  Measured with OpenSSL 3.0 and P-256, CPU of the server's side of
 * a TLS 1.3 handshake, shared against one per thread: full 447 / 411 us with one thread and 413 /
 * 447 with two; resumed 356 / 388 and 375 / 395: no more than noise.  What two threads share and
 * wait for (fetching algorithms, 608 us with one thread to 679 with two for a whole connection)
 * is the library's, not the context's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/encode.h"
#include "mod/ssl.h"
#include "mod/ssl_cache.h"
#include "mod/ssl_dynamic.h"
#include "mod/ssl_hello.h"
#include "mod/ssl_options.h"
#include "mod/ssl_pem.h"
#include "mod/ssl_staples.h"
#include "mod/ssl_tickets.h"

/* Where the file says nothing: ECDHE with AEAD only, the cheap ones first. */
#define CIPHERS		"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"		\
			"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"		\
			"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERSUITES	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define EARLY_DATA_MAX	16384
#define BUILTIN_COUNT	20480

struct context_work {
	struct conf *cf;
	const struct server *server;
	struct ssl_settings *settings;
	struct ssl_site *site;
	struct ssl_loader loader;
};

/* --- the site --- */

static int site_index;
static pthread_once_t site_index_once = PTHREAD_ONCE_INIT;

static void
site_free(void *ctx, void *arg, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
	struct ssl_site *site = arg;

	(void)ctx;
	(void)data;
	(void)index;
	(void)number;
	(void)pointer;
	if (site == NULL)
		return;
	ssl_ticket_keys_free(site->own_keys);
	ssl_staples_free(site->staples);
	free(site->groups);
	free(site);
}

static void
site_index_make(void)
{
	site_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, site_free);
	if (site_index < 0)
		abort();
}

static struct ssl_site *
site_new(SSL_CTX *ctx)
{
	struct ssl_site *site = xcalloc(1, sizeof(*site));

	pthread_once(&site_index_once, site_index_make);
	if (SSL_CTX_set_ex_data(ctx, site_index, site) != 1)
		abort();
	return (site);
}

const struct ssl_site *
ssl_site_of_context(const struct ssl_ctx_st *ctx)
{
	return (SSL_CTX_get_ex_data(ctx, site_index));
}

const struct ssl_site *
ssl_site_of(const struct ssl_st *ssl)
{
	return (SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), site_index));
}

/* --- parts --- */

static void
groups_set(struct ssl_site *site, struct str groups)
{
	free(site->groups);
	site->groups = xcalloc(1, groups.n + 1);
	memcpy(site->groups, groups.p, groups.n);
}

static int
part_protocols(struct context_work *w)
{
	SSL_CTX *ctx = w->loader.ctx;

	ssl_apply_protocols(ctx, w->settings->protocols);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_ANTI_REPLAY | SSL_OP_SINGLE_DH_USE | SSL_OP_SINGLE_ECDH_USE);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	return (0);
}

static int
part_certificates(struct context_work *w)
{
	const struct ssl_settings *s = w->settings;
	struct str key = STR("");

	if (s->dynamic) {
		ssl_dynamic_use(w->loader.ctx);
		return (0);
	}
	for (size_t i = 0; i < s->certificates.count; i++) {
		struct str cert = *vec_at(&s->certificates, struct str, i);

		key = *vec_at(&s->certificate_keys, struct str, i);
		if (!str_starts(cert, STR("data:")))
			cert = conf_path_in_folder(w->cf, cert);
		if (!str_starts(key, STR("data:")))
			key = conf_path_in_folder(w->cf, key);
		if (ssl_load_certificate(&w->loader, cert) != 0 ||
		    ssl_load_key(&w->loader, key, &s->passwords.lines) != 0)
			return (-1);
	}
	return (s->certificates.count > 0 ? ssl_check_keys(&w->loader, key) : 0);
}

static int
part_ciphers(struct context_work *w)
{
	const struct ssl_settings *s = w->settings;
	SSL_CTX *ctx = w->loader.ctx;

	ERR_clear_error();
	if (s->ciphers.n == 0 && SSL_CTX_set_ciphersuites(ctx, CIPHERSUITES) != 1)
		return (ssl_load_failed(&w->loader, "SSL_CTX_set_ciphersuites", STR(CIPHERSUITES)));
	if (SSL_CTX_set_cipher_list(ctx, s->ciphers.n > 0 ? s->ciphers.p : CIPHERS) != 1)
		return (ssl_load_failed(&w->loader, "SSL_CTX_set_cipher_list", s->ciphers));
	if (s->prefer_server_ciphers)
		SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	return (0);
}

static int
verify_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return (1);	/* judged by the request, which has a page for it: 495, 496 */
}

static int
part_clients(struct context_work *w)
{
	const struct ssl_settings *s = w->settings;
	struct ssl_loader *l = &w->loader;

	w->site->verify = s->verify;
	if (s->verify != SSL_VERIFY_OFF) {
		if (s->client_certificate.n == 0 && s->verify != SSL_VERIFY_OPTIONAL_NO_CA) {
			(void)snprintf(l->why, sizeof(l->why),
			    "no ssl_client_certificate for ssl_verify_client");
			return (-1);
		}
		SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, verify_any);
		SSL_CTX_set_verify_depth(l->ctx, (int)s->verify_depth);
		if (s->client_certificate.n > 0 && ssl_load_trusted(l,
		    conf_path_in_folder(w->cf, s->client_certificate), true) != 0)
			return (-1);
	}
	if (s->trusted_certificate.n > 0 && ssl_load_trusted(l,
	    conf_path_in_folder(w->cf, s->trusted_certificate), false) != 0)
		return (-1);
	if (s->crl.n > 0)
		return (ssl_load_crl(l, conf_path_in_folder(w->cf, s->crl)));
	return (0);
}

static int
part_exchange(struct context_work *w)
{
	const struct ssl_settings *s = w->settings;

	if (s->dhparam.n > 0 &&
	    ssl_load_dhparam(&w->loader, conf_path_in_folder(w->cf, s->dhparam)) != 0)
		return (-1);
	if (str_eq(s->ecdh_curve, STR("auto")))
		return (0);
	ERR_clear_error();
	if (SSL_CTX_set1_curves_list(w->loader.ctx, s->ecdh_curve.p) != 1)
		return (ssl_load_failed(&w->loader, "SSL_CTX_set1_curves_list", s->ecdh_curve));
	groups_set(w->site, s->ecdh_curve);
	return (0);
}

static int
ticket_keys_load(struct context_work *w)
{
	const struct vec *paths = &w->settings->session_ticket_keys;

	w->site->keys = ssl_ticket_keys_shared();
	if (paths->count == 0)
		return (0);
	w->site->keys = w->site->own_keys = ssl_ticket_keys_new();
	VEC_EACH(paths, struct str, it) {
		struct str path = conf_path_in_folder(w->cf, *it), bytes;

		if (w->cf->source->read(w->cf->source, w->cf->temp, path, &bytes) != 0)
			return (conf_error_path(w->cf, errno, "open()", path));
		if (!ssl_ticket_keys_add(w->site->own_keys, bytes))
			return (conf_error(w->cf, "\"" STR_FMT "\" must be 48 or 80 bytes",
			    STR_ARG(path)));
	}
	return (0);
}

static int
part_sessions(struct context_work *w)
{
	const struct ssl_settings *s = w->settings;
	SSL_CTX *ctx = w->loader.ctx;

	SSL_CTX_set_timeout(ctx, (long)s->session_timeout);
	ssl_cache_use(ctx);
	if (s->session_cache.off)
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	w->site->tickets = s->session_tickets;
	if (!s->session_tickets)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	if (ticket_keys_load(w) != 0)
		return (-1);
	ssl_tickets_use(ctx);
	if (s->early_data)
		SSL_CTX_set_max_early_data(ctx, EARLY_DATA_MAX);
	return (0);
}

static int
part_staples(struct context_work *w)
{
	const struct ssl_settings *s = w->settings;

	if (!s->stapling || s->dynamic)
		return (0);
	w->site->staples = ssl_staples_new(w->cf, &w->loader, s);
	return (w->site->staples == NULL ? -1 : 0);
}

static int
part_commands(struct context_work *w)
{
	const struct vec *commands = &w->settings->conf_commands;

	if (ssl_apply_commands(w->cf, &w->loader, commands) != 0)
		return (-1);
	for (size_t i = 0; i + 1 < commands->count; i += 2) {
		struct str name = *vec_at(commands, struct str, i);

		if (str_eq_ci(name, STR("Groups")) || str_eq_ci(name, STR("Curves")))
			groups_set(w->site, *vec_at(commands, struct str, i + 1));
	}
	return (0);
}

/* --- whose sessions are whose --- */

static void
digest_file(struct context_work *w, EVP_MD_CTX *digest, struct str path)
{
	struct str bytes = STR("");

	if (path.n > 0)		/* read before: a failure was told */
		(void)w->cf->source->read(w->cf->source, w->cf->temp,
		    conf_path_in_folder(w->cf, path), &bytes);
	(void)EVP_DigestUpdate(digest, &bytes.n, sizeof(bytes.n));
	(void)EVP_DigestUpdate(digest, bytes.p, bytes.n);
}

static void
digest_certificates(struct context_work *w, EVP_MD_CTX *digest)
{
	SSL_CTX *ctx = w->loader.ctx;
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n;

	for (long rc = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); rc == 1;
	    rc = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
		if (X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), md, &n) == 1)
			(void)EVP_DigestUpdate(digest, md, n);
	if (w->settings->dynamic)
		VEC_EACH(&w->settings->certificates, struct str, it)
			(void)EVP_DigestUpdate(digest, it->p, it->n);
}

/*
 * A session is resumed only where the same clients are believed for the same reasons, and the same
 * certificates are shown: so one that was verified for one server never passes another's
 * (CVE-2025-23419), by ticket or by id.
 */
static int
part_identity(struct context_work *w)
{
	const struct ssl_settings *s = w->settings;
	const uint64_t numbers[2] = { s->verify, s->verify_depth };
	EVP_MD_CTX *trust = EVP_MD_CTX_new(), *identity = EVP_MD_CTX_new();

	if (trust == NULL || identity == NULL || EVP_DigestInit_ex(trust, EVP_sha256(), NULL) != 1)
		abort();
	(void)EVP_DigestUpdate(trust, numbers, sizeof(numbers));
	if (s->verify != SSL_VERIFY_OFF) {
		digest_file(w, trust, s->client_certificate);
		digest_file(w, trust, s->trusted_certificate);
		digest_file(w, trust, s->crl);
	}
	(void)EVP_MD_CTX_copy_ex(identity, trust);
	digest_certificates(w, identity);
	(void)EVP_DigestFinal_ex(trust, w->site->trust, NULL);
	(void)EVP_DigestFinal_ex(identity, w->site->identity, NULL);
	EVP_MD_CTX_free(trust);
	EVP_MD_CTX_free(identity);
	ERR_clear_error();
	if (SSL_CTX_set_session_id_context(w->loader.ctx, w->site->identity,
	    sizeof(w->site->identity)) != 1)
		return (ssl_load_failed(&w->loader, "SSL_CTX_set_session_id_context", STR("")));
	return (0);
}

static int
part_cache(struct context_work *w)
{
	const struct ssl_cache_choice *choice = &w->settings->session_cache;
	struct str name;

	if (choice->off)
		return (0);
	if (choice->shared.n > 0) {
		name = pool_printf(w->cf->temp, "shared " STR_FMT, STR_ARG(choice->shared));
		w->site->cache = ssl_cache_get(name, choice->shared_size, 0);
	} else if (choice->builtin) {
		name = pool_printf(w->cf->temp, "builtin " STR_FMT, STR_ARG(encode_hex(w->cf->temp,
		    str_make((char *)w->site->identity, sizeof(w->site->identity)))));
		w->site->cache = ssl_cache_get(name, 0,
		    choice->builtin_count != 0 ? choice->builtin_count : BUILTIN_COUNT);
	}
	return (0);
}

/* In nginx's order, so that of several mistakes the same one is told. */
static int (*const context_parts[])(struct context_work *) = {
	part_protocols, part_certificates, part_ciphers, part_clients, part_exchange, part_sessions,
	part_staples, part_commands, part_identity, part_cache
};

int
ssl_refuse(struct conf *cf, const char *format, ...)
{
	char text[2 * SSL_WHY_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_write(cf->log, LOG_EMERG, 0, 0, "%s", text);
	cf->errors++;
	return (-1);
}

/* The server is named: what it inherits may be written elsewhere. */
static void
context_refuse(struct conf *cf, const struct server *server, const struct ssl_loader *l)
{
	struct str hint = ssl_load_hint(l);

	ssl_refuse(cf, "%s for the server in " STR_FMT ":%u%s" STR_FMT "%s", l->why,
	    STR_ARG(server->file), server->line, hint.n > 0 ? " (" : "", STR_ARG(hint),
	    hint.n > 0 ? ")" : "");
}

static void
context_free(void *ctx)
{
	SSL_CTX_free(ctx);
}

struct ssl_ctx_st *
ssl_context_new(struct conf *cf, const struct server *server, struct ssl_settings *settings)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct context_work w = { .cf = cf, .server = server, .settings = settings };

	if (ctx == NULL) {
		ssl_refuse(cf, "SSL_CTX_new() failed");
		return (NULL);
	}
	pool_cleanup(cf->pool, context_free, ctx);
	w.loader.source = cf->source;
	w.loader.pool = cf->temp;
	w.loader.ctx = ctx;
	w.site = site_new(ctx);
	w.site->reject = settings->reject_handshake;
	w.site->dynamic = settings->dynamic;
	w.site->record_max = (size_t)settings->buffer_size;
	ssl_hello_use(ctx, !server->http->kind->headless);
	for (size_t i = 0; i < sizeof(context_parts) / sizeof(context_parts[0]); i++) {
		w.loader.why[0] = '\0';
		if (context_parts[i](&w) == 0)
			continue;
		if (w.loader.why[0] != '\0')
			context_refuse(cf, server, &w.loader);
		ssl_loader_fini(&w.loader);
		return (NULL);
	}
	ssl_loader_fini(&w.loader);
	return (ctx);
}
