#ifndef WPROXY_HTTP_FRAMING_H
#define WPROXY_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/header.h"
#include "http/parse.h"

/* Where a message's body ends (RFC 9112 6.3): decided here and nowhere else. */
enum framing_kind { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

struct framing {
	enum framing_kind kind;
	/* FRAMING_LENGTH (> 0 for requests; 0 is FRAMING_LENGTH 0 for responses) */
	uint64_t length;
};

/* 0, or -400 / -501 (SEMANTICS, Transfer-Encoding).  fields: all of the request's. */
int	framing_of_request(unsigned version, const struct fields *, struct framing *);
/* 0, or -1 (the caller answers 502).  204, 304, 1xx and answers to HEAD have none. */
int	framing_of_response(unsigned version, unsigned status, enum method request_method,
	    const struct fields *, struct framing *);

/*
 * Incremental decoder of any framing.  Feed bytes; it says which of them are body.
 *
 *	LENGTH: data -> done		CLOSE: data (the owner calls end at EOF)
 *	CHUNKED: size -> [ext] -> data -> crlf -> size ... -> 0 -> trailers -> done
 */
struct framing_decoder {
	struct framing framing;
	uint64_t left;		/* of the length or of the chunk under way */
	unsigned state;
	unsigned line;		/* bytes of the size line or of the trailers so far, bounded */
	bool done;
};

void	framing_decoder_init(struct framing_decoder *, const struct framing *);
/*
 * Looks at p[0..n): *skip bytes of framing come first, then *data bytes of body; call again behind
 * them.  0; 1 when the body is complete (bytes behind skip+data belong to the next message); -400
 * malformed (bare LF, sign, blank, overflow, a chunk line over 1 KiB, trailers over 8 KiB ...).
 */
int	framing_decode(struct framing_decoder *, const char *p, size_t n, size_t *skip,
	    size_t *data);
/* The connection ended: 0 when that is a clean end (CLOSE, or done), else -1. */
int	framing_decode_eof(struct framing_decoder *);
/*
 * Bytes of body that are sure to come at least, for read sizes and splice: LENGTH left or chunk
 * left.
 */
uint64_t	framing_decoder_left(const struct framing_decoder *);

#endif
