#ifndef WPROXY_CONF_TYPE_H
#define WPROXY_CONF_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct conf;
struct conf_row;

/*
 * How a directive's arguments become a field.  set: the words are in
 * cf->words[1..cf->word_count-1]; 0, or -1 after conf_error().
 */
typedef int (*conf_set)(struct conf *, const struct conf_row *, void *field);

struct conf_type {
	const char *name;	/* for the reference: "flag", "size", ... */
	size_t size;		/* of the field */
	conf_set set;
	/* child is unset: takes the parent's value; NULL: memcpy of size. */
	void (*inherit)(struct conf *, const struct conf_row *, void *child, const void *parent);
};

#define CONF_ANY	255	/* as max: no limit */

enum conf_flags {
	CONF_BLOCK = 1,		/* opens a block; set calls conf_block() or conf_words() */
	CONF_REPEAT = 2,	/* may stand several times at one level; set is called each time */
	CONF_OWN = 4,		/* not inherited and no default: only where it is written */
	CONF_FLAG_ARG = 8,	/* a block is optional (reserved for "if"-like rows) */
	CONF_UNBUILT = 16	/* known, but not implemented: never suggested */
};

/* One row declares one directive.  A table ends with a row whose name is NULL. */
struct conf_row {
	const char *name;
	unsigned contexts;		/* bits, named by the vocabulary */
	unsigned char min, max;		/* arguments */
	unsigned char scope;		/* which struct of the module holds the field */
	unsigned char flags;
	const struct conf_type *type;	/* may be NULL where set is given, no field kept */
	size_t offset;			/* of the field (type NULL: set gets the struct) */
	const char *dflt;		/* in the language's own syntax; NULL: zero */
	const void *param;		/* e.g. the names of an enum */
	conf_set set;			/* replaces type->set */
};

/* Ends with name NULL. */
struct conf_name {
	const char *name;
	unsigned value;
};

extern const struct conf_type conf_flag;	/* bool, on|off */
extern const struct conf_type conf_uint;	/* uint64_t; param: struct conf_range or NULL */
extern const struct conf_type conf_size;	/* uint64_t bytes, "8k" */
extern const struct conf_type conf_offset;	/* the same with "2G", of a file or body */
extern const struct conf_type conf_msec;	/* uint64_t milliseconds, "1m 30s" */
extern const struct conf_type conf_sec;		/* uint64_t whole seconds */
extern const struct conf_type conf_str;		/* struct str */
extern const struct conf_type conf_enum;	/* unsigned; param: const struct conf_name[] */
/* unsigned, values ored, those of repeated directives too; param: const struct conf_name[] */
extern const struct conf_type conf_mask;
/* struct vec of struct str, all arguments, CONF_REPEAT appends */
extern const struct conf_type conf_strs;
extern const struct conf_type conf_bufs;	/* struct conf_bufs: "4 8k" */
/* void *, struct vec; the row brings its own set; inherited whole when unset */
extern const struct conf_type conf_custom_ptr;
extern const struct conf_type conf_custom_vec;
extern const struct conf_type conf_inert;	/* no field: checked for arity, without effect */

struct conf_bufs {
	uint64_t count;
	uint64_t size;
};

/* max 0: no upper bound. */
struct conf_range {
	uint64_t min, max;
};

#endif
