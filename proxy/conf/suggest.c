/*
 * What did they mean?  Called by conf/conf.c for an unknown directive.  Ranks,
 * the best first; within a rank the fewest edits, then the shortest name:
 *
 *	one edit away            servername         -> server_name
 *	wrong lacks a beginning  body_in_file_only  -> client_body_in_file_only
 *	wrong has one too much   http_server_name   -> server_name
 *	a few edits away         proxy_pas_header   -> proxy_pass_header
 *	wrong lacks a word       client_body_size   -> client_max_body_size
 *	wrong is a part of it    gzip_comp          -> gzip_comp_level  (if of one only)
 */
#include "conf/suggest.h"

#include <limits.h>

enum rank { RANK_EDIT_ONE, RANK_SUFFIX, RANK_PREFIXED, RANK_EDITS, RANK_WORDS, RANK_PART,
	RANK_NONE };

/* A part shorter than this is part of too much. */
#define PART_MIN	5

static unsigned
edits_allowed(struct str name)
{
	return (name.n < 5 ? 1 : name.n < 8 ? 2 : 3);
}

/* The same letters in another order: "gizp". */
static bool
letters_are_same(struct str a, struct str b)
{
	int counts[UCHAR_MAX + 1] = { 0 };

	if (a.n != b.n)
		return (false);
	for (size_t i = 0; i < a.n; i++) {
		counts[(unsigned char)a.p[i]]++;
		counts[(unsigned char)b.p[i]]--;
	}
	for (unsigned i = 0; i <= UCHAR_MAX; i++)
		if (counts[i] != 0)
			return (false);
	return (true);
}

/* A swap of two letters is one edit here, and case is none. */
static unsigned
edits_between(struct str a, struct str b)
{
	unsigned distance = str_distance(a, b);

	if (str_eq_ci(a, b))
		return (1);
	return (distance == 2 && letters_are_same(a, b) ? 1 : distance);
}

/* Does s end in "_" tail, where tail itself is of several words? */
static bool
ends_in_words(struct str s, struct str tail)
{
	return (s.n > tail.n + 1 && str_ends(s, tail) && s.p[s.n - tail.n - 1] == '_' &&
	    str_chr(tail, '_') != SIZE_MAX);
}

/* Does name have the words of part, which are several, in this order? */
static bool
has_words(struct str name, struct str part)
{
	struct str rest = part, word, other;

	if (str_chr(part, '_') == SIZE_MAX)
		return (false);
	(void)str_cut(&rest, '_', &word);
	while (str_cut(&name, '_', &other))
		if (str_eq(word, other) && !str_cut(&rest, '_', &word))
			return (true);
	return (false);
}

static enum rank
name_rank(struct str wrong, struct str name, unsigned edits)
{
	if (edits <= 1)
		return (RANK_EDIT_ONE);
	if (ends_in_words(name, wrong))
		return (RANK_SUFFIX);
	if (ends_in_words(wrong, name))
		return (RANK_PREFIXED);
	if (edits <= edits_allowed(wrong))
		return (RANK_EDITS);
	if (has_words(name, wrong))
		return (RANK_WORDS);
	if (wrong.n >= PART_MIN && str_find(name, wrong) != SIZE_MAX)
		return (RANK_PART);
	return (RANK_NONE);
}

struct str
suggest_name(struct str wrong, const struct vec *names)
{
	struct str best = STR_NULL;
	enum rank best_rank = RANK_NONE;
	unsigned best_edits = UINT_MAX, ties = 0;

	if (wrong.n == 0)
		return (STR_NULL);
	VEC_EACH(names, struct str, name) {
		unsigned edits = edits_between(wrong, *name);
		enum rank rank = name_rank(wrong, *name, edits);

		if (rank == RANK_NONE || rank > best_rank)
			continue;
		ties = rank == best_rank ? ties + 1 : 1;
		if (rank == best_rank && (edits > best_edits ||
		    (edits == best_edits && name->n >= best.n)))
			continue;
		best = *name;
		best_rank = rank;
		best_edits = edits;
	}
	return (best_rank == RANK_PART && ties > 1 ? STR_NULL : best);
}
