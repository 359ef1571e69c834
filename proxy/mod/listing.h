#ifndef WPROXY_MOD_LISTING_H
#define WPROXY_MOD_LISTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "mod/folder.h"

/* The text of a folder's listing, byte for byte nginx's. */
enum listing_kind { LISTING_HTML, LISTING_XML, LISTING_JSON, LISTING_JSONP };

struct listing {
	enum listing_kind kind;
	const struct folder *folder;
	struct str uri;			/* HTML: what the title says */
	struct str callback;		/* JSONP: the function's name */
	bool exact_size;		/* HTML: bytes and no K, M, G */
	bool local_time;		/* HTML: and not GMT */
	time_t zone;			/* what local time is ahead of GMT, s */
	bool utf8;			/* HTML: columns are characters and not bytes */
	bool begun;			/* written: the head ... */
	size_t done;			/* ... and so many entries */
};

/* Its Content-Type, and the charset to add to it or nothing. */
struct str	listing_type(enum listing_kind);
struct str	listing_charset(enum listing_kind);
/* What comes next, about `most' bytes, behind out.  True: that was all. */
bool		listing_write(struct listing *, struct chain *out, size_t most);

#endif
