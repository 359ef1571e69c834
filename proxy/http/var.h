#ifndef WPROXY_HTTP_VAR_H
#define WPROXY_HTTP_VAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "conf/conf.h"
#include "http/regex.h"

/*
 * Variables: declared by rows (module->vars), by "set", "map", regex names;
 * referred to by index; evaluated lazily per request and cached there.
 */
struct request;
struct http_conf;
struct var;

/*
 * False: the variable has no value (empty in text, "-" in logs).  param: the row's or
 * definition's; name: what follows the prefix of a VAR_PREFIX row ("user_agent" of
 * $http_user_agent), else the whole name.  The value lives as long as the request.
 */
typedef bool (*var_get)(struct request *, const void *param, struct str name, struct str *value);

enum var_flags {
	/* evaluated at each use ("volatile" map, $sent_http_, $limit_rate...) */
	VAR_NOCACHE = 1,
	VAR_PREFIX = 2,		/* the name is a prefix: "http_", "arg_" */
	VAR_CHANGEABLE = 4,	/* "set" may assign it */
	VAR_WEAK = 8,		/* var_define: a getter that is there already stays ("set") */
	VAR_STREAM = 16		/* row: the same in stream {} */
};

struct var_row {
	const char *name;
	var_get get;
	const void *param;
	unsigned flags;
	/* e.g. $args, $limit_rate */
	void (*set)(struct request *, const void *param, struct str value);
};

/* What the name behind a '$' is made of. */
static inline bool
var_is_name_byte(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '_');
}

/* A request's cached value. */
struct var_slot {
	struct str value;
	unsigned char state;	/* enum var_state */
};
enum var_state { VAR_UNKNOWN, VAR_VALUE, VAR_NONE, VAR_EVALUATING };

extern struct module var_module;	/* nginx's core variables: the request (var_core.c) */
extern struct module var_sent_module;	/* the same: the answer (var_sent.c) */

/* Made before http {} or stream {} is read: holds the rows of its modules. */
struct var_table	*var_table_new(const struct http_conf *);
/*
 * The index of $name, entered in the table where new.  Unknown names are found out by
 * var_table_close(). -1 after conf_error (bad name).
 */
int	var_ref(struct conf *, struct str name);
/*
 * Defines a variable (map, set, geo, named capture).  "set" and captures may define one again;
 * a builtin that is not VAR_CHANGEABLE: conf_error 'the duplicate "x" variable'.  Index, or -1.
 */
int	var_define(struct conf *, struct str name, var_get, const void *param, unsigned flags);
/* The getter of one that has no value until somebody assigns it. */
bool	var_none(struct request *, const void *param, struct str name, struct str *value);
/*
 * When http {} closes: every reference must have a definition, else conf_error: unknown "x"
 * variable.
 */
int	var_table_close(struct conf *, struct http_conf *) __attribute__((warn_unused_result));
unsigned	var_count(const struct http_conf *);

/* False: no value (then *value is empty).  Loops in definitions end as no value, logged. */
bool	var_value(struct request *, int index, struct str *value);
/*
 * Gives a variable its value for this request ("set", named captures); calls the row's set where it
 * has one.
 */
void	var_assign(struct request *, int index, struct str value);

/* A regex of the configuration with its named groups bound to variables. */
struct matcher;
/* NULL after conf_error */
struct matcher	*matcher_new(struct conf *, struct str pattern, bool ignore_case);
/*
 * 1, 0, or -1 (logged: the caller answers 500).  On 1 the request's captures ($1..) and the named
 * variables are set.  r NULL is allowed where captures do not matter.
 */
int	matcher_match(struct request *, const struct matcher *, struct str subject);
struct str	matcher_pattern(const struct matcher *);

#endif
