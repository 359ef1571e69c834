/*
 * Targets, paths, hosts, query strings, cookies.  A normal path begins with
 * '/', has no dot segments and no NUL, and is its own normal form once escaped.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/encode.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
path_is_normal(struct pool *pool, struct str path, bool merge)
{
	struct str again, rest = path, segment;

	assert(path.n > 0 && path.p[0] == '/');
	assert(str_chr(path, '\0') == SIZE_MAX);
	assert(!uri_has_dotdot(path));
	assert(!merge || str_find(path, STR("//")) == SIZE_MAX);
	while (str_cut(&rest, '/', &segment))
		assert(!str_eq(segment, STR(".")));
	assert(uri_normalize(pool, encode_uri(pool, path, ESCAPE_URI), merge, &again) == 0);
	assert(str_eq(again, path));
	assert(uri_extension(path).n < path.n);
}

static void
target_try(struct pool *pool, struct str s)
{
	struct uri_target target;
	struct str path, host, port;

	if (uri_split(s, &target) != 0)
		return;
	assert(target.path.n > 0 && str_chr(target.path, '?') == SIZE_MAX &&
	    str_chr(target.path, '#') == SIZE_MAX);
	assert(target.has_args == (target.args.p != NULL));
	assert(target.authority.p == NULL ||
	    host_parse(pool, target.authority, &host, &port) == 0 ||
	    str_eq(target.authority, STR(".")) || str_starts(target.authority, STR(".:")));
	if (str_eq(target.path, STR("*")))
		return;
	for (int merge = 0; merge <= 1; merge++)
		if (uri_normalize(pool, target.path, merge != 0, &path) == 0)
			path_is_normal(pool, path, merge != 0);
}

static void
host_try(struct pool *pool, struct str s)
{
	struct str host, port, again;
	uint64_t number;

	if (host_parse(pool, s, &host, &port) != 0)
		return;
	assert(host.n > 0 && host.n + (port.p != NULL ? port.n + 1 : 0) <= s.n);
	for (size_t i = 0; i < host.n; i++)
		assert((unsigned char)host.p[i] > 0x20 && (unsigned char)host.p[i] < 0x7f &&
		    !(host.p[i] >= 'A' && host.p[i] <= 'Z') && strchr("/@?#\\", host.p[i]) == NULL);
	assert(port.n == 0 || str_to_uint(port, 65535, &number));
	assert(host_parse(pool, host, &again, &port) == 0 && port.p == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str s = str_make((const char *)bytes, size);
	struct str name = str_make(s.p, size < 3 ? size : 3);
	struct pool *pool = pool_new(0);
	struct str path;

	target_try(pool, s);
	host_try(pool, s);
	if (uri_normalize(pool, s, true, &path) == 0 && !str_eq(path, STR("*")))
		path_is_normal(pool, path, true);
	assert(uri_decode(pool, s).n <= size);
	(void)args_get(s, name);
	(void)cookie_get(s, name);
	pool_free(pool);
	return (0);
}
