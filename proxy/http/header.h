#ifndef WPROXY_HTTP_HEADER_H
#define WPROXY_HTTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/str.h"

/* Field names that the proxy itself looks at; recognised once, by the parser. */
enum field_id {
	FIELD_OTHER,
	FIELD_ACCEPT, FIELD_ACCEPT_ENCODING, FIELD_ACCEPT_LANGUAGE, FIELD_ACCEPT_RANGES, FIELD_AGE,
	FIELD_AUTHORIZATION, FIELD_CACHE_CONTROL, FIELD_CONNECTION, FIELD_CONTENT_ENCODING,
	FIELD_CONTENT_LENGTH, FIELD_CONTENT_RANGE, FIELD_CONTENT_TYPE, FIELD_COOKIE, FIELD_DATE,
	FIELD_EARLY_DATA, FIELD_ETAG, FIELD_EXPECT, FIELD_EXPIRES, FIELD_HOST, FIELD_IF_MATCH,
	FIELD_IF_MODIFIED_SINCE, FIELD_IF_NONE_MATCH, FIELD_IF_RANGE, FIELD_IF_UNMODIFIED_SINCE,
	FIELD_KEEP_ALIVE, FIELD_LAST_MODIFIED, FIELD_LINK, FIELD_LOCATION, FIELD_ORIGIN,
	FIELD_PROXY_AUTHENTICATE, FIELD_PROXY_AUTHORIZATION, FIELD_PROXY_CONNECTION, FIELD_PRAGMA,
	FIELD_RANGE, FIELD_REFERER, FIELD_REFRESH, FIELD_RETRY_AFTER, FIELD_SERVER, FIELD_SET_COOKIE,
	FIELD_STATUS, FIELD_TE, FIELD_TRAILER, FIELD_TRANSFER_ENCODING, FIELD_UPGRADE,
	FIELD_USER_AGENT, FIELD_VARY, FIELD_VIA, FIELD_WWW_AUTHENTICATE, FIELD_X_FORWARDED_FOR,
	FIELD_X_FORWARDED_PROTO, FIELD_X_REAL_IP,
	FIELD_X_ACCEL_BUFFERING, FIELD_X_ACCEL_CHARSET, FIELD_X_ACCEL_EXPIRES,
	FIELD_X_ACCEL_LIMIT_RATE, FIELD_X_ACCEL_REDIRECT,
	FIELD_COUNT		/* at most 64: sets of known fields are bits of a uint64_t */
};
#define FIELD_BIT(id)	(UINT64_C(1) << (id))

struct field {
	struct str name;
	struct str value;
	enum field_id id;
};

/* A header section.  Order is kept; removed fields are closed up. */
struct fields {
	struct field *items;
	unsigned count;
	unsigned room;
	uint64_t known;		/* FIELD_BIT of each known id that occurs */
};

/* Any case; FIELD_OTHER when unknown.  One hash, at most one comparison. */
enum field_id	field_id_of(struct str name);
struct str	field_name_of(enum field_id);	/* canonical spelling */

/* Appends; name and value are not copied. */
struct field	*fields_add(struct fields *, struct pool *, struct str name, struct str value);
struct field	*fields_add_id(struct fields *, struct pool *, enum field_id, struct str value);
/* The first, or NULL.  Cheap when absent (id). */
struct field	*fields_get(const struct fields *, enum field_id);
struct str	 fields_value(const struct fields *, enum field_id);	/* its; absent (p NULL): none */
struct field	*fields_find(const struct fields *, struct str name);	/* any case */
/* Removes all of them. */
void		 fields_remove(struct fields *, enum field_id);
/* Removes those of that name and appends one. */
void		 fields_set(struct fields *, struct pool *, enum field_id, struct str value);
/*
 * The values of all fields of that name joined with separator; the only value itself when there is
 * one; absent (p NULL) when none.
 */
struct str	 fields_join(const struct fields *, struct pool *, struct str name,
		    struct str separator);
/* Does a list-valued field ("a, b;q=1") of that id hold this token (any case)? */
bool		 fields_has_token(const struct fields *, enum field_id, struct str token);

/* The members of a list-valued field, read once; pointers into its lines. */
#define MEMBERS_MAX	64
struct members {
	unsigned count;
	struct str names[MEMBERS_MAX];
};
/* False: there are more than that, only the first were read.  An absent field has none. */
bool		 fields_members(const struct fields *, enum field_id, struct members *);
bool		 members_have(const struct members *, struct str name);	/* any case */

#endif
