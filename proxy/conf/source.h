#ifndef WPROXY_CONF_SOURCE_H
#define WPROXY_CONF_SOURCE_H

#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"
#include "base/vec.h"

/*
 * Where the bytes of a configuration come from.  The master reads the file
 * system and records everything it read; the worker replays the record, so a
 * reload parses exactly the same bytes without opening a file.  Certificates,
 * keys and password files come this way too.
 */
struct conf_source {
	/* Whole file into pool (NUL behind).  -1 with errno. */
	int (*read)(struct conf_source *, struct pool *, struct str path, struct str *bytes);
	/*
	 * The names a glob pattern matches, sorted, as struct str pushed to names; none is no
	 * error.  -1 with errno.
	 */
	int (*glob)(struct conf_source *, struct pool *, struct str pattern, struct vec *names);
};

/*
 * The file system; every answer, a failure too, is also appended to the record, and given
 * again when asked again: one source sees each file in one state.  Lives in pool.
 */
struct conf_source	*conf_source_files(struct pool *);
/* Serialises what conf_source_files() answered so far.  Bytes live in pool. */
struct str		 conf_source_record(struct conf_source *, struct pool *);
/*
 * Answers from a record (which must outlive it), failures with the errno recorded; what was not
 * recorded is ENOENT.  NULL: the record is malformed (it crosses a process border: nothing
 * in it is trusted).
 */
struct conf_source	*conf_source_replay(struct pool *, struct str record);
/*
 * Another answer for a file of a replay (a renewed certificate); bytes must outlive it.  Its record
 * has the new answer.  False: the file was never asked for.
 */
bool			 conf_source_replace(struct conf_source *, struct str path,
			    struct str bytes);

#endif
