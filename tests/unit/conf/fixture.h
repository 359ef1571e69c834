#ifndef WPROXY_TESTS_CONF_FIXTURE_H
#define WPROXY_TESTS_CONF_FIXTURE_H

/*
 * Reads a configuration from memory and keeps what was said about it: a
 * source of named texts, a log file in memory, and a struct conf over both.
 */
#include <sys/mman.h>

#include <errno.h>
#include <fnmatch.h>
#include <unistd.h>

#include "conf/conf.h"

struct memory_file {
	const char *path;
	const char *text;
};

struct memory_source {
	struct conf_source source;
	const struct memory_file *files;	/* ends with path NULL */
};

struct fixture {
	struct conf cf;
	struct memory_source memory;
	struct log log;
	char said[8192];
};

static int
memory_read(struct conf_source *source, struct pool *pool, struct str path, struct str *bytes)
{
	struct memory_source *memory = (struct memory_source *)(void *)source;

	for (const struct memory_file *f = memory->files; f->path != NULL; f++)
		if (str_eq(path, str_from(f->path))) {
			*bytes = pool_strdup(pool, str_from(f->text));
			return (0);
		}
	errno = ENOENT;
	return (-1);
}

static int
memory_glob(struct conf_source *source, struct pool *pool, struct str pattern, struct vec *names)
{
	struct memory_source *memory = (struct memory_source *)(void *)source;

	for (const struct memory_file *f = memory->files; f->path != NULL; f++)
		if (fnmatch(pattern.p, f->path, FNM_PATHNAME) == 0)
			*(struct str *)vec_push(names, pool) = str_from(f->path);
	return (0);
}

static void
fixture_init(struct fixture *fx, const struct memory_file *files,
    const struct conf_vocabulary *vocabulary)
{
	memset(fx, 0, sizeof(*fx));
	fx->memory.source.read = memory_read;
	fx->memory.source.glob = memory_glob;
	fx->memory.files = files;
	fx->log.file = log_file_open("", memfd_create("said", MFD_CLOEXEC));
	fx->log.level = LOG_NOTICE;
	fx->cf.pool = pool_new(0);
	fx->cf.temp = pool_new(0);
	fx->cf.source = &fx->memory.source;
	fx->cf.vocabulary = vocabulary;
	fx->cf.folder = STR("/c");
	fx->cf.prefix = STR("/p/");
	fx->cf.log = &fx->log;
}

/* Everything said so far, each line without date and process. */
static const char *
fixture_said(struct fixture *fx)
{
	char raw[8192], *out = fx->said;
	ssize_t n = pread(log_file_fd(fx->log.file), raw, sizeof(raw) - 1, 0);
	char *line = raw, *end;

	raw[n > 0 ? n : 0] = '\0';
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		char *level = strchr(line, '['), *text = strstr(line, "#");

		*end = '\0';
		if (level != NULL && text != NULL && line[0] == '2' &&
		    (text = strstr(text, ": ")) != NULL) {
			size_t k = (size_t)(strchr(level, ']') - level) + 1;

			memcpy(out, level, k);
			out += k;
			line = text + 1;
		}
		memcpy(out, line, strlen(line));
		out += strlen(line);
		*out++ = '\n';
	}
	*out = '\0';
	return (fx->said);
}

static void
fixture_fini(struct fixture *fx)
{
	log_file_close(fx->log.file);
	pool_free(fx->cf.temp);
	pool_free(fx->cf.pool);
}

#endif
