/*
 * The first minute: wproxy was started without -c and there is no file where
 * the build expects one.  Called by start.c once reading it has failed.
 */
#include "main/welcome.h"

#include <stdio.h>
#include <unistd.h>

/* Files that may be there already, and what can be done with each. */
static const struct {
	const char *path, *options, *meaning;
	bool root;		/* its logs and ports are */
} known[] = {
	{ "wproxy.conf", "", "serves as the file in this folder says", false },
	{ "/etc/wproxy/wproxy.conf", "", "serves as the installed file says", true },
	{ "/etc/nginx/nginx.conf", "-t ", "tests this machine's nginx configuration, changes nothing",
	    true },
};

void
welcome_print(const struct options *o)
{
	const char *program = o->argv[0] != NULL ? o->argv[0] : "wproxy";

	if (o->conf_given || access(o->conf_path.p, F_OK) == 0)
		return;
	fprintf(stderr, "\nThere is no configuration yet. What to do next:\n\n");
	if (access("bootstrap", X_OK) == 0)
		fprintf(stderr, "    ./bootstrap run\n"
		    "        builds this tree and starts a demo behind wproxy\n");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (access(known[i].path, R_OK) == 0)
			fprintf(stderr, "    %s%s %s-c %s\n        %s\n",
			    known[i].root && geteuid() != 0 ? "sudo " : "", program,
			    known[i].options, known[i].path, known[i].meaning);
	fprintf(stderr,
	    "    %s -c FILE\n"
	    "        serves as a file of yours says, in nginx's language; the smallest one:\n"
	    "        events {} http { server { listen 8080; location / { "
	    "proxy_pass http://127.0.0.1:8000; } } }\n"
	    "    %s -h\n"
	    "        names all options; \"man wproxy\" and docs/ explain them\n",
	    program, program);
}
