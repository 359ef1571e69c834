/*
 * The process title: written over the memory in which the kernel left argv and
 * the environment, one stretch of bytes.  Process-wide by nature, hence the
 * statics.  Called by main.c, master.c, worker.c.
 *
 *	| argv[0] \0 argv[1] \0 ... | environ[0] \0 ... |  ->  | wproxy: worker process \0 \0 ... |
 */
#include "main/title.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

extern char **environ;

static char *room;
static size_t room_size;
static char **argv_copy, **environ_copy;

/*
 * A copy of a NULL-ended vector, strings and all in one block; *end grows over
 * strings that follow it in memory.
 */
static char **
strings_copy(char *const *strings, char **end)
{
	size_t n = 0, bytes = 0;
	char **copy, *text;

	for (; strings[n] != NULL; n++)
		bytes += strlen(strings[n]) + 1;
	copy = xcalloc(1, (n + 1) * sizeof(*copy) + bytes);
	text = (char *)(copy + n + 1);
	for (size_t i = 0; i < n; i++) {
		size_t size = strlen(strings[i]) + 1;

		copy[i] = memcpy(text, strings[i], size);
		text += size;
		if (strings[i] == *end)
			*end += size;
	}
	return (copy);
}

char **
title_init(int argc, char **argv)
{
	char *end = argv[0];

	argv_copy = strings_copy(argv, &end);
	if (argc > 0) {
		environ = environ_copy = strings_copy(environ, &end);
		room = argv[0];
		room_size = (size_t)(end - room);
		argv[1] = NULL;
	}
	return (argv_copy);
}

void
title_set(const char *text)
{
	if (room_size < 2)
		return;
	memset(room, 0, room_size);
	(void)snprintf(room, room_size, "wproxy: %s", text);
}

void
title_fini(void)
{
	static char *nothing[] = { NULL };

	environ = nothing;
	free(environ_copy);
	free(argv_copy);
	environ_copy = argv_copy = NULL;
}
