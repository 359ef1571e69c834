/*
 * Rights and limits: what the worker gives up, what it gets, and the folders
 * it may write to.  Called by master.c (folders) and worker.c (the rest).
 */
#define _GNU_SOURCE
#include "main/privilege.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/capability.h>

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hint.h"
#include "http/core.h"

/* Besides clients: listeners, logs, loops, idle back-end connections. */
#define DESCRIPTORS_SPARE	256
#define DESCRIPTORS_THREAD	8

/* at: of the directive that wants it. */
static void
limit_set(int what, const char *name, rlim_t value, const struct conf_position *at)
{
	struct rlimit limit = { value, value }, now;
	struct pool *pool;

	if (setrlimit(what, &limit) == 0)
		return;
	pool = pool_new(0);
	if (errno == EPERM && getrlimit(what, &now) == 0)
		conf_tell(LOG_ALERT, at, EPERM, pool_printf(pool, "the hard limit is %llu: only root "
		    "may raise it, systemd by LimitNOFILE=", (unsigned long long)now.rlim_max),
		    "setrlimit(%s, %llu) failed", name, (unsigned long long)value);
	else
		conf_tell(LOG_ALERT, at, errno, STR_NULL, "setrlimit(%s, %llu) failed", name,
		    (unsigned long long)value);
	pool_free(pool);
}

void
limit_descriptors(const struct process_settings *process)
{
	uint64_t wanted = process->connections * process->threads;
	struct rlimit limit;

	if (process->rlimit_nofile != 0) {
		limit_set(RLIMIT_NOFILE, "RLIMIT_NOFILE", process->rlimit_nofile,
		    &process->rlimit_nofile_at);
	} else if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur < 2 * wanted + DESCRIPTORS_SPARE && limit.rlim_cur < limit.rlim_max) {
		/* A connection has a back end or a file beside it. */
		limit.rlim_cur = 2 * wanted + DESCRIPTORS_SPARE;
		if (limit.rlim_cur > limit.rlim_max)
			limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && process->connections > limit.rlim_cur)
		log_main(LOG_WARN, 0,
		    "%llu worker_connections exceed open file resource limit: %llu"
		    " (worker_rlimit_nofile raises it)",
		    (unsigned long long)process->connections, (unsigned long long)limit.rlim_cur);
}

/* Loops, mailboxes and the like of all threads; without them nothing runs. */
static int
descriptors_check(const struct process_settings *process)
{
	uint64_t least = process->threads * DESCRIPTORS_THREAD, left = descriptors_left();
	struct rlimit limit;

	if (left >= least || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return (0);
	log_main(LOG_EMERG, 0, "open file resource limit %llu leaves %llu descriptors, %llu are "
	    "needed (worker_rlimit_nofile raises it)", (unsigned long long)limit.rlim_cur,
	    (unsigned long long)left, (unsigned long long)least);
	return (-1);
}

/* Numbers are given out from below: the next one tells how many are in use. */
uint64_t
descriptors_left(void)
{
	int next = dup(STDERR_FILENO);
	struct rlimit limit;

	if (next == -1)
		return (0);
	(void)close(next);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= (rlim_t)next)
		return (0);
	return (limit.rlim_cur - (rlim_t)next);
}

static int
user_become(const struct process_user *user)
{
	if (geteuid() != 0 || user->name.n == 0)
		return (0);
	if (setgid(user->gid) != 0) {
		log_main(LOG_EMERG, errno, "setgid(%u) failed", (unsigned)user->gid);
		return (-1);
	}
	if (initgroups(user->name.p, user->gid) != 0)
		log_main(LOG_EMERG, errno, "initgroups(%s, %u) failed", user->name.p,
		    (unsigned)user->gid);
	if (setuid(user->uid) != 0) {
		log_main(LOG_EMERG, errno, "setuid(%u) failed", (unsigned)user->uid);
		return (-1);
	}
	return (0);
}

/* What a unit's AmbientCapabilities let the master do (ports, keys) is not for the worker. */
static int
capabilities_drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (geteuid() == 0 || syscall(SYS_capset, &header, none) == 0)
		return (0);
	log_main(LOG_EMERG, errno, "capset() failed");
	return (-1);
}

/* "NAME=value" of env; a mere NAME is kept anyway. */
static void
environment_set(const struct vec *env)
{
	VEC_EACH(env, struct str, it) {
		size_t name = str_chr(*it, '=');
		char *copy;

		if (name == SIZE_MAX || (copy = strndup(it->p, name)) == NULL)
			continue;
		if (setenv(copy, it->p + name + 1, 1) != 0)
			log_main(LOG_ALERT, errno, "setenv(\"%s\") failed", copy);
		free(copy);
	}
}

int
worker_settle(const struct process_settings *process)
{
	if (process->priority != 0 && setpriority(PRIO_PROCESS, 0, process->priority) != 0)
		log_main(LOG_ALERT, errno, "setpriority(%d) failed", process->priority);
	limit_descriptors(process);
	if (descriptors_check(process) != 0)
		return (-1);
	if (process->rlimit_core != RLIMIT_UNSET)
		limit_set(RLIMIT_CORE, "RLIMIT_CORE", process->rlimit_core, NULL);
	environment_set(&process->env);
	if (user_become(&process->user) != 0 || capabilities_drop() != 0)
		return (-1);
	/* Lost with the change of user; a core file is wanted where worker_rlimit_core says so. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
		log_main(LOG_ALERT, errno, "prctl(PR_SET_DUMPABLE) failed");
	if (process->working_directory.n > 0 && chdir(process->working_directory.p) != 0) {
		log_main(LOG_ALERT, errno, "chdir(\"%s\") failed", process->working_directory.p);
		return (-1);
	}
	return (0);
}

/* The folder and those above it that are missing.  -1 with errno. */
static int
folder_make(const char *path)
{
	char *copy = strdup(path);
	int rc = 0, saved;

	if (copy == NULL)
		return (-1);
	for (char *p = copy + 1; rc == 0 && *p != '\0'; p++) {
		if (*p != '/' || p[1] == '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			rc = -1;
		*p = '/';
	}
	if (rc == 0 && mkdir(copy, 0700) != 0 && errno != EEXIST)
		rc = -1;
	saved = errno;
	free(copy);
	errno = saved;
	return (rc);
}

static void
temp_folder_failed(const char *call, const char *path, int error)
{
	struct pool *pool = pool_new(0);

	conf_tell(LOG_CRIT, NULL, error, hint_path(pool, str_from(path), error),
	    "%s \"%s\" failed", call, path);
	pool_free(pool);
}

static void
temp_folder_make(const char *path, const struct process_user *user)
{
	struct stat st;

	if (folder_make(path) != 0) {
		temp_folder_failed("mkdir()", path, errno);
		return;
	}
	if (stat(path, &st) != 0) {
		log_main(LOG_CRIT, errno, "stat() \"%s\" failed", path);
		return;
	}
	if (geteuid() != 0) {
		if (access(path, W_OK | X_OK) != 0)
			temp_folder_failed("access()", path, errno);
		return;
	}
	if (user->name.n > 0 && st.st_uid != user->uid && chown(path, user->uid, (gid_t)-1) != 0)
		log_main(LOG_CRIT, errno, "chown(\"%s\", %u) failed", path, (unsigned)user->uid);
	if ((st.st_mode & 0700) != 0700 && chmod(path, st.st_mode | 0700) != 0)
		log_main(LOG_CRIT, errno, "chmod() \"%s\" failed", path);
}

void
temp_folders_make(const struct http_conf *http, const struct process_user *user)
{
	const struct vec *paths = &http->temp_paths;

	for (size_t i = 0; i < paths->count; i++) {
		struct str path = vec_at(paths, struct temp_path *, i)[0]->path;
		size_t first = 0;

		while (!str_eq(vec_at(paths, struct temp_path *, first)[0]->path, path))
			first++;
		if (first == i)
			temp_folder_make(path.p, user);
	}
}
