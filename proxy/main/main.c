/* The program: the command line, then start.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "main/options.h"
#include "main/start.h"
#include "main/title.h"

static int
options_run(struct pool *pool, int argc, char **argv)
{
	struct options options;
	const char *wrong = options_parse(pool, argc, argv, &options);

	if (wrong != NULL) {
		fprintf(stderr, "wproxy: %s (\"%s -h\" names all options)\n", wrong,
		    argv[0] != NULL ? argv[0] : "wproxy");
		return (1);
	}
	if (options.version) {
		options_print(&options);
		if (!options.test)
			return (0);
	}
	if (options_resolve(pool, &options) != 0) {
		fprintf(stderr, "wproxy: [emerg] getcwd() failed (%d: %s)\n", errno, strerror(errno));
		return (1);
	}
	return (start_run(&options));
}

int
main(int argc, char **argv)
{
	char **copy = title_init(argc, argv);
	struct pool *pool = pool_new(0);
	int status = options_run(pool, argc, copy);

	pool_free(pool);
	title_fini();
	return (status);
}
