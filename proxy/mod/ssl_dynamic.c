/*
 * Certificates whose file names hold variables.  Those for clients are asked for by
 * OpenSSL in the middle of a handshake, on the connection's thread, when the client's
 * name is known; those for back ends by proxy_ssl.c before it begins.  What was loaded
 * is kept for the process, by names of files, and is good while both are as they were.
 */
#include "mod/ssl_dynamic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "base/list.h"
#include "base/stamp.h"
#include "http/request.h"
#include "http/session.h"
#include "http/tpl.h"
#include "mod/ssl.h"
#include "mod/ssl_hello.h"
#include "mod/ssl_pem.h"
#include "net/tls.h"

#define KEPT_MAX	1024

/* A loaded pair: the context holds certificate, chain and key. */
struct pair {
	struct list link;	/* most recently used first */
	char *names;		/* "certificate\nkey" */
	struct stamp stamps[2];	/* of the files when they were read */
	SSL_CTX *ctx;
};

static pthread_mutex_t pairs_lock = PTHREAD_MUTEX_INITIALIZER;	/* leaf */
static struct list pairs = LIST_INIT(pairs);
static unsigned pair_count;

static void
pair_free(struct pair *pair)
{
	list_remove(&pair->link);
	pair_count--;
	SSL_CTX_free(pair->ctx);
	free(pair->names);
	free(pair);
}

/* A reference to what is kept under these names, NULL: nothing, or a file has changed. */
static SSL_CTX *
pair_find(struct str names, const struct stamp stamps[2])
{
	SSL_CTX *ctx = NULL;

	pthread_mutex_lock(&pairs_lock);
	LIST_EACH_SAFE(&pairs, it, after) {
		struct pair *pair = list_item(it, struct pair, link);

		if (!str_eq(str_from(pair->names), names))
			continue;
		if (stamp_eq(&pair->stamps[0], &stamps[0]) &&
		    stamp_eq(&pair->stamps[1], &stamps[1])) {
			ctx = pair->ctx;
			SSL_CTX_up_ref(ctx);
			list_remove(it);
			list_push_front(&pairs, it);
		} else {
			pair_free(pair);
		}
		break;
	}
	pthread_mutex_unlock(&pairs_lock);
	return (ctx);
}

static void
pair_keep(struct str names, const struct stamp stamps[2], SSL_CTX *ctx)
{
	struct pair *pair = xcalloc(1, sizeof(*pair));

	pair->names = xcalloc(1, names.n + 1);
	memcpy(pair->names, names.p, names.n);
	memcpy(pair->stamps, stamps, sizeof(pair->stamps));
	SSL_CTX_up_ref(ctx);
	pair->ctx = ctx;
	pthread_mutex_lock(&pairs_lock);
	list_push_front(&pairs, &pair->link);
	if (++pair_count > KEPT_MAX)
		pair_free(list_item(pairs.prev, struct pair, link));
	pthread_mutex_unlock(&pairs_lock);
}

/* --- loading --- */

static struct str
file_name(struct request *r, struct str folder, const struct tpl *tpl)
{
	struct str value = tpl_eval(r, tpl);

	if (str_starts(value, STR("data:")) || str_starts(value, STR("/")))
		return (pool_strdup(r->pool, value));
	return (pool_printf(r->pool, STR_FMT "/" STR_FMT, STR_ARG(folder), STR_ARG(value)));
}

static SSL_CTX *
pair_load(struct request *r, struct str cert, struct str key, const struct vec *passwords)
{
	struct ssl_loader l = { .source = conf_source_files(r->pool), .pool = r->pool,
		.ctx = SSL_CTX_new(TLS_server_method()) };
	bool ok;

	if (l.ctx == NULL)
		return (NULL);
	ok = ssl_load_certificate(&l, cert) == 0 &&
	    ssl_load_key(&l, key, passwords) == 0 && ssl_check_keys(&l, key) == 0;
	ssl_loader_fini(&l);
	if (ok)
		return (l.ctx);
	request_log(r, LOG_ERR, 0, "%s", l.why);
	SSL_CTX_free(l.ctx);
	return (NULL);
}

SSL_CTX *
ssl_pair_get(struct request *r, struct str folder, const struct tpl *cert_tpl,
    const struct tpl *key_tpl, const struct vec *passwords)
{
	struct str cert = file_name(r, folder, cert_tpl), key = file_name(r, folder, key_tpl);
	struct stamp stamps[2] = { stamp_take(cert.p), stamp_take(key.p) };
	struct str names = pool_printf(r->pool, STR_FMT "\n" STR_FMT, STR_ARG(cert),
	    STR_ARG(key));
	SSL_CTX *ctx;

	if (stamps[0].error != 0 || stamps[1].error != 0)
		return (pair_load(r, cert, key, passwords));	/* data:, or missing */
	if ((ctx = pair_find(names, stamps)) != NULL)
		return (ctx);
	ctx = pair_load(r, cert, key, passwords);
	if (ctx != NULL)
		pair_keep(names, stamps, ctx);
	return (ctx);
}

bool
ssl_pair_apply(SSL *ssl, SSL_CTX *ctx)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(ctx, &chain);
	return (SSL_use_certificate(ssl, SSL_CTX_get0_certificate(ctx)) == 1 &&
	    SSL_set1_chain(ssl, chain) == 1 &&
	    SSL_use_PrivateKey(ssl, SSL_CTX_get0_privatekey(ctx)) == 1);
}

static bool
certificates_apply(struct request *r, SSL *ssl, const struct ssl_settings *settings)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	bool ok = true;

	/* No host name has a slash, and the name may become part of a path. */
	if (name != NULL && strchr(name, '/') != NULL)
		return (false);
	for (size_t i = 0; ok && i < settings->certificate_tpls.count; i++) {
		struct tpl *cert = *vec_at(&settings->certificate_tpls, struct tpl *, i);
		struct tpl *key = *vec_at(&settings->key_tpls, struct tpl *, i);
		SSL_CTX *pair = ssl_pair_get(r, settings->folder, cert, key,
		    &settings->passwords.lines);

		ok = pair != NULL && ssl_pair_apply(ssl, pair);
		SSL_CTX_free(pair);
	}
	return (ok);
}

/* 1 goes on; 0 ends the handshake with an alert. */
static int
certificate_callback(SSL *ssl, void *arg)
{
	struct session *s = tls_arg(ssl);
	const struct server *server = ssl_server_of(ssl);
	const struct ssl_settings *settings;
	struct request *r;
	bool ok;

	(void)arg;
	/* A server without certificates shows the default server's. */
	if (server->tls == NULL)
		server = session_listen_of(s)->default_server;
	settings = server_conf(server, ssl_module);
	/* Variables need a request, which pins the configuration; nobody else sees it. */
	r = request_new(session_thread(s), s, NULL, session_listen_of(s));
	r->server = server;
	r->location = server->root;
	r->connection_number = session_number(s);
	r->log_action = "SSL handshaking";
	ok = certificates_apply(r, ssl, settings);
	r->logged = true;
	request_finish(r);
	return (ok);
}

void
ssl_dynamic_use(struct ssl_ctx_st *ctx)
{
	SSL_CTX_set_cert_cb(ctx, certificate_callback, NULL);
}
