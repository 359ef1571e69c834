/*
 * Reading a folder on the helper thread, a slice at a time, so that password
 * hashes wait for one slice of a large folder and not for all of it.  Called
 * by autoindex.c.
 *
 *	read -> slice (helper) -> loop -> slice ... -> sorted -> done()
 *	              cancelled at any time -> freed on the loop
 */
#include "mod/folder.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "net/offload.h"

#define SLICE	1000	/* names: some milliseconds */

/* The helper thread's while it works, the loop's in between. */
struct reading {
	struct folder folder;
	struct offload_job job;
	DIR *dir;
	struct folder_entry *last;
	uint64_t bytes_counted, bytes_max;
	bool names;
	bool complete;
	void (*done)(struct folder *, void *);
	void *arg;
};

static atomic_ullong bytes_held;	/* by all folders */

static void
reading_fail(struct reading *rd, const char *call, struct str path, int error)
{
	rd->folder.error = error;
	rd->folder.failed = call;
	rd->folder.failed_path = path;
	rd->complete = true;
}

static struct str
entry_path(struct reading *rd, const char *name)
{
	struct str parts[3] = { rd->folder.path, STR("/"), str_from(name) };

	return (pool_concat(rd->folder.pool, 3, parts));
}

/*
 * What a name stands for.  False: not in the list, be it that it went meanwhile, may not be
 * looked at, or that nothing can be read any more.
 */
static bool
entry_stat(struct reading *rd, const char *name, struct stat *st)
{
	const char *call = "stat()";
	int at = dirfd(rd->dir), error;

	if (fstatat(at, name, st, 0) == 0)
		return (true);
	error = errno;
	if (error == ENOENT || error == ELOOP) {
		call = "lstat()";
		if (fstatat(at, name, st, AT_SYMLINK_NOFOLLOW) == 0)
			return (true);
		error = errno;
	}
	if (error == EACCES && rd->folder.barred.p == NULL)
		rd->folder.barred = entry_path(rd, name);
	if (error != EACCES && error != ENOENT)
		reading_fail(rd, call, entry_path(rd, name), error);
	return (false);
}

static void
entry_add(struct reading *rd, const char *name)
{
	struct folder_entry *e;
	struct stat st;

	if (!entry_stat(rd, name, &st))
		return;
	e = pool_new_object(rd->folder.pool, struct folder_entry);
	e->name = pool_strdup(rd->folder.pool, str_from(name));
	e->size = (uint64_t)st.st_size;
	e->mtime = st.st_mtime;
	e->kind = S_ISDIR(st.st_mode) ? FOLDER_DIRECTORY :
	    S_ISREG(st.st_mode) ? FOLDER_FILE : FOLDER_OTHER;
	e->next = rd->last;
	rd->last = e;
	rd->folder.count++;
}

static int
entry_compare(const void *a, const void *b)
{
	const struct folder_entry *x = *(struct folder_entry *const *)a;
	const struct folder_entry *y = *(struct folder_entry *const *)b;
	int by_kind = (x->kind != FOLDER_DIRECTORY) - (y->kind != FOLDER_DIRECTORY);

	return (by_kind != 0 ? by_kind : str_cmp(x->name, y->name));
}

static void
entries_sort(struct reading *rd)
{
	struct folder *folder = &rd->folder;
	size_t i = 0;

	folder->entries = pool_alloc(folder->pool, folder->count * sizeof(*folder->entries));
	for (struct folder_entry *e = rd->last; e != NULL; e = e->next)
		folder->entries[i++] = e;
	if (folder->count > 1)
		qsort(folder->entries, folder->count, sizeof(*folder->entries), entry_compare);
}

static void
reading_count_bytes(struct reading *rd)
{
	uint64_t held = pool_footprint(rd->folder.pool), more = held - rd->bytes_counted;

	rd->bytes_counted = held;
	if (atomic_fetch_add(&bytes_held, more) + more > rd->bytes_max && rd->names)
		reading_fail(rd, "readdir()", rd->folder.path, ENOMEM);
}

static void
reading_close(struct reading *rd)
{
	if (rd->dir != NULL)
		(void)closedir(rd->dir);
	rd->dir = NULL;
}

/* On the helper thread. */
static void
slice_read(struct offload_job *job)
{
	struct reading *rd = list_item(job, struct reading, job);
	const struct dirent *d;

	if (rd->dir == NULL && (rd->dir = opendir(rd->folder.path.p)) == NULL)
		reading_fail(rd, "opendir()", rd->folder.path, errno);
	else if (!rd->names)
		rd->complete = true;
	for (unsigned i = 0; i < SLICE && !rd->complete; i++) {
		errno = 0;
		if ((d = readdir(rd->dir)) == NULL) {
			if (errno != 0)
				reading_fail(rd, "readdir()", rd->folder.path, errno);
			else
				entries_sort(rd);
			rd->complete = true;
		} else if (d->d_name[0] != '.')
			entry_add(rd, d->d_name);
	}
	reading_count_bytes(rd);
	if (rd->complete)
		reading_close(rd);
}

static void
slice_done(struct offload_job *job)
{
	struct reading *rd = list_item(job, struct reading, job);

	if (rd->complete)
		rd->done(&rd->folder, rd->arg);
	else
		offload_submit(job);
}

struct folder *
folder_read(struct loop *loop, struct str path, bool names, uint64_t bytes_max,
    void (*done)(struct folder *, void *), void *arg)
{
	struct pool *pool = pool_new(0);
	struct reading *rd = pool_new_object(pool, struct reading);

	rd->folder.pool = pool;
	rd->folder.path = pool_strdup(pool, path);
	rd->names = names;
	rd->bytes_max = bytes_max;
	rd->done = done;
	rd->arg = arg;
	rd->job.loop = loop;
	rd->job.work = slice_read;
	rd->job.done = slice_done;
	offload_submit(&rd->job);
	return (&rd->folder);
}

void
folder_free(struct folder *folder)
{
	struct reading *rd = list_item(folder, struct reading, folder);

	reading_close(rd);
	atomic_fetch_sub(&bytes_held, rd->bytes_counted);
	pool_free(folder->pool);
}

static void
reading_released(struct offload_job *job)
{
	folder_free(&list_item(job, struct reading, job)->folder);
}

void
folder_cancel(struct folder *folder)
{
	offload_cancel(&list_item(folder, struct reading, folder)->job, reading_released);
}
