/*
 * Which certificate files of a configuration belong together, and whether what
 * has replaced them can be used.  Called when a configuration is complete, and by
 * the master when a file has changed.
 */
#include "mod/ssl_renewal.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "mod/ssl.h"
#include "mod/ssl_pem.h"
#include "mod/ssl_staples.h"

const struct vec *
ssl_sets_of(const struct http_conf *http)
{
	const struct ssl_main *main = main_conf(http, ssl_module);

	return (&main->sets);
}

void
ssl_set_each(const struct ssl_set *set, void (*fn)(struct str path, void *arg), void *arg)
{
	VEC_EACH(&set->certificates, struct str, it)
		fn(*it, arg);
	VEC_EACH(&set->keys, struct str, it)
		fn(*it, arg);
	if (set->password_file.n > 0)
		fn(set->password_file, arg);
	if (set->stapling_file.n > 0)
		fn(set->stapling_file, arg);
}

static bool
pairs_load(const struct ssl_set *set, struct ssl_loader *l)
{
	struct vec passwords = VEC_OF(struct str);
	struct str bytes, key = STR("");

	if (set->password_file.n > 0) {
		if (ssl_read_file(l, set->password_file, "r", &bytes) != 0)
			return (ssl_load_failed(l, "BIO_new_file", set->password_file) == 0);
		ssl_read_passwords(bytes, &passwords, l->pool);
	}
	for (size_t i = 0; i < set->certificates.count; i++) {
		key = *vec_at(&set->keys, struct str, i);
		if (ssl_load_certificate(l, *vec_at(&set->certificates, struct str, i)) != 0 ||
		    ssl_load_key(l, key, &passwords) != 0)
			return (false);
	}
	if (ssl_check_keys(l, key) != 0)
		return (false);
	return (set->stapling_file.n == 0 || ssl_staple_file_check(l, set->stapling_file));
}

bool
ssl_set_is_usable(const struct ssl_set *set, struct conf_source *source, struct pool *pool,
    char *why, size_t size)
{
	struct ssl_loader l = { .source = source, .pool = pool,
		.ctx = SSL_CTX_new(TLS_server_method()) };
	bool ok = l.ctx != NULL && pairs_load(set, &l);

	if (!ok)
		(void)snprintf(why, size, "%s", l.why);
	ssl_loader_fini(&l);
	SSL_CTX_free(l.ctx);
	ERR_clear_error();
	return (ok);
}

/* --- while a configuration is read --- */

static struct vec
paths_of(struct conf *cf, const struct vec *names)
{
	struct vec paths = VEC_OF(struct str);

	VEC_EACH(names, struct str, it)
		*(struct str *)vec_push(&paths, cf->pool) = str_starts(*it, STR("data:")) ? *it :
		    pool_strdup(cf->pool, conf_path_in_folder(cf, *it));
	return (paths);
}

static bool
paths_eq(const struct vec *a, const struct vec *b)
{
	if (a->count != b->count)
		return (false);
	for (size_t i = 0; i < a->count; i++)
		if (!str_eq(*vec_at(a, struct str, i), *vec_at(b, struct str, i)))
			return (false);
	return (true);
}

void
ssl_set_add(struct conf *cf, const struct ssl_settings *settings)
{
	struct ssl_main *main = main_conf(conf_http(cf), ssl_module);
	struct ssl_set *set = pool_new_object(cf->pool, struct ssl_set);

	set->certificates = paths_of(cf, &settings->certificates);
	set->keys = paths_of(cf, &settings->certificate_keys);
	set->keys.count = set->certificates.count;
	set->password_file = settings->passwords.file;
	if (settings->stapling && settings->stapling_file.n > 0)
		set->stapling_file = pool_strdup(cf->pool,
		    conf_path_in_folder(cf, settings->stapling_file));
	if (main->sets.size == 0)
		main->sets = VEC_OF(struct ssl_set *);
	VEC_EACH(&main->sets, struct ssl_set *, it)
		if (paths_eq(&(*it)->certificates, &set->certificates) &&
		    paths_eq(&(*it)->keys, &set->keys) &&
		    str_eq((*it)->password_file, set->password_file) &&
		    str_eq((*it)->stapling_file, set->stapling_file))
			return;
	*(struct ssl_set **)vec_push(&main->sets, cf->pool) = set;
}
