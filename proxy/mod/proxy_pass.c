/*
 * proxy_pass: its forms, and where it sends a request.
 *
 *	proxy_pass http://group;		the client's request target as received
 *	proxy_pass http://group/uri;		the location's prefix becomes /uri
 *	proxy_pass http://$any/$thing;		evaluated for each request
 */
#include "base/encode.h"
#include "http/site.h"
#include "http/uri.h"
#include "mod/proxy.h"
#include "net/addr.h"

/* A URL taken apart. */
struct proxy_url {
	bool tls;
	struct str authority;	/* "host:port", "unix:/path" */
	struct str host;	/* without port; a unix socket's path */
	unsigned port;		/* 0: none written */
	struct str uri;		/* absent: none */
	bool is_unix;
};

#define URI_NOT_HERE "\"proxy_pass\" cannot have URI part in location given by regular expression, "	\
	"or inside named location, or inside \"if\" statement, or inside \"limit_except\" block"

/* NULL, or what is wrong with it in nginx's words (without the URL itself). */
static const char *
url_split(struct str url, struct proxy_url *out)
{
	struct str rest;
	size_t at;

	*out = (struct proxy_url){ .tls = str_starts_ci(url, STR("https://")) };
	if (!out->tls && !str_starts_ci(url, STR("http://")))
		return ("invalid URL prefix");
	rest = str_skip(url, out->tls ? 8 : 7);
	out->is_unix = str_starts_ci(rest, STR("unix:"));
	if (out->is_unix) {
		at = str_chr(str_skip(rest, 5), ':');
		if (at != SIZE_MAX)
			out->uri = str_skip(rest, at + 6);
		out->authority = str_make(rest.p, at == SIZE_MAX ? rest.n : at + 5);
		out->host = str_skip(out->authority, 5);
		return (out->host.n == 0 ? "no path in the unix domain socket" : NULL);
	}
	for (at = 0; at < rest.n && rest.p[at] != '/' && rest.p[at] != '?'; at++)
		continue;
	if (at < rest.n)
		out->uri = str_skip(rest, at);
	out->authority = str_make(rest.p, at);
	if (at == 0)
		return ("no host");
	return (addr_split(out->authority, &out->host, &out->port));
}

/* What Host says: the port only where it is not the scheme's. */
static void
url_host(struct pool *pool, const struct proxy_url *url, struct str *host, struct str *port)
{
	unsigned dflt = url->tls ? 443 : 80;

	if (url->is_unix) {
		*host = STR("localhost");
		*port = STR("");
		return;
	}
	*port = pool_printf(pool, "%u", url->port == 0 ? dflt : url->port);
	*host = url->port == 0 || url->port == dflt ? url->host : url->authority;
	/* A literal IPv6 address keeps its brackets. */
	if (url->port == dflt && str_starts(url->authority, STR("[")))
		host->n = str_rchr(url->authority, ']') + 1, host->p = url->authority.p;
}

static bool
location_has_own_uri(const struct location *loc)
{
	return (loc->kind == LOCATION_NAMED || loc->kind == LOCATION_REGEX ||
	    loc->kind == LOCATION_IF || loc->kind == LOCATION_LIMIT_EXCEPT);
}

int
proxy_pass_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct location *loc = conf_location(cf);
	struct proxy_pass *pass = pool_new_object(cf->pool, struct proxy_pass);
	struct proxy_url url;
	const char *wrong;

	(void)row;
	*(struct proxy_pass **)field = pass;
	loc->content = proxy_content;
	loc->auto_redirect = loc->name.n > 0 && loc->name.p[loc->name.n - 1] == '/';
	pass->url = pool_strdup(cf->pool, cf->words[1].text);
	pass->prefix = loc->name;
	if (str_chr(pass->url, '$') != SIZE_MAX) {
		pass->variables = tpl_compile(cf, pass->url);
		return (pass->variables == NULL ? -1 : 0);
	}
	wrong = url_split(pass->url, &url);
	if (wrong != NULL && str_eq(str_from(wrong), STR("invalid URL prefix")))
		return (conf_error_hint(cf, 1, "it begins with \"http://\" or \"https://\"", "%s",
		    wrong));
	if (wrong != NULL)
		return (conf_error_at(cf, 1, "%s in upstream \"" STR_FMT "\"", wrong,
		    STR_ARG(str_skip(pass->url, url.tls ? 8 : 7))));
	if (url.uri.n > 0 && location_has_own_uri(loc))
		return (conf_error_at(cf, 1, URI_NOT_HERE));
	pass->tls = url.tls;
	pass->uri = url.uri;
	if (location_has_own_uri(loc))
		pass->prefix = STR("");
	url_host(cf->pool, &url, &pass->host, &pass->port);
	pass->group = group_refer(cf, url.host, url.port, url.tls ? 443 : 80, url.authority);
	return (pass->group == NULL ? -1 : 0);
}

/* --- at run time --- */

static struct str
log_scheme(bool tls)
{
	return (tls ? STR("https://") : STR("http://"));
}

/* The addresses of a host that no group has. */
static bool
target_of_literal(struct request *r, const struct proxy_url *url, struct upstream_target *target)
{
	struct addr *addr = pool_new_object(r->pool, struct addr);

	if (!addr_parse(url->authority, url->tls ? 443 : 80, addr))
		return (false);
	target->addrs = addr;
	target->addr_count = 1;
	if (url->is_unix)
		target->addr_text = url->authority;
	return (true);
}

static bool
target_of_variables(struct request *r, const struct proxy_pass *pass,
    struct upstream_target *target, struct proxy_request *names, struct str *uri, unsigned *status)
{
	struct str text = tpl_eval(r, pass->variables);
	struct proxy_url url;
	const char *wrong = url_split(text, &url);

	*status = 500;
	if (wrong != NULL) {
		request_log(r, LOG_ERR, 0, "%s in \"" STR_FMT "\"", wrong, STR_ARG(text));
		return (false);
	}
	*uri = url.uri;
	if (uri->n > 0 && uri->p[0] == '?') {
		struct str parts[2] = { STR("/"), *uri };

		*uri = pool_concat(r->pool, 2, parts);
	}
	target->tls = url.tls;
	target->scheme = log_scheme(url.tls);
	target->name = url.authority;
	target->tls_name = url.host;
	url_host(r->pool, &url, &names->host, &names->port);
	target->group = group_find(r->http, url.host, url.port);
	if (target->group != NULL || target_of_literal(r, &url, target))
		return (true);
	target->unresolved = url.host;
	target->port = url.port != 0 ? url.port : url.tls ? 443 : 80;
	return (true);
}

bool
proxy_pass_target(struct request *r, const struct proxy_pass *pass, struct upstream_target *target,
    struct proxy_request *names, struct str *uri, unsigned *status)
{
	if (pass->variables != NULL)
		return (target_of_variables(r, pass, target, names, uri, status));
	target->group = pass->group;
	target->tls = pass->tls;
	target->scheme = log_scheme(pass->tls);
	target->name = pass->group->name;
	target->tls_name = pass->group->name;
	names->host = pass->host;
	names->port = pass->port;
	*uri = pass->uri;
	return (true);
}

/* Nothing in a request line may end it, or look like its end. */
static struct str
uri_make_safe(struct pool *pool, struct str uri)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t bad = 0;
	char *p, *at;

	for (size_t i = 0; i < uri.n; i++)
		bad += (unsigned char)uri.p[i] <= ' ' || uri.p[i] == 0x7f;
	if (bad == 0)
		return (uri);
	p = at = pool_alloc(pool, uri.n + 2 * bad);
	for (size_t i = 0; i < uri.n; i++) {
		unsigned char c = (unsigned char)uri.p[i];

		if (c > ' ' && c != 0x7f) {
			*at++ = (char)c;
			continue;
		}
		*at++ = '%';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	return (str_make(p, (size_t)(at - p)));
}

/* Path and query as received: the target without scheme and authority. */
static struct str
target_received(const struct request *r)
{
	const struct str target = r->in.target;

	struct str parts[3] = { STR("/"), STR("?"), r->args };

	if (!r->in.absolute)
		return (target);
	/* The path was left out: it is not part of the target. */
	if (r->in.path.p < target.p || r->in.path.p > target.p + target.n)
		return (r->args.n > 0 ? pool_concat(r->pool, 3, parts) : parts[0]);
	return (str_make(r->in.path.p, (size_t)(target.p + target.n - r->in.path.p)));
}

struct str
proxy_pass_uri(struct request *r, const struct proxy_pass *pass, struct str uri)
{
	struct str parts[4] = { STR(""), STR(""), STR(""), STR("") }, path;
	size_t prefix;

	if (uri.n == 0 && !r->uri_changed)
		return (target_received(r));
	if (pass->variables != NULL && uri.n > 0)
		return (uri_make_safe(r->pool, uri));
	prefix = r->uri_detached || uri.n == 0 ? 0 : pass->prefix.n;
	path = str_skip(r->uri, prefix);
	if (r->internal || str_chr(r->in.path, '%') != SIZE_MAX)
		path = encode_uri(r->pool, path, ESCAPE_URI);
	if (!r->uri_detached)
		parts[0] = uri;
	parts[1] = path;
	if (r->args.n > 0) {
		parts[2] = STR("?");
		parts[3] = r->args;
	}
	return (uri_make_safe(r->pool, pool_concat(r->pool, 4, parts)));
}
