#ifndef WPROXY_MOD_SSL_RENEWAL_H
#define WPROXY_MOD_SSL_RENEWAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "base/str.h"
#include "base/vec.h"
#include "conf/source.h"
#include "http/site.h"

/*
 * Files that may be replaced while they are in use: certificates, keys, stapling
 * files.  The master looks at them (main/renewal.c), this says which there are
 * and whether what it found can be used.
 */

/* What belongs together: the pairs of one server.  Paths are absolute, NUL behind. */
struct ssl_set {
	struct vec certificates;	/* struct str */
	struct vec keys;		/* struct str, as many */
	struct str password_file;	/* empty: none */
	struct str stapling_file;	/* empty: none */
};

/* struct ssl_set * of a configuration; each set once. */
const struct vec	*ssl_sets_of(const struct http_conf *);
/* Calls fn for each file of a set. */
void	ssl_set_each(const struct ssl_set *, void (*fn)(struct str path, void *arg), void *arg);
/* Do the files, read through source, make pairs that work?  False: why, with the file's name. */
bool	ssl_set_is_usable(const struct ssl_set *, struct conf_source *, struct pool *, char *why,
	    size_t size);

/* For ssl.c, while http {} closes: settings whose certificates are files become a set. */
struct ssl_settings;
void	ssl_set_add(struct conf *, const struct ssl_settings *);

#endif
