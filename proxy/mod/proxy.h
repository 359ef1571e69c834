#ifndef WPROXY_MOD_PROXY_H
#define WPROXY_MOD_PROXY_H

#include "base/vec.h"
#include "http/request.h"
#include "http/tpl.h"
#include "mod/upstream.h"

/*
 * The proxy_* directives of a location, for proxy.c (how a request is written),
 * proxy_pass.c (where it goes) and proxy_rewrite.c (what its answer says of places).
 */
extern struct module proxy_module;

/* What proxy_pass says. */
struct proxy_pass {
	struct tpl *variables;		/* NULL: the rest holds */
	struct str url;			/* as written */
	bool tls;
	struct group *group;
	struct str host;		/* for Host and $proxy_host */
	struct str port;
	struct str uri;			/* absent: the client's own */
	struct str prefix;		/* of the location: uri stands for it */
};

/* proxy_redirect, proxy_cookie_domain, proxy_cookie_path: what becomes of what. */
struct proxy_rule {
	struct tpl *from;		/* NULL where matcher is set */
	struct matcher *matcher;
	struct tpl *to;
};

/* proxy_cookie_flags. */
struct proxy_cookie_flags {
	struct tpl *cookie;		/* NULL where matcher is set */
	struct matcher *matcher;
	struct vec words;		/* struct tpl *: "secure", "nosamesite" ... */
};

/* A list of rules; off: the directive says "off", which ends inheritance. */
struct proxy_rules {
	struct vec items;
	bool off;
};

struct proxy_header {
	struct str name;
	enum field_id id;
	struct tpl *value;
};

struct proxy_location {
	struct upstream_settings up;
	struct proxy_pass *pass;
	struct vec set_headers;		/* struct proxy_header */
	struct proxy_rules redirects;
	struct proxy_rules cookie_domains, cookie_paths;
	struct proxy_rules cookie_flags;
	unsigned http_version;		/* 10, 11 */
	struct tpl *method;

	/* Made when everything is inherited. */
	uint64_t drop;			/* FIELD_BITs of client fields that are not passed */
	struct vec drop_names;		/* struct str: others */
	bool host_is_set, connection_is_set;
};

/* Of a request, for $proxy_host and $proxy_port. */
struct proxy_request {
	struct str host, port;
};

/* --- proxy_pass.c --- */
int	proxy_pass_set(struct conf *, const struct conf_row *, void *);
/*
 * Evaluates the target into u.  False: it is wrong (logged, 500) or has no address (502): *status.
 */
bool	proxy_pass_target(struct request *, const struct proxy_pass *, struct upstream_target *,
	    struct proxy_request *, struct str *uri, unsigned *status);
/* The request target as the back end sees it. */
struct str	proxy_pass_uri(struct request *, const struct proxy_pass *, struct str uri);

/* --- proxy_rewrite.c --- */
extern const struct conf_type conf_proxy_rules;
int	proxy_redirect_set(struct conf *, const struct conf_row *, void *);
int	proxy_cookie_set(struct conf *, const struct conf_row *, void *);
int	proxy_cookie_flags_set(struct conf *, const struct conf_row *, void *);
/* The default rule of a location without rules of its own; parent: the location around, or NULL. */
int	proxy_redirect_init(struct conf *, struct proxy_location *,
	    const struct proxy_location *parent);
struct str	proxy_rewrite(struct request *, enum field_id, struct str value);
/* Pure, for tests: value with `length' bytes at `at' replaced. */
struct str	rewrite_splice(struct pool *, struct str value, size_t at, size_t length, struct str by);

/* --- proxy.c --- */
enum step_result	proxy_content(struct request *);

#endif
