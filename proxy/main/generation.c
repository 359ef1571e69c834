/*
 * A configuration from its first byte to its last use.  The master loads it
 * from files, the worker from the master's record; both get the same.  Called
 * by master.c (start, reload, -t, -s) and worker.c (reload).
 *
 *	loaded -> [worker: published -> adopted by each loop -> retired] -> freed
 */
#include "main/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/module.h"
#include "main/syslog_target.h"
#include "mod/ssl_renewal.h"

static struct generation *
generation_of(struct conf *cf)
{
	return (list_item(cf, struct generation, cf));
}

/* Answers every question with an empty http {}. */
static int
empty_read(struct conf_source *source, struct pool *pool, struct str path, struct str *bytes)
{
	(void)source;
	(void)path;
	*bytes = pool_strdup(pool, STR("http {}"));
	return (0);
}

static int
empty_glob(struct conf_source *source, struct pool *pool, struct str pattern, struct vec *names)
{
	(void)source;
	(void)pool;
	(void)pattern;
	(void)names;
	return (0);
}

/* A row's default is being set: its words come from no file, whatever is being read. */
static bool
is_default(const struct conf *cf)
{
	return (cf->lexer != NULL && cf->lexer->at.file.n > 0 && cf->word_count > 0 &&
	    cf->words[0].at.file.n == 0);
}

/*
 * struct conf's open_log.  What nobody asked for by name may be missing (a program that runs
 * where it was built): served on without it.
 */
static struct log_file *
log_open(struct conf *cf, struct str path)
{
	struct generation *gen = generation_of(cf);
	struct log_file *file;

	if (syslog_target_is(path)) {
		struct syslog target;
		const char *why = syslog_target_parse(cf->temp, path, &target);

		if (why != NULL) {
			conf_error_at(cf, 1, "%s", why);
			return (NULL);
		}
	} else if (!str_eq(path, STR("stderr"))) {
		path = conf_path_in_prefix(cf, path);
	}
	file = logs_use(gen->logs, path, &gen->logs_used, gen->pool);
	if (file == NULL && is_default(cf)) {
		if (cf->source->read != empty_read && !gen->in_place)
			conf_warn(cf, "open() \"" STR_FMT "\" failed (%d: %s), there is no "
			    "default \"" STR_FMT "\"", STR_ARG(path), errno, strerror(errno),
			    STR_ARG(cf->words[0].text));
		file = logs_use(gen->logs, STR("/dev/null"), &gen->logs_used, gen->pool);
	}
	if (file == NULL)
		conf_error_path(cf, errno, "open()", path);
	return (file);
}

static const struct conf_vocabulary *
vocabulary_new(struct pool *pool)
{
	struct conf_vocabulary *v = pool_new_object(pool, struct conf_vocabulary);
	struct conf_table *tables = pool_zalloc(pool, (module_count + 1) * sizeof(*tables));

	for (unsigned i = 0; i < module_count; i++)
		tables[i + 1] = (struct conf_table){ modules[i]->rows, modules[i]->index };
	tables[0] = (struct conf_table){ process_module.rows, process_module.index };
	v->tables = tables;
	v->table_count = module_count + 1;
	v->contexts = context_names;
	return (v);
}

/* A file may do without http {}; everything above would rather not. */
static int
http_read_default(struct conf *cf, struct conf_frame *frame)
{
	struct conf_source empty = { empty_read, empty_glob }, *source = cf->source;
	size_t files = cf->files.count;
	int rc;

	if (http_conf_of(cf, SITE_HTTP) != NULL)
		return (0);
	cf->source = &empty;
	rc = conf_read(cf, STR("/http"), frame);
	cf->source = source;
	cf->files.count = files;
	return (rc);
}

static int
generation_read(struct generation *gen, const struct options *options)
{
	struct conf *cf = &gen->cf;
	struct conf_values *values;
	struct conf_frame frame;

	values = conf_values_new(gen->pool, process_module.rows,
	    process_module.size[SCOPE_PROCESS]);
	gen->process = values->data;
	process_frame(values, &frame);
	if (options->directives.n > 0 &&
	    conf_read_text(cf, options->directives, &frame) != 0)
		return (-1);
	if (conf_read(cf, options->conf_path, &frame) != 0)
		return (-1);
	if (http_read_default(cf, &frame) != 0 || site_complete(cf) != 0)
		return (-1);
	/* process_complete() sets defaults as if they were written at this level. */
	cf->frame = &frame;
	if (process_complete(cf, values) != 0)
		return (-1);
	cf->frame = NULL;
	if (http_conf_of(cf, SITE_HTTP)->listens.count == 0)
		conf_warn(cf, "no \"server\" listens: nothing will be served (an \"include\" whose "
		    "pattern no file has is silent)");
	/* A program that was not installed has no folder for it. */
	if (options->in_place && gen->process->pid_at.line == 0)
		gen->process->pid = conf_path_in_prefix(cf, STR("wproxy.pid"));
	return (0);
}

/*
 * The main level's error_log, or that of -e and the build, at level error; stderr where the
 * build's cannot be opened.
 */
static int
generation_open_log(struct generation *gen, const struct options *options)
{
	struct log *log;

	if ((gen->log = gen->process->error_log) != NULL)
		return (0);
	log = pool_new_object(gen->pool, struct log);
	log->level = LOG_ERR;
	if (options->error_log_given)
		log->file = log_open(&gen->cf, options->error_log);
	else
		log->file = logs_use(gen->logs, options->error_log, &gen->logs_used, gen->pool);
	if (log->file == NULL && !options->error_log_given) {
		conf_warn(&gen->cf, "open() \"" STR_FMT "\" failed (%d: %s), there is no default "
		    "\"error_log\"", STR_ARG(options->error_log), errno, strerror(errno));
		log->file = logs_use(gen->logs, STR("stderr"), &gen->logs_used, gen->pool);
	}
	gen->log = log;
	return (log->file == NULL ? -1 : 0);
}

struct generation *
generation_load(const struct generation_input *in)
{
	struct generation *gen = xcalloc(1, sizeof(*gen));
	struct conf *cf = &gen->cf;
	bool ok;

	process_module.index = module_count;
	gen->pool = pool_new(16384);
	gen->logs = in->logs;
	gen->in_place = in->options->in_place;
	gen->logs_used = VEC_OF(void *);
	cf->pool = gen->pool;
	cf->temp = pool_new(0);
	cf->source = in->source;
	cf->vocabulary = vocabulary_new(cf->temp);
	cf->prefix = in->options->prefix;
	cf->folder = in->options->conf_folder;
	cf->log = in->messages;
	cf->caret = in->options->test;
	cf->nameless = in->options->signal != 0 || in->options->check;
	cf->open_log = log_open;
	ok = generation_read(gen, in->options) == 0 &&
	    generation_open_log(gen, in->options) == 0;
	pool_free(cf->temp);
	cf->temp = NULL;
	cf->source = NULL;
	cf->log = NULL;
	if (!ok) {
		generation_free(gen);
		return (NULL);
	}
	gen->http = http_conf_of(cf, SITE_HTTP);
	gen->http->generation = gen;
	if (geteuid() == 0)
		logs_give(gen->logs, gen->process->user.uid);
	return (gen);
}

void
generation_keep_record(struct generation *gen, struct conf_source *source)
{
	if (ssl_sets_of(gen->http)->count > 0)
		gen->record = conf_source_record(source, gen->pool);
}

void
generation_free(struct generation *gen)
{
	if (gen == NULL)
		return;
	logs_release(gen->logs, &gen->logs_used);
	pool_free(gen->pool);
	free(gen);
}

const struct listen *
generation_listen(const struct generation *gen, const struct addr *addr)
{
	VEC_EACH(&gen->http->listens, struct listen *, it)
		if ((*it)->wildcard == NULL && addr_eq(&(*it)->addr, addr))
			return (*it);
	return (NULL);
}
