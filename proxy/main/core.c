/*
 * The main level and events {}: their rows and defaults.  Filled while a
 * configuration is read, by the master and again by the worker; read by
 * master.c, worker.c and privilege.c.
 *
 * A worker is one process with N threads, so worker_processes means threads.
 * What tunes nginx's way of sharing work between processes has nothing to act
 * on here and is inert.
 */
#define _GNU_SOURCE	/* CPU_COUNT */
#include "main/core.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <unistd.h>

#include "base/list.h"
#include "http/core.h"

static unsigned
processors_online(void)
{
	cpu_set_t set;
	long n;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return ((unsigned)CPU_COUNT(&set));
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return (n > 0 ? (unsigned)n : 1);
}

static int
threads_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str value = cf->words[1].text;

	(void)row;
	if (str_eq(value, STR("auto"))) {
		*(uint64_t *)field = processors_online() < THREADS_MAX ? processors_online() :
		    THREADS_MAX;
		return (0);
	}
	if (!str_to_uint(value, THREADS_MAX, field) || *(uint64_t *)field == 0)
		return (conf_error_at(cf, 1, "\"" STR_FMT "\" directive invalid value",
		    STR_ARG(cf->words[0].text)));
	return (0);
}

static int
connections_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	if (!str_to_uint(cf->words[1].text, INT32_MAX, field))
		return (conf_error_at(cf, 1, "invalid number \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	if (*(uint64_t *)field == 0)
		return (conf_error_at(cf, 1, "0 worker_connections are not enough"));
	return (0);
}

/* errno 0: nothing failed, it is not known. */
static int
name_refuse(struct conf *cf, const char *call, struct str name, const char *what)
{
	if (errno != 0)
		return (conf_error_errno(cf, errno, "%s(\"" STR_FMT "\") failed", call,
		    STR_ARG(name)));
	return (conf_error_hint(cf, 1, pool_printf(cf->temp, "this machine has no such %s: make it, or "
	    "name another", what).p, "%s(\"" STR_FMT "\") failed", call, STR_ARG(name)));
}

/* Names become numbers here, where nginx says so when there is no such user. */
static int
user_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct process_user *user = field;
	struct str name = cf->words[1].text;
	struct str group = cf->word_count > 2 ? cf->words[2].text : name;
	const struct passwd *pw;
	const struct group *gr;

	(void)row;
	if (geteuid() != 0) {
		/* As that user already, by systemd's unit for example: there is nothing to say. */
		if ((pw = getpwnam(name.p)) == NULL || pw->pw_uid != geteuid())
			conf_warn(cf, "the \"user\" directive makes sense only if the master "
			    "process runs with super-user privileges, ignored");
		return (0);
	}
	errno = 0;
	if ((pw = getpwnam(name.p)) == NULL)
		return (name_refuse(cf, "getpwnam", name, "account"));
	user->uid = pw->pw_uid;
	errno = 0;
	if ((gr = getgrnam(group.p)) == NULL)
		return (name_refuse(cf, "getgrnam", group, "group"));
	user->gid = gr->gr_gid;
	user->name = name;
	return (0);
}

static int
path_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	*(struct str *)field = conf_path_in_prefix(cf, cf->words[1].text);
	return (0);
}

static int
pid_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct process_settings *process = list_item(field, struct process_settings, pid);

	process->pid_at = cf->words[0].at;
	return (path_set(cf, row, field));
}

static int
rlimit_nofile_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct process_settings *process = list_item(field, struct process_settings, rlimit_nofile);

	process->rlimit_nofile_at = cf->words[0].at;
	return (conf_uint.set(cf, row, field));
}

static int
priority_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str value = cf->words[1].text;
	bool minus = str_starts(value, STR("-"));
	uint64_t n;

	(void)row;
	if (minus || str_starts(value, STR("+")))
		value = str_skip(value, 1);
	if (!str_to_uint(value, 1000, &n))	/* the kernel clips it to -20..19 */
		return (conf_error_at(cf, 1, "\"worker_priority\" directive invalid number"));
	*(int *)field = minus ? -(int)n : (int)n;
	return (0);
}

/* Without effect, but not without sense: the row's param is the type that the value has. */
static int
inert_check(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct conf_type *type = row->param;
	uint64_t unused = 0;

	(void)field;
	return (type->set(cf, row, &unused));
}

static int
event_method_check(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	(void)field;
	if (!str_eq(cf->words[1].text, STR("epoll")))
		return (conf_error_at(cf, 1, "invalid event type \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	return (0);
}

static struct conf_values *
process_values(struct conf_frame *frame, unsigned module, unsigned scope)
{
	if (module != process_module.index || scope != SCOPE_PROCESS)
		return (NULL);
	return (frame->owner);
}

static int
events_block(struct conf *cf, const struct conf_row *row, void *field)
{
	struct conf_frame frame = { .context = CTX_EVENTS, .values = process_values,
	    .owner = cf->frame->owner };
	struct process_settings *process = field;

	(void)row;
	if (process->has_events)
		return (conf_error(cf, "\"events\" directive is duplicate"));
	process->has_events = true;
	return (conf_block(cf, &frame));
}

static const struct conf_type conf_threads = { "number or auto", sizeof(uint64_t), threads_set,
	NULL };
static const struct conf_type conf_user = { "user", sizeof(struct process_user), user_set, NULL };
static const struct conf_type conf_path = { "path", sizeof(struct str), path_set, NULL };
static const struct conf_type conf_priority = { "priority", sizeof(int), priority_set, NULL };

#define FIELD(f)	.scope = SCOPE_PROCESS, .offset = offsetof(struct process_settings, f)
#define INERT_OF(word, context, of)							\
	{ .name = (word), .contexts = (context), .min = 1, .max = 1,			\
	    .scope = SCOPE_PROCESS, .type = &conf_inert, .param = (of), .set = inert_check }
#define INERT(word, context, least, most, more)						\
	{ .name = (word), .contexts = (context), .min = (least), .max = (most),		\
	    .scope = SCOPE_PROCESS, .type = &conf_inert, .flags = (more) }

static const struct conf_row process_rows[] = {
	{ .name = "user", .contexts = CTX_MAIN, .min = 1, .max = 2, .type = &conf_user,
	    FIELD(user) },
	{ .name = "pid", .contexts = CTX_MAIN, .min = 1, .max = 1, .type = &conf_path,
	    FIELD(pid), .set = pid_set, .dflt = WPROXY_PID_PATH },
	{ .name = "worker_processes", .contexts = CTX_MAIN, .min = 1, .max = 1,
	    .type = &conf_threads, FIELD(threads), .dflt = "1" },
	{ .name = "worker_threads", .contexts = CTX_MAIN, .min = 1, .max = 1,
	    .type = &conf_threads, FIELD(threads), .dflt = "1" },
	{ .name = "worker_rlimit_nofile", .contexts = CTX_MAIN, .min = 1, .max = 1,
	    .type = &conf_uint, FIELD(rlimit_nofile), .set = rlimit_nofile_set },
	{ .name = "worker_rlimit_core", .contexts = CTX_MAIN, .min = 1, .max = 1,
	    .type = &conf_offset, FIELD(rlimit_core) },
	{ .name = "worker_shutdown_timeout", .contexts = CTX_MAIN, .min = 1, .max = 1,
	    .type = &conf_msec, FIELD(shutdown_timeout) },
	{ .name = "worker_priority", .contexts = CTX_MAIN, .min = 1, .max = 1,
	    .type = &conf_priority, FIELD(priority) },
	{ .name = "daemon", .contexts = CTX_MAIN, .min = 1, .max = 1, .type = &conf_flag,
	    FIELD(daemon), .dflt = "on" },
	{ .name = "working_directory", .contexts = CTX_MAIN, .min = 1, .max = 1,
	    .type = &conf_path, FIELD(working_directory) },
	{ .name = "env", .contexts = CTX_MAIN, .min = 1, .max = 1, .flags = CONF_REPEAT,
	    .type = &conf_strs, FIELD(env) },
	{ .name = "error_log", .contexts = CTX_MAIN, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_error_log, FIELD(error_log) },
	{ .name = "events", .contexts = CTX_MAIN, .flags = CONF_BLOCK | CONF_REPEAT | CONF_OWN,
	    .scope = SCOPE_PROCESS, .set = events_block },
	{ .name = "worker_connections", .contexts = CTX_EVENTS, .min = 1, .max = 1,
	    .type = &conf_uint, FIELD(connections), .dflt = "512", .set = connections_set },

	/* The worker is always a process of its own. */
	INERT_OF("master_process", CTX_MAIN, &conf_flag),
	INERT("worker_cpu_affinity", CTX_MAIN, 1, CONF_ANY, 0),
	INERT_OF("timer_resolution", CTX_MAIN, &conf_msec),
	INERT_OF("pcre_jit", CTX_MAIN, &conf_flag),
	INERT("lock_file", CTX_MAIN, 1, 1, 0),
	INERT("thread_pool", CTX_MAIN, 2, 3, CONF_REPEAT),
	INERT("debug_points", CTX_MAIN, 1, 1, 0),
	{ .name = "use", .contexts = CTX_EVENTS, .min = 1, .max = 1, .scope = SCOPE_PROCESS,
	    .type = &conf_inert, .set = event_method_check },
	INERT_OF("multi_accept", CTX_EVENTS, &conf_flag),
	INERT_OF("accept_mutex", CTX_EVENTS, &conf_flag),
	INERT_OF("accept_mutex_delay", CTX_EVENTS, &conf_msec),
	INERT("debug_connection", CTX_EVENTS, 1, 1, CONF_REPEAT),
	INERT("worker_aio_requests", CTX_EVENTS, 1, 1, 0),
	{ .name = NULL }
};

struct module process_module = {
	.name = "process",
	.size = { [SCOPE_PROCESS] = sizeof(struct process_settings) },
	.rows = process_rows
};

void
process_frame(struct conf_values *values, struct conf_frame *frame)
{
	*frame = (struct conf_frame){ .context = CTX_MAIN, .values = process_values,
	    .owner = values };
}

/* nginx's compiled-in default: nobody, and the group of that account. */
static int
user_default(struct conf *cf, struct process_user *user)
{
	const struct passwd *pw = getpwnam("nobody");

	if (pw == NULL)
		return (conf_error(cf, "getpwnam(\"nobody\") failed"));
	*user = (struct process_user){ STR("nobody"), pw->pw_uid, pw->pw_gid };
	return (0);
}

int
process_complete(struct conf *cf, struct conf_values *values)
{
	struct process_settings *process = values->data;
	bool pid_given = conf_is_set(values, SCOPE_PROCESS,
	    offsetof(struct process_settings, pid)) != 0;

	if (!process->has_events)
		return (conf_error_hint(cf, 0, "\"events { }\" beside \"http\" will do",
		    "no \"events\" section in configuration"));
	if (conf_inherit(cf, values, NULL, SCOPE_PROCESS) != 0)
		return (-1);
	if (!pid_given)
		process->pid_at = (struct conf_position){ .line = 0 };
	if (conf_is_set(values, SCOPE_PROCESS, offsetof(struct process_settings, rlimit_core)) == 0)
		process->rlimit_core = RLIMIT_UNSET;
	if (geteuid() == 0 && process->user.name.n == 0)
		return (user_default(cf, &process->user));
	return (0);
}
