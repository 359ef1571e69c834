#ifndef WPROXY_MOD_SSL_H
#define WPROXY_MOD_SSL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/vec.h"
#include "conf/conf.h"
#include "http/request.h"
#include "http/site.h"

/*
 * The server side of TLS, between the ssl_*.c files: what a configuration says,
 * and what is made of it.  One context (SSL_CTX) per server and generation; what
 * outlives a generation (ticket keys, sessions, staples) is in the registry.
 */
struct ssl_ctx_st;
struct ssl_st;
struct ssl_cache;
struct ssl_ticket_keys;
struct ssl_staples;

enum ssl_verify { SSL_VERIFY_OFF, SSL_VERIFY_ON, SSL_VERIFY_OPTIONAL, SSL_VERIFY_OPTIONAL_NO_CA };

/* "ssl on;", and where it was said, for complaints. */
struct ssl_switch {
	bool on;
	struct str file;
	unsigned line;
};

/* ssl_session_cache.  off: nothing is resumable by id, and clients are told so. */
struct ssl_cache_choice {
	bool off;
	struct str shared;	/* name; empty: none */
	uint64_t shared_size;
	bool builtin;
	uint64_t builtin_count;	/* 0: OpenSSL's usual 20480 */
};

/* ssl_password_file and its lines. */
struct ssl_passwords {
	struct str file;		/* absolute; empty: none */
	struct vec lines;		/* struct str */
};

/* SCOPE_SERVER: the directives. */
struct ssl_settings {
	struct ssl_switch ssl;
	struct vec certificates;	/* struct str, as written */
	struct vec certificate_keys;
	struct ssl_passwords passwords;
	unsigned protocols;		/* enum ssl_protocol_bit */
	struct str ciphers;		/* empty: ours */
	bool prefer_server_ciphers;
	struct vec conf_commands;	/* name, value, name, value ... */
	struct str ecdh_curve;
	struct str dhparam;
	struct ssl_cache_choice session_cache;
	uint64_t session_timeout;
	bool session_tickets;
	struct vec session_ticket_keys;	/* struct str, paths */
	unsigned verify;		/* enum ssl_verify */
	uint64_t verify_depth;
	struct str client_certificate;
	struct str trusted_certificate;
	struct str crl;
	bool stapling;
	bool stapling_verify;
	struct str stapling_file;
	struct str stapling_responder;
	uint64_t buffer_size;
	bool early_data;
	bool reject_handshake;
	bool http2;

	/* Made when http {} closes. */
	struct vec certificate_tpls;	/* struct tpl *, where one holds a variable */
	struct vec key_tpls;
	bool dynamic;			/* certificates are looked up per handshake */
	struct str folder;		/* relative names with variables begin here */
};

struct ssl_zone {
	struct str name;
	uint64_t size;
};

/* SCOPE_MAIN. */
struct ssl_main {
	struct vec sets;		/* struct ssl_set *: what renewal watches */
	struct vec zones;		/* struct ssl_zone: shared session caches */
	struct ssl_ctx_st *common;	/* of servers without settings of their own; or NULL */
};

#define SSL_TRUST_SIZE	32

/*
 * What the callbacks of a context need: hangs on the SSL_CTX, lives and dies with it, refers to
 * nothing of a generation.  Read-only once published.
 */
struct ssl_site {
	unsigned verify;
	bool reject;
	bool tickets;
	bool dynamic;
	size_t record_max;
	/* Digests of what decides which clients are believed; of that and the certificates. */
	unsigned char trust[SSL_TRUST_SIZE];
	unsigned char identity[SSL_TRUST_SIZE];	/* the context of sessions */
	char *groups;				/* as OpenSSL spells them; NULL: its own choice */
	struct ssl_cache *cache;		/* NULL: none */
	struct ssl_ticket_keys *keys;
	struct ssl_ticket_keys *own_keys;	/* from files: freed with the site */
	struct ssl_staples *staples;		/* NULL: none */
};

/* --- ssl.c --- */
extern struct module ssl_module;

/* --- ssl_context.c --- */
/*
 * server->tls by its settings.  The context is freed with cf->pool.  NULL after the reason was
 * logged.
 */
struct ssl_ctx_st	*ssl_context_new(struct conf *, const struct server *,
			    struct ssl_settings *);
/* The site of a context, or of the context a connection uses now. */
const struct ssl_site	*ssl_site_of_context(const struct ssl_ctx_st *);
const struct ssl_site	*ssl_site_of(const struct ssl_st *);
/* An [emerg] without place, as nginx's where nothing is being read any more.  Returns -1. */
int	ssl_refuse(struct conf *, const char *, ...) __attribute__((format(printf, 2, 3)));

#endif
