/*
 * Where a message's body ends (RFC 9112 6 and 7): the decision from the fields,
 * and the decoder that finds the end in the bytes.  The only place that does
 * either; called by sessions for requests and by attempts for responses.  What
 * two readers could understand differently is refused, never repaired.
 */
#include "base/encode.h"
#include "http/framing.h"

#define LENGTH_MAX	((uint64_t)INT64_MAX)	/* off_t: nothing longer can be counted */
#define LINE_MAX	1024			/* extensions (and zeros) of a chunk line */
#define TRAILERS_MAX	8192

/* How often each of the two framing fields occurs, and the first of each. */
struct framing_fields {
	const struct field *length;
	const struct field *coding;
	unsigned lengths;
	unsigned codings;
};

static struct framing_fields
framing_fields_of(const struct fields *fields)
{
	struct framing_fields found = { NULL, NULL, 0, 0 };

	if ((fields->known &
	    (FIELD_BIT(FIELD_CONTENT_LENGTH) | FIELD_BIT(FIELD_TRANSFER_ENCODING))) == 0)
		return (found);
	for (unsigned i = 0; i < fields->count; i++) {
		const struct field *field = &fields->items[i];

		if (field->id == FIELD_CONTENT_LENGTH && found.lengths++ == 0)
			found.length = field;
		if (field->id == FIELD_TRANSFER_ENCODING && found.codings++ == 0)
			found.coding = field;
	}
	return (found);
}

/*
 * The rule for both directions: 0 and *framing (FRAMING_NONE when neither field
 * is there), -400 ambiguous or malformed, -501 a coding that we do not know.
 */
static int
framing_of_fields(unsigned version, const struct fields *fields, struct framing *framing)
{
	struct framing_fields found = framing_fields_of(fields);

	*framing = (struct framing){ FRAMING_NONE, 0 };
	if (found.codings > 0) {
		if (version < 11 || found.codings > 1 || found.lengths > 0)
			return (-400);
		if (!str_eq_ci(found.coding->value, STR("chunked")))
			return (-501);
		framing->kind = FRAMING_CHUNKED;
		return (0);
	}
	if (found.lengths > 0) {
		/* Repeated with the same value, too: RFC 9110 8.6 lets us refuse. */
		if (found.lengths > 1 ||
		    !str_to_uint(found.length->value, LENGTH_MAX, &framing->length))
			return (-400);
		framing->kind = FRAMING_LENGTH;
	}
	return (0);
}

int
framing_of_request(unsigned version, const struct fields *fields, struct framing *framing)
{
	int status = framing_of_fields(version, fields, framing);

	if (status == 0 && framing->kind == FRAMING_LENGTH && framing->length == 0)
		framing->kind = FRAMING_NONE;
	return (status);
}

int
framing_of_response(unsigned version, unsigned status, enum method request_method,
    const struct fields *fields, struct framing *framing)
{
	/* Judged also where there is no body: the fields may be passed on. */
	if (framing_of_fields(version, fields, framing) != 0)
		return (-1);
	if (status < 200 || status == 204 || status == 304 || request_method == METHOD_HEAD)
		*framing = (struct framing){ FRAMING_NONE, 0 };
	else if (framing->kind == FRAMING_NONE)
		framing->kind = FRAMING_CLOSE;
	return (0);
}

/*
 * The decoder of chunked framing, a byte at a time but for the data:
 *
 *	size [;name[=value]]... CR LF data CR LF ... 0 CR LF [name:value CR LF]... CR LF
 */
enum chunk_state {
	CHUNK_SIZE_FIRST,	/* a digit must come */
	CHUNK_SIZE,
	CHUNK_EXT,		/* behind ';' */
	CHUNK_EXT_NAME,
	CHUNK_EXT_NAME_END,	/* blanks behind the name */
	CHUNK_EXT_VALUE_FIRST,	/* behind '=' */
	CHUNK_EXT_VALUE,
	CHUNK_EXT_QUOTED,
	CHUNK_EXT_ESCAPED,
	CHUNK_EXT_END,		/* behind the value */
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_FIRST,	/* at the beginning of a line */
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
	CHUNK_DONE,
	CHUNK_BAD
};

void
framing_decoder_init(struct framing_decoder *d, const struct framing *framing)
{
	*d = (struct framing_decoder){ .framing = *framing, .left = framing->length,
		.state = CHUNK_SIZE_FIRST };
	if (framing->kind == FRAMING_CHUNKED)
		d->left = 0;
	d->done = framing->kind == FRAMING_NONE ||
	    (framing->kind == FRAMING_LENGTH && framing->length == 0);
}

/* Follows a size digit; false when the size grows beyond what can be counted. */
static bool
chunk_size_add(struct framing_decoder *d, int digit)
{
	if (digit < 0 || d->left > LENGTH_MAX >> 4)
		return (false);
	d->left = d->left << 4 | (unsigned)digit;
	return (true);
}

static inline bool
is_token_byte(unsigned char c)
{
	return (is_token(str_make((const char *)&c, 1)));
}

static inline bool
is_text_byte(unsigned char c)
{
	return (is_field_value(str_make((const char *)&c, 1)));
}

static inline bool
is_blank(unsigned char c)
{
	return (c == ' ' || c == '\t');
}

/* Where an extension may end: at the next one or at the line's end. */
static enum chunk_state
ext_end(unsigned char c, enum chunk_state otherwise)
{
	return (c == ';' ? CHUNK_EXT : c == '\r' ? CHUNK_SIZE_LF : otherwise);
}

/* The states of extensions (RFC 9112 7.1.1; blanks as its BWS allows). */
static enum chunk_state
chunk_ext_next(enum chunk_state state, unsigned char c)
{
	switch (state) {
	case CHUNK_EXT:
		return (is_blank(c) ? CHUNK_EXT : is_token_byte(c) ? CHUNK_EXT_NAME : CHUNK_BAD);
	case CHUNK_EXT_NAME:
		if (is_token_byte(c))
			return (CHUNK_EXT_NAME);
		/* FALLTHROUGH */
	case CHUNK_EXT_NAME_END:
		if (c == '=')
			return (CHUNK_EXT_VALUE_FIRST);
		return (ext_end(c, is_blank(c) ? CHUNK_EXT_NAME_END : CHUNK_BAD));
	case CHUNK_EXT_VALUE_FIRST:
		if (c == '"')
			return (CHUNK_EXT_QUOTED);
		if (is_blank(c))
			return (CHUNK_EXT_VALUE_FIRST);
		return (is_token_byte(c) ? CHUNK_EXT_VALUE : CHUNK_BAD);
	case CHUNK_EXT_VALUE:
		if (is_token_byte(c))
			return (CHUNK_EXT_VALUE);
		/* FALLTHROUGH */
	case CHUNK_EXT_END:
		return (ext_end(c, is_blank(c) ? CHUNK_EXT_END : CHUNK_BAD));
	case CHUNK_EXT_QUOTED:
		if (c == '"' || c == '\\')
			return (c == '"' ? CHUNK_EXT_END : CHUNK_EXT_ESCAPED);
		return (is_text_byte(c) ? CHUNK_EXT_QUOTED : CHUNK_BAD);
	default:	/* CHUNK_EXT_ESCAPED */
		return (is_text_byte(c) ? CHUNK_EXT_QUOTED : CHUNK_BAD);
	}
}

/* The states of trailers: names and values are looked at, nothing is kept. */
static enum chunk_state
chunk_trailer_next(enum chunk_state state, unsigned char c)
{
	switch (state) {
	case CHUNK_TRAILER_FIRST:
		if (c == '\r')
			return (CHUNK_END_LF);
		return (is_token_byte(c) ? CHUNK_TRAILER_NAME : CHUNK_BAD);
	case CHUNK_TRAILER_NAME:
		if (c == ':')
			return (CHUNK_TRAILER_VALUE);
		return (is_token_byte(c) ? CHUNK_TRAILER_NAME : CHUNK_BAD);
	case CHUNK_TRAILER_VALUE:
		if (c == '\r')
			return (CHUNK_TRAILER_LF);
		return (is_text_byte(c) ? CHUNK_TRAILER_VALUE : CHUNK_BAD);
	case CHUNK_TRAILER_LF:
		return (c == '\n' ? CHUNK_TRAILER_FIRST : CHUNK_BAD);
	default:	/* CHUNK_END_LF */
		return (c == '\n' ? CHUNK_DONE : CHUNK_BAD);
	}
}

/* The state behind one byte of framing. */
static enum chunk_state
chunk_next(struct framing_decoder *d, unsigned char c)
{
	enum chunk_state state = d->state;

	switch (state) {
	case CHUNK_SIZE_FIRST:
		return (chunk_size_add(d, hex_digit(c)) ? CHUNK_SIZE : CHUNK_BAD);
	case CHUNK_SIZE:
		if (c == ';' || c == '\r')
			return (ext_end(c, CHUNK_BAD));
		return (chunk_size_add(d, hex_digit(c)) ? CHUNK_SIZE : CHUNK_BAD);
	case CHUNK_SIZE_LF:
		d->line = 0;
		if (c != '\n')
			return (CHUNK_BAD);
		return (d->left == 0 ? CHUNK_TRAILER_FIRST : CHUNK_DATA);
	case CHUNK_DATA_CR:
		return (c == '\r' ? CHUNK_DATA_LF : CHUNK_BAD);
	case CHUNK_DATA_LF:
		d->line = 0;
		return (c == '\n' ? CHUNK_SIZE_FIRST : CHUNK_BAD);
	default:
		break;
	}
	return (state < CHUNK_SIZE_LF ? chunk_ext_next(state, c) : chunk_trailer_next(state, c));
}

/* Bytes of framing at p; -400 or how many. */
static ssize_t
chunk_skip(struct framing_decoder *d, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && d->state != CHUNK_DATA && d->state != CHUNK_DONE) {
		unsigned limit = d->state >= CHUNK_TRAILER_FIRST ? TRAILERS_MAX : LINE_MAX;

		d->state = ++d->line > limit ? CHUNK_BAD : chunk_next(d, (unsigned char)p[i]);
		if (d->state == CHUNK_BAD)
			return (-400);
		i++;
	}
	return ((ssize_t)i);
}

int
framing_decode(struct framing_decoder *d, const char *p, size_t n, size_t *skip, size_t *data)
{
	ssize_t skipped = 0;

	*skip = *data = 0;
	if (d->done)
		return (1);
	if (d->framing.kind == FRAMING_CLOSE) {
		*data = n;
		return (0);
	}
	if (d->framing.kind == FRAMING_CHUNKED) {
		if (d->state == CHUNK_BAD || (skipped = chunk_skip(d, p, n)) < 0)
			return (-400);
		*skip = (size_t)skipped;
	}
	n -= *skip;
	*data = d->left < n ? (size_t)d->left : n;
	d->left -= *data;
	if (d->framing.kind == FRAMING_LENGTH)
		d->done = d->left == 0;
	else if (d->state == CHUNK_DATA && d->left == 0)
		d->state = CHUNK_DATA_CR;
	else
		d->done = d->state == CHUNK_DONE;
	return (d->done ? 1 : 0);
}

int
framing_decode_eof(struct framing_decoder *d)
{
	if (d->framing.kind == FRAMING_CLOSE)
		d->done = true;
	return (d->done ? 0 : -1);
}

uint64_t
framing_decoder_left(const struct framing_decoder *d)
{
	/* While a size is being read, `left' is only its first digits. */
	if (d->framing.kind == FRAMING_CHUNKED && d->state != CHUNK_DATA)
		return (0);
	return (d->framing.kind == FRAMING_CLOSE ? 0 : d->left);
}
