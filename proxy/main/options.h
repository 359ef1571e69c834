#ifndef WPROXY_MAIN_OPTIONS_H
#define WPROXY_MAIN_OPTIONS_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"

/*
 * The command line.  Read once at start, constant afterwards; the worker has
 * the same copy.  Strings live in the pool given to options_parse() or in argv.
 */
struct options {
	bool help, version, build;	/* -h, -v, -V */
	bool test, dump, quiet;		/* -t, -T (which implies test), -q */
	int signal;			/* -s: what it stands for; 0 */
	bool check;			/* -s check: only looks whether the service is up */
	struct str signal_name;
	struct str prefix;		/* absolute, with '/' behind, NUL behind that */
	struct str conf_path;		/* absolute */
	bool conf_given;		/* -c */
	struct str conf_folder;		/* with '/' behind */
	struct str error_log;		/* absolute, or "stderr" */
	bool error_log_given;		/* -e */
	bool in_place;			/* the prefix is the current folder: -c is relative to it */
	struct str directives;		/* -g */
	char **argv;			/* as given, for a new binary */
};

/*
 * What the words say, paths as they were written.  NULL, or what is wrong in nginx's words
 * ("invalid option: \"x\"").  Pure.
 */
const char	*options_parse(struct pool *, int argc, char *const *argv, struct options *);
/*
 * Makes the paths absolute; looks where the file is.  -1 with errno when there is no current
 * folder.
 */
int		 options_resolve(struct pool *, struct options *);
/* "wproxy version: ..." and what -h and -V add, to stderr as in nginx. */
void		 options_print(const struct options *);

#endif
