/*
 * The command line, nginx's: which words there are, what they mean, what is
 * said about a wrong one.  Called by main() once.
 *
 * Where -c is relative and -p was not given, the file is looked for under the
 * compiled-in prefix, as in nginx, and is else that of the current folder, which is
 * then the prefix: a tree that was not installed runs where it stands.
 */
#include "main/options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"

static const struct {
	struct str name;
	int signal;
} signals[] = {
	{ { "stop", 4 }, SIGTERM },
	{ { "quit", 4 }, SIGQUIT },
	{ { "reopen", 6 }, SIGUSR1 },
	{ { "reload", 6 }, SIGHUP },
};

/* Letters that stand alone. */
static const struct {
	char letter;
	size_t offset;
} flags[] = {
	{ '?', offsetof(struct options, help) },
	{ 'h', offsetof(struct options, help) },
	{ 'v', offsetof(struct options, version) },
	{ 'V', offsetof(struct options, build) },
	{ 't', offsetof(struct options, test) },
	{ 'T', offsetof(struct options, dump) },
	{ 'q', offsetof(struct options, quiet) },
};

/* Letters with a value, glued on or the next word; -g "$MORE" may be empty. */
static const struct {
	char letter;
	bool empty;
	size_t offset;
	const char *missing;
} values[] = {
	{ 's', false, offsetof(struct options, signal_name), "option \"-s\" requires parameter" },
	{ 'p', false, offsetof(struct options, prefix), "option \"-p\" requires directory name" },
	{ 'c', false, offsetof(struct options, conf_path), "option \"-c\" requires file name" },
	{ 'e', false, offsetof(struct options, error_log), "option \"-e\" requires file name" },
	{ 'g', true, offsetof(struct options, directives), "option \"-g\" requires parameter" },
};

#define COUNT(table)	(sizeof(table) / sizeof((table)[0]))

static bool
flag_take(struct options *o, char letter)
{
	for (size_t i = 0; i < COUNT(flags); i++) {
		if (flags[i].letter != letter)
			continue;
		*(bool *)((char *)o + flags[i].offset) = true;
		return (true);
	}
	return (false);
}

/* One word: letters behind a '-', the last of which may take a value. */
static const char *
word_take(struct pool *pool, struct options *o, char *const **argv)
{
	const char *word = *(*argv)++, *p = word, *next;

	if (*p++ != '-')
		return (pool_printf(pool, "invalid option: \"%s\"", word).p);
	for (; *p != '\0'; p++) {
		size_t i = 0;

		if (flag_take(o, *p))
			continue;
		while (i < COUNT(values) && values[i].letter != *p)
			i++;
		if (i == COUNT(values))
			return (pool_printf(pool, "invalid option: \"%c\"", *p).p);
		next = p[1] == '\0' ? **argv : p + 1;
		if (next == NULL || (*next == '\0' && !values[i].empty))
			return (values[i].missing);
		if (p[1] == '\0')
			(*argv)++;
		p = next;
		*(struct str *)((char *)o + values[i].offset) = str_from(p);
		return (NULL);
	}
	return (NULL);
}

static const char *
signal_find(struct pool *pool, struct options *o)
{
	if (o->signal_name.n == 0)
		return (NULL);
	if ((o->check = str_eq(o->signal_name, STR("check"))))
		return (NULL);
	for (size_t i = 0; i < COUNT(signals); i++) {
		if (str_eq(signals[i].name, o->signal_name)) {
			o->signal = signals[i].signal;
			return (NULL);
		}
	}
	return (pool_printf(pool, "invalid option: \"-s " STR_FMT "\"", STR_ARG(o->signal_name)).p);
}

const char *
options_parse(struct pool *pool, int argc, char *const *argv, struct options *o)
{
	const char *wrong = NULL;

	*o = (struct options){ .argv = (char **)argv };
	if (argc > 0)
		argv++;
	while (wrong == NULL && *argv != NULL)
		wrong = word_take(pool, o, &argv);
	if (wrong == NULL)
		wrong = signal_find(pool, o);
	o->test = o->test || o->dump;
	o->version = o->version || o->build || o->help;
	o->conf_given = o->conf_path.n > 0;
	o->error_log_given = o->error_log.n > 0;
	return (wrong);
}

/* path against folder, which ends in '/'. */
static struct str
path_join(struct pool *pool, struct str folder, struct str path)
{
	struct str parts[] = { folder, path };

	if (str_starts(path, STR("/")))
		return (pool_strdup(pool, path));
	while (str_starts(path, STR("./")))
		path = str_skip(path, 2);
	parts[1] = path;
	return (pool_concat(pool, 2, parts));
}

static struct str
folder_of(struct pool *pool, struct str path)
{
	return (pool_strdup(pool, str_make(path.p, str_rchr(path, '/') + 1)));
}

/* With exactly one '/' behind. */
static struct str
folder_text(struct pool *pool, struct str path)
{
	while (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	return (pool_printf(pool, STR_FMT "/", STR_ARG(path)));
}

int
options_resolve(struct pool *pool, struct options *o)
{
	char here[4096];
	struct str current, file = o->conf_path.n > 0 ? o->conf_path : STR(WPROXY_CONF_PATH);

	if (getcwd(here, sizeof(here)) == NULL)
		return (-1);
	current = folder_text(pool, str_from(here));
	if (o->prefix.n > 0) {
		o->prefix = str_eq(o->prefix, STR(".")) ? current :
		    folder_text(pool, path_join(pool, current, o->prefix));
	} else {
		o->prefix = folder_text(pool, STR(WPROXY_PREFIX));
		o->in_place = !str_starts(file, STR("/")) &&
		    access(path_join(pool, o->prefix, file).p, F_OK) != 0;
		if (o->in_place)
			o->prefix = current;
	}
	o->conf_path = path_join(pool, o->prefix, file);
	o->conf_folder = folder_of(pool, o->conf_path);
	if (o->error_log.n == 0)
		o->error_log = o->in_place ? STR("stderr") : STR(WPROXY_ERROR_LOG);
	if (!str_eq(o->error_log, STR("stderr")))
		o->error_log = path_join(pool, o->prefix, o->error_log);
	return (0);
}

void
options_print(const struct options *o)
{
	fprintf(stderr, "wproxy version: wproxy/" WPROXY_VERSION "\n");
	if (o->help)
		fprintf(stderr,
		    "Usage: wproxy [-?hvVtTq] [-s signal] [-p prefix]\n"
		    "              [-e filename] [-c filename] [-g directives]\n"
		    "\n"
		    "Options:\n"
		    "  -?,-h         : this help\n"
		    "  -v            : show version and exit\n"
		    "  -V            : show version and configure options then exit\n"
		    "  -t            : test configuration and exit\n"
		    "  -T            : test configuration, dump it and exit\n"
		    "  -q            : suppress non-error messages during configuration testing\n"
		    "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
		    "                  (check: exit 0 when it runs and accepts connections)\n"
		    "  -p prefix     : set prefix path (default: " WPROXY_PREFIX "/)\n"
		    "  -e filename   : set error log file (default: " WPROXY_ERROR_LOG ")\n"
		    "  -c filename   : set configuration file (default: " WPROXY_CONF_PATH ")\n"
		    "  -g directives : set global directives out of configuration file\n"
		    "\n");
	if (o->build)
		fprintf(stderr, "configure arguments: %s\n", WPROXY_CONFIGURE);
}
