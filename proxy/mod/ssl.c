/*
 * The server side of TLS: the directives ssl_*, what they must fulfil together,
 * and the step that judges the client's certificate.  The rest of it: contexts
 * (ssl_context.c), the choice of a server by name (ssl_hello.c), sessions and tickets
 * (ssl_cache.c, ssl_tickets.c), staples, renewal, variables (ssl_vars.c).
 */
#include "mod/ssl.h"

#include <errno.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "http/request.h"
#include "http/route.h"
#include "http/session.h"
#include "http/site.h"
#include "http/tpl.h"
#include "mod/modules.h"
#include "mod/ssl_hello.h"
#include "mod/ssl_options.h"
#include "mod/ssl_pem.h"
#include "mod/ssl_renewal.h"
#include "mod/ssl_vars.h"
#include "net/tls.h"

#define ZONE_MIN	(8 * 4096)	/* nginx's, for the pages of a zone */

/* --- the client's certificate --- */

/* What optional_no_ca puts up with: whoever is behind checks for itself. */
static bool
is_unknown_authority(long why)
{
	return (why == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
	    why == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
	    why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	    why == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE);
}

/* 0, or the status to fail with. */
static unsigned
client_judge(struct request *r, SSL *ssl, unsigned verify)
{
	long why = SSL_get_verify_result(ssl);

	if (why != X509_V_OK &&
	    (verify != SSL_VERIFY_OPTIONAL_NO_CA || !is_unknown_authority(why))) {
		request_log(r, LOG_INFO, 0, "client SSL certificate verify error: (%ld:%s)", why,
		    X509_verify_cert_error_string(why));
		return (495);
	}
	if (verify == SSL_VERIFY_ON && SSL_get0_peer_certificate(ssl) == NULL) {
		request_log(r, LOG_INFO, 0, "client sent no required SSL certificate");
		return (496);
	}
	return (0);
}

/* The certificate was looked at by another server's settings. */
static unsigned
misdirected(struct request *r)
{
	request_log(r, LOG_INFO, 0, "client attempted to request the server name different from "
	    "the one that was negotiated");
	return (421);
}

/* The name that chose a server in the handshake; absent: the default server was taken. */
static struct str
negotiated_name(struct request *r, SSL *ssl, char room[static SSL_NAME_MAX])
{
	struct str name = ssl_name_of(ssl, room);

	if (name.p == NULL || route_server_named(NULL, session_listen(r), name) == NULL)
		return (STR_NULL);
	return (name);
}

/* 0, or the status to fail with. */
static unsigned
client_check(struct request *r, SSL *ssl, const struct ssl_settings *settings)
{
	const struct ssl_site *site = ssl_site_of(ssl);
	const struct ssl_site *wanted = r->server->tls == NULL ? site :
	    ssl_site_of_context(r->server->tls);
	char room[SSL_NAME_MAX];
	struct str name = negotiated_name(r, ssl, room);
	unsigned status;

	if (name.p != NULL && !str_eq(name, r->in.host))
		return (misdirected(r));
	status = client_judge(r, ssl, settings->verify);
	if (status != 0 || SSL_get0_peer_certificate(ssl) == NULL)
		return (status);
	if (memcmp(site->trust, wanted->trust, sizeof(site->trust)) != 0)
		return (misdirected(r));
	return (0);
}

enum step_result
ssl_client_step(struct request *r)
{
	struct conn *conn = session_conn(r);
	SSL *ssl = conn == NULL ? NULL : tls_ssl(conn);
	const struct ssl_settings *settings;
	unsigned status;

	if (ssl == NULL)
		return (STEP_NEXT);
	settings = server_conf(r->server, ssl_module);
	tls_set_record_max(conn, (size_t)settings->buffer_size);
	if (settings->verify == SSL_VERIFY_OFF)
		return (STEP_NEXT);
	status = client_check(r, ssl, settings);
	return (status == 0 ? STEP_NEXT : request_fail(r, status));
}

/* --- directives --- */

static int
switch_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct ssl_switch *sw = field;

	if (conf_flag.set(cf, row, &sw->on) != 0)
		return (-1);
	if (cf->words[0].at.file.n == 0)
		return (0);		/* the default */
	conf_warn(cf, "the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive "
	    "instead");
	sw->file = cf->lexer->at.file;
	sw->line = cf->lexer->at.line;
	return (0);
}

static int
http2_set(struct conf *cf, const struct conf_row *row, void *field)
{
	bool *on = field;

	if (conf_flag.set(cf, row, on) != 0)
		return (-1);
	if (*on && !conf_http(cf)->http2_warned) {
		conf_warn(cf, "\"http2\" is accepted, but only HTTP/1.1 is offered");
		conf_http(cf)->http2_warned = true;
	}
	return (0);
}

static int
passwords_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct ssl_passwords *passwords = field;
	struct str bytes;

	(void)row;
	passwords->file = pool_strdup(cf->pool, conf_path_in_folder(cf, cf->words[1].text));
	passwords->lines = VEC_OF(struct str);
	if (cf->source->read(cf->source, cf->pool, passwords->file, &bytes) != 0)
		return (conf_error_path(cf, errno, "open()", passwords->file));
	ssl_read_passwords(bytes, &passwords->lines, cf->pool);
	return (0);
}

/* One size for each name. */
static int
zone_declare(struct conf *cf, struct str name, uint64_t size)
{
	struct ssl_main *main = main_conf(conf_http(cf), ssl_module);
	struct ssl_zone *zone;

	if (main->zones.size == 0)
		main->zones = VEC_OF(struct ssl_zone);
	VEC_EACH(&main->zones, struct ssl_zone, it) {
		if (!str_eq(it->name, name))
			continue;
		if (it->size == size)
			return (0);
		return (conf_error(cf, "the size %llu of shared memory zone \"" STR_FMT
		    "\" conflicts with already declared size %llu", (unsigned long long)size,
		    STR_ARG(name), (unsigned long long)it->size));
	}
	zone = vec_push(&main->zones, cf->pool);
	zone->name = name;
	zone->size = size;
	return (0);
}

static int
cache_refuse(struct conf *cf, unsigned i)
{
	return (conf_error_at(cf, i, "invalid session cache \"" STR_FMT "\"",
	    STR_ARG(cf->words[i].text)));
}

/* "shared:NAME:SIZE" */
static int
cache_shared_set(struct conf *cf, unsigned i, struct ssl_cache_choice *choice)
{
	struct str word = cf->words[i].text, name = str_skip(word, 7);
	size_t colon = str_chr(name, ':');
	uint64_t size;

	if (colon == SIZE_MAX || colon == 0 || !str_to_size(str_skip(name, colon + 1), &size))
		return (cache_refuse(cf, i));
	if (size < ZONE_MIN)
		return (conf_error_at(cf, i, "session cache \"" STR_FMT "\" is too small",
		    STR_ARG(word)));
	name.n = colon;
	choice->shared = name;
	choice->shared_size = size;
	return (zone_declare(cf, name, size));
}

static int
cache_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct ssl_cache_choice *choice = field;

	(void)row;
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct str word = cf->words[i].text;

		if (str_eq(word, STR("off"))) {
			choice->off = true;
		} else if (str_eq(word, STR("none"))) {
			choice->builtin = false;
		} else if (str_eq(word, STR("builtin"))) {
			choice->builtin = true;
		} else if (str_starts(word, STR("builtin:"))) {
			choice->builtin = true;
			if (!str_to_uint(str_skip(word, 8), INT32_MAX, &choice->builtin_count))
				return (cache_refuse(cf, i));
		} else if (str_starts(word, STR("shared:"))) {
			if (cache_shared_set(cf, i, choice) != 0)
				return (-1);
		} else {
			return (cache_refuse(cf, i));
		}
	}
	return (0);
}

static const struct conf_type conf_switch = { "flag", sizeof(struct ssl_switch), switch_set, NULL };
static const struct conf_type conf_passwords = {
	"file", sizeof(struct ssl_passwords), passwords_set, NULL
};
static const struct conf_type conf_cache = {
	"session cache", sizeof(struct ssl_cache_choice), cache_set, NULL
};

static const struct conf_name verify_names[] = {
	{ "off", SSL_VERIFY_OFF }, { "on", SSL_VERIFY_ON }, { "optional", SSL_VERIFY_OPTIONAL },
	{ "optional_no_ca", SSL_VERIFY_OPTIONAL_NO_CA }, { NULL, 0 }
};

#define CTX_HS		(CTX_HTTP | CTX_SERVER)
#define CTX_TLS		(CTX_HS | CTX_STREAMS)
#define ROW(text, where, kind, field, ...)						\
	{ .name = (text), .contexts = (where), .min = 1, .max = 1,				\
	    .scope = SCOPE_SERVER, .type = &(kind),						\
	    .offset = offsetof(struct ssl_settings, field), __VA_ARGS__ }

static const struct conf_row ssl_rows[] = {
	ROW("ssl", CTX_HS, conf_switch, ssl, .dflt = "off"),
	ROW("ssl_certificate", CTX_TLS, conf_strs, certificates, .flags = CONF_REPEAT),
	ROW("ssl_certificate_key", CTX_TLS, conf_strs, certificate_keys, .flags = CONF_REPEAT),
	ROW("ssl_password_file", CTX_TLS, conf_passwords, passwords),
	{ .name = "ssl_protocols", .contexts = CTX_TLS, .min = 1, .max = CONF_ANY,
	    .scope = SCOPE_SERVER, .type = &conf_mask, .param = ssl_protocol_names,
	    .offset = offsetof(struct ssl_settings, protocols), .dflt = "TLSv1.2 TLSv1.3" },
	ROW("ssl_ciphers", CTX_TLS, conf_str, ciphers),
	ROW("ssl_prefer_server_ciphers", CTX_TLS, conf_flag, prefer_server_ciphers, .dflt = "on"),
	{ .name = "ssl_conf_command", .contexts = CTX_TLS, .min = 2, .max = 2,
	    .scope = SCOPE_SERVER, .flags = CONF_REPEAT, .type = &conf_strs,
	    .offset = offsetof(struct ssl_settings, conf_commands) },
	ROW("ssl_ecdh_curve", CTX_TLS, conf_str, ecdh_curve, .dflt = "X25519:P-256:P-384"),
	ROW("ssl_dhparam", CTX_TLS, conf_str, dhparam),
	{ .name = "ssl_session_cache", .contexts = CTX_TLS, .min = 1, .max = 2,
	    .scope = SCOPE_SERVER, .type = &conf_cache,
	    .flags = CONF_REPEAT, .offset = offsetof(struct ssl_settings, session_cache),
	    .dflt = "none" },
	ROW("ssl_session_timeout", CTX_TLS, conf_sec, session_timeout, .dflt = "5m"),
	ROW("ssl_session_tickets", CTX_TLS, conf_flag, session_tickets, .dflt = "on"),
	ROW("ssl_session_ticket_key", CTX_TLS, conf_strs, session_ticket_keys,
	    .flags = CONF_REPEAT),
	ROW("ssl_verify_client", CTX_TLS, conf_enum, verify, .param = verify_names, .dflt = "off"),
	ROW("ssl_verify_depth", CTX_TLS, conf_uint, verify_depth, .dflt = "1"),
	ROW("ssl_client_certificate", CTX_TLS, conf_str, client_certificate),
	ROW("ssl_trusted_certificate", CTX_TLS, conf_str, trusted_certificate),
	ROW("ssl_crl", CTX_TLS, conf_str, crl),
	ROW("ssl_stapling", CTX_HS, conf_flag, stapling, .dflt = "off"),
	ROW("ssl_stapling_verify", CTX_HS, conf_flag, stapling_verify, .dflt = "off"),
	ROW("ssl_stapling_file", CTX_HS, conf_str, stapling_file),
	ROW("ssl_stapling_responder", CTX_HS, conf_str, stapling_responder),
	ROW("ssl_buffer_size", CTX_HS, conf_size, buffer_size, .dflt = "16k"),
	ROW("ssl_early_data", CTX_HS, conf_flag, early_data, .dflt = "off"),
	ROW("ssl_reject_handshake", CTX_HS, conf_flag, reject_handshake, .dflt = "off"),
	ROW("http2", CTX_HS, conf_flag, http2, .dflt = "off", .set = http2_set),
	{ .name = NULL }
};

/* --- when http {} closes --- */

/* Each certificate has a key; nginx's words. */
static int
pairs_check(struct conf *cf, const struct ssl_settings *s)
{
	size_t certs = s->certificates.count, keys = s->certificate_keys.count;
	struct str cert;

	if (s->ssl.on && certs == 0 && !s->reject_handshake)
		return (ssl_refuse(cf, "no \"ssl_certificate\" is defined for the \"ssl\" "
		    "directive in " STR_FMT ":%u", STR_ARG(s->ssl.file), s->ssl.line));
	if (keys >= certs)
		return (0);
	if (s->ssl.on && keys == 0)
		return (ssl_refuse(cf, "no \"ssl_certificate_key\" is defined for the \"ssl\" "
		    "directive in " STR_FMT ":%u", STR_ARG(s->ssl.file), s->ssl.line));
	cert = *vec_at(&s->certificates, struct str, certs - 1);
	if (s->ssl.on)
		return (ssl_refuse(cf, "no \"ssl_certificate_key\" is defined for certificate \""
		    STR_FMT "\" and the \"ssl\" directive in " STR_FMT ":%u", STR_ARG(cert),
		    STR_ARG(s->ssl.file), s->ssl.line));
	return (ssl_refuse(cf, "no \"ssl_certificate_key\" is defined for certificate \"" STR_FMT
	    "\"", STR_ARG(cert)));
}

static int
templates_compile(struct conf *cf, struct ssl_settings *s)
{
	s->certificate_tpls = s->key_tpls = VEC_OF(struct tpl *);
	s->folder = cf->folder;
	for (size_t i = 0; i < s->certificates.count; i++) {
		struct tpl *cert = tpl_compile(cf, *vec_at(&s->certificates, struct str, i));
		struct tpl *key = tpl_compile(cf, *vec_at(&s->certificate_keys, struct str, i));

		if (cert == NULL || key == NULL)
			return (-1);
		s->dynamic |= !tpl_is_literal(cert) || !tpl_is_literal(key);
		*(struct tpl **)vec_push(&s->certificate_tpls, cf->pool) = cert;
		*(struct tpl **)vec_push(&s->key_tpls, cf->pool) = key;
	}
	return (0);
}

static bool
says_something(const struct server *server)
{
	const struct conf_values *values = server->values[ssl_module.index];

	for (size_t i = 0; values->rows[i].name != NULL; i++)
		if (conf_is_set(values, values->rows[i].scope, values->rows[i].offset) == 2)
			return (true);
	return (false);
}

static int
ssl_init_server(struct conf *cf, struct server *server)
{
	struct ssl_main *main = main_conf(server->http, ssl_module);
	struct ssl_settings *s = server_conf(server, ssl_module);
	bool own = says_something(server);

	if (pairs_check(cf, s) != 0)
		return (-1);
	if (s->certificates.count == 0 && !s->reject_handshake)
		return (0);
	if (templates_compile(cf, s) != 0)
		return (-1);
	if (!s->dynamic && (own || main->common == NULL))
		ssl_set_add(cf, s);
	/* Thousands of servers with one certificate for all need one context. */
	if (!own && main->common != NULL) {
		server->tls = main->common;
		return (0);
	}
	server->tls = ssl_context_new(cf, server, s);
	if (!own)
		main->common = server->tls;
	return (server->tls == NULL ? -1 : 0);
}

static const struct server *
listen_default_server(const struct listen *l)
{
	return (l->default_server != NULL ? l->default_server :
	    *vec_at(&l->servers, struct server *, 0));
}

static int
listen_refuse(struct conf *cf, const struct server *server)
{
	return (ssl_refuse(cf, "no \"ssl_certificate\" is defined for the \"listen ... ssl\" "
	    "directive in " STR_FMT ":%u", STR_ARG(server->file), server->line));
}

static int
ssl_init_main(struct conf *cf, struct http_conf *http)
{
	VEC_EACH(&http->listens, struct listen *, it) {
		const struct server *first = listen_default_server(*it);
		const struct ssl_settings *s = server_conf(first, ssl_module);

		(*it)->ssl |= s->ssl.on;
		if (!(*it)->ssl || s->certificates.count > 0)
			continue;
		if (!s->reject_handshake)
			return (listen_refuse(cf, first));
		/* Nothing can be taken over from a default server that has no certificate. */
		VEC_EACH(&(*it)->servers, struct server *, server)
			if ((*server)->tls == NULL)
				return (listen_refuse(cf, *server));
	}
	return (0);
}

struct module ssl_module = {
	.name = "ssl",
	.sites = SITE_HTTP | SITE_STREAM,
	.size = {
		[SCOPE_MAIN] = sizeof(struct ssl_main),
		[SCOPE_SERVER] = sizeof(struct ssl_settings),
	},
	.rows = ssl_rows,
	.vars = ssl_vars,
	.init_server = ssl_init_server,
	.init_main = ssl_init_main,
};
