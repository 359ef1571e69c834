/*
 * Strings in a body that goes by in pieces (sub_filter): a search after Horspool
 * for several needles.  The end of a piece that may begin a needle is held back
 * and looked at again, together with the beginning of the next.
 *
 *	held:   | bytes of pieces before | copy of the piece's beginning |
 *	        ^ a needle may begin here  ^ and not here: the piece itself is searched
 */
#include "http/search.h"

#include <assert.h>
#include <stdint.h>

#define SHIFT_MAX	255

struct needles {
	unsigned count;
	size_t shortest;	/* at most SHIFT_MAX */
	size_t longest;
	struct str *texts;	/* lower case */
	/* by the byte below the end of the shortest: so far ahead is nothing */
	unsigned char shift[256];
};

struct search {
	const struct needles *needles;
	bool once;
	bool *found;		/* by needle: it is not looked for any more */
	unsigned left;		/* of them */
	char *held;		/* room for twice what may have to wait */
	size_t held_n;
};

enum { PLACE_NONE = -1, PLACE_MAYBE = -2 };

/* Where a needle stands, or may stand when more is known. */
struct place {
	size_t at;
	int needle;		/* its index, PLACE_MAYBE; PLACE_NONE: at is the limit */
};

static void
needles_shift(struct needles *needles)
{
	memset(needles->shift, (int)needles->shortest, sizeof(needles->shift));
	for (unsigned i = 0; i < needles->count; i++)
		for (size_t at = 0; at < needles->shortest; at++) {
			unsigned char byte = (unsigned char)needles->texts[i].p[at];
			unsigned char shift = (unsigned char)(needles->shortest - 1 - at);

			if (shift < needles->shift[byte])
				needles->shift[byte] = shift;
		}
}

const struct needles *
needles_new(struct pool *pool, const struct str *texts, unsigned count)
{
	struct needles *needles = pool_new_object(pool, struct needles);

	needles->count = count;
	needles->shortest = SHIFT_MAX;
	needles->texts = pool_alloc(pool, count * sizeof(*texts));
	for (unsigned i = 0; i < count; i++) {
		char *lower = pool_alloc(pool, texts[i].n);

		assert(texts[i].n > 0);
		for (size_t at = 0; at < texts[i].n; at++)
			lower[at] = (char)ascii_lower((unsigned char)texts[i].p[at]);
		needles->texts[i] = str_make(lower, texts[i].n);
		if (texts[i].n < needles->shortest)
			needles->shortest = texts[i].n;
		if (texts[i].n > needles->longest)
			needles->longest = texts[i].n;
	}
	needles_shift(needles);
	return (needles);
}

struct search *
search_new(struct pool *pool, const struct needles *needles, bool once)
{
	struct search *s = pool_new_object(pool, struct search);

	s->needles = needles;
	s->once = once;
	s->left = needles->count;
	s->found = pool_zalloc(pool, needles->count * sizeof(*s->found));
	s->held = pool_alloc(pool, 2 * needles->longest);
	return (s);
}

static bool
text_begins(struct str text, struct str lower, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ascii_lower((unsigned char)text.p[i]) != (unsigned char)lower.p[i])
			return (false);
	return (true);
}

/* The needle that text begins with; PLACE_MAYBE: that depends on what follows. */
static int
place_judge(const struct search *s, struct str text, bool last)
{
	for (unsigned i = 0; i < s->needles->count; i++) {
		struct str needle = s->needles->texts[i];
		bool whole = needle.n <= text.n;

		if (s->found[i] || (last && !whole) ||
		    !text_begins(text, needle, whole ? needle.n : text.n))
			continue;
		return (whole ? (int)i : PLACE_MAYBE);
	}
	return (PLACE_NONE);
}

/* The first place before limit. */
static struct place
text_scan(const struct search *s, struct str text, size_t limit, bool last)
{
	const struct needles *needles = s->needles;
	struct place place = { 0, PLACE_NONE };

	while (place.at < limit) {
		if (text.n - place.at >= needles->shortest) {
			char end = text.p[place.at + needles->shortest - 1];
			unsigned char shift = needles->shift[ascii_lower((unsigned char)end)];

			if (shift > 0) {
				place.at += shift;
				continue;
			}
		}
		place.needle = place_judge(s, str_skip(text, place.at), last);
		if (place.needle != PLACE_NONE)
			return (place);
		place.at++;
	}
	place.at = limit;
	return (place);
}

/* What is held back, seen together with the beginning of the next piece. */
static int
search_held(struct search *s, struct chain *in, struct chain *out, bool last)
{
	const struct buf *b = in->first;
	size_t before = s->held_n, taken = b == NULL ? 0 : b->n, end;
	struct place place;

	if (taken >= s->needles->longest)
		taken = s->needles->longest - 1;
	if (taken > 0)
		memcpy(s->held + before, b->p, taken);
	last = last && (b == NULL || (b->next == NULL && taken == b->n));
	place = text_scan(s, str_make(s->held, before + taken), before, last);
	chain_copy(out, str_make(s->held, place.at));
	s->held_n = 0;
	if (place.needle == PLACE_MAYBE) {
		assert(taken == b->n);
		s->held_n = before + taken - place.at;
		memmove(s->held, s->held + place.at, s->held_n);
		chain_drop(in, taken);
	} else if (place.needle >= 0) {
		end = place.at + s->needles->texts[place.needle].n;
		if (end < before) {
			s->held_n = before - end;
			memmove(s->held, s->held + end, s->held_n);
		} else {
			chain_drop(in, end - before);
		}
	}
	return (place.needle);
}

/* The first piece of in. */
static int
search_piece(struct search *s, struct chain *in, struct chain *out, bool last)
{
	struct str text = str_make(in->first->p, in->first->n);
	struct place place = text_scan(s, text, text.n, last && in->first->next == NULL);

	/* What is left of the piece stays where it lies. */
	chain_move(out, in, place.at);
	if (place.needle == PLACE_MAYBE) {
		s->held_n = text.n - place.at;
		memcpy(s->held, text.p + place.at, s->held_n);
		chain_drop(in, s->held_n);
	} else if (place.needle >= 0) {
		chain_drop(in, s->needles->texts[place.needle].n);
	}
	return (place.needle);
}

int
search_next(struct search *s, struct chain *in, struct chain *out, bool last)
{
	while (!chain_is_empty(in) || (last && s->held_n > 0)) {
		int needle;

		if (s->left == 0 && s->held_n == 0) {
			chain_append(out, in);
			break;
		}
		if (!chain_is_empty(in) && chain_load(in) != 0)
			return (SEARCH_FAILED);
		needle = s->held_n > 0 ? search_held(s, in, out, last) :
		    search_piece(s, in, out, last);
		if (needle < 0)
			continue;
		s->found[needle] = s->once;
		s->left -= s->once;
		return (needle);
	}
	return (SEARCH_MORE);
}
