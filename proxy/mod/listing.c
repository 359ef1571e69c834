/*
 * The four formats of a folder's listing, each a row of three functions: what
 * stands before the entries, one entry, what stands behind them.  Called by
 * autoindex.c, piece by piece.
 */
#include "mod/listing.h"

#include "base/clock.h"
#include "base/encode.h"

#define COLUMNS		50	/* of a name; a longer one ends in ".." and ">" ... */
#define COLUMNS_KEPT	47	/* ... behind so much of it */

/* --- parts of entries --- */

/* As in nginx the zone's offset is today's, also where summer time was another. */
static time_t
zone_now(void)
{
	time_t now = clock_wall();
	struct tm tm = { 0 };

	(void)localtime_r(&now, &tm);
	return (tm.tm_gmtoff);
}

static struct str
time_text(struct pool *pool, const char *format, time_t t)
{
	struct tm tm = { 0 };
	char text[64];

	t = t < 0 ? 0 : t;	/* as nginx: none is before 1970 */
	(void)gmtime_r(&t, &tm);
	return (pool_strdup(pool, str_make(text, strftime(text, sizeof(text), format, &tm))));
}

/* The bytes of the character that s begins with; 0: it is not UTF-8. */
static size_t
utf8_char(struct str s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char lead = (unsigned char)s.p[0];
	size_t n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	uint32_t code = lead & (0xffu >> (n + 1));

	if (lead < 0x80)
		return (1);
	if (lead < 0xc2 || lead >= 0xf8 || s.n < n)
		return (0);
	for (size_t i = 1; i < n; i++) {
		if ((unsigned char)s.p[i] < 0x80)
			return (0);
		code = code << 6 | ((unsigned char)s.p[i] & 0x3f);
	}
	return (code < least[n] || code > 0x10ffff ? 0 : n);
}

/* How wide a name is; *kept: the bytes of it that are shown where that is too wide. */
static size_t
name_columns(struct str name, bool utf8, size_t *kept)
{
	size_t columns = 0, n;

	*kept = COLUMNS_KEPT;
	for (size_t at = 0; utf8 && at < name.n; at += n) {
		if ((n = utf8_char(str_skip(name, at))) == 0) {
			*kept = COLUMNS_KEPT;
			return (name.n);
		}
		if (columns++ == COLUMNS_KEPT)
			*kept = at;
	}
	return (utf8 ? columns : name.n);
}

/* With its unit: bytes up to 9999, then K, M, G, each rounded to whole ones. */
static struct str
size_text(struct pool *pool, uint64_t size)
{
	static const struct {
		uint64_t from;
		unsigned shift;
		char letter;
	} units[] = { { 1ull << 30, 30, 'G' }, { 1ull << 20, 20, 'M' }, { 10000, 10, 'K' } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (size >= units[i].from)
			return (pool_printf(pool, "%6llu%c", (unsigned long long)
			    ((size >> units[i].shift) + (size >> (units[i].shift - 1) & 1)),
			    units[i].letter));
	return (pool_printf(pool, " %6llu", (unsigned long long)size));
}

/* --- HTML --- */

static struct str
html_head(struct pool *pool, const struct listing *l)
{
	struct str uri = encode_html(pool, l->uri);

	return (pool_printf(pool, "<html>\r\n<head><title>Index of " STR_FMT "</title></head>\r\n"
	    "<body>\r\n<h1>Index of " STR_FMT "</h1><hr><pre><a href=\"../\">../</a>\r\n",
	    STR_ARG(uri), STR_ARG(uri)));
}

static struct str
html_size(struct pool *pool, const struct listing *l, const struct folder_entry *e)
{
	if (e->kind == FOLDER_DIRECTORY)
		return (pool_printf(pool, "%*s", l->exact_size ? 19 : 7, "-"));
	if (l->exact_size)
		return (pool_printf(pool, "%19lld", (long long)e->size));
	return (size_text(pool, e->size));
}

static struct str
html_entry(struct pool *pool, const struct listing *l, const struct folder_entry *e)
{
	const char *slash = e->kind == FOLDER_DIRECTORY ? "/" : "", *end = "";
	struct str name = e->name, href = encode_uri(pool, name, ESCAPE_URI_COMPONENT);
	struct str when = time_text(pool, "%d-%b-%Y %H:%M", e->mtime + l->zone);
	struct str size = html_size(pool, l, e);
	size_t kept, columns = name_columns(name, l->utf8, &kept);

	if (columns > COLUMNS) {
		name.n = kept;
		end = "..&gt;";
		columns = COLUMNS;
	} else if (columns < COLUMNS) {
		end = slash;
		columns += *slash != '\0';
	}
	name = encode_html(pool, name);
	return (pool_printf(pool, "<a href=\"" STR_FMT "%s\">" STR_FMT "%s</a>%*s " STR_FMT " "
	    STR_FMT "\r\n", STR_ARG(href), slash, STR_ARG(name), end, (int)(COLUMNS - columns), "",
	    STR_ARG(when), STR_ARG(size)));
}

static struct str
html_foot(struct pool *pool, const struct listing *l)
{
	(void)pool;
	(void)l;
	return (STR("</pre><hr></body>\r\n</html>\r\n"));
}

/* --- XML, JSON --- */

static const char *const kind_names[] = {
	[FOLDER_DIRECTORY] = "directory", [FOLDER_FILE] = "file", [FOLDER_OTHER] = "other"
};

/* Only a file has one; before and behind stand around it. */
static struct str
size_part(struct pool *pool, const struct folder_entry *e, const char *before, const char *behind)
{
	if (e->kind != FOLDER_FILE)
		return (STR(""));
	return (pool_printf(pool, "%s%lld%s", before, (long long)e->size, behind));
}

static struct str
xml_head(struct pool *pool, const struct listing *l)
{
	(void)pool;
	(void)l;
	return (STR("<?xml version=\"1.0\"?>\r\n<list>\r\n"));
}

static struct str
xml_entry(struct pool *pool, const struct listing *l, const struct folder_entry *e)
{
	struct str when = time_text(pool, "%Y-%m-%dT%H:%M:%SZ", e->mtime);
	struct str size = size_part(pool, e, " size=\"", "\""), name = encode_html(pool, e->name);

	(void)l;
	return (pool_printf(pool, "<%s mtime=\"" STR_FMT "\"" STR_FMT ">" STR_FMT "</%s>\r\n",
	    kind_names[e->kind], STR_ARG(when), STR_ARG(size), STR_ARG(name), kind_names[e->kind]));
}

static struct str
xml_foot(struct pool *pool, const struct listing *l)
{
	(void)pool;
	(void)l;
	return (STR("</list>\r\n"));
}

static struct str
json_head(struct pool *pool, const struct listing *l)
{
	(void)pool;
	(void)l;
	return (STR("[\r\n"));
}

static struct str
json_entry(struct pool *pool, const struct listing *l, const struct folder_entry *e)
{
	struct str name = encode_log(pool, e->name, LOG_ESCAPE_JSON);
	struct str size = size_part(pool, e, ", \"size\":", "");
	char when[CLOCK_HTTP_DATE_LEN + 1];

	clock_format_http(e->mtime, when);
	return (pool_printf(pool, "{ \"name\":\"" STR_FMT "\", \"type\":\"%s\", \"mtime\":\"%s\""
	    STR_FMT " }%s\r\n", STR_ARG(name), kind_names[e->kind], when, STR_ARG(size),
	    l->done + 1 < l->folder->count ? "," : ""));
}

static struct str
json_foot(struct pool *pool, const struct listing *l)
{
	(void)pool;
	(void)l;
	return (STR("]"));
}

static struct str
jsonp_head(struct pool *pool, const struct listing *l)
{
	return (pool_printf(pool, "/* callback */\r\n" STR_FMT "([\r\n", STR_ARG(l->callback)));
}

static struct str
jsonp_foot(struct pool *pool, const struct listing *l)
{
	(void)pool;
	(void)l;
	return (STR("]);"));
}

/* --- all of them --- */

static const struct format {
	struct str type, charset;
	struct str (*head)(struct pool *, const struct listing *);
	struct str (*entry)(struct pool *, const struct listing *, const struct folder_entry *);
	struct str (*foot)(struct pool *, const struct listing *);
} formats[] = {
	[LISTING_HTML] = { { "text/html", 9 }, { "", 0 }, html_head, html_entry, html_foot },
	[LISTING_XML] = { { "text/xml", 8 }, { "utf-8", 5 }, xml_head, xml_entry, xml_foot },
	[LISTING_JSON] = { { "application/json", 16 }, { "", 0 }, json_head, json_entry,
	    json_foot },
	[LISTING_JSONP] = { { "application/javascript", 22 }, { "", 0 }, jsonp_head, json_entry,
	    jsonp_foot },
};

struct str
listing_type(enum listing_kind kind)
{
	return (formats[kind].type);
}

struct str
listing_charset(enum listing_kind kind)
{
	return (formats[kind].charset);
}

bool
listing_write(struct listing *l, struct chain *out, size_t most)
{
	const struct format *format = &formats[l->kind];
	struct pool *pool = pool_new(0);
	bool last = false;

	if (!l->begun) {
		l->zone = l->local_time ? zone_now() : 0;
		chain_copy(out, format->head(pool, l));
	}
	l->begun = true;
	while (!last && out->bytes < most) {
		last = l->done == l->folder->count;
		chain_copy(out, last ? format->foot(pool, l) :
		    format->entry(pool, l, l->folder->entries[l->done]));
		l->done++;
	}
	pool_free(pool);
	return (last);
}
