#ifndef WPROXY_HTTP_VAR_GIVE_H
#define WPROXY_HTTP_VAR_GIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/encode.h"
#include "base/str.h"
#include "http/header.h"
#include "http/request.h"

/* What getters of variables (var.h, var_get) are written with; each returns what a getter does. */

/* A parameter that a getter has no use for. */
#define UNUSED(x)	(void)(x)
/* A row's param, where it is a small number. */
#define PARAM(n)		((const void *)(uintptr_t)(n))
#define PARAM_OF(param)		((uintptr_t)(param))
/* An offset in struct request as a row's param, and what is there. */
#define REQUEST_FIELD(field)	PARAM(offsetof(struct request, field))
#define REQUEST_AT(r, type, param)	((type *)((char *)(r) + PARAM_OF(param)))

static inline bool
give_uint(struct request *r, uint64_t n, struct str *value)
{
	char *text = pool_alloc(r->pool, UINT_TEXT_LEN);

	*value = str_make(text, encode_uint(text, n));
	return (true);
}

/* "12.345" */
static inline bool
give_msec(struct request *r, uint64_t msec, struct str *value)
{
	*value = pool_printf(r->pool, "%llu.%03u", (unsigned long long)(msec / 1000),
	    (unsigned)(msec % 1000));
	return (true);
}

/* An absent string is no value. */
static inline bool
give_str(struct str s, struct str *value)
{
	*value = s;
	return (s.p != NULL);
}

static inline bool
give_field(const struct field *field, struct str *value)
{
	if (field == NULL)
		return (false);
	*value = field->value;
	return (true);
}

/*
 * The first field of that name, written as in a variable: "x_thing" is X-Thing (nginx before 1.23).
 */
bool	give_named(const struct fields *, struct str name, struct str *value);
/* The values of all fields of that id. */
bool	give_joined(struct request *, const struct fields *, enum field_id, struct str separator,
	    struct str *value);

#endif
