/* proxy/mod/ssl_tickets.c: which keys there are, by the clock of the test. */
#include "../unit.h"
#include "base/clock.h"
#include "mod/ssl_tickets.h"

#define HOUR	3600

static size_t
names(struct ssl_ticket_keys *keys, unsigned char out[][SSL_TICKET_NAME])
{
	return (ssl_ticket_keys_names(keys, out, 8));
}

START_TEST(rotation)
{
	struct ssl_ticket_keys *keys;
	unsigned char before[8][SSL_TICKET_NAME], after[8][SSL_TICKET_NAME];
	uint64_t now;

	clock_update();
	now = clock_mono_ms() / 1000;
	keys = ssl_ticket_keys_shared();
	ck_assert_ptr_eq(keys, ssl_ticket_keys_shared());
	ck_assert_uint_eq(names(keys, before), 1);

	/* Within the hour nothing changes. */
	ssl_ticket_keys_rotate(keys, now + HOUR - 1);
	ck_assert_uint_eq(names(keys, after), 1);
	ck_assert_mem_eq(before, after, SSL_TICKET_NAME);

	/* Then there is a new one in front, and two old ones are kept. */
	for (unsigned hour = 1; hour < 6; hour++) {
		size_t n = hour < 2 ? hour + 1 : 3;

		names(keys, before);
		ssl_ticket_keys_rotate(keys, now + hour * HOUR);
		ck_assert_uint_eq(names(keys, after), n);
		ck_assert_mem_ne(before[0], after[0], SSL_TICKET_NAME);
		ck_assert_mem_eq(before[0], after[1], SSL_TICKET_NAME);
	}

	/* A clock of another thread that is a little behind changes nothing. */
	names(keys, before);
	ssl_ticket_keys_rotate(keys, now + 5 * HOUR - 2);
	ck_assert_uint_eq(names(keys, after), 3);
	ck_assert_mem_eq(before, after, 3 * SSL_TICKET_NAME);

	/* After a long time without handshakes no old key is left. */
	ssl_ticket_keys_rotate(keys, now + 100 * HOUR);
	ck_assert_uint_eq(names(keys, after), 1);
	for (int i = 0; i < 3; i++)
		ck_assert_mem_ne(before[i], after[0], SSL_TICKET_NAME);
}
END_TEST

START_TEST(files)
{
	struct ssl_ticket_keys *keys = ssl_ticket_keys_new();
	char bytes[96];
	unsigned char got[8][SSL_TICKET_NAME];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	ck_assert(!ssl_ticket_keys_add(keys, str_make(bytes, 0)));
	ck_assert(!ssl_ticket_keys_add(keys, str_make(bytes, 47)));
	ck_assert(!ssl_ticket_keys_add(keys, str_make(bytes, 81)));
	ck_assert(ssl_ticket_keys_add(keys, str_make(bytes, 48)));
	ck_assert(ssl_ticket_keys_add(keys, str_make(bytes + 16, 80)));
	/* In order, and they do not age. */
	ssl_ticket_keys_rotate(keys, 1000 * HOUR);
	ck_assert_uint_eq(names(keys, got), 2);
	ck_assert_mem_eq(got[0], bytes, SSL_TICKET_NAME);
	ck_assert_mem_eq(got[1], bytes + 16, SSL_TICKET_NAME);
	for (int i = 0; i < 20; i++)
		ck_assert(ssl_ticket_keys_add(keys, str_make(bytes, 80)));
	ssl_ticket_keys_free(keys);
	ssl_ticket_keys_free(NULL);
}
END_TEST

static void
add(TCase *tcase)
{
	tcase_add_test(tcase, rotation);
	tcase_add_test(tcase, files);
}

int
main(void)
{
	return (unit_main("ssl_tickets", add));
}
