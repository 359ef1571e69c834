/* conf/suggest.c: which name was meant. */
#include <check.h>
#include <stdlib.h>

#include "conf/suggest.h"

static const char *const known[] = { "client_body_in_file_only", "client_body_in_single_buffer",
	"client_max_body_size", "server_name", "server_names_hash_max_size", "server", "listen",
	"location", "root", "gzip", "gzip_comp_level", "gzip_types", "gzip_min_length", "sendfile",
	"proxy_pass", "proxy_pass_header", "proxy_set_header", "send_timeout", "keepalive_timeout",
	"upstream", "if", "error_page", "expires" };

static const struct {
	const char *wrong, *meant;	/* meant NULL: nothing is near */
} cases[] = {
	{ "body_in_file_only", "client_body_in_file_only" },
	{ "max_body_size", "client_max_body_size" },
	{ "client_max_body_sizes", "client_max_body_size" },
	{ "client_body_size", "client_max_body_size" },
	{ "server_max_size", "server_names_hash_max_size" },
	{ "size_body", NULL },
	{ "servername", "server_name" },
	{ "sever_name", "server_name" },
	{ "http_server_name", "server_name" },
	{ "gizp", "gzip" },
	{ "gzip_comp", "gzip_comp_level" },
	{ "gzip_", "gzip" },
	{ "listn", "listen" },
	{ "Listen", "listen" },
	{ "locaiton", "location" },
	{ "upstreams", "upstream" },
	{ "proxy_pas_headr", "proxy_pass_header" },
	{ "eror_pages", "error_page" },
	{ "sendfil", "sendfile" },
	{ "expire", "expires" },
	{ "rot", "root" },
	{ "timeout", NULL },		/* a part of several */
	{ "host", NULL },
	{ "foo", NULL },
	{ "RewriteEngine", NULL },
	{ "", NULL },
};

START_TEST(name_is_suggested)
{
	struct pool *pool = pool_new(0);
	struct vec names = VEC_OF(struct str);
	struct str got;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		*(struct str *)vec_push(&names, pool) = str_from(known[i]);
	got = suggest_name(str_from(cases[_i].wrong), &names);
	ck_assert_msg(str_eq(got, str_from(cases[_i].meant)), "%s: " STR_FMT, cases[_i].wrong,
	    STR_ARG(got));
	pool_free(pool);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf/suggest");
	TCase *tc = tcase_create("suggest");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, name_is_suggested, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
