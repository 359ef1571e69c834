/*
 * Why a path cannot be used, in words that lead to the cure: errno tells what
 * the kernel objected to, not where.  Called when something failed, by whoever
 * tells a person about it.
 */
#include "base/hint.h"

#include <sys/stat.h>

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

/* The path up to the '/' at or behind i, without it.  False: none is left. */
static bool
folder_next(struct str path, size_t *i, struct str *folder)
{
	while (*i < path.n && (*i == 0 || path.p[*i] != '/'))
		(*i)++;
	if (*i >= path.n)
		return (false);
	*folder = str_make(path.p, (*i)++);
	return (true);
}

struct str
hint_barred(struct pool *pool, struct str path)
{
	struct str folder;
	size_t i = 0;

	while (folder_next(path, &i, &folder)) {
		const char *name = pool_cstr(pool, folder);

		if (access(name, X_OK) != 0)
			return (str_from(name));
	}
	return (path);
}

static struct str
account_name(struct pool *pool, uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	if (pw != NULL)
		return (pool_printf(pool, "account \"%s\"", pw->pw_name));
	return (pool_printf(pool, "account %u", (unsigned)uid));
}

/* account "NAME" may not VERB "PATH", which belongs to account "OWNER" and has mode 0700 */
static struct str
refused(struct pool *pool, const char *verb, struct str path)
{
	struct str me = account_name(pool, geteuid());
	struct stat st;

	if (stat(pool_cstr(pool, path), &st) != 0)
		return (pool_printf(pool, STR_FMT " may not %s \"" STR_FMT "\"", STR_ARG(me), verb,
		    STR_ARG(path)));
	return (pool_printf(pool, STR_FMT " may not %s \"" STR_FMT "\", which belongs to " STR_FMT
	    " and has mode %04o", STR_ARG(me), verb, STR_ARG(path),
	    STR_ARG(account_name(pool, st.st_uid)), (unsigned)st.st_mode & 07777));
}

static struct str
folder_of(struct str path)
{
	size_t slash = str_rchr(path, '/');

	return (str_make(path.p, slash == SIZE_MAX || slash == 0 ? path.n > 0 : slash));
}

static struct str
hint_permission(struct pool *pool, struct str path)
{
	struct str barred = hint_barred(pool, path);

	if (!str_eq(barred, path))
		return (refused(pool, "enter", barred));
	if (access(pool_cstr(pool, path), F_OK) == 0)
		return (refused(pool, "open", path));
	return (refused(pool, "write in", folder_of(path)));
}

static struct str
hint_missing(struct pool *pool, struct str path)
{
	struct str folder;
	struct stat st;
	size_t i = 0;

	while (folder_next(path, &i, &folder)) {
		if (stat(pool_cstr(pool, folder), &st) != 0)
			return (pool_printf(pool, "there is no folder \"" STR_FMT
			    "\": make it or correct the path", STR_ARG(folder)));
		if (!S_ISDIR(st.st_mode))
			return (pool_printf(pool, "\"" STR_FMT "\" is no folder",
			    STR_ARG(folder)));
	}
	return (STR("its folder is there, the file is not: make it or correct the path"));
}

struct str
hint_path(struct pool *pool, struct str path, int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return (hint_permission(pool, path));
	case ENOENT:
	case ENOTDIR:
		return (hint_missing(pool, path));
	case EISDIR:
		return (STR("it is a folder"));
	default:
		return (STR_NULL);
	}
}
