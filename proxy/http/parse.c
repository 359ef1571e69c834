/*
 * Heads of HTTP/1 messages: request, response, CGI response.  Pure
 * functions over the bytes received so far; called by sessions and attempts
 * each time more has arrived.  One function finds the end of a head, one reads
 * a field line, whoever sent it; what a message begins with is all that differs.
 *
 *	head:  [empty lines] first line LF *( field line LF ) blank line
 */
#define _GNU_SOURCE	/* memrchr */
#include "http/parse.h"

/* What a byte may be in a field name. */
enum { NAME_BAD, NAME_PLAIN, NAME_UNDERSCORE, NAME_ODD /* a token, but nginx ignores the field */ };

static const unsigned char name_class[256] = {
	['!'] = NAME_ODD, ['#'] = NAME_ODD, ['$'] = NAME_ODD, ['%'] = NAME_ODD, ['&'] = NAME_ODD,
	['\''] = NAME_ODD, ['*'] = NAME_ODD, ['+'] = NAME_ODD, ['.'] = NAME_ODD, ['^'] = NAME_ODD,
	['`'] = NAME_ODD, ['|'] = NAME_ODD, ['~'] = NAME_ODD, ['_'] = NAME_UNDERSCORE,
	['-'] = NAME_PLAIN, ['0' ... '9'] = NAME_PLAIN, ['A' ... 'Z'] = NAME_PLAIN,
	['a' ... 'z'] = NAME_PLAIN,
};

#define M(id, literal)	[id] = { literal, sizeof(literal) - 1 }
static const struct str method_names[] = {
	M(METHOD_GET, "GET"), M(METHOD_HEAD, "HEAD"), M(METHOD_POST, "POST"), M(METHOD_PUT, "PUT"),
	M(METHOD_DELETE, "DELETE"), M(METHOD_OPTIONS, "OPTIONS"), M(METHOD_PATCH, "PATCH"),
	M(METHOD_TRACE, "TRACE"), M(METHOD_CONNECT, "CONNECT"), M(METHOD_MKCOL, "MKCOL"),
	M(METHOD_COPY, "COPY"), M(METHOD_MOVE, "MOVE"), M(METHOD_PROPFIND, "PROPFIND"),
	M(METHOD_PROPPATCH, "PROPPATCH"), M(METHOD_LOCK, "LOCK"), M(METHOD_UNLOCK, "UNLOCK"),
};
#undef M
#define METHODS	(sizeof(method_names) / sizeof(method_names[0]))

enum method
method_of(struct str s)
{
	/* GET is row 1: the common case costs one comparison. */
	for (size_t i = METHOD_OTHER + 1; i < METHODS; i++)
		if (str_eq(s, method_names[i]))
			return ((enum method)i);
	return (METHOD_OTHER);
}

bool
method_is_idempotent(enum method m)
{
	/* As nginx's list of what proxy_next_upstream does not repeat, the other way round. */
	return (m != METHOD_OTHER && m != METHOD_POST && m != METHOD_LOCK && m != METHOD_PATCH &&
	    m != METHOD_CONNECT);
}

bool
is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (name_class[(unsigned char)s.p[i]] == NAME_BAD)
			return (false);
	return (s.n > 0);
}

#define ONES	0x0101010101010101ULL
#define TOPS	0x8080808080808080ULL

/* Is one of the eight bytes below 0x20 or DEL?  Exact as a whole, not per byte. */
static inline bool
word_has_control(uint64_t w)
{
	uint64_t del = w ^ (0x7f * ONES);

	return ((((w - 0x20 * ONES) & ~w) | ((del - ONES) & ~del)) & TOPS);
}

static inline bool
is_text(unsigned char c)
{
	return ((c >= 0x20 && c != 0x7f) || c == '\t');
}

static bool
is_text_bytes(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_text((unsigned char)p[i]))
			return (false);
	return (true);
}

static inline uint64_t
word_at(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return (w);
}

bool
is_field_value(struct str s)
{
	const char *p = s.p, *last;
	bool control;

	if (s.n < sizeof(uint64_t))
		return (is_text_bytes(s.p, s.n));
	last = s.p + s.n - sizeof(uint64_t);
	/*
	 * Eight at once; the last eight may overlap.  A tab is a control here: then each byte is
	 * asked.
	 */
	for (control = word_has_control(word_at(last)); p < last; p += sizeof(uint64_t))
		control |= word_has_control(word_at(p));
	return (!control || is_text_bytes(s.p, s.n));
}

/* Where the line that begins at `at' goes on: past its LF.  0: its end has not come yet. */
static inline size_t
line_next(const char *p, size_t n, size_t at)
{
	const char *lf = n > at ? memchr(p + at, '\n', n - at) : NULL;

	return (lf == NULL ? 0 : (size_t)(lf - p) + 1);
}

/* The line between two offsets without its LF or CRLF. */
static inline struct str
line_text(const char *p, size_t at, size_t next)
{
	size_t n = next - at - 1;

	if (n > 0 && p[at + n - 1] == '\r')
		n--;
	return (str_make(p + at, n));
}

/* Is there a blank line at `at'?  Its length; 0: no; -1: perhaps, more is needed. */
static inline int
blank_at(const char *p, size_t n, size_t at)
{
	if (at >= n)
		return (-1);
	if (p[at] == '\n')
		return (1);
	if (p[at] != '\r')
		return (0);
	if (at + 1 >= n)
		return (-1);
	return (p[at + 1] == '\n' ? 2 : 0);
}

/*
 * Length of the head whose first line begins at `at', the blank line included;
 * 0 when it is not all there.  Bytes before `seen' were searched by an earlier
 * call, but for an end that lies across.
 */
static size_t
head_end(const char *p, size_t n, size_t at, size_t seen)
{
	size_t from = seen > at + 2 ? seen - 2 : at, next;
	int blank;

	while ((next = line_next(p, n, from)) != 0) {
		if ((blank = blank_at(p, n, next)) > 0)
			return (next + (size_t)blank);
		from = next;
	}
	return (0);
}

/* A section of field lines being read: from whom, and what is allowed. */
struct section {
	const struct parse_limits *limits;	/* of requests; NULL: any token is a name */
	struct field *items;
	unsigned room;
	unsigned count;
	unsigned skipped;
	uint64_t known;
};

/* Length of the name, its worst class in *class; 0 when it is none or no colon follows it. */
static inline size_t
name_scan(struct str line, unsigned *class)
{
	unsigned worst = NAME_PLAIN, c;
	size_t i;

	for (i = 0; i < line.n && (c = name_class[(unsigned char)line.p[i]]) != NAME_BAD; i++)
		if (c > worst)
			worst = c;
	*class = worst;
	return (i < line.n && line.p[i] == ':' ? i : 0);
}

static bool
name_is_kept(const struct parse_limits *limits, unsigned class)
{
	if (limits == NULL || class == NAME_PLAIN || limits->keep_invalid)
		return (true);
	return (class == NAME_UNDERSCORE && limits->underscores);
}

/* 0 or -status. */
static int
field_read(struct section *s, struct str line)
{
	struct str name, value;
	struct field *field;
	unsigned class;

	name = str_make(line.p, name_scan(line, &class));
	if (name.n == 0)
		return (-400);
	value = str_trim(str_make(line.p + name.n + 1, line.n - name.n - 1));
	if (!is_field_value(value))
		return (-400);
	if (!name_is_kept(s->limits, class)) {
		s->skipped++;
		return (0);
	}
	if (s->count == s->room)
		return (-494);
	field = &s->items[s->count++];
	*field = (struct field){ name, value, field_id_of(name) };
	if (field->id != FIELD_OTHER)
		s->known |= FIELD_BIT(field->id);
	return (0);
}

/*
 * All field lines from `at' up to the blank line that ends at `end' (known to
 * be there).  end or -status.
 */
static ssize_t
section_read(struct section *s, const char *p, size_t at, size_t end)
{
	for (;;) {
		size_t next = line_next(p, end, at);
		struct str line = line_text(p, at, next);
		int status;

		if (line.n == 0)
			return ((ssize_t)end);
		if (s->limits != NULL && next - at > s->limits->field_max)
			return (-494);
		if ((status = field_read(s, line)) != 0)
			return (status);
		at = next;
	}
}

/* "HTTP/1.x": 10 or 11; another major version -505; anything else -400. */
static int
version_read(struct str s)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.' ||
	    s.p[5] < '1' || s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
		return (-400);
	if (s.p[5] != '1')
		return (-505);
	return (s.p[7] == '0' ? 10 : 11);
}

/* As nginx: a method is upper case; lower case is a typing error or an attack. */
static inline bool
is_method_byte(unsigned char c)
{
	return ((c >= 'A' && c <= 'Z') || c == '_' || c == '-');
}

/* Visible bytes only; what else a target may be is said by uri_split(). */
static bool
target_is_clean(struct str s)
{
	return (s.n > 0 && is_field_value(s) && str_chr(s, ' ') == SIZE_MAX &&
	    str_chr(s, '\t') == SIZE_MAX);
}

/* METHOD SP target SP HTTP/x.y, or METHOD SP target alone (0.9).  0 or -status. */
static int
request_line_read(struct str line, struct request_head *head)
{
	size_t space, method = 0;
	int version = 9;

	while (method < line.n && is_method_byte((unsigned char)line.p[method]))
		method++;
	if (method == 0 || method == line.n || line.p[method] != ' ')
		return (-400);
	head->line = line;
	head->method_name = str_make(line.p, method);
	head->method = method_of(head->method_name);
	head->target = str_skip(line, method + 1);
	if ((space = str_chr(head->target, ' ')) != SIZE_MAX) {
		version = version_read(str_skip(head->target, space + 1));
		head->target.n = space;
	}
	if (!target_is_clean(head->target))
		return (-400);
	if (version < 0)
		return (version);
	if (version == 9 && head->method != METHOD_GET)
		return (-400);
	head->version = (unsigned)version;
	return (0);
}

/* Past the empty lines in front of a request (RFC 9112 2.2). */
static size_t
empty_lines(const char *p, size_t n)
{
	size_t at = 0;
	int blank;

	while ((blank = blank_at(p, n, at)) > 0)
		at += (size_t)blank;
	return (at);
}

/* A head that is not all there: what can be said of it already. */
static ssize_t
request_partial(const char *p, size_t n, size_t at, size_t first_end,
    const struct parse_limits *limits)
{
	const char *lf;

	if (at > limits->line_max)	/* nothing but empty lines */
		return (-400);
	if (first_end == 0) {
		/* A CR may be half an empty line; what else is no method never becomes one. */
		if (n > at && !is_method_byte((unsigned char)p[at]) &&
		    (p[at] != '\r' || n > at + 1))
			return (-400);
		return (n - at >= limits->line_max ? -414 : PARSE_PARTIAL);
	}
	/* The line that has not ended. */
	if (n - first_end >= limits->field_max) {
		lf = memrchr(p + first_end, '\n', n - first_end);
		if (n - (lf == NULL ? first_end : (size_t)(lf - p) + 1) >= limits->field_max)
			return (-494);
	}
	return (PARSE_PARTIAL);
}

ssize_t
parse_request(const char *p, size_t n, size_t seen, const struct parse_limits *limits,
    struct request_head *head, unsigned *skipped)
{
	struct section section = { .limits = limits, .items = head->items, .room = head->room };
	size_t at = empty_lines(p, n);
	size_t first_end = line_next(p, n, at);
	size_t end = first_end == 0 ? 0 : head_end(p, n, at, seen);
	ssize_t result;
	int status;

	/* The request line is judged as soon as it is there: a 0.9 request is no more than that. */
	if (first_end != 0 && (end != 0 || seen < first_end)) {
		if (first_end - at > limits->line_max)
			return (-414);
		if ((status = request_line_read(line_text(p, at, first_end), head)) != 0)
			return (status);
		if (head->version == 9) {
			head->count = 0;
			head->known = 0;
			*skipped = 0;
			return ((ssize_t)first_end);
		}
	}
	if (end == 0)
		return (request_partial(p, n, at, first_end, limits));
	result = section_read(&section, p, first_end, end);
	head->count = section.count;
	head->known = section.known;
	*skipped = section.skipped;
	return (result);
}

/* HTTP/1.x SP 3DIGIT [SP reason] */
static bool
status_line_read(struct str line, struct response_head *head)
{
	int version = line.n < 12 ? -1 : version_read(str_make(line.p, 8));
	struct str reason = str_skip(line, 12);
	uint64_t status;

	if (version < 0 || line.p[8] != ' ' ||
	    !str_to_uint(str_make(line.p + 9, 3), 999, &status) || status < 100)
		return (false);
	if (reason.n > 0 && (reason.p[0] != ' ' || !is_field_value(reason)))
		return (false);
	head->line = line;
	head->version = (unsigned)version;
	head->status = (unsigned)status;
	head->reason = str_skip(reason, 1);
	return (true);
}

/* Fields of a response from `at' to `end'; end or negative. */
static ssize_t
response_fields_read(const char *p, size_t at, size_t end, struct response_head *head)
{
	struct section section = { .items = head->items, .room = head->room };
	ssize_t result = section_read(&section, p, at, end);

	head->count = section.count;
	head->known = section.known;
	return (result);
}

/* Do the first bytes look like the beginning of a status line? */
static bool
starts_like_status(const char *p, size_t n)
{
	return (memcmp(p, "HTTP/1.", n < 7 ? n : 7) == 0);
}

ssize_t
parse_response(const char *p, size_t n, size_t seen, struct response_head *head)
{
	size_t first_end, end;

	if (n == 0)
		return (PARSE_PARTIAL);
	/* An HTTP/0.9 stream has no head to wait for. */
	if (!starts_like_status(p, n))
		return (-400);
	if ((first_end = line_next(p, n, 0)) == 0)
		return (PARSE_PARTIAL);
	if (!status_line_read(line_text(p, 0, first_end), head))
		return (-400);
	if ((end = head_end(p, n, 0, seen)) == 0)
		return (PARSE_PARTIAL);
	return (response_fields_read(p, first_end, end, head));
}

/* The status that a CGI program means: Status, else 302 for a Location (as nginx), else 200. */
static bool
cgi_status(struct response_head *head)
{
	struct fields fields = { head->items, head->count, head->room, head->known };
	const struct field *field = fields_get(&fields, FIELD_STATUS);
	uint64_t status;

	head->version = 10;
	head->line = STR_NULL;
	head->reason = STR_NULL;
	if (field == NULL) {
		bool moved = fields_get(&fields, FIELD_LOCATION) != NULL;

		head->status = moved ? 302 : 200;
		head->reason = moved ? STR("Moved Temporarily") : STR("OK");
		return (true);
	}
	if (!str_to_uint(str_make(field->value.p, field->value.n < 3 ? field->value.n : 3), 999,
	    &status) || status < 100)
		return (false);
	if (field->value.n > 3 && field->value.p[3] != ' ')
		return (false);
	head->status = (unsigned)status;
	head->line = field->value;
	head->reason = str_skip(field->value, 4);
	return (true);
}

ssize_t
parse_cgi_response(const char *p, size_t n, size_t seen, struct response_head *head)
{
	ssize_t result;
	size_t end;
	int blank;

	/* '/' is not in a token: no field begins like this. */
	if (n == 0)
		return (PARSE_PARTIAL);
	if (memcmp(p, "HTTP/", n < 5 ? n : 5) == 0)
		return (n < 5 ? PARSE_PARTIAL : parse_response(p, n, seen, head));
	blank = blank_at(p, n, 0);
	if (blank == 0 && name_class[(unsigned char)p[0]] == NAME_BAD)
		return (-400);
	end = blank > 0 ? (size_t)blank : head_end(p, n, 0, seen);
	if (end == 0)
		return (PARSE_PARTIAL);
	if ((result = response_fields_read(p, 0, end, head)) < 0)
		return (result);
	return (cgi_status(head) ? result : -400);
}
