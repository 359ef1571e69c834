#ifndef WPROXY_MOD_SSL_RESPONDER_H
#define WPROXY_MOD_SSL_RESPONDER_H

#include "base/str.h"
#include "mod/ssl_staples.h"
#include "net/loop.h"

/*
 * Asks an OCSP responder, on this loop, in the background: ends with
 * staple_take_answer() or staple_failed().  Complaints go to the main log.
 */
void	ssl_responder_ask(struct loop *, struct staple *, const struct staple_question *);

#endif
