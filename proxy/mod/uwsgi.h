#ifndef WPROXY_MOD_UWSGI_H
#define WPROXY_MOD_UWSGI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* A uwsgi packet under construction: pure, for uwsgi.c and its test. */
struct uwsgi_packet {
	char *p;
	size_t size;
	size_t used;
	bool overflow;
};

void	uwsgi_packet_begin(struct uwsgi_packet *, char *room, size_t size);
void	uwsgi_packet_add(struct uwsgi_packet *, struct str name, struct str value);
/* Fills the head in; false when it does not fit the room or the protocol's 64 KiB. */
bool	uwsgi_packet_end(struct uwsgi_packet *, unsigned char modifier1, unsigned char modifier2);
/* "X-Forwarded-For" -> "HTTP_X_FORWARDED_FOR"; out holds name.n + 5 bytes.  Returns the length. */
size_t	uwsgi_header_name(struct str name, char *out);

#endif
