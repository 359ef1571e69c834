#ifndef WPROXY_TESTS_UNIT_H
#define WPROXY_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

#include "base/str.h"

/* What every unit test needs: comparing struct str, the size of a table, one main(). */
#define ROWS(table)	(sizeof(table) / sizeof((table)[0]))

/* The row of a loop test; says which one when an assertion fails. */
#define ck_assert_bytes(s, literal) do {						\
	struct str got_ = (s), want_ = STR(literal);					\
	ck_assert_msg(str_eq(got_, want_), "%s is \"" STR_FMT "\", not \"" STR_FMT "\"",	\
	    #s, STR_ARG(got_), STR_ARG(want_));						\
} while (0)

#define ck_assert_text(s, text) do {							\
	struct str got_ = (s), want_ = str_from(text);					\
	ck_assert_msg(str_eq(got_, want_), "%s is \"" STR_FMT "\", not \"" STR_FMT "\"",	\
	    #s, STR_ARG(got_), STR_ARG(want_));						\
} while (0)

/* Runs what add(tcase) put in; the exit status of main(). */
static inline int
unit_main(const char *name, void (*add)(TCase *))
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	add(tcase);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

#endif
