/*
 * Regular expressions: PCRE2 ends here.  A compiled regex belongs to the arena
 * of its configuration and is only read afterwards; what a match writes to is
 * kept per thread and goes with it.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>

#include "http/regex.h"

#define MATCH_LIMIT	1000000		/* steps: an unlucky pattern must not hold a thread */
#define HEAP_LIMIT	(16 * 1024)	/* KiB */
#define STACK_FIRST	(32 * 1024)
#define STACK_MAX	(1024 * 1024)

struct regex {
	pcre2_code *code;
	struct str pattern;
	uint32_t captures;
};

/* What a thread needs to match anything. */
struct matching {
	pcre2_match_data *result;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
};

static pthread_once_t matching_once = PTHREAD_ONCE_INIT;
static pthread_key_t matching_key;
static _Thread_local char error_text[128] = "no error";

static void
matching_free(void *arg)
{
	struct matching *m = arg;

	pcre2_match_data_free(m->result);
	pcre2_match_context_free(m->context);
	pcre2_jit_stack_free(m->stack);
	free(m);
}

static void
matching_key_new(void)
{
	if (pthread_key_create(&matching_key, matching_free) != 0)
		abort();
}

/* This thread's.  Without memory for it the process ends, as everywhere. */
static const struct matching *
matching_get(void)
{
	struct matching *m;

	(void)pthread_once(&matching_once, matching_key_new);
	if ((m = pthread_getspecific(matching_key)) != NULL)
		return (m);
	m = xcalloc(1, sizeof(*m));
	m->result = pcre2_match_data_create(REGEX_GROUPS_MAX, NULL);
	m->context = pcre2_match_context_create(NULL);
	m->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MAX, NULL);
	if (m->result == NULL || m->context == NULL || m->stack == NULL ||
	    pthread_setspecific(matching_key, m) != 0)
		abort();
	(void)pcre2_set_match_limit(m->context, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(m->context, HEAP_LIMIT);
	pcre2_jit_stack_assign(m->context, NULL, m->stack);
	return (m);
}

static void
regex_free(void *code)
{
	pcre2_code_free(code);
}

static const char *
error_say(int code)
{
	/* A message that is too long is cut, with a NUL; an unknown number leaves the last one. */
	(void)pcre2_get_error_message(code, (PCRE2_UCHAR *)error_text, sizeof(error_text));
	return (error_text);
}

struct regex *
regex_compile(struct pool *pool, struct str pattern, bool ignore_case, struct str *error)
{
	struct regex *regex;
	pcre2_code *code;
	PCRE2_SIZE offset;
	struct str rest;
	int number;

	code = pcre2_compile((PCRE2_SPTR)(pattern.n == 0 ? "" : pattern.p), pattern.n,
	    ignore_case ? PCRE2_CASELESS : 0, &number, &offset, NULL);
	if (code == NULL) {
		rest = str_skip(pattern, offset);
		*error = rest.n == 0 ?
		    pool_printf(pool, "pcre2_compile() failed: %s in \"" STR_FMT "\"",
		    error_say(number), STR_ARG(pattern)) :
		    pool_printf(pool, "pcre2_compile() failed: %s in \"" STR_FMT "\" at \"" STR_FMT
		    "\"", error_say(number), STR_ARG(pattern), STR_ARG(rest));
		return (NULL);
	}
	/* Without JIT (not built in, or no executable memory) matching is only slower. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	pool_cleanup(pool, regex_free, code);
	regex = pool_new_object(pool, struct regex);
	regex->code = code;
	regex->pattern = pool_strdup(pool, pattern);
	(void)pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &regex->captures);
	return (regex);
}

struct str
regex_pattern(const struct regex *regex)
{
	return (regex->pattern);
}

void
regex_names(const struct regex *regex, void (*fn)(struct str, unsigned, void *), void *arg)
{
	uint32_t count = 0, size = 0;
	const unsigned char *row = NULL;

	/* Rows of: group number, two bytes; name; NUL. */
	(void)pcre2_pattern_info(regex->code, PCRE2_INFO_NAMECOUNT, &count);
	(void)pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	(void)pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &row);
	for (; count > 0; count--, row += size)
		fn(str_from((const char *)row + 2), (unsigned)row[0] << 8 | row[1], arg);
}

static void
captures_fill(struct captures *captures, const pcre2_match_data *result, unsigned count,
    struct str subject)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer((pcre2_match_data *)(uintptr_t)result);

	captures->count = count;
	for (unsigned i = 0; i < count; i++) {
		PCRE2_SIZE start = at[2 * i], end = at[2 * i + 1];

		/* \K can put the start behind the end. */
		if (start == PCRE2_UNSET || start > end)
			captures->group[i] = STR("");
		else
			captures->group[i] = str_make(subject.p + start, end - start);
	}
}

int
regex_match(const struct regex *regex, struct str subject, struct captures *captures)
{
	const struct matching *m = matching_get();
	unsigned groups = regex->captures + 1;
	int n;

	if (subject.p == NULL)
		subject = STR("");
	n = pcre2_match(regex->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, m->result, m->context);
	if (n == PCRE2_ERROR_NOMATCH)
		return (0);
	if (n < 0) {
		(void)error_say(n);
		return (-1);
	}
	if (captures == NULL)
		return (1);
	/* n is one more than the last group set, or 0 when the result has too little room. */
	if (groups > REGEX_GROUPS_MAX)
		groups = REGEX_GROUPS_MAX;
	captures_fill(captures, m->result, groups, subject);
	return (1);
}

const char *
regex_error(void)
{
	return (error_text);
}
