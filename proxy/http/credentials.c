/*
 * Basic authentication's value taken apart (RFC 7617).  Pure; called by
 * $remote_user and by auth_basic.
 */
#include "http/credentials.h"

#include "base/encode.h"

bool
credentials_basic(struct pool *pool, struct str authorization, struct str *user,
    struct str *password)
{
	struct str rest, text;
	size_t colon;

	if (!str_starts_ci(authorization, STR("Basic ")))
		return (false);
	for (rest = str_skip(authorization, 6); rest.n > 0 && rest.p[0] == ' ';)
		rest = str_skip(rest, 1);
	if (rest.n == 0 || !decode_base64(pool, rest, &text))
		return (false);
	colon = str_chr(text, ':');
	if (colon == SIZE_MAX || colon == 0)
		return (false);
	*user = pool_strdup(pool, str_make(text.p, colon));
	*password = pool_strdup(pool, str_skip(text, colon + 1));
	return (true);
}
