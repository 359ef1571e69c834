/*
 * TLS to back ends: contexts made from proxy_ssl_* and uwsgi_ssl_* when a
 * configuration is read, and, per thread, the identities that connections are
 * checked for, with the sessions that may be resumed under each.
 *
 *	location: upstream_ssl -> ssl_context (SSL_CTX, its number in the process)
 *	thread:   ssl_identity (context, name) -> slots (per address) -> SSL_SESSION
 *
 * Contexts are read-only once published.  An identity lives while connections
 * refer to it, and a while longer: at most IDENTITIES_MAX unused ones a thread.
 */
#include "mod/proxy_ssl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "http/tpl.h"
#include "mod/ssl.h"
#include "mod/ssl_dynamic.h"
#include "mod/ssl_options.h"
#include "mod/ssl_pem.h"
#include "mod/upstream_settings.h"
#include "net/tls.h"
#include "net/tls_error.h"

#define IDENTITIES_MAX	256
#define SLOTS_MAX	64
#define ERROR_MAX	256

struct ssl_context {
	SSL_CTX *ctx;
	uint64_t number;	/* never used twice: what sessions and connections are kept under */
	bool verify, reuse, server_name;
	bool dynamic;		/* what we show depends on the request */
	struct str folder;
	struct vec passwords;	/* struct str */
};

/* What may be resumed with one address. */
struct ssl_slot {
	struct addr addr;
	SSL_SESSION *session;	/* NULL: none */
};

struct ssl_identity {
	struct list link;	/* thread's, most recent first; in none when that has ended */
	unsigned refs;
	struct ssl_context context;	/* holds its ctx */
	SSL_CTX *pair;		/* what we show, where that depends on the request; NULL: nothing */
	char *name;
	struct ssl_slot *slots[SLOTS_MAX];
	unsigned slot_count;
	char why[ERROR_MAX];
};

struct identity_thread {
	struct task exit;
	struct http_thread *owner;
	struct list identities;
	unsigned count;
};

/* --- contexts --- */

static int
passwords_read(struct conf *cf, const struct upstream_ssl *ssl)
{
	struct vec *passwords = &ssl->context->passwords;
	struct str path, bytes;

	*passwords = VEC_OF(struct str);
	if (ssl->password_file.n == 0)
		return (0);
	path = conf_path_in_folder(cf, ssl->password_file);
	if (cf->source->read(cf->source, cf->temp, path, &bytes) != 0)
		return (conf_error_path(cf, errno, "open()", path));
	ssl_read_passwords(bytes, passwords, cf->pool);
	return (0);
}

/* What we show to back ends that ask. */
static int
certificate_load(struct conf *cf, struct ssl_loader *l, const struct upstream_ssl *ssl)
{
	struct str key;

	if (passwords_read(cf, ssl) != 0)
		return (-1);
	if (ssl->certificate == NULL || tpl_text(ssl->certificate).n == 0)
		return (0);
	if (ssl->certificate_key == NULL)
		return (ssl_refuse(cf, "no \"proxy_ssl_certificate_key\" is defined for "
		    "certificate \"" STR_FMT "\"", STR_ARG(tpl_text(ssl->certificate))));
	ssl->context->dynamic = !tpl_is_literal(ssl->certificate) ||
	    !tpl_is_literal(ssl->certificate_key);
	if (ssl->context->dynamic)
		return (0);
	key = conf_path_in_folder(cf, tpl_text(ssl->certificate_key));
	if (ssl_load_certificate(l, conf_path_in_folder(cf, tpl_text(ssl->certificate))) != 0 ||
	    ssl_load_key(l, key, &ssl->context->passwords) != 0)
		return (-1);
	return (ssl_check_keys(l, key));
}

/* Sessions are kept by us, per thread and address. */
static int
session_new(SSL *ssl, SSL_SESSION *session)
{
	struct ssl_slot *slot = tls_arg(ssl);

	if (slot == NULL)
		return (0);
	SSL_SESSION_free(slot->session);
	slot->session = session;
	return (1);
}

static int
accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return (1);	/* judged after the handshake, with the name */
}

static int
trust_load(struct conf *cf, struct ssl_loader *l, const struct upstream_ssl *ssl)
{
	if (!ssl->verify)
		return (0);
	if (ssl->trusted_certificate.n == 0)
		return (ssl_refuse(cf, "no proxy_ssl_trusted_certificate for proxy_ssl_verify"));
	SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, accept_any);
	SSL_CTX_set_verify_depth(l->ctx, (int)ssl->verify_depth);
	if (ssl_load_trusted(l, conf_path_in_folder(cf, ssl->trusted_certificate), false) != 0)
		return (-1);
	return (ssl->crl.n == 0 ? 0 : ssl_load_crl(l, conf_path_in_folder(cf, ssl->crl)));
}

static int
context_fill(struct conf *cf, struct ssl_loader *l, const struct upstream_ssl *ssl)
{
	ssl_apply_protocols(l->ctx, ssl->protocols);
	if (ssl->ciphers.n > 0 && SSL_CTX_set_cipher_list(l->ctx, ssl->ciphers.p) != 1)
		return (ssl_load_failed(l, "SSL_CTX_set_cipher_list", ssl->ciphers));
	if (certificate_load(cf, l, ssl) != 0 || trust_load(cf, l, ssl) != 0)
		return (-1);
	if (ssl->session_reuse) {
		SSL_CTX_set_session_cache_mode(l->ctx,
		    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(l->ctx, session_new);
	}
	SSL_CTX_set_mode(l->ctx, SSL_MODE_RELEASE_BUFFERS);
	return (ssl_apply_commands(cf, l, &ssl->conf_commands));
}

/* What was not said yet, is. */
static int
context_made(struct conf *cf, SSL_CTX *ctx, const struct upstream_ssl *ssl)
{
	struct ssl_loader l = { .source = cf->source, .pool = cf->temp, .ctx = ctx };
	int rc = context_fill(cf, &l, ssl);

	if (rc != 0 && l.why[0] != '\0')
		ssl_refuse(cf, "%s", l.why);
	ssl_loader_fini(&l);
	return (rc);
}

static void
context_free(void *arg)
{
	struct ssl_context *context = arg;

	SSL_CTX_free(context->ctx);
}

/* Settings that were all inherited share the context of the level around. */
static bool
settings_equal(const struct upstream_ssl *a, const struct upstream_ssl *b)
{
	return (a->certificate == b->certificate && a->certificate_key == b->certificate_key &&
	    a->password_file.p == b->password_file.p &&
	    a->trusted_certificate.p == b->trusted_certificate.p && a->crl.p == b->crl.p &&
	    a->ciphers.p == b->ciphers.p && a->conf_commands.items == b->conf_commands.items &&
	    a->protocols == b->protocols && a->verify_depth == b->verify_depth &&
	    a->verify == b->verify && a->session_reuse == b->session_reuse &&
	    a->server_name == b->server_name);
}

int
upstream_ssl_init(struct conf *cf, struct upstream_ssl *ssl, const struct upstream_ssl *parent)
{
	static atomic_uint_fast64_t numbers;
	struct ssl_context *context;

	if (parent != NULL && parent->context != NULL && settings_equal(ssl, parent)) {
		ssl->context = parent->context;
		return (0);
	}
	context = pool_new_object(cf->pool, struct ssl_context);
	context->ctx = SSL_CTX_new(TLS_client_method());
	if (context->ctx == NULL)
		return (ssl_refuse(cf, "SSL_CTX_new() failed"));
	pool_cleanup(cf->pool, context_free, context);
	context->number = atomic_fetch_add(&numbers, 1) + 1;
	context->verify = ssl->verify;
	context->reuse = ssl->session_reuse;
	context->server_name = ssl->server_name;
	context->folder = cf->folder;
	ssl->context = context;
	return (context_made(cf, context->ctx, ssl));
}

/* --- identities of a thread --- */

static void
identity_free(struct ssl_identity *identity)
{
	list_remove(&identity->link);
	for (unsigned i = 0; i < identity->slot_count; i++) {
		SSL_SESSION_free(identity->slots[i]->session);
		free(identity->slots[i]);
	}
	SSL_CTX_free(identity->context.ctx);
	SSL_CTX_free(identity->pair);
	free(identity->name);
	free(identity);
}

static void
identity_thread_free(struct task *exit)
{
	struct identity_thread *thread = list_item(exit, struct identity_thread, exit);

	/* What is still referred to (kept connections end later) goes with its last reference. */
	LIST_EACH_SAFE(&thread->identities, it, after) {
		struct ssl_identity *identity = list_item(it, struct ssl_identity, link);

		if (identity->refs > 0)
			list_remove(it);
		else
			identity_free(identity);
	}
	thread->owner->upstream_identities = NULL;
	free(thread);
}

static struct identity_thread *
identity_thread_of(struct http_thread *owner)
{
	struct identity_thread *thread = owner->upstream_identities;

	if (thread != NULL)
		return (thread);
	thread = owner->upstream_identities = xcalloc(1, sizeof(*thread));
	thread->owner = owner;
	thread->exit.run = identity_thread_free;
	list_init(&thread->identities);
	loop_at_exit(owner->loop, &thread->exit);
	return (thread);
}

/* The oldest that nobody refers to. */
static void
identities_trim(struct identity_thread *thread)
{
	for (struct list *it = thread->identities.prev, *before; it != &thread->identities &&
	    thread->count >= IDENTITIES_MAX; it = before) {
		struct ssl_identity *identity = list_item(it, struct ssl_identity, link);

		before = it->prev;
		if (identity->refs > 0)
			continue;
		identity_free(identity);
		thread->count--;
	}
}

/* "example.org:443" -> "example.org". */
static struct str
name_without_port(struct str name)
{
	size_t at = str_starts(name, STR("[")) ? str_chr(name, ']') : str_chr(name, ':');

	if (at == SIZE_MAX)
		return (name);
	return (str_starts(name, STR("[")) ? str_make(name.p + 1, at - 1) : str_make(name.p, at));
}

struct ssl_identity *
ssl_identity_get(struct request *r, const struct upstream_ssl *ssl, struct str name)
{
	struct identity_thread *thread = identity_thread_of(r->thread);
	struct ssl_identity *identity;
	SSL_CTX *pair = NULL;

	if (ssl->context->dynamic && tpl_eval(r, ssl->certificate).n > 0 &&
	    (pair = ssl_pair_get(r, ssl->context->folder, ssl->certificate, ssl->certificate_key,
	    &ssl->context->passwords)) == NULL)
		return (NULL);
	if (ssl->name != NULL)
		name = tpl_eval(r, ssl->name);
	name = name_without_port(name);
	LIST_EACH(&thread->identities, it) {
		identity = list_item(it, struct ssl_identity, link);
		if (identity->context.number != ssl->context->number || identity->pair != pair ||
		    !str_eq(str_from(identity->name), name))
			continue;
		SSL_CTX_free(pair);
		list_remove(&identity->link);
		list_push_front(&thread->identities, &identity->link);
		identity->refs++;
		return (identity);
	}
	identities_trim(thread);
	identity = xcalloc(1, sizeof(*identity));
	identity->context = *ssl->context;
	SSL_CTX_up_ref(identity->context.ctx);
	identity->pair = pair;
	identity->name = xcalloc(1, name.n + 1);
	if (name.n > 0)
		memcpy(identity->name, name.p, name.n);
	identity->refs = 1;
	list_init(&identity->link);
	list_push_front(&thread->identities, &identity->link);
	thread->count++;
	return (identity);
}

void
ssl_identity_hold(struct ssl_identity *identity)
{
	if (identity != NULL)
		identity->refs++;
}

void
ssl_identity_drop(struct ssl_identity *identity)
{
	if (identity != NULL && --identity->refs == 0 && list_is_empty(&identity->link))
		identity_free(identity);
}

/* --- connections --- */

/* A slot is never freed before its identity: connections refer to it. */
static struct ssl_slot *
identity_slot(struct ssl_identity *identity, const struct addr *addr)
{
	struct ssl_slot *slot;

	for (unsigned i = 0; i < identity->slot_count; i++)
		if (addr_eq(&identity->slots[i]->addr, addr))
			return (identity->slots[i]);
	if (identity->slot_count == SLOTS_MAX)
		return (NULL);
	slot = identity->slots[identity->slot_count++] = xcalloc(1, sizeof(*slot));
	slot->addr = *addr;
	return (slot);
}

int
ssl_identity_start(struct ssl_identity *identity, struct conn *conn)
{
	struct ssl_slot *slot = identity->context.reuse ?
	    identity_slot(identity, &conn->peer) : NULL;
	struct str name = identity->context.server_name ? str_from(identity->name) : STR("");
	struct addr literal;

	/* RFC 6066: no addresses in SNI. */
	if (addr_parse(name, 443, &literal))
		name = STR("");
	if (tls_start(conn, identity->context.ctx, false, name, slot) != 0 ||
	    (identity->pair != NULL && !ssl_pair_apply(tls_ssl(conn), identity->pair)))
		return (-1);
	if (slot != NULL && slot->session != NULL)
		(void)SSL_set_session(tls_ssl(conn), slot->session);
	return (0);
}

const char *
ssl_identity_check(struct ssl_identity *identity, struct conn *conn)
{
	SSL *ssl = tls_ssl(conn);
	X509 *cert;
	long rc;
	bool same;

	if (!identity->context.verify)
		return (NULL);
	rc = SSL_get_verify_result(ssl);
	if (rc != X509_V_OK) {
		snprintf(identity->why, sizeof(identity->why),
		    "upstream SSL certificate verify error: (%ld:%s)", rc,
		    X509_verify_cert_error_string(rc));
		return (identity->why);
	}
	cert = SSL_get1_peer_certificate(ssl);
	if (cert == NULL)
		return ("upstream SSL certificate does not match: there is none");
	same = X509_check_host(cert, identity->name, strlen(identity->name), 0, NULL) == 1 ||
	    X509_check_ip_asc(cert, identity->name, 0) == 1;
	X509_free(cert);
	if (same)
		return (NULL);
	snprintf(identity->why, sizeof(identity->why),
	    "upstream SSL certificate does not match \"%s\"", identity->name);
	return (identity->why);
}
