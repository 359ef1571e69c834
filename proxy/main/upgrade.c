/*
 * USR2: the new binary is started beside this one with the listening sockets
 * and reads the configuration itself.  The pid file is the new master's; this
 * one's moves to PID.oldbin until it ends or the new one does.  Called by master.c.
 */
#include "main/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "main/pidfile.h"

struct str
pidfile_old(struct pool *pool, struct str path)
{
	return (pool_printf(pool, STR_FMT ".oldbin", STR_ARG(path)));
}

/* In the child; nothing of ours is cleaned up: it is the new program's process or none. */
static void __attribute__((noreturn))
binary_become(struct master *m, const char *list)
{
	char **argv = m->options->argv;
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	sockets_keep_on_exec(&m->sockets);
	if (setenv(UPGRADE_ENVIRONMENT, list, 1) == 0)
		(void)execvp(argv[0], argv);
	log_main(LOG_ALERT, errno, "execve() failed while executing new binary process \"%s\"",
	    argv[0]);
	_exit(1);
}

void
upgrade_start(struct master *m)
{
	struct pool *pool;
	struct str pid, old;

	if (m->new_binary != 0 || (m->state != MASTER_RUNNING && m->state != MASTER_IDLE))
		return;
	pool = pool_new(0);
	pid = m->generation->process->pid;
	old = pidfile_old(pool, pid);
	if (pidfile_rename(pid, old) == 0) {
		struct str list = sockets_list(&m->sockets, pool);
		pid_t child = fork();

		if (child == 0)
			binary_become(m, list.p);
		if (child == -1) {
			log_main(LOG_ALERT, errno,
			    "fork() failed while spawning \"new binary process\"");
			(void)!pidfile_rename(old, pid);
		} else {
			log_main(LOG_NOTICE, 0, "start new binary process %ld", (long)child);
			m->new_binary = child;
		}
	}
	pool_free(pool);
}

/* While this master serves it is the one that the pid file names; idle, it serves again. */
void
upgrade_ended(struct master *m)
{
	struct pool *pool;
	struct str pid;

	if (m->state != MASTER_RUNNING && m->state != MASTER_IDLE)
		return;
	pool = pool_new(0);
	pid = m->generation->process->pid;
	(void)!pidfile_rename(pidfile_old(pool, pid), pid);
	pool_free(pool);
	if (m->state == MASTER_RUNNING)
		return;
	m->state = MASTER_RUNNING;
	if (m->worker.pid == 0)
		m->worker.respawn_ms = clock_mono_ms();
}
