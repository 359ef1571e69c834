#ifndef WPROXY_HTTP_TPL_H
#define WPROXY_HTTP_TPL_H

#include <stdbool.h>

#include "base/str.h"
#include "conf/conf.h"

/*
 * Text with variables, compiled when the configuration is read: literals,
 * $name, ${name}, $1..$9.  Read-only afterwards.
 */
struct request;
struct tpl;

/* NULL after conf_error ("invalid variable name"...).  text is copied. */
struct tpl	*tpl_compile(struct conf *, struct str text);
/* In the request's pool (literals: no copy). A literal has NUL behind. */
struct str	 tpl_eval(struct request *, const struct tpl *);
/*
 * The same, with captures escaped as nginx does in redirects and rewrites (escape only what came
 * from the decoded URI). set: enum escape_set.
 */
struct str	 tpl_eval_escaped(struct request *, const struct tpl *, int set);
bool		 tpl_is_literal(const struct tpl *);
struct str	 tpl_text(const struct tpl *);		/* as written */
/* nginx's predicates (proxy_no_cache, access_log if=): neither empty nor "0". */
bool		 tpl_is_true(struct request *, const struct tpl *);

extern const struct conf_type conf_tpl;		/* struct tpl *: one argument */
extern const struct conf_type conf_tpl_size;	/* the same; without variables it must be a size */

#endif
