/*
 * From the command line to the master: the log of the start, reading the
 * configuration, -t and -T, -s, binding, detaching.  Called by main().
 *
 * Until the worker is ready, complaints go to the log and to the terminal, there
 * in nginx's short form ("wproxy: [emerg] ...").
 */
#define _GNU_SOURCE	/* pipe2 */
#include "main/start.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "config.h"
#include "main/check.h"
#include "main/generation.h"
#include "main/master.h"
#include "main/pidfile.h"
#include "main/privilege.h"
#include "main/systemd.h"
#include "main/welcome.h"

struct start {
	const struct options *options;
	struct pool *pool;		/* of the source: what was read stays for the start */
	struct conf_source *source;
	struct logs *logs;
	struct vec logs_used;
	struct log file;		/* of -e, or the build's; or stderr */
	struct log terminal;
	struct log loaded;		/* terminal, then the configuration's */
	struct master master;
};

/* --- logs --- */

static void
start_open_logs(struct start *s)
{
	struct vec *used = &s->logs_used;

	s->logs_used = VEC_OF(void *);
	s->terminal = (struct log){ .file = logs_use(s->logs, STR("stderr"), used, s->pool),
		.level = LOG_WARN, .brief = true };
	s->file = (struct log){ .next = &s->terminal, .level = LOG_NOTICE };
	s->file.file = logs_use(s->logs, s->options->error_log, used, s->pool);
	/* The build's is missing where wproxy was not installed; who needs it is told then. */
	if (s->file.file == NULL && (s->options->error_log_given || errno != ENOENT))
		log_write(&s->terminal, LOG_ALERT, 0, errno,
		    "could not open error log file: open() \"%s\" failed",
		    s->options->error_log.p);
	if (s->file.file == NULL || (s->options->in_place && !s->options->error_log_given))
		s->file = s->terminal;
	else if (s->file.file == s->terminal.file)
		s->file.next = NULL;
	log_set_default(&s->file);
}

/* The configuration's own log, and still the terminal where that is another. */
static void
start_switch_logs(struct start *s, const struct generation *gen)
{
	for (const struct log *log = gen->log; log != NULL; log = log->next) {
		if (log->file == s->terminal.file) {
			log_set_default(gen->log);
			return;
		}
	}
	s->loaded = s->terminal;
	s->loaded.next = gen->log;
	log_set_default(&s->loaded);
}

static struct generation *
start_load(struct start *s)
{
	struct log quiet = s->file;
	struct generation_input in = { .options = s->options, .source = s->source,
		.logs = s->logs, .messages = &s->file };
	struct generation *gen;

	/* -q hides all but errors: so does the terminal behind the file. */
	if (s->options->test && s->options->quiet) {
		quiet.level = LOG_ERR;
		if (quiet.next != NULL)
			s->terminal.level = LOG_ERR;
		in.messages = &quiet;
	}
	gen = generation_load(&in);
	if (gen == NULL)
		welcome_print(s->options);
	return (gen);
}

/* --- -t, -T --- */

static void
dump_files(struct start *s, const struct generation *gen)
{
	VEC_EACH(&gen->cf.files, struct str, path) {
		struct str bytes;

		if (s->source->read(s->source, s->pool, *path, &bytes) != 0)
			continue;
		(void)printf("# configuration file " STR_FMT ":\n", STR_ARG(*path));
		(void)fwrite(bytes.p, 1, bytes.n, stdout);
		(void)putchar('\n');
	}
	(void)fflush(stdout);
}

static int
start_test(struct start *s)
{
	struct generation *gen = start_load(s);
	const char *file = s->options->conf_path.p;
	struct sockets sockets;
	bool ok = false;

	sockets_init(&sockets);
	if (gen != NULL) {
		if (!s->options->quiet)
			fprintf(stderr, "wproxy: the configuration file %s syntax is ok\n", file);
		ok = sockets_bind(&sockets, gen, SOCKETS_TEST) == 0;
		sockets_close(&sockets, true);
		temp_folders_make(gen->http, &gen->process->user);
	}
	if (!ok)
		fprintf(stderr, "wproxy: configuration file %s test failed\n", file);
	else if (!s->options->quiet)
		fprintf(stderr, "wproxy: configuration file %s test is successful\n", file);
	if (ok && s->options->dump)
		dump_files(s, gen);
	generation_free(gen);
	return (ok ? 0 : 1);
}

/* --- -s --- */

/* To the process that the pid file names.  -1 after logging. */
static int
master_signal(struct str pid_file, int signal)
{
	struct str hint = STR_NULL;
	pid_t pid;

	if (pidfile_read(pid_file, &pid) != 0)
		return (-1);
	if (kill(pid, signal) == 0)
		return (0);
	if (errno == ESRCH)
		hint = STR("it is not running: the pid file is left over");
	else if (errno == EPERM)
		hint = STR("that process is another account's: root may");
	conf_tell(LOG_ALERT, NULL, errno, hint, "kill(%ld, %d) failed", (long)pid, signal);
	return (-1);
}

static int
start_signal(struct start *s)
{
	struct generation *gen = start_load(s);
	int rc;

	if (gen == NULL)
		return (1);
	if (s->options->check) {
		rc = check_running(gen);
	} else {
		log_main(LOG_NOTICE, 0, "signal process started");
		rc = master_signal(gen->process->pid, s->options->signal);
	}
	generation_free(gen);
	return (rc == 0 ? 0 : 1);
}

/* --- the service --- */

static void
start_say_hello(void)
{
	struct utsname system;
	struct rlimit limit;

	log_main(LOG_NOTICE, 0, "wproxy/" WPROXY_VERSION);
	if (uname(&system) == 0)
		log_main(LOG_NOTICE, 0, "OS: %s %s", system.sysname, system.release);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		log_main(LOG_NOTICE, 0, "getrlimit(RLIMIT_NOFILE): %llu:%llu",
		    (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
}

/* Sockets of an older master, or of systemd.  -1 after logging. */
static int
sockets_take_over(struct master *m)
{
	const char *list = getenv(UPGRADE_ENVIRONMENT);
	int rc = 0;

	if (list != NULL) {
		log_main(LOG_NOTICE, 0, "using inherited sockets from \"%s\"", list);
		m->inherited = true;
		rc = sockets_inherit(&m->sockets, str_from(list));
		if (rc != 0)
			log_main(LOG_EMERG, 0, "invalid socket number in " UPGRADE_ENVIRONMENT
			    " environment variable");
		(void)unsetenv(UPGRADE_ENVIRONMENT);
	}
	sockets_inherit_range(&m->sockets, SYSTEMD_FIRST_FD, systemd_sockets());
	return (rc);
}

/* In the child of a start that detaches: a session of its own, nothing of the terminal. */
static int
child_detach(const struct log *log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fd = log_file_fd(log->file);

	(void)umask(0);
	if (null == -1 || setsid() == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(null, STDOUT_FILENO) == -1) {
		log_main(LOG_EMERG, errno, "the process cannot be detached");
		return (-1);
	}
	(void)close(null);
	/* What libraries and sanitizers say must not get lost. */
	if (fd != STDERR_FILENO && dup2(fd, STDERR_FILENO) == -1)
		log_main(LOG_ALERT, errno, "dup2() of stderr failed");
	return (0);
}

/*
 * Forks.  The caller goes on in the child (0); in the parent *status is set once the child is
 * ready or has ended (1).  -1 after logging.
 */
static int
start_detach(struct master *m, const struct log *log, int *status)
{
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) == -1) {
		log_main(LOG_EMERG, errno, "fork() failed");
		return (-1);
	}
	if (pid == 0) {
		(void)close(ends[0]);
		m->starter_fd = ends[1];
		return (0);
	}
	(void)close(ends[1]);
	*status = read(ends[0], &byte, 1) == 1 ? 0 : 1;
	if (*status != 0 && log_file_fd(log->file) != STDERR_FILENO)
		fprintf(stderr, "wproxy: the start failed, \"%s\" says why\n",
		    log_file_path(log->file));
	(void)close(ends[0]);
	return (1);
}

static int
start_master(struct start *s)
{
	struct master *m = &s->master;
	const struct generation *gen = m->generation;
	int status = 1;

	m->detached = gen->process->daemon;
	if (sockets_take_over(m) != 0 || sockets_bind(&m->sockets, gen, SOCKETS_TRY) != 0)
		return (1);
	/* Inherited ones that the file does not name are not ours to keep. */
	sockets_commit(&m->sockets, gen, true);
	temp_folders_make(gen->http, &gen->process->user);
	start_say_hello();
	if (m->detached && !m->inherited) {
		int rc = start_detach(m, gen->log, &status);

		if (rc != 0) {
			/* The sockets, the pid file and their paths are the child's. */
			m->is_worker = true;
			return (status);
		}
		if (child_detach(gen->log) != 0)
			return (1);
		log_set_default(gen->log);
	}
	return (master_run(m));
}

static int
start_service(struct start *s)
{
	int status;

	if (master_init(&s->master, s->options, s->logs) != 0)
		return (1);
	s->master.generation = start_load(s);
	if (s->master.generation == NULL) {
		status = 1;
	} else {
		start_switch_logs(s, s->master.generation);
		generation_keep_record(s->master.generation, s->source);
		status = start_master(s);
	}
	master_fini(&s->master);
	return (status);
}

int
start_run(const struct options *options)
{
	struct start s = { .options = options, .pool = pool_new(16384) };
	int status;

	(void)signal(SIGPIPE, SIG_IGN);
	clock_update();
	modules_number();
	s.source = conf_source_files(s.pool);
	s.logs = logs_new(LOGS_OPEN);
	start_open_logs(&s);
	if (options->signal != 0 || options->check)
		logs_set_mode(s.logs, LOGS_NONE);
	if (options->test)
		status = start_test(&s);
	else if (options->signal != 0 || options->check)
		status = start_signal(&s);
	else
		status = start_service(&s);
	log_set_default(NULL);
	logs_free(s.logs);
	pool_free(s.pool);
	return (status);
}
