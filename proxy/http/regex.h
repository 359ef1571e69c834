#ifndef WPROXY_HTTP_REGEX_H
#define WPROXY_HTTP_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "base/str.h"

/*
 * PCRE2 with JIT and a match limit.  A compiled regex is read-only and shared by
 * threads; match data is per thread.  Freed with its pool.
 */
struct regex;

/* NULL with *error in nginx's words: pcre2_compile() failed: MESSAGE in "PATTERN" at "REST" . */
struct regex	*regex_compile(struct pool *, struct str pattern, bool ignore_case,
		    struct str *error);
struct str	 regex_pattern(const struct regex *);
/* Named groups: fn(name, group number, arg). */
void		 regex_names(const struct regex *, void (*fn)(struct str, unsigned, void *),
		    void *arg);

#define REGEX_GROUPS_MAX	32
/* What a match captured: pieces of the subject (which must stay). */
struct captures {
	unsigned count;				/* groups with the whole match as 0 */
	struct str group[REGEX_GROUPS_MAX];	/* unset groups are empty */
};
/*
 * 1: matches; 0: does not; -1: error or limit reached (logged by the caller with regex_error()).
 * captures may be NULL.
 */
int		 regex_match(const struct regex *, struct str subject, struct captures *);
const char	*regex_error(void);	/* of this thread's last failure */

#endif
