/*
 * Session ticket keys.  The shared set is made with the first configuration, in
 * the master, so that every worker begins with the same keys, and lives in the
 * registry, so that a reload changes nothing.  Asked by OpenSSL for each ticket
 * sealed or opened, on any thread.
 *
 *	keys:	[newest: seals] [older: opens] [oldest: opens]   (an hour each)
 */
#include "mod/ssl_tickets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/pool.h"
#include "http/registry.h"
#include "mod/ssl.h"

#define KEYS_SHARED	3
#define KEYS_MAX	16
#define LIFE_SEC	3600

struct ticket_key {
	unsigned char name[SSL_TICKET_NAME];
	unsigned char hmac[32], aes[32];
	uint8_t size;		/* of hmac and aes: 16 or 32 */
	uint64_t made;		/* seconds */
};

struct ssl_ticket_keys {
	pthread_mutex_t lock;	/* leaf; keys are copied out under it */
	bool rotates;
	size_t count;
	struct ticket_key keys[KEYS_MAX];
};

static void
key_make(struct ticket_key *key, uint64_t now)
{
	if (RAND_bytes(key->name, sizeof(key->name)) != 1 ||
	    RAND_bytes(key->hmac, sizeof(key->hmac)) != 1 ||
	    RAND_bytes(key->aes, sizeof(key->aes)) != 1)
		abort();	/* nothing that follows would be secret */
	key->size = 32;
	key->made = now;
}

/* Under the lock.  What is too old to be read goes; a new key when the newest is an hour old. */
static void
keys_rotate(struct ssl_ticket_keys *keys, uint64_t now)
{
	if (!keys->rotates)
		return;
	while (keys->count > 0 &&
	    keys->keys[keys->count - 1].made + KEYS_SHARED * LIFE_SEC <= now)
		OPENSSL_cleanse(&keys->keys[--keys->count], sizeof(keys->keys[0]));
	if (keys->count > 0 && now < keys->keys[0].made + LIFE_SEC)
		return;
	if (keys->count == KEYS_SHARED)
		keys->count--;
	memmove(&keys->keys[1], &keys->keys[0], keys->count * sizeof(keys->keys[0]));
	key_make(&keys->keys[0], now);
	keys->count++;
}

void
ssl_ticket_keys_rotate(struct ssl_ticket_keys *keys, uint64_t now)
{
	pthread_mutex_lock(&keys->lock);
	keys_rotate(keys, now);
	pthread_mutex_unlock(&keys->lock);
}

size_t
ssl_ticket_keys_names(struct ssl_ticket_keys *keys, unsigned char names[][SSL_TICKET_NAME],
    size_t max)
{
	size_t n;

	pthread_mutex_lock(&keys->lock);
	for (n = 0; n < keys->count && n < max; n++)
		memcpy(names[n], keys->keys[n].name, SSL_TICKET_NAME);
	pthread_mutex_unlock(&keys->lock);
	return (n);
}

struct ssl_ticket_keys *
ssl_ticket_keys_new(void)
{
	struct ssl_ticket_keys *keys = xcalloc(1, sizeof(*keys));

	pthread_mutex_init(&keys->lock, NULL);
	return (keys);
}

static void *
keys_make(void *arg)
{
	struct ssl_ticket_keys *keys = ssl_ticket_keys_new();

	(void)arg;
	keys->rotates = true;
	keys_rotate(keys, clock_mono_ms() / 1000);
	return (keys);
}

struct ssl_ticket_keys *
ssl_ticket_keys_shared(void)
{
	return (registry_get(STR("ssl_tickets"), STR(""), keys_make, NULL));
}

bool
ssl_ticket_keys_add(struct ssl_ticket_keys *keys, struct str bytes)
{
	struct ticket_key *key = &keys->keys[keys->count];

	if (bytes.n != SSL_TICKET_KEY_SMALL && bytes.n != SSL_TICKET_KEY_LARGE)
		return (false);
	if (keys->count == KEYS_MAX)
		return (true);	/* so many are not read any more by anybody */
	memcpy(key->name, bytes.p, sizeof(key->name));
	if (bytes.n == SSL_TICKET_KEY_SMALL) {
		key->size = 16;
		memcpy(key->aes, bytes.p + 16, 16);
		memcpy(key->hmac, bytes.p + 32, 16);
	} else {
		key->size = 32;
		memcpy(key->hmac, bytes.p + 16, 32);
		memcpy(key->aes, bytes.p + 48, 32);
	}
	keys->count++;
	return (true);
}

void
ssl_ticket_keys_free(struct ssl_ticket_keys *keys)
{
	if (keys == NULL)
		return;
	pthread_mutex_destroy(&keys->lock);
	OPENSSL_cleanse(keys->keys, sizeof(keys->keys));
	free(keys);
}

/* --- OpenSSL's side --- */

/* Fetched once: a lookup by name for each ticket would cost more than the sealing. */
static EVP_CIPHER *ticket_cipher[2];
static pthread_once_t ticket_cipher_once = PTHREAD_ONCE_INIT;

static void
ticket_cipher_fetch(void)
{
	ticket_cipher[0] = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
	ticket_cipher[1] = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
}

static const EVP_CIPHER *
ticket_cipher_of(const struct ticket_key *key)
{
	pthread_once(&ticket_cipher_once, ticket_cipher_fetch);
	return (ticket_cipher[key->size == 32]);
}

static int
ticket_mac_init(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	OSSL_PARAM params[3];

	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, key->size);
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
	    (char *)(uintptr_t)"sha256", 0);
	params[2] = OSSL_PARAM_construct_end();
	return (EVP_MAC_CTX_set_params(mac, params));
}

/* False: there is none, or none of that name.  *newest: it is the one that seals. */
static bool
key_find(struct ssl_ticket_keys *keys, const unsigned char *name, struct ticket_key *found,
    bool *newest)
{
	size_t i = 0;
	bool ok;

	pthread_mutex_lock(&keys->lock);
	keys_rotate(keys, clock_mono_ms() / 1000);
	while (name != NULL && i < keys->count &&
	    CRYPTO_memcmp(keys->keys[i].name, name, SSL_TICKET_NAME) != 0)
		i++;
	ok = i < keys->count;
	if (ok)
		*found = keys->keys[i];
	pthread_mutex_unlock(&keys->lock);
	*newest = i == 0;
	return (ok);
}

static int
ticket_seal(struct ssl_ticket_keys *keys, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct ticket_key key;
	bool newest;
	int rc = -1;

	if (!key_find(keys, NULL, &key, &newest))
		return (0);
	memcpy(name, key.name, sizeof(key.name));
	if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(ticket_cipher_of(&key))) == 1 &&
	    EVP_EncryptInit_ex(cipher, ticket_cipher_of(&key), NULL, key.aes, iv) == 1 &&
	    ticket_mac_init(mac, &key) == 1)
		rc = 1;
	OPENSSL_cleanse(&key, sizeof(key));
	return (rc);
}

/* 0: unknown, a full handshake; 1: good; 2: good, and the client gets a new one. */
static int
ticket_open(struct ssl_ticket_keys *keys, const SSL *ssl, const unsigned char *name,
    const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct ticket_key key;
	bool newest;
	int rc = -1;

	if (!key_find(keys, name, &key, &newest))
		return (0);
	/* A TLS 1.3 client uses a ticket once (RFC 8446 C.4). */
	if (EVP_DecryptInit_ex(cipher, ticket_cipher_of(&key), NULL, key.aes, iv) == 1 &&
	    ticket_mac_init(mac, &key) == 1)
		rc = newest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
	OPENSSL_cleanse(&key, sizeof(key));
	return (rc);
}

static int
ticket_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal)
{
	const struct ssl_site *site = ssl_site_of(ssl);

	if (seal == 1)
		return (ticket_seal(site->keys, name, iv, cipher, mac));
	return (ticket_open(site->keys, ssl, name, iv, cipher, mac));
}

void
ssl_tickets_use(struct ssl_ctx_st *ctx)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_callback);
}
