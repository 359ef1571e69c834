#ifndef WPROXY_MOD_REWRITE_IF_H
#define WPROXY_MOD_REWRITE_IF_H

#include <stdbool.h>

#include "conf/conf.h"
#include "http/request.h"
#include "http/tpl.h"
#include "http/var.h"

/* The condition of an "if": compiled when the file is read, read-only afterwards. */
struct condition {
	int variable;			/* of the left side; -1: a test of a file */
	struct tpl *text;		/* right side of = and !=; the path of a test */
	struct matcher *matcher;	/* ~ and the like: matched by the caller, for captures */
	char test;			/* 'f', 'd', 'e', 'x', or 0 */
	bool negated;
};

/* From the words of the directive under way; NULL after conf_error(). */
struct condition	*condition_compile(struct conf *);
/* Of a condition without matcher. */
bool			 condition_holds(struct request *, const struct condition *);

#endif
