/*
 * Log files by path, counted by the configurations that use them.  Owned by
 * the process (master or worker), called by generation.c when a configuration
 * names a file and by master.c and worker.c when files are handed over or
 * opened again.
 *
 *	opened or offered -> used by 1..n configurations -> unused -> swept
 */
#include "main/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "main/syslog_target.h"

struct log_entry {
	struct list link;
	struct log_file *file;
	struct str path;	/* "stderr" for it */
	bool made;		/* was not there before; nobody's yet */
	unsigned users;
};

struct logs {
	enum logs_mode mode;
	struct list entries;
};

static const struct str stderr_path = { "stderr", 6 };

struct logs *
logs_new(enum logs_mode mode)
{
	struct logs *logs = xcalloc(1, sizeof(*logs));

	logs->mode = mode;
	list_init(&logs->entries);
	return (logs);
}

void
logs_set_mode(struct logs *logs, enum logs_mode mode)
{
	logs->mode = mode;
}

static void
entry_free(struct log_entry *entry)
{
	list_remove(&entry->link);
	log_file_close(entry->file);
	free((char *)(uintptr_t)entry->path.p);
	free(entry);
}

void
logs_free(struct logs *logs)
{
	if (logs == NULL)
		return;
	LIST_EACH_SAFE(&logs->entries, it, after)
		entry_free(list_item(it, struct log_entry, link));
	free(logs);
}

static struct log_entry *
entry_find(const struct logs *logs, struct str path)
{
	LIST_EACH(&logs->entries, it) {
		struct log_entry *entry = list_item(it, struct log_entry, link);

		if (str_eq(entry->path, path))
			return (entry);
	}
	return (NULL);
}

/* Whose text was accepted when a configuration named it. */
static struct log_file *
syslog_open(const char *path, int fd)
{
	struct pool *pool = pool_new(1024);
	struct log_file *file = NULL;
	struct syslog target;

	if (syslog_target_parse(pool, str_from(path), &target) == NULL)
		file = log_file_syslog(path, fd, &target);
	else
		errno = EADDRNOTAVAIL;	/* a name that was found is no more */
	pool_free(pool);
	return (file);
}

/* fd -1: opens the path.  NULL with errno. */
static struct log_entry *
entry_new(struct logs *logs, struct str path, int fd)
{
	bool is_stderr = str_eq(path, stderr_path), made;
	char *copy = xmalloc(path.n + 1);
	struct log_entry *entry;
	struct log_file *file;

	memcpy(copy, path.p, path.n);
	copy[path.n] = '\0';
	made = fd == -1 && !is_stderr && !syslog_target_is(path) && access(copy, F_OK) != 0;
	if (syslog_target_is(path))
		file = syslog_open(copy, fd);
	else
		file = log_file_open(is_stderr ? "" : copy, is_stderr ? STDERR_FILENO : fd);
	if (file == NULL) {
		free(copy);
		return (NULL);
	}
	entry = xcalloc(1, sizeof(*entry));
	entry->file = file;
	entry->made = made;
	entry->path = str_make(copy, path.n);
	list_push_back(&logs->entries, &entry->link);
	return (entry);
}

struct log_file *
logs_use(struct logs *logs, struct str path, struct vec *used, struct pool *pool)
{
	struct log_entry *entry;

	if (logs->mode == LOGS_NONE)
		path = stderr_path;
	entry = entry_find(logs, path);
	if (entry == NULL) {
		if (logs->mode == LOGS_HANDED && !str_eq(path, stderr_path)) {
			errno = ENOENT;
			return (NULL);
		}
		if ((entry = entry_new(logs, path, -1)) == NULL)
			return (NULL);
	}
	entry->users++;
	*(void **)vec_push(used, pool) = entry;
	return (entry->file);
}

void
logs_give(struct logs *logs, uid_t uid)
{
	LIST_EACH(&logs->entries, it) {
		struct log_entry *entry = list_item(it, struct log_entry, link);

		if (entry->made && fchown(log_file_fd(entry->file), uid, (gid_t)-1) != 0)
			log_main(LOG_ALERT, errno, "chown(\"%s\", %u) failed", entry->path.p,
			    (unsigned)uid);
		entry->made = false;
	}
}

void
logs_release(struct logs *logs, struct vec *used)
{
	(void)logs;
	VEC_EACH(used, void *, it)
		((struct log_entry *)*it)->users--;
	used->count = 0;
}

void
logs_sweep(struct logs *logs)
{
	LIST_EACH_SAFE(&logs->entries, it, after) {
		struct log_entry *entry = list_item(it, struct log_entry, link);

		if (entry->users == 0)
			entry_free(entry);
	}
}

void
logs_offer(struct logs *logs, struct str path, int fd)
{
	if (entry_find(logs, path) != NULL)
		(void)close(fd);
	else
		(void)entry_new(logs, path, fd);
}

void
logs_reopen(struct logs *logs, void (*fn)(struct str path, int fd, void *arg), void *arg)
{
	LIST_EACH(&logs->entries, it) {
		struct log_entry *entry = list_item(it, struct log_entry, link);

		if (str_eq(entry->path, stderr_path))
			continue;
		if (log_file_reopen(entry->file, -1) != 0)
			log_main(LOG_EMERG, errno, "open() \"%s\" failed", entry->path.p);
		else
			fn(entry->path, log_file_fd(entry->file), arg);
	}
}

void
logs_replace(struct logs *logs, struct str path, int fd)
{
	struct log_entry *entry = entry_find(logs, path);

	if (entry == NULL)
		(void)close(fd);
	else if (log_file_reopen(entry->file, fd) != 0)
		log_main(LOG_ALERT, errno, "dup3() of \"%s\" failed", entry->path.p);
}

void
logs_each(struct logs *logs, void (*fn)(struct str path, int fd, void *arg), void *arg)
{
	LIST_EACH(&logs->entries, it) {
		struct log_entry *entry = list_item(it, struct log_entry, link);

		if (!str_eq(entry->path, stderr_path))
			fn(entry->path, log_file_fd(entry->file), arg);
	}
}
