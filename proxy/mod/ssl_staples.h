#ifndef WPROXY_MOD_SSL_STAPLES_H
#define WPROXY_MOD_SSL_STAPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/vec.h"
#include "conf/conf.h"
#include "mod/ssl_pem.h"
#include "net/addr.h"

/*
 * OCSP stapling: the answers of a certificate's authority that are sent along in
 * handshakes.  From a file, or asked for in the background (ssl_responder.c): a
 * handshake takes what is there and never waits.
 */
struct ssl_settings;
struct ssl_staples;

/* Of the certificates in the loader's context, whose callback is set.  NULL: loader->why. */
struct ssl_staples	*ssl_staples_new(struct conf *, struct ssl_loader *,
			    const struct ssl_settings *);
void			 ssl_staples_free(struct ssl_staples *);	/* NULL is allowed */
/* A stapling file as it would be used.  False: why is set. */
bool			 ssl_staple_file_check(struct ssl_loader *, struct str path);

/* --- for ssl_responder.c --- */
struct staple;

/* Where and what to ask. */
struct staple_question {
	struct addr addr;
	char host[256];
	char path[4096];		/* with the request in it */
};
/* An answer came: judged, and kept if it is good.  NULL, or why it is not (static or in room). */
const char	*staple_take_answer(struct staple *, struct str der, char *room, size_t size);
/* The next try is later. */
void		 staple_failed(struct staple *);

#endif
