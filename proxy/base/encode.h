#ifndef WPROXY_BASE_ENCODE_H
#define WPROXY_BASE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/str.h"

/* Pure conversions.  Those that make a string take it from the pool, NUL behind. */

/* The sets of nginx's ngx_escape_uri: which bytes become %XX (upper-case hex). */
enum escape_set {
	ESCAPE_URI,		/* path: controls, blank, '#', '%', '?', 0x7f and above */
	ESCAPE_ARGS,		/* query string kept as one: also '&', '+' of a captured value */
	ESCAPE_URI_COMPONENT	/* everything but unreserved */
};
struct str	encode_uri(struct pool *, struct str, enum escape_set);

enum log_escape { LOG_ESCAPE_DEFAULT, LOG_ESCAPE_JSON, LOG_ESCAPE_NONE, LOG_ESCAPE_CONTROLS };
/*
 * CONTROLS: \xXX for < 32 and 127 only, for a line made of several parts.
 * nginx: default \xXX for '"', '\\', <32, >126; json \" \\ \n \u00XX.
 * s itself when nothing changes.
 */
struct str	encode_log(struct pool *, struct str, enum log_escape);

/* & < > " as named characters; s itself when nothing changes. */
struct str	encode_html(struct pool *, struct str);

struct str	encode_base64(struct pool *, struct str);
bool		decode_base64(struct pool *, struct str, struct str *out);
struct str	encode_hex(struct pool *, struct str);

#define UINT_TEXT_LEN	20
/* Decimal into out, returns the length; no NUL. */
size_t		encode_uint(char out[static UINT_TEXT_LEN], uint64_t);
/* Lower-case hex without leading zeros, at most 16 bytes. */
size_t		encode_uint_hex(char out[static 16], uint64_t);

/* -1 when c is no hex digit. */
int		hex_digit(unsigned char c);

#endif
