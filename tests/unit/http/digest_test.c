/* proxy/http/digest.c */
#include "../unit.h"
#include "base/encode.h"
#include "http/digest.h"

START_TEST(random_bytes)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };

	ck_assert_int_eq(digest_random(a, sizeof(a)), 0);
	ck_assert_int_eq(digest_random(b, sizeof(b)), 0);
	ck_assert_int_ne(memcmp(a, b, sizeof(a)), 0);
	ck_assert_int_eq(digest_random(a, 0), 0);
}
END_TEST

/* Made with: openssl passwd, mkpasswd, htpasswd. */
static const struct {
	const char *password, *hash;
	bool good, slow;
} passwords[] = {
	{ "secret", "{PLAIN}secret", true, false }, { "Secret", "{PLAIN}secret", false, false },
	{ "", "{PLAIN}", true, false }, { "secre", "{PLAIN}secret", false, false },
	{ "secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", true, false },
	{ "secreT", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", false, false },
	{ "secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/", false, false }, { "", "{SHA}", false, false },
	{ "secret", "{SHA}!!!!", false, false },
	{ "secret", "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", true, false },
	{ "secretx", "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", false, false },
	{ "a", "$apr1$s$EpqI6uEp3OR4bun9kSXHW/", true, false },
	{ "ax", "$apr1$s$EpqI6uEp3OR4bun9kSXHW/", false, false },
	{ "sixteen-letters!", "$apr1$12345678$embel0U/KoMzGUyAdkeSV/", true, false },
	{ "sixteen-letters!x", "$apr1$12345678$embel0U/KoMzGUyAdkeSV/", false, false },
	{ "seventeen-letters", "$apr1$xy$RcYV1rIS/RFfsahrA9xCa/", true, false },
	{ "seventeen-lettersx", "$apr1$xy$RcYV1rIS/RFfsahrA9xCa/", false, false },
	{ "", "$apr1$saltsalt$a8ml/vK5HEjiZ5oypDWA7/", true, false },
	{ "x", "$apr1$saltsalt$a8ml/vK5HEjiZ5oypDWA7/", false, false },
	{ "secret", "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", true, false },
	{ "secret", "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.", true, true },
	{ "Secret", "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.", false, true },
	{ "secret",
	    "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.", true, true },
	{ "secret", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", true, true },
	{ "secrets", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", false, true },
	{ "secret", "$y$j75$abcdefgh$uMUXG79B2cFpoAYyDccUnsaH/aGTyBYMlnQidzyag01", true, true },
	{ "secrets", "$y$j75$abcdefgh$uMUXG79B2cFpoAYyDccUnsaH/aGTyBYMlnQidzyag01", false, true },
	{ "secret", "abNANd1rDfiNc", true, false },
	{ "sacret", "abNANd1rDfiNc", false, false },
	{ "secret", "{SSHA}avcdmIp85EhnV1ZR6Aq7zcLUNVxzYWx0eXNhbHQ=", true, false },
	{ "sacret", "{SSHA}avcdmIp85EhnV1ZR6Aq7zcLUNVxzYWx0eXNhbHQ=", false, false },
	{ "secret", "{SSHA}AAAA", false, false },
	{ "secret", "", false, false }, { "", "", false, false },
	{ "secret", "secret", false, false },
	{ "secret", "$", false, true }, { "secret", "$9$x$y", false, true },
	{ "secret", "*", false, false },
	{ "secret", "*0", false, false }, { "x", "$apr1$", false, false },
	{ "x", "$apr1$salt", false, false },
	{ "x", "$apr1$salt$", false, false }, { "x", "$apr1$$", false, false },
};

START_TEST(password)
{
	struct str word = str_from(passwords[_i].password), hash = str_from(passwords[_i].hash);

	ck_assert_int_eq(password_matches(word, hash), passwords[_i].good);
	ck_assert_int_eq(password_is_slow(hash), passwords[_i].slow);
}
END_TEST

START_TEST(no_password_ends_at_a_nul)
{
	ck_assert(!password_matches(STR("secret\0x"), STR("abNANd1rDfiNc")));
	ck_assert(password_matches(STR("secret"), STR("abNANd1rDfiNc")));
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, random_bytes);
	tcase_add_loop_test(tcase, password, 0, ROWS(passwords));
	tcase_add_test(tcase, no_password_ends_at_a_nul);
}

int
main(void)
{
	return (unit_main("http/digest", add));
}
