/*
 * Protocol versions and OpenSSL's own configuration commands, for the contexts of
 * ssl_context.c (clients) and proxy_ssl.c (back ends).
 */
#include "mod/ssl_options.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "conf/conf.h"
#include "net/tls_error.h"

const struct conf_name ssl_protocol_names[] = {
	{ "SSLv2", PROTOCOL_SSLV2 }, { "SSLv3", PROTOCOL_SSLV3 }, { "TLSv1", PROTOCOL_TLSV1 },
	{ "TLSv1.1", PROTOCOL_TLSV1_1 }, { "TLSv1.2", PROTOCOL_TLSV1_2 },
	{ "TLSv1.3", PROTOCOL_TLSV1_3 }, { NULL, 0 }
};

void
ssl_apply_protocols(struct ssl_ctx_st *ctx, unsigned protocols)
{
	static const struct { unsigned bit; uint64_t off; } table[] = {
		{ PROTOCOL_SSLV3, SSL_OP_NO_SSLv3 }, { PROTOCOL_TLSV1, SSL_OP_NO_TLSv1 },
		{ PROTOCOL_TLSV1_1, SSL_OP_NO_TLSv1_1 }, { PROTOCOL_TLSV1_2, SSL_OP_NO_TLSv1_2 },
		{ PROTOCOL_TLSV1_3, SSL_OP_NO_TLSv1_3 },
	};

	/* Debian's default floor is TLS 1.2; what the file asks for explicitly counts. */
	SSL_CTX_set_min_proto_version(ctx, 0);
	SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if ((protocols & table[i].bit) == 0)
			SSL_CTX_set_options(ctx, table[i].off);
}

static int
command_failed(struct ssl_loader *l, struct str name, struct str value)
{
	char call[SSL_WHY_MAX / 2];
	bool peers;

	(void)snprintf(call, sizeof(call), "SSL_CONF_cmd(\"" STR_FMT "\", \"" STR_FMT "\")",
	    STR_ARG(name), STR_ARG(value));
	tls_error_take(call, l->why, sizeof(l->why), &peers);
	return (-1);
}

/* Names of files are relative to the configuration's folder. */
static struct str
command_value(struct conf *cf, SSL_CONF_CTX *conf, struct str name, struct str value)
{
	int type = SSL_CONF_cmd_value_type(conf, name.p);

	if (type == SSL_CONF_TYPE_FILE || type == SSL_CONF_TYPE_DIR)
		return (conf_path_in_folder(cf, value));
	return (value);
}

int
ssl_apply_commands(struct conf *cf, struct ssl_loader *l, const struct vec *commands)
{
	SSL_CONF_CTX *conf;
	int rc = 0;

	if (commands->count == 0)
		return (0);
	ERR_clear_error();
	conf = SSL_CONF_CTX_new();
	SSL_CONF_CTX_set_flags(conf, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER |
	    SSL_CONF_FLAG_CLIENT | SSL_CONF_FLAG_CERTIFICATE | SSL_CONF_FLAG_SHOW_ERRORS);
	SSL_CONF_CTX_set_ssl_ctx(conf, l->ctx);
	for (size_t i = 0; rc == 0 && i + 1 < commands->count; i += 2) {
		struct str name = *vec_at(commands, struct str, i);
		struct str value = command_value(cf, conf, name,
		    *vec_at(commands, struct str, i + 1));

		if (SSL_CONF_cmd(conf, name.p, value.p) <= 0)
			rc = command_failed(l, name, value);
	}
	if (rc == 0 && SSL_CONF_CTX_finish(conf) != 1)
		rc = command_failed(l, STR("finish"), STR(""));
	SSL_CONF_CTX_free(conf);
	return (rc);
}
