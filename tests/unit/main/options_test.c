/* proxy/main/options.c */
#include "../unit.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "main/options.h"

#define WORDS	8
static struct pool *pool;

static void
setup(void)
{
	pool = pool_new(0);
}

static void
teardown(void)
{
	pool_free(pool);
}

static const char *
parse(const char *const *words, struct options *o)
{
	const char *argv[WORDS + 2] = { "wproxy" };
	int argc = 1;

	for (; argc <= WORDS && words[argc - 1] != NULL; argc++)
		argv[argc] = words[argc - 1];
	return (options_parse(pool, argc, (char *const *)(uintptr_t)argv, o));
}

/* What nginx 1.22.1 says about each. */
static const struct {
	const char *words[WORDS];
	const char *wrong;
} wrongs[] = {
	{ { "x" }, "invalid option: \"x\"" },
	{ { "-x" }, "invalid option: \"x\"" },
	{ { "-tx" }, "invalid option: \"x\"" },
	{ { "--help" }, "invalid option: \"-\"" },
	{ { "-t", "conf" }, "invalid option: \"conf\"" },
	{ { "-c" }, "option \"-c\" requires file name" },
	{ { "-tc" }, "option \"-c\" requires file name" },
	{ { "-c", "" }, "option \"-c\" requires file name" },
	{ { "-p" }, "option \"-p\" requires directory name" },
	{ { "-e" }, "option \"-e\" requires file name" },
	{ { "-g" }, "option \"-g\" requires parameter" },
	{ { "-s" }, "option \"-s\" requires parameter" },
	{ { "-s", "foo" }, "invalid option: \"-s foo\"" },
	{ { "-sSTOP" }, "invalid option: \"-s STOP\"" },
};

START_TEST(wrong_words)
{
	struct options o;

	ck_assert_str_eq(parse(wrongs[_i].words, &o), wrongs[_i].wrong);
}
END_TEST

START_TEST(flags_and_values)
{
	struct options o;

	ck_assert_ptr_null(parse((const char *[WORDS]){ NULL }, &o));
	ck_assert(!o.test && !o.version && !o.quiet && o.signal == 0 && o.conf_path.n == 0);
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-tq", "-cw.conf", "-p", "/srv" }, &o));
	ck_assert(o.test && o.quiet && !o.dump);
	ck_assert_bytes(o.conf_path, "w.conf");
	ck_assert_bytes(o.prefix, "/srv");
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-T" }, &o));
	ck_assert(o.test && o.dump);
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-h" }, &o));
	ck_assert(o.help && o.version);
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-?V" }, &o));
	ck_assert(o.help && o.version && o.build);
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-g", "daemon off; pid x;", "-e", "-" }, &o));
	ck_assert_bytes(o.directives, "daemon off; pid x;");
	ck_assert_bytes(o.error_log, "-");
	ck_assert(o.error_log_given);
	/* A value may begin with a dash, and the last one counts. */
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-c", "-t", "-c", "b" }, &o));
	ck_assert_bytes(o.conf_path, "b");
	ck_assert(!o.test);
	/* -g "$MORE" with nothing in it, as a container's start script has it. */
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-g", "", "-t" }, &o));
	ck_assert(o.directives.n == 0 && o.test);
}
END_TEST

static const struct {
	const char *word;
	int signal;
} signals[] = {
	{ "stop", SIGTERM }, { "quit", SIGQUIT }, { "reopen", SIGUSR1 }, { "reload", SIGHUP },
};

START_TEST(signal_words)
{
	struct options o;

	ck_assert_ptr_null(parse((const char *[WORDS]){ "-s", signals[_i].word }, &o));
	ck_assert_int_eq(o.signal, signals[_i].signal);
}
END_TEST

static const struct {
	const char *words[WORDS];
	const char *prefix, *conf_path, *folder, *error_log;
} paths[] = {
	{ { "-p", "/srv/x", "-c", "w.conf", "-e", "logs/e.log" }, "/srv/x/", "/srv/x/w.conf",
	    "/srv/x/", "/srv/x/logs/e.log" },
	{ { "-p", "/srv/x///", "-c", "conf/w.conf", "-e", "stderr" }, "/srv/x/",
	    "/srv/x/conf/w.conf", "/srv/x/conf/", "stderr" },
	{ { "-p", "/", "-c", "/etc/w.conf", "-e", "/e.log" }, "/", "/etc/w.conf", "/etc/",
	    "/e.log" },
	{ { "-p", "/srv", "-c", "./w.conf", "-e", "/e.log" }, "/srv/", "/srv/w.conf", "/srv/",
	    "/e.log" },
};

START_TEST(absolute_paths)
{
	struct options o;

	ck_assert_ptr_null(parse(paths[_i].words, &o));
	ck_assert_int_eq(options_resolve(pool, &o), 0);
	ck_assert_text(o.prefix, paths[_i].prefix);
	ck_assert_text(o.conf_path, paths[_i].conf_path);
	ck_assert_text(o.conf_folder, paths[_i].folder);
	ck_assert_text(o.error_log, paths[_i].error_log);
	ck_assert(!o.in_place);
}
END_TEST

/* A file that the compiled-in prefix lacks and the current folder has. */
START_TEST(file_in_the_current_folder)
{
	char folder[] = "/tmp/options_test.XXXXXX", here[4096];
	struct options o;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
	fd = open("in_place_test.conf", O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-c", "in_place_test.conf" }, &o));
	ck_assert_int_eq(options_resolve(pool, &o), 0);
	ck_assert(o.in_place);
	ck_assert_text(o.prefix, pool_printf(pool, "%s/", here).p);
	ck_assert_text(o.conf_path, pool_printf(pool, "%s/in_place_test.conf", here).p);
	ck_assert_bytes(o.error_log, "stderr");
	/* One that neither has: who mistyped its name means this folder. */
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-c", "in_plaec_test.conf" }, &o));
	ck_assert_int_eq(options_resolve(pool, &o), 0);
	ck_assert_text(o.conf_path, pool_printf(pool, "%s/in_plaec_test.conf", here).p);
	ck_assert_ptr_null(parse((const char *[WORDS]){ "-p", ".", "-c", "nothing.conf" }, &o));
	ck_assert_int_eq(options_resolve(pool, &o), 0);
	ck_assert(!o.in_place);
	ck_assert_text(o.prefix, pool_printf(pool, "%s/", here).p);
	ck_assert_int_eq(unlink("in_place_test.conf"), 0);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, wrong_words, 0, ROWS(wrongs));
	tcase_add_test(tcase, flags_and_values);
	tcase_add_loop_test(tcase, signal_words, 0, ROWS(signals));
	tcase_add_loop_test(tcase, absolute_paths, 0, ROWS(paths));
	tcase_add_test(tcase, file_in_the_current_folder);
}

int
main(void)
{
	return (unit_main("main/options", add));
}
