#ifndef WPROXY_MOD_FOLDER_H
#define WPROXY_MOD_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/pool.h"
#include "base/str.h"
#include "net/loop.h"

/*
 * What is in a folder, read by the helper thread: names that begin with a dot are left out,
 * links are followed, one that leads nowhere stands for itself.
 */
enum folder_kind { FOLDER_DIRECTORY, FOLDER_FILE, FOLDER_OTHER };

struct folder_entry {
	struct folder_entry *next;	/* while it is read: the one found before */
	uint64_t size;
	time_t mtime;
	enum folder_kind kind;
	struct str name;
};

struct folder {
	struct pool *pool;		/* holds this and all of it */
	struct str path;
	/* directories first, then by the bytes of their names */
	struct folder_entry **entries;
	size_t count;
	/* errno; ENOMEM: more than the folders being read and shown may take */
	int error;
	const char *failed;		/* the call that failed: "opendir()" */
	struct str failed_path;
	struct str barred;		/* left out: it may not be looked at; absent: none */
};

/* The bytes that all folders being read and shown may take together. */
#define FOLDERS_BYTES	(256ull << 20)

/*
 * Reads the folder at path, with names or only whether it can be read; done(folder) comes later,
 * on the loop, and owns it.  The helper thread does other jobs in between.
 */
struct folder	*folder_read(struct loop *, struct str path, bool names, uint64_t bytes_max,
		    void (*done)(struct folder *, void *), void *arg);
/* Before done: it does not come. */
void		 folder_cancel(struct folder *);
/* After done. */
void		 folder_free(struct folder *);

#endif
