#ifndef WPROXY_NET_TLS_STATE_H
#define WPROXY_NET_TLS_STATE_H

#include <openssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/bio.h"
#include "net/tls_record.h"

/* What tls.c and tls_handshake.c share; nobody else includes it. */
enum {
	TLS_RECORD_MAX = 16384,
	TLS_AHEAD = 20480	/* takes the largest record, encrypted */
};

enum tls_state {
	TLS_HELLO,	/* a server that has not seen its client's first byte */
	TLS_MAYBE_EARLY,	/* early data is allowed and may come */
	TLS_HANDSHAKE,
	TLS_EARLY,	/* early data comes; the handshake has not ended */
	TLS_OPEN,
	TLS_PLAIN_HTTP,
	TLS_FAILED
};

struct tls {
	SSL *ssl;
	struct wire wire;
	struct task flush;	/* at the end of the turn */
	void *arg;
	enum tls_state state;
	bool early_used;
	bool direct;		/* OpenSSL writes to the socket itself, for kernel TLS */
	bool shut;		/* close_notify was made */
	bool fin_wanted;	/* ... and FIN follows once it is sent */
	bool peers_error;

	struct chain early;	/* early data, decrypted */
	size_t offered;		/* record that OpenSSL did not get rid of: to be offered again */
	char *held;		/* ... of kernel TLS, which is not copied by OpenSSL: has to stay */
	size_t credit;		/* sent already, still in the owner's chain for want of max */
	size_t record_max;
	uint64_t burst;		/* bytes sent since the last pause */
	uint64_t sent_at;	/* ms */
	unsigned dataless;
	char *flight;		/* where OpenSSL makes messages, until the client's next */
	bool waits;		/* counted in room->waiting */
	char *error;
};

/* Of a loop, lent to one call at a time. */
struct tls_room {
	struct task exit;
	struct loop *loop;
	unsigned waiting;	/* handshakes of clients that have had a flight of ours */
	char ahead[BIO_AHEAD_MAX];
	char plain[4 * TLS_RECORD_MAX];	/* what is to be sent, in one piece */
};

struct tls_room	*tls_room_of(struct loop *);
/* Before a call into OpenSSL.  ahead: about how many bytes of the socket it will take. */
struct tls_room	*tls_begin(struct tls *, size_t ahead);
/* Behind it. */
void	tls_end(struct tls *);
/*
 * What is left when OpenSSL says SSL_ERROR_SSL (text NULL: its errors tell), or a call of the
 * socket failed.
 */
void	tls_fail(struct tls *, const char *call, const char *text);
/* What SSL_get_error() said: of a socket that OpenSSL itself found full, the loop tells us. */
void	tls_note_blocked(struct tls *, int why);
/* Around a client's handshake: it will be noted where its messages are made; it need not be. */
void	tls_wait_prepare(struct tls *);
void	tls_wait_end(struct tls *);

#endif
