#ifndef WPROXY_MOD_SSL_TICKETS_H
#define WPROXY_MOD_SSL_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Keys under which session tickets are sealed.  Those that we make are one set
 * for the process: shared by all servers, threads and generations, a new key
 * every hour, two old ones still read.  Those of ssl_session_ticket_key are the
 * server's own and stay.
 */
struct ssl_ticket_keys;
struct ssl_ctx_st;

#define SSL_TICKET_KEY_SMALL	48	/* AES-128, as nginx's files have them */
#define SSL_TICKET_KEY_LARGE	80	/* AES-256 */

/* The process' own. */
struct ssl_ticket_keys	*ssl_ticket_keys_shared(void);
/* Of files: the first seals.  Freed by the caller. */
struct ssl_ticket_keys	*ssl_ticket_keys_new(void);
/* False: the size is neither of the two. */
bool			 ssl_ticket_keys_add(struct ssl_ticket_keys *, struct str bytes);
void			 ssl_ticket_keys_free(struct ssl_ticket_keys *);	/* NULL: nothing */

/* The callback of a context whose site (ssl.h) has the keys. */
void			 ssl_tickets_use(struct ssl_ctx_st *);

/* --- for tests: the rotation, by a clock of the caller (seconds) --- */
#define SSL_TICKET_NAME		16
void	ssl_ticket_keys_rotate(struct ssl_ticket_keys *, uint64_t now);
/* How many keys there are; their names, newest first. */
size_t	ssl_ticket_keys_names(struct ssl_ticket_keys *, unsigned char names[][SSL_TICKET_NAME],
	    size_t max);

#endif
