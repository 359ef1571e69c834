/*
 * Header sections: an array of fields in their order, and a set of the known
 * names among them, so that asking for an absent field costs one bit test.
 * Filled by the parser and by whoever writes a message; owned by the request.
 */
#include "http/header.h"

#define NAME(literal)	{ literal, sizeof(literal) - 1 }

static const struct str names[FIELD_COUNT] = {
	[FIELD_ACCEPT] = NAME("Accept"), [FIELD_ACCEPT_ENCODING] = NAME("Accept-Encoding"),
	[FIELD_ACCEPT_LANGUAGE] = NAME("Accept-Language"),
	[FIELD_ACCEPT_RANGES] = NAME("Accept-Ranges"), [FIELD_AGE] = NAME("Age"),
	[FIELD_AUTHORIZATION] = NAME("Authorization"),
	[FIELD_CACHE_CONTROL] = NAME("Cache-Control"), [FIELD_CONNECTION] = NAME("Connection"),
	[FIELD_CONTENT_ENCODING] = NAME("Content-Encoding"),
	[FIELD_CONTENT_LENGTH] = NAME("Content-Length"),
	[FIELD_CONTENT_RANGE] = NAME("Content-Range"),
	[FIELD_CONTENT_TYPE] = NAME("Content-Type"), [FIELD_COOKIE] = NAME("Cookie"),
	[FIELD_DATE] = NAME("Date"), [FIELD_EARLY_DATA] = NAME("Early-Data"),
	[FIELD_ETAG] = NAME("ETag"), [FIELD_EXPECT] = NAME("Expect"),
	[FIELD_EXPIRES] = NAME("Expires"), [FIELD_HOST] = NAME("Host"),
	[FIELD_IF_MATCH] = NAME("If-Match"),
	[FIELD_IF_MODIFIED_SINCE] = NAME("If-Modified-Since"),
	[FIELD_IF_NONE_MATCH] = NAME("If-None-Match"), [FIELD_IF_RANGE] = NAME("If-Range"),
	[FIELD_IF_UNMODIFIED_SINCE] = NAME("If-Unmodified-Since"),
	[FIELD_KEEP_ALIVE] = NAME("Keep-Alive"), [FIELD_LAST_MODIFIED] = NAME("Last-Modified"),
	[FIELD_LINK] = NAME("Link"), [FIELD_LOCATION] = NAME("Location"),
	[FIELD_ORIGIN] = NAME("Origin"), [FIELD_PROXY_AUTHENTICATE] = NAME("Proxy-Authenticate"),
	[FIELD_PROXY_AUTHORIZATION] = NAME("Proxy-Authorization"),
	[FIELD_PROXY_CONNECTION] = NAME("Proxy-Connection"), [FIELD_PRAGMA] = NAME("Pragma"),
	[FIELD_RANGE] = NAME("Range"), [FIELD_REFERER] = NAME("Referer"),
	[FIELD_REFRESH] = NAME("Refresh"), [FIELD_RETRY_AFTER] = NAME("Retry-After"),
	[FIELD_SERVER] = NAME("Server"), [FIELD_SET_COOKIE] = NAME("Set-Cookie"),
	[FIELD_STATUS] = NAME("Status"), [FIELD_TE] = NAME("TE"),
	[FIELD_TRAILER] = NAME("Trailer"), [FIELD_TRANSFER_ENCODING] = NAME("Transfer-Encoding"),
	[FIELD_UPGRADE] = NAME("Upgrade"), [FIELD_USER_AGENT] = NAME("User-Agent"),
	[FIELD_VARY] = NAME("Vary"), [FIELD_VIA] = NAME("Via"),
	[FIELD_WWW_AUTHENTICATE] = NAME("WWW-Authenticate"),
	[FIELD_X_FORWARDED_FOR] = NAME("X-Forwarded-For"),
	[FIELD_X_FORWARDED_PROTO] = NAME("X-Forwarded-Proto"),
	[FIELD_X_REAL_IP] = NAME("X-Real-IP"),
	[FIELD_X_ACCEL_BUFFERING] = NAME("X-Accel-Buffering"),
	[FIELD_X_ACCEL_CHARSET] = NAME("X-Accel-Charset"),
	[FIELD_X_ACCEL_EXPIRES] = NAME("X-Accel-Expires"),
	[FIELD_X_ACCEL_LIMIT_RATE] = NAME("X-Accel-Limit-Rate"),
	[FIELD_X_ACCEL_REDIRECT] = NAME("X-Accel-Redirect"),
};

/*
 * A perfect hash of the known names: the constants were searched for so that no
 * two of them share a slot; the unit test asks for each.
 */
static const uint8_t slots[256] = {
	[6] = FIELD_UPGRADE, [19] = FIELD_ACCEPT_RANGES, [21] = FIELD_RETRY_AFTER,
	[22] = FIELD_EXPECT, [23] = FIELD_DATE, [34] = FIELD_ACCEPT, [35] = FIELD_LINK,
	[46] = FIELD_CONTENT_RANGE, [47] = FIELD_ACCEPT_ENCODING, [52] = FIELD_ACCEPT_LANGUAGE,
	[54] = FIELD_CACHE_CONTROL, [56] = FIELD_REFRESH, [59] = FIELD_X_ACCEL_BUFFERING,
	[62] = FIELD_IF_UNMODIFIED_SINCE, [64] = FIELD_CONTENT_LENGTH, [66] = FIELD_USER_AGENT,
	[76] = FIELD_TE, [82] = FIELD_IF_NONE_MATCH, [83] = FIELD_KEEP_ALIVE,
	[90] = FIELD_IF_MATCH, [93] = FIELD_CONTENT_ENCODING, [96] = FIELD_CONNECTION,
	[98] = FIELD_VIA, [111] = FIELD_PROXY_AUTHENTICATE, [112] = FIELD_PROXY_CONNECTION,
	[113] = FIELD_IF_RANGE, [115] = FIELD_RANGE, [117] = FIELD_EARLY_DATA,
	[122] = FIELD_CONTENT_TYPE, [138] = FIELD_LOCATION, [139] = FIELD_TRAILER,
	[141] = FIELD_X_FORWARDED_PROTO, [147] = FIELD_SERVER, [153] = FIELD_X_ACCEL_CHARSET,
	[155] = FIELD_EXPIRES, [157] = FIELD_REFERER, [158] = FIELD_X_ACCEL_REDIRECT,
	[159] = FIELD_LAST_MODIFIED, [164] = FIELD_X_FORWARDED_FOR,
	[173] = FIELD_IF_MODIFIED_SINCE, [176] = FIELD_AUTHORIZATION, [179] = FIELD_AGE,
	[185] = FIELD_X_REAL_IP, [189] = FIELD_COOKIE, [198] = FIELD_TRANSFER_ENCODING,
	[209] = FIELD_SET_COOKIE, [214] = FIELD_PRAGMA, [219] = FIELD_WWW_AUTHENTICATE,
	[222] = FIELD_PROXY_AUTHORIZATION, [224] = FIELD_ORIGIN, [227] = FIELD_VARY,
	[243] = FIELD_ETAG, [244] = FIELD_X_ACCEL_LIMIT_RATE, [246] = FIELD_X_ACCEL_EXPIRES,
	[251] = FIELD_HOST, [252] = FIELD_STATUS,
};

static inline uint8_t
name_slot(struct str name)
{
	unsigned first = (unsigned char)name.p[0] | 0x20;
	unsigned middle = (unsigned char)name.p[name.n / 2] | 0x20;
	unsigned last = (unsigned char)name.p[name.n - 1] | 0x20;

	return ((uint8_t)(name.n * 180 + first * 61 + last * 163 + middle * 157));
}

enum field_id
field_id_of(struct str name)
{
	enum field_id id;

	if (name.n == 0)
		return (FIELD_OTHER);
	id = slots[name_slot(name)];
	return (id != FIELD_OTHER && str_eq_ci(names[id], name) ? id : FIELD_OTHER);
}

struct str
field_name_of(enum field_id id)
{
	return (names[id]);
}

#define ROOM_FIRST	16

static struct field *
fields_push(struct fields *f, struct pool *pool, enum field_id id, struct str name,
    struct str value)
{
	struct field *items;

	if (f->count == f->room) {
		f->room = f->room == 0 ? ROOM_FIRST : 2 * f->room;
		items = pool_alloc(pool, f->room * sizeof(*items));
		if (f->count > 0)
			memcpy(items, f->items, f->count * sizeof(*items));
		f->items = items;
	}
	if (id != FIELD_OTHER)
		f->known |= FIELD_BIT(id);
	f->items[f->count] = (struct field){ name, value, id };
	return (&f->items[f->count++]);
}

struct field *
fields_add(struct fields *f, struct pool *pool, struct str name, struct str value)
{
	return (fields_push(f, pool, field_id_of(name), name, value));
}

struct field *
fields_add_id(struct fields *f, struct pool *pool, enum field_id id, struct str value)
{
	return (fields_push(f, pool, id, names[id], value));
}

struct field *
fields_get(const struct fields *f, enum field_id id)
{
	if ((f->known & FIELD_BIT(id)) == 0)
		return (NULL);
	for (unsigned i = 0; i < f->count; i++)
		if (f->items[i].id == id)
			return (&f->items[i]);
	return (NULL);
}

struct str
fields_value(const struct fields *f, enum field_id id)
{
	const struct field *field = fields_get(f, id);

	return (field == NULL ? STR_NULL : field->value);
}

static inline bool
field_is(const struct field *field, enum field_id id, struct str name)
{
	return (field->id == id && (id != FIELD_OTHER || str_eq_ci(field->name, name)));
}

struct field *
fields_find(const struct fields *f, struct str name)
{
	enum field_id id = field_id_of(name);

	if (id != FIELD_OTHER)
		return (fields_get(f, id));
	for (unsigned i = 0; i < f->count; i++)
		if (field_is(&f->items[i], id, name))
			return (&f->items[i]);
	return (NULL);
}

void
fields_remove(struct fields *f, enum field_id id)
{
	unsigned kept = 0;

	if ((f->known & FIELD_BIT(id)) == 0)
		return;
	for (unsigned i = 0; i < f->count; i++)
		if (f->items[i].id != id)
			f->items[kept++] = f->items[i];
	f->count = kept;
	f->known &= ~FIELD_BIT(id);
}

void
fields_set(struct fields *f, struct pool *pool, enum field_id id, struct str value)
{
	fields_remove(f, id);
	(void)fields_add_id(f, pool, id, value);
}

struct str
fields_join(const struct fields *f, struct pool *pool, struct str name, struct str separator)
{
	const struct field *first = fields_find(f, name), *end = f->items + f->count;
	size_t n = 0, count = 0;
	char *out, *p;

	if (first == NULL)
		return (STR_NULL);
	for (const struct field *it = first; it < end; it++)
		if (field_is(it, first->id, name)) {
			n += it->value.n + separator.n;
			count++;
		}
	if (count == 1)
		return (first->value);
	p = out = pool_alloc(pool, n + 1);
	for (const struct field *it = first; it < end; it++) {
		if (!field_is(it, first->id, name))
			continue;
		if (it != first && separator.n > 0)
			p = (char *)memcpy(p, separator.p, separator.n) + separator.n;
		if (it->value.n > 0)
			p = (char *)memcpy(p, it->value.p, it->value.n) + it->value.n;
	}
	*p = '\0';
	return (str_make(out, (size_t)(p - out)));
}

/*
 * The name of the next member of a list ("name;a=\"b,c\", name2"), without
 * parameters and blanks; a comma inside a quoted string separates nothing.
 */
static bool
list_cut(struct str *rest, struct str *name)
{
	bool quoted = false;
	size_t end = SIZE_MAX, i;

	if (rest->n == 0)
		return (false);
	for (i = 0; i < rest->n; i++) {
		char c = rest->p[i];

		if (quoted && c == '\\') {
			i++;
			continue;
		}
		if (c == '"')
			quoted = !quoted;
		if (!quoted && c == ',')
			break;
		if (!quoted && c == ';' && end == SIZE_MAX)
			end = i;
	}
	if (i > rest->n)
		i = rest->n;
	*name = str_trim(str_make(rest->p, end < i ? end : i));
	*rest = str_skip(*rest, i + 1);
	return (true);
}

bool
fields_has_token(const struct fields *f, enum field_id id, struct str token)
{
	struct str rest, name;

	if ((f->known & FIELD_BIT(id)) == 0)
		return (false);
	for (unsigned i = 0; i < f->count; i++) {
		if (f->items[i].id != id)
			continue;
		for (rest = f->items[i].value; list_cut(&rest, &name);)
			if (str_eq_ci(name, token))
				return (true);
	}
	return (false);
}

bool
fields_members(const struct fields *f, enum field_id id, struct members *members)
{
	struct str rest, name;

	members->count = 0;
	if ((f->known & FIELD_BIT(id)) == 0)
		return (true);
	for (unsigned i = 0; i < f->count; i++) {
		if (f->items[i].id != id)
			continue;
		for (rest = f->items[i].value; list_cut(&rest, &name);) {
			if (name.n == 0)
				continue;
			if (members->count == MEMBERS_MAX)
				return (false);
			members->names[members->count++] = name;
		}
	}
	return (true);
}

bool
members_have(const struct members *members, struct str name)
{
	for (unsigned i = 0; i < members->count; i++)
		if (str_eq_ci(members->names[i], name))
			return (true);
	return (false);
}
