/*
 * What a client says first: which server it means (SNI) and which protocols it
 * speaks (ALPN).  Called by OpenSSL on the thread of the connection.
 *
 * The server is chosen before anything else of the hello is looked at: before
 * the version, so that each server's protocols hold, and before a session is
 * looked up, so that it is judged by the settings of the server that is meant.
 */
#include "mod/ssl_hello.h"

#include <string.h>

#include <openssl/ssl.h>

#include "http/route.h"
#include "http/session.h"
#include "mod/ssl.h"
#include "net/tls.h"

/* As host names are compared: lower case, no dot at the end. */
static struct str
name_normal(struct str name, char room[static SSL_NAME_MAX])
{
	if (name.n > SSL_NAME_MAX)
		return (STR(""));
	for (size_t i = 0; i < name.n; i++)
		room[i] = (char)ascii_lower((unsigned char)name.p[i]);
	if (name.n > 0 && room[name.n - 1] == '.')
		name.n--;
	return (str_make(room, name.n));
}

struct str
ssl_name_of(const struct ssl_st *ssl, char room[static SSL_NAME_MAX])
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	if (name == NULL)
		return (STR_NULL);
	return (name_normal(str_from(name), room));
}

static const struct listen *
listen_of(const struct ssl_st *ssl)
{
	return (session_listen_of(tls_arg(ssl)));
}

const struct server *
ssl_server_of(const struct ssl_st *ssl)
{
	char room[SSL_NAME_MAX];

	return (route_server(NULL, listen_of(ssl), ssl_name_of(ssl, room)));
}

/* RFC 6066 3: a list of names, of which there is one: length u16, kind u8, length u16, bytes. */
static struct str
hello_name(SSL *ssl)
{
	const unsigned char *p;
	size_t n, length;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1 || n < 5 ||
	    p[2] != TLSEXT_NAMETYPE_host_name)
		return (STR(""));
	length = (size_t)p[3] << 8 | p[4];
	if (length > n - 5)
		return (STR(""));
	return (str_make((const char *)p + 5, length));
}

/* SSL_set_SSL_CTX() takes over the certificates and little else. */
static bool
context_switch(SSL *ssl, SSL_CTX *ctx)
{
	const struct ssl_site *site = ssl_site_of_context(ctx);
	uint64_t options = SSL_CTX_get_options(ctx);

	if (SSL_set_SSL_CTX(ssl, ctx) == NULL ||
	    SSL_set_session_id_context(ssl, site->identity, sizeof(site->identity)) != 1)
		return (false);
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), SSL_CTX_get_verify_callback(ctx));
	SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(ctx));
	SSL_clear_options(ssl, SSL_get_options(ssl) & ~options);
	SSL_set_options(ssl, options | SSL_OP_NO_RENEGOTIATION);
	SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(ctx));
	SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(ctx));
	SSL_set_max_early_data(ssl, SSL_CTX_get_max_early_data(ctx));
	SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(ctx));
	return (site->groups == NULL || SSL_set1_groups_list(ssl, site->groups) == 1);
}

static int
hello_callback(SSL *ssl, int *alert, void *arg)
{
	char room[SSL_NAME_MAX];
	const struct server *server;

	(void)arg;
	server = route_server(NULL, listen_of(ssl), name_normal(hello_name(ssl), room));
	if (server->tls != NULL && server->tls != SSL_get_SSL_CTX(ssl) &&
	    !context_switch(ssl, server->tls)) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return (SSL_CLIENT_HELLO_ERROR);
	}
	if (ssl_site_of(ssl)->reject) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return (SSL_CLIENT_HELLO_ERROR);
	}
	return (SSL_CLIENT_HELLO_SUCCESS);
}

/* Nothing is left to choose here, but only a callback has OpenSSL keep the name. */
static int
name_callback(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	return (SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) == NULL ?
	    SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK);
}

/* A client that speaks none of ours is told so: alert 120. */
static int
alpn_callback(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
    unsigned in_n, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1\x08http/1.0\x08http/0.9";

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_n, ours, sizeof(ours) - 1,
	    in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return (SSL_TLSEXT_ERR_ALERT_FATAL);
	return (SSL_TLSEXT_ERR_OK);
}

void
ssl_hello_use(struct ssl_ctx_st *ctx, bool http)
{
	SSL_CTX_set_client_hello_cb(ctx, hello_callback, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, name_callback);
	if (http)
		SSL_CTX_set_alpn_select_cb(ctx, alpn_callback, NULL);
}
