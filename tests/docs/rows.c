/*
 * Prints what the product knows, a line each, for tests/check-docs: directives
 * (name, kind, contexts, arguments, default; apart by tabs) from the rows of all
 * modules, and variables from theirs.
 */
#include <stdio.h>
#include <string.h>

#include "conf/type.h"
#include "http/module.h"
#include "http/var.h"
#include "main/core.h"

static const char *
row_kind(const struct conf_row *row)
{
	if ((row->flags & CONF_UNBUILT) != 0)
		return (row->type != NULL ? "ignored" : "refused");
	return (row->type == &conf_inert ? "inert" : "works");
}

/* Where configure put a file is told by `wproxy -V'. */
static const char *
default_text(const struct conf_row *row)
{
	if (row->dflt == NULL || row->type == &conf_inert)
		return ("");
	return (row->dflt[0] == '/' ? strrchr(row->dflt, '/') + 1 : row->dflt);
}

static void
row_print(const struct conf_row *row)
{
	const char *separator = "";

	printf("%s\t%s\t", row->name, row_kind(row));
	for (const struct conf_name *name = context_names; name->name != NULL; name++) {
		if ((row->contexts & name->value) == 0)
			continue;
		printf("%s%s", separator, name->name);
		separator = ", ";
	}
	if (row->max == CONF_ANY)
		printf("\t%u or more", row->min);
	else if (row->min != row->max)
		printf("\t%u to %u", row->min, row->max);
	else
		printf("\t%u", row->min);
	printf("%s\t%s\n", (row->flags & CONF_BLOCK) != 0 ? ", {}" : "", default_text(row));
}

static void
module_print(const struct module *module)
{
	for (const struct conf_row *row = module->rows; row != NULL && row->name != NULL; row++)
		row_print(row);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		return (2);
	if (strcmp(argv[1], "directives") == 0) {
		module_print(&process_module);
		for (unsigned i = 0; i < module_count; i++)
			module_print(modules[i]);
		return (0);
	}
	for (unsigned i = 0; i < module_count; i++)
		for (const struct var_row *v = modules[i]->vars; v != NULL && v->name != NULL; v++)
			printf("%s%s\n", v->name, (v->flags & VAR_PREFIX) != 0 ? "*" : "");
	/* Defined by their modules' prepare(). */
	puts("limit_conn_status\nlimit_req_status");
	return (0);
}
