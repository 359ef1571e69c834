#ifndef WPROXY_MAIN_CORE_H
#define WPROXY_MAIN_CORE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "conf/conf.h"
#include "http/module.h"

/* Whom the worker runs as. */
struct process_user {
	struct str name;	/* absent: not looked up */
	uid_t uid;
	gid_t gid;
};

/* What the main level and events {} say. */
struct process_settings {
	struct process_user user;
	struct str pid;			/* absolute path */
	struct conf_position pid_at;	/* its directive; line 0: the build's default */
	uint64_t threads;		/* never 0 after process_complete() */
	uint64_t connections;		/* per thread */
	uint64_t rlimit_nofile;		/* 0: not set */
	struct conf_position rlimit_nofile_at;
	uint64_t rlimit_core;		/* RLIMIT_UNSET: not set */
	uint64_t shutdown_timeout;	/* ms, 0: none */
	int priority;
	bool daemon;
	bool has_events;
	struct str working_directory;	/* absent: stays */
	struct vec env;			/* struct str, "NAME" or "NAME=value" */
	struct log *error_log;		/* NULL: not set */
};
#define RLIMIT_UNSET	UINT64_MAX
#define THREADS_MAX	512

/*
 * Rows of the main level and of events {}.  Not in modules[]: number module_count, after all
 * others.
 */
extern struct module process_module;

/* The frame of the main level; values are process_module's.  owner is for the caller. */
void	process_frame(struct conf_values *, struct conf_frame *);
/* After the file was read: defaults, the default user, threads "auto".  -1 after conf_error(). */
int	process_complete(struct conf *, struct conf_values *) __attribute__((warn_unused_result));

#endif
