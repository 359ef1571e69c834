/*
 * The words of listen and server_name: which addresses there are, which servers
 * stand behind each, and which sockets a wildcard address covers.  Called by the
 * builder (site.c) while a configuration is read.
 */
#include "http/listen.h"

#include <stdlib.h>
#include <unistd.h>

#include "http/var.h"

static struct listen *
listen_find(struct http_conf *http, const struct addr *addr)
{
	VEC_EACH(&http->listens, struct listen *, it)
		if (addr_eq(&(*it)->addr, addr))
			return (*it);
	return (NULL);
}

/* The client of HTTP and TLS speaks first: it is accepted with what it says. */
static struct listen_options
listen_options_default(const struct http_conf *http)
{
	return ((struct listen_options){ .backlog = -1, .fastopen = -1, .ipv6only = 1,
	    .deferred = !http->kind->headless });
}

static struct listen *
listen_new(struct conf *cf, const struct addr *addr, struct conf_position at)
{
	struct http_conf *http = conf_http(cf);
	struct listen *listen = pool_new_object(cf->pool, struct listen);
	char text[ADDR_TEXT_MAX];

	listen->addr = *addr;
	listen->at = at;
	listen->text = pool_strdup(cf->pool, str_make(text, addr_text(addr, true, text)));
	listen->servers = VEC_OF(struct server *);
	listen->covered = VEC_OF(struct listen *);
	listen->http = http;
	listen->options = listen_options_default(http);
	*(struct listen **)vec_push(&http->listens, cf->pool) = listen;
	return (listen);
}

/* The parameters of one listen directive, before they are compared with earlier ones. */
struct listen_words {
	struct listen_options options;
	bool bind, is_default, ssl, http2, proxy_protocol, reuseport;
};

static int
listen_word_keepalive(struct conf *cf, struct str value, struct listen_options *o)
{
	struct str part, rest = value;
	uint64_t count;

	o->keepalive_set = true;
	if (str_eq(value, STR("on")) || str_eq(value, STR("off"))) {
		o->keepalive_on = str_eq(value, STR("on"));
		return (0);
	}
	o->keepalive_on = true;
	for (int i = 0; i < 3; i++) {
		if (!str_cut(&rest, ':', &part) || part.n == 0)
			continue;
		if (i == 2) {
			if (!str_to_uint(part, INT32_MAX, &count) || count == 0)
				goto invalid;
			o->keep_cnt = (int)count;
		} else {
			if (!str_to_sec(part, &count) || count == 0 || count > INT32_MAX)
				goto invalid;
			*(i == 0 ? &o->keep_idle : &o->keep_intvl) = (int)count;
		}
	}
	if (rest.p == NULL && (o->keep_idle != 0 || o->keep_intvl != 0 || o->keep_cnt != 0))
		return (0);
invalid:
	return (conf_error(cf, "invalid so_keepalive value: \"" STR_FMT "\"", STR_ARG(value)));
}

/* "name=value" of a number; *done tells whether the word was one. */
static int
listen_word_number(struct conf *cf, struct str word, struct listen_options *o, bool *done)
{
	static const struct { struct str name; bool size; size_t offset; } numbers[] = {
		{ { "backlog=", 8 }, false, offsetof(struct listen_options, backlog) },
		{ { "fastopen=", 9 }, false, offsetof(struct listen_options, fastopen) },
		{ { "rcvbuf=", 7 }, true, offsetof(struct listen_options, rcvbuf) },
		{ { "sndbuf=", 7 }, true, offsetof(struct listen_options, sndbuf) },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct str name = numbers[i].name, value;
		uint64_t n;

		if (!str_starts(word, name))
			continue;
		value = str_skip(word, name.n);
		*done = true;
		if ((numbers[i].size ? str_to_size(value, &n) : str_to_uint(value, INT32_MAX, &n)) &&
		    n <= INT32_MAX && (n > 0 || str_eq(name, STR("fastopen=")))) {
			*(int *)((char *)o + numbers[i].offset) = (int)n;
			return (0);
		}
		return (conf_error(cf, "invalid " STR_FMT " \"" STR_FMT "\"",
		    (int)name.n - 1, name.p, STR_ARG(word)));
	}
	return (0);
}

/* What has no sense in stream {}. */
static bool
word_is_of_http(struct str word)
{
	return (str_eq(word, STR("default_server")) || str_eq(word, STR("default")) ||
	    str_eq(word, STR("http2")) || str_eq(word, STR("spdy")) ||
	    str_eq(word, STR("deferred")));
}

static int
listen_word(struct conf *cf, struct str word, struct listen_words *w)
{
	bool number = false;

	if (listen_word_number(cf, word, &w->options, &number) != 0)
		return (-1);
	if (number) {
		w->bind = true;
	} else if (conf_http(cf)->kind->headless && word_is_of_http(word)) {
		return (conf_error(cf, "the invalid \"" STR_FMT "\" parameter", STR_ARG(word)));
	} else if (conf_http(cf)->kind->headless && str_eq(word, STR("udp"))) {
		return (conf_error(cf, "the \"udp\" parameter is not implemented: wproxy forwards "
		    "TCP only"));
	} else if (str_eq(word, STR("default_server")) || str_eq(word, STR("default"))) {
		w->is_default = true;
	} else if (str_eq(word, STR("bind"))) {
		w->bind = true;
	} else if (str_eq(word, STR("ssl"))) {
		w->ssl = true;
	} else if (str_eq(word, STR("http2")) || str_eq(word, STR("spdy"))) {
		w->http2 = true;
	} else if (str_eq(word, STR("proxy_protocol"))) {
		w->proxy_protocol = true;
	} else if (str_eq(word, STR("reuseport"))) {
		w->reuseport = w->bind = true;
	} else if (str_eq(word, STR("deferred"))) {
		w->options.deferred = w->bind = true;
	} else if (str_eq(word, STR("ipv6only=on")) || str_eq(word, STR("ipv6only=off"))) {
		w->options.ipv6only = str_eq(word, STR("ipv6only=on"));
		w->bind = true;
	} else if (str_starts(word, STR("so_keepalive="))) {
		w->bind = true;
		return (listen_word_keepalive(cf, str_skip(word, 13), &w->options));
	} else if (str_starts(word, STR("setfib=")) || str_starts(word, STR("accept_filter="))) {
		return (conf_error(cf, "invalid parameter \"" STR_FMT
		    "\": Linux does not have it", STR_ARG(word)));
	} else {
		return (conf_error(cf, conf_http(cf)->kind->headless ?
		    "the invalid \"" STR_FMT "\" parameter" :
		    "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
	}
	return (0);
}

static int
listen_add_server(struct conf *cf, const struct addr *addr, const struct listen_words *w)
{
	struct server *server = conf_server(cf);
	struct listen *listen = listen_find(conf_http(cf), addr);

	if (listen != NULL && conf_http(cf)->kind->headless)
		return (conf_error(cf, "duplicate \"" STR_FMT "\" address and port pair",
		    STR_ARG(cf->words[1].text)));
	if (listen == NULL)
		listen = listen_new(cf, addr, cf->words[0].at);
	VEC_EACH(&listen->servers, struct server *, it)
		if (*it == server)
			return (conf_error(cf, "a duplicate listen " STR_FMT,
			    STR_ARG(listen->text)));
	if (w->bind) {
		if (listen->options_set)
			return (conf_error(cf, "duplicate listen options for " STR_FMT,
			    STR_ARG(listen->text)));
		listen->options = w->options;
		listen->options_set = listen->bind = true;
		listen->reuseport = w->reuseport;
	}
	if (w->is_default) {
		if (listen->is_default_set)
			return (conf_error(cf, "a duplicate default server for " STR_FMT,
			    STR_ARG(listen->text)));
		listen->is_default_set = true;
		listen->default_server = server;
	}
	listen->ssl |= w->ssl;
	if (w->http2 && !listen->http2 && !conf_http(cf)->http2_warned) {
		conf_warn(cf, "\"http2\" is accepted, but only HTTP/1.1 is offered");
		conf_http(cf)->http2_warned = true;
	}
	listen->http2 |= w->http2;
	listen->proxy_protocol |= w->proxy_protocol;
	*(struct server **)vec_push(&listen->servers, cf->pool) = server;
	*(struct listen **)vec_push(&server->listens, cf->pool) = listen;
	return (0);
}

/* "8000-8010": the last port of a range, or the port itself. */
static int
listen_port_range(struct conf *cf, struct str *text, uint64_t *last)
{
	size_t dash = str_rchr(*text, '-'), colon = str_rchr(*text, ':');
	struct str first;
	uint64_t from;

	*last = 0;
	if (str_starts(*text, STR("unix:")) || dash == SIZE_MAX ||
	    (colon != SIZE_MAX && dash < colon))
		return (0);
	first = str_make(text->p, dash);
	if (colon != SIZE_MAX)
		first = str_skip(first, colon + 1);
	if (!str_to_uint(first, 65535, &from))
		return (0);	/* a host name with a dash */
	if (!str_to_uint(str_skip(*text, dash + 1), 65535, last) || *last < from)
		return (conf_error(cf, "invalid port range in \"" STR_FMT
		    "\" of the \"listen\" directive", STR_ARG(*text)));
	text->n = dash;
	return (0);
}

/* A port alone and "*:port" mean every IPv4 address. */
static const char *
listen_resolve(struct conf *cf, struct str text, struct vec *addrs)
{
	uint64_t port;

	if (str_eq(text, STR("*")))
		text = STR("0.0.0.0");
	else if (str_starts(text, STR("*:")))
		text = pool_printf(cf->temp, "0.0.0.0" STR_FMT, STR_ARG(str_skip(text, 1)));
	else if (str_to_uint(text, UINT64_MAX, &port)) {
		if (port < 1 || port > 65535)
			return ("invalid port");
		text = pool_printf(cf->temp, "0.0.0.0:" STR_FMT, STR_ARG(text));
	}
	return (addr_resolve(cf->temp, text, conf_http(cf)->kind->headless ? 0 : 80, addrs));
}

static bool
listen_has_no_port(const struct vec *addrs)
{
	const struct addr *addr = &vec_at(addrs, struct addr, 0)[0];

	return (!addr_is_unix(addr) && addr_port(addr) == 0);
}

int
listen_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct listen_words w = { .options = listen_options_default(conf_http(cf)) };
	struct vec addrs = VEC_OF(struct addr);
	struct str text = cf->words[1].text;
	uint64_t last_port;
	const char *error;

	(void)row;
	(void)field;
	if (listen_port_range(cf, &text, &last_port) != 0)
		return (-1);
	error = listen_resolve(cf, text, &addrs);
	if (error == NULL && conf_http(cf)->kind->headless && listen_has_no_port(&addrs))
		error = "no port";
	if (error != NULL)
		return (conf_error_at(cf, 1, "%s in \"" STR_FMT "\" of the \"listen\" directive",
		    error, STR_ARG(cf->words[1].text)));
	for (unsigned i = 2; i < cf->word_count; i++)
		if (listen_word(cf, cf->words[i].text, &w) != 0)
			return (-1);
	VEC_EACH(&addrs, struct addr, addr) {
		uint64_t port = addr_port(addr);

		do {
			if (addr->u.sa.sa_family == AF_INET)
				addr->u.in.sin_port = htons((uint16_t)port);
			else if (addr->u.sa.sa_family == AF_INET6)
				addr->u.in6.sin6_port = htons((uint16_t)port);
			if (listen_add_server(cf, addr, &w) != 0)
				return (-1);
		} while (port++ < last_port);
	}
	return (0);
}

int
listen_default(struct conf *cf, struct server *server)
{
	struct listen *listen;
	struct addr addr;

	if (server->http->kind->headless)
		return (conf_error(cf, "no \"listen\" is defined for server in " STR_FMT ":%u",
		    STR_ARG(server->file), server->line));
	(void)addr_parse(geteuid() == 0 ? STR("0.0.0.0:80") : STR("0.0.0.0:8000"), 80, &addr);
	listen = listen_find(server->http, &addr);
	if (listen == NULL)
		listen = listen_new(cf, &addr,
		    (struct conf_position){ server->file, server->line, 1 });
	*(struct server **)vec_push(&listen->servers, cf->pool) = server;
	*(struct listen **)vec_push(&server->listens, cf->pool) = listen;
	return (0);
}

/*
 * What nginx refuses at once; names that are no good wildcards are judged with the others
 * (route.c).
 */
static bool
server_name_is_valid(struct str name)
{
	if (name.n == 0)
		return (true);
	if (name.p[0] == '*')
		return (name.n >= 3 && name.p[1] == '.');
	return (name.p[0] != '.' || name.n >= 2);
}

int
server_name_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct server *server = conf_server(cf);

	(void)row;
	(void)field;
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct str word = cf->words[i].text;
		struct server_name *name;

		if (str_starts(word, STR("~"))) {
			name = vec_push(&server->names, cf->pool);
			name->name = word;
			if (word.n == 1)
				return (conf_error_at(cf, i, "empty regex in server name \"~\""));
			name->matcher = matcher_new(cf, str_skip(word, 1), true);
			if (name->matcher == NULL)
				return (-1);
			continue;
		}
		if (!server_name_is_valid(word))
			return (conf_error_at(cf, i, "server name \"" STR_FMT "\" is invalid",
			    STR_ARG(word)));
		if (str_chr(word, '/') != SIZE_MAX)
			conf_warn(cf, "server name \"" STR_FMT "\" has suspicious symbols",
			    STR_ARG(word));
		if (str_eq_ci(word, STR("$hostname")))
			word = conf_http(cf)->hostname;
		name = vec_push(&server->names, cf->pool);
		name->name = pool_strdup(cf->pool, word);
		for (size_t j = 0; j < word.n; j++)
			((char *)(uintptr_t)name->name.p)[j] =
			    (char)ascii_lower((unsigned char)word.p[j]);
	}
	return (0);
}

int
server_names_complete(struct conf *cf, struct server *server)
{
	struct str first;

	if (server->names.count == 0)
		((struct server_name *)vec_push(&server->names, cf->pool))->name = STR("");
	first = vec_at(&server->names, struct server_name, 0)->name;
	if (str_starts(first, STR(".")))	/* nginx's $server_name of ".example.org" */
		first = str_skip(first, 1);
	server->name = first;
	return (0);
}

static bool
listen_is_wildcard(const struct listen *l)
{
	static const struct in6_addr any6 = IN6ADDR_ANY_INIT;

	if (l->addr.u.sa.sa_family == AF_INET)
		return (l->addr.u.in.sin_addr.s_addr == htonl(INADDR_ANY));
	if (l->addr.u.sa.sa_family == AF_INET6)
		return (memcmp(&l->addr.u.in6.sin6_addr, &any6, sizeof(any6)) == 0);
	return (false);
}

int
listen_complete(struct conf *cf, struct http_conf *http)
{
	VEC_EACH(&http->listens, struct listen *, it) {
		struct listen *l = *it;

		if (l->default_server == NULL)
			l->default_server = vec_at(&l->servers, struct server *, 0)[0];
		if (l->bind || listen_is_wildcard(l) || addr_is_unix(&l->addr))
			continue;
		VEC_EACH(&http->listens, struct listen *, other) {
			struct listen *w = *other;

			if (!listen_is_wildcard(w) ||
			    w->addr.u.sa.sa_family != l->addr.u.sa.sa_family ||
			    addr_port(&w->addr) != addr_port(&l->addr))
				continue;
			l->wildcard = w;
			*(struct listen **)vec_push(&w->covered, cf->pool) = l;
			break;
		}
	}
	return (0);
}
