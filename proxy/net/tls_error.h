#ifndef WPROXY_NET_TLS_ERROR_H
#define WPROXY_NET_TLS_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Empties this thread's OpenSSL error queue into text, in nginx's shape:
 * "call failed (SSL: error:0A00010B:SSL routines::wrong version number ...)".  *peers: the first
 * error is one that the other side causes (nginx logs those at info).
 */
void	tls_error_take(const char *call, char *text, size_t room, bool *peers);

#endif
