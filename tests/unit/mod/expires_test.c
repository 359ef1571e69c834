/* proxy/mod/expires.c */
#include "../unit.h"
#include "mod/expires.h"

static const struct {
	const char *text;
	enum expires_kind before, kind;
	int64_t seconds;
	const char *error;
} texts[] = {
	{ "off", EXPIRES_ACCESS, EXPIRES_OFF, 0, NULL },
	{ "max", EXPIRES_ACCESS, EXPIRES_MAX, 0, NULL },
	{ "epoch", EXPIRES_ACCESS, EXPIRES_EPOCH, 0, NULL },
	{ "0", EXPIRES_ACCESS, EXPIRES_ACCESS, 0, NULL },
	{ "24h", EXPIRES_ACCESS, EXPIRES_ACCESS, 86400, NULL },
	{ "1y", EXPIRES_ACCESS, EXPIRES_ACCESS, 31536000, NULL },
	{ "+1d 2h", EXPIRES_ACCESS, EXPIRES_ACCESS, 93600, NULL },
	{ "-1", EXPIRES_ACCESS, EXPIRES_ACCESS, -1, NULL },
	{ "1h", EXPIRES_MODIFIED, EXPIRES_MODIFIED, 3600, NULL },
	{ "@15h30m", EXPIRES_ACCESS, EXPIRES_DAILY, 55800, NULL },
	{ "@24h", EXPIRES_ACCESS, EXPIRES_DAILY, 86400, NULL },
	{ "@25h", EXPIRES_ACCESS, 0, 0, "daily time value must be less than 24 hours" },
	{ "@1h", EXPIRES_MODIFIED, 0, 0,
	    "daily time cannot be used with \"modified\" parameter" },
	{ "max", EXPIRES_MODIFIED, 0, 0, "invalid value" },
	{ "", EXPIRES_ACCESS, 0, 0, "invalid value" },
	{ "later", EXPIRES_ACCESS, 0, 0, "invalid value" },
	{ "--1", EXPIRES_ACCESS, 0, 0, "invalid value" },
	{ "10ms", EXPIRES_ACCESS, 0, 0, "invalid value" },
};

START_TEST(parsing)
{
	struct expires expires = { .kind = texts[_i].before };
	const char *error = expires_parse(str_from(texts[_i].text), &expires);

	if (texts[_i].error != NULL) {
		ck_assert_ptr_nonnull(error);
		ck_assert_str_eq(error, texts[_i].error);
		return;
	}
	ck_assert_ptr_null(error);
	ck_assert_uint_eq(expires.kind, texts[_i].kind);
	ck_assert_int_eq(expires.seconds, texts[_i].seconds);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_loop_test(tcase, parsing, 0, ROWS(texts));
}

int
main(void)
{
	return (unit_main("expires", add));
}
