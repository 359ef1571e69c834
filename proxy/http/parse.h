#ifndef WPROXY_HTTP_PARSE_H
#define WPROXY_HTTP_PARSE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/header.h"

/*
 * Heads of HTTP/1 messages.  Pure: pointers in the result point into the bytes
 * given.  RFC 9112, strict where strictness is safety.
 */
enum method {
	METHOD_OTHER, METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_OPTIONS,
	METHOD_PATCH, METHOD_TRACE, METHOD_CONNECT, METHOD_MKCOL, METHOD_COPY, METHOD_MOVE,
	METHOD_PROPFIND, METHOD_PROPPATCH, METHOD_LOCK, METHOD_UNLOCK
};
enum method	method_of(struct str);	/* case-sensitive */
/* GET, HEAD, PUT, DELETE, OPTIONS, TRACE, PROPFIND...: RFC 9110 9.2.2; nginx retries these. */
bool		method_is_idempotent(enum method);

/* Versions as major*10+minor: 9 (no version at all), 10, 11.  HTTP/1.2 and later 1.x read as 11. */
struct request_head {
	struct str line;	/* the request line as received, without its end */
	struct str method_name;
	enum method method;
	struct str target;	/* as received */
	unsigned version;
	struct field *items;	/* given by the caller */
	unsigned room;
	unsigned count;
	uint64_t known;
};

struct parse_limits {
	size_t line_max;	/* request line, its end included: more is -414 */
	size_t field_max;	/* one field line: more is -494 */
	bool underscores;	/* names with '_' are valid (underscores_in_headers) */
	/* ignore_invalid_headers off: any token is a name, none is skipped */
	bool keep_invalid;
};

enum { PARSE_PARTIAL = 0 };

/*
 * p[0..n): what was received so far; seen: how much of it an earlier call saw (0 at first).
 * > 0: length of the head, its blank line included.  0: more is needed (what is there is valid so
 * far as can be said cheaply).  Negative: -status: -400 malformed, -414, -494 (one field, or more
 * fields than room), -505 version 2 and later, -501.  Leading empty lines (RFC 9112 2.2) are
 * skipped.  A bare LF is a line end; bare CR, NUL and other controls, space before the colon,
 * obs-fold, a missing colon are -400.  Names with '_' (unless underscores) and other names nginx
 * calls invalid but that are tokens ... are skipped silently: *skipped counts them.  Field values
 * are trimmed.
 */
ssize_t	parse_request(const char *p, size_t n, size_t seen, const struct parse_limits *,
	    struct request_head *, unsigned *skipped);

struct response_head {
	unsigned status;	/* 100..999 */
	unsigned version;	/* 10 or 11 */
	struct str line;	/* status line */
	struct str reason;
	struct field *items;
	unsigned room;
	unsigned count;
	uint64_t known;
};
/* As above; negative: malformed (HTTP/0.9 streams included): the caller answers 502. */
ssize_t	parse_response(const char *p, size_t n, size_t seen, struct response_head *);
/*
 * A head that is only fields, with the status in "Status:" (uwsgi, CGI) or an HTTP status line;
 * default 200.
 */
ssize_t	parse_cgi_response(const char *p, size_t n, size_t seen, struct response_head *);

bool	is_token(struct str);			/* RFC 9110 5.6.2, not empty */
bool	is_field_value(struct str);		/* no CR, LF, NUL or other controls but HTAB */

#endif
