/*
 * Digests, random bytes and password hashes: OpenSSL's EVP, getrandom(2) and
 * crypt(3) end here.  Called for request ids and by auth_basic.  Stateless but for
 * one EVP context per thread.
 */
#include <sys/random.h>

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/encode.h"
#include "base/pool.h"
#include "base/vec.h"
#include "http/digest.h"

static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;

static void
context_free(void *context)
{
	EVP_MD_CTX_free(context);
}

static void
context_key_new(void)
{
	if (pthread_key_create(&context_key, context_free) != 0)
		abort();
}

/* This thread's context: making one for each digest costs more than the digest. */
static EVP_MD_CTX *
context_get(void)
{
	EVP_MD_CTX *context;

	(void)pthread_once(&context_once, context_key_new);
	if ((context = pthread_getspecific(context_key)) == NULL) {
		/* Out of memory ends the process everywhere. */
		if ((context = EVP_MD_CTX_new()) == NULL ||
		    pthread_setspecific(context_key, context) != 0)
			abort();
	}
	return (context);
}

/* The parts one behind the other. */
static void
digest_parts(const EVP_MD *kind, const struct str *parts, unsigned count, unsigned char *out)
{
	EVP_MD_CTX *context = context_get();
	unsigned n;

	/* These fail only without memory, or where a policy takes the algorithm away. */
	if (EVP_DigestInit_ex(context, kind, NULL) != 1)
		abort();
	for (unsigned i = 0; i < count; i++)
		if (parts[i].n > 0 && EVP_DigestUpdate(context, parts[i].p, parts[i].n) != 1)
			abort();
	if (EVP_DigestFinal_ex(context, out, &n) != 1)
		abort();
}

int
digest_random(unsigned char *out, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(out, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return (-1);
		out += got;
		n -= (size_t)got;
	}
	return (0);
}

/* Equal, in a time that says nothing about where they differ. */
static bool
secret_equals(struct str a, struct str b)
{
	unsigned char difference = 0;

	if (a.n != b.n)
		return (false);
	for (size_t i = 0; i < a.n; i++)
		difference |= (unsigned char)(a.p[i] ^ b.p[i]);
	return (difference == 0);
}

static bool
plain_matches(struct str password, struct str hash)
{
	return (secret_equals(password, hash));
}

/* base64 of the digest, the salt (none for {SHA}) behind it. */
static bool
sha_matches(struct str password, struct str hash, bool salted)
{
	struct pool *pool = pool_new(512);
	unsigned char digest[20];
	struct str raw, parts[2];
	bool same = false;

	if (decode_base64(pool, hash, &raw) &&
	    (salted ? raw.n >= sizeof(digest) : raw.n == sizeof(digest))) {
		parts[0] = password;
		parts[1] = str_skip(raw, sizeof(digest));
		digest_parts(EVP_sha1(), parts, 2, digest);
		same = secret_equals(str_make(raw.p, sizeof(digest)),
		    str_make((char *)digest, sizeof(digest)));
	}
	pool_free(pool);
	return (same);
}

static bool
ssha_matches(struct str password, struct str hash)
{
	return (sha_matches(password, hash, true));
}

static bool
plain_sha_matches(struct str password, struct str hash)
{
	return (sha_matches(password, hash, false));
}

#define APR1_ROUNDS	1000
#define APR1_SALT_MAX	8
#define APR1_TEXT_LEN	22

/* crypt's own base 64: the low six bits first. */
static char *
apr1_text(char *out, unsigned long v, unsigned n)
{
	static const char letters[] =
	    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	for (; n > 0; n--, v >>= 6)
		*out++ = letters[v & 63];
	return (out);
}

/* The 1000 rounds of MD5 behind the first digest, in place. */
static void
apr1_rounds(struct str password, struct str salt, unsigned char digest[static 16])
{
	for (unsigned round = 0; round < APR1_ROUNDS; round++) {
		struct str own = str_make((char *)digest, 16), parts[4];
		unsigned count = 0;

		parts[count++] = round & 1 ? password : own;
		if (round % 3 != 0)
			parts[count++] = salt;
		if (round % 7 != 0)
			parts[count++] = password;
		parts[count++] = round & 1 ? own : password;
		digest_parts(EVP_md5(), parts, count, digest);
	}
}

/* Apache's MD5 crypt of the password, its first digest in *digest. */
static void
apr1_first(struct str password, struct str salt, unsigned char digest[static 16])
{
	struct str inner[] = { password, salt, password };
	struct pool *pool = pool_new(1024);
	struct vec parts = VEC_OF(struct str);
	unsigned char mixed[16];
	size_t left;

	digest_parts(EVP_md5(), inner, 3, mixed);
	*(struct str *)vec_push(&parts, pool) = password;
	*(struct str *)vec_push(&parts, pool) = STR("$apr1$");
	*(struct str *)vec_push(&parts, pool) = salt;
	for (left = password.n; left > 0; left -= left < 16 ? left : 16)
		*(struct str *)vec_push(&parts, pool) =
		    str_make((char *)mixed, left < 16 ? left : 16);
	/* A set bit of the length: a NUL; a clear one: the first letter. */
	for (left = password.n; left > 0; left >>= 1)
		*(struct str *)vec_push(&parts, pool) =
		    left & 1 ? str_make("", 1) : str_make(password.p, 1);
	digest_parts(EVP_md5(), parts.items, (unsigned)parts.count, digest);
	pool_free(pool);
}

/* hash is behind "$apr1$": salt$text. */
static bool
apr1_matches(struct str password, struct str hash)
{
	static const unsigned char order[5][3] = { { 0, 6, 12 }, { 1, 7, 13 }, { 2, 8, 14 },
		{ 3, 9, 15 }, { 4, 10, 5 } };
	char text[APR1_TEXT_LEN], *p = text;
	unsigned char digest[16];
	struct str salt;

	if (!str_cut(&hash, '$', &salt) || hash.p == NULL)
		return (false);
	if (salt.n > APR1_SALT_MAX)
		salt.n = APR1_SALT_MAX;
	apr1_first(password, salt, digest);
	apr1_rounds(password, salt, digest);
	for (unsigned i = 0; i < 5; i++)
		p = apr1_text(p, (unsigned long)digest[order[i][0]] << 16 |
		    (unsigned long)digest[order[i][1]] << 8 | digest[order[i][2]], 4);
	p = apr1_text(p, digest[11], 2);
	return (secret_equals(str_make(text, sizeof(text)), hash));
}

static bool
crypt_matches(struct str password, struct str hash)
{
	struct crypt_data *data;
	struct pool *pool;
	const char *text;
	bool same;

	/* A NUL in the password would end it early and let a shorter one in. */
	if (hash.n == 0 || str_chr(password, '\0') != SIZE_MAX)
		return (false);
	pool = pool_new(sizeof(*data) + 1024);
	data = pool_new_object(pool, struct crypt_data);
	text = crypt_r(pool_cstr(pool, password), pool_cstr(pool, hash), data);
	/* What crypt cannot read gives "*0" or "*1", which is nobody's hash. */
	same = text != NULL && text[0] != '*' && secret_equals(str_from(text), hash);
	pool_free(pool);
	return (same);
}

/* First row whose prefix fits.  The last takes everything. */
static const struct {
	struct str prefix;
	bool (*matches)(struct str password, struct str rest);
	bool slow;
	bool whole;		/* matches() wants the prefix, too */
} schemes[] = {
	{ { "{PLAIN}", 7 }, plain_matches, false, false },
	{ { "{SHA}", 5 }, plain_sha_matches, false, false },
	{ { "{SSHA}", 6 }, ssha_matches, false, false },
	{ { "$apr1$", 6 }, apr1_matches, false, false },
	{ { "$1$", 3 }, crypt_matches, false, true },
	{ { "$", 1 }, crypt_matches, true, true },
	{ { "", 0 }, crypt_matches, false, true },
};

static size_t
scheme_of(struct str hash)
{
	size_t i = 0;

	while (!str_starts(hash, schemes[i].prefix))
		i++;
	return (i);
}

bool
password_matches(struct str password, struct str hash)
{
	size_t i = scheme_of(hash);

	return (schemes[i].matches(password,
	    schemes[i].whole ? hash : str_skip(hash, schemes[i].prefix.n)));
}

bool
password_is_slow(struct str hash)
{
	return (schemes[scheme_of(hash)].slow);
}
