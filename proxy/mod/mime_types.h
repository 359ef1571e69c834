#ifndef WPROXY_MOD_MIME_TYPES_H
#define WPROXY_MOD_MIME_TYPES_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/str.h"
#include "conf/type.h"

/* The types of content that a filter is for: text/html is always one, "*" is any. */
struct mime_types {
	struct hash *names;	/* NULL: text/html only */
	bool any;
};
extern const struct conf_type conf_mime_types;	/* struct mime_types, CONF_REPEAT adds */

/* Is the type of a Content-Type, parameters or not, one of them?  Absent: of "*" only. */
bool	mime_types_have(const struct mime_types *, struct str content_type);

#endif
