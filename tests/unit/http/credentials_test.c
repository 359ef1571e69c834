/* proxy/http/credentials.c */
#include "../unit.h"
#include "http/credentials.h"

static const struct {
	const char *value;
	const char *user;	/* NULL: none */
	const char *password;
} values[] = {
	{ "Basic dXNlcjpwYXNz", "user", "pass" },
	{ "basic dXNlcjpwYXNz", "user", "pass" },
	{ "Basic    dXNlcjpwYXNz", "user", "pass" },
	{ "Basic dXNlcjo=", "user", "" },
	{ "Basic dXNlcjphOmI=", "user", "a:b" },
	{ "Basic OnBhc3M=", NULL, NULL },	/* ":pass" */
	{ "Basic dXNlcg==", NULL, NULL },	/* "user" */
	{ "Basic garbage", NULL, NULL },
	{ "Basic ", NULL, NULL },
	{ "Basic", NULL, NULL },
	{ "BasicdXNlcjpwYXNz", NULL, NULL },
	{ "Digest dXNlcjpwYXNz", NULL, NULL },
	{ "", NULL, NULL },
};

START_TEST(basic)
{
	struct pool *pool = pool_new(0);
	struct str user, password;
	bool found = credentials_basic(pool, str_from(values[_i].value), &user, &password);

	ck_assert_int_eq(found, values[_i].user != NULL);
	if (found) {
		ck_assert_text(user, values[_i].user);
		ck_assert_text(password, values[_i].password);
	}
	pool_free(pool);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, basic, 0, ROWS(values));
}

int
main(void)
{
	return (unit_main("credentials", add));
}
