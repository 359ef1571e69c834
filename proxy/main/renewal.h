#ifndef WPROXY_MAIN_RENEWAL_H
#define WPROXY_MAIN_RENEWAL_H

#include <stdint.h>

/*
 * Certificates that are replaced while they are in use: the master, which may
 * read keys, looks at their files all the time.  A changed set that works is
 * brought in as a reload of the configuration in force with these files' new bytes; no
 * other file is read again.  For master.c and reload.c, in the master.
 */
struct master;
struct renewal;

/* Watches the files of m->generation instead of an earlier one's. */
void		renewal_begin(struct master *);
void		renewal_end(struct master *);
/* When to look next, monotonic ms. */
uint64_t	renewal_due(const struct renewal *);
void		renewal_look(struct master *);

#endif
