/*
 * Answers to errors: which page the configuration names for a status, the
 * fallback for named locations (SEMANTICS D1), and the built-in pages.  Called by
 * whoever finds that a request cannot be answered otherwise (request_fail()).
 *
 *	fail -> error_page? -> redirect | named | external redirect
 *	     -> else the location that jumped here? (D1) -> the same with its pages
 *	     -> else the built-in page
 */
#include "http/error_page.h"

#include <assert.h>

#include "base/encode.h"
#include "config.h"
#include "http/core.h"
#include "http/request.h"
#include "http/response.h"
#include "http/session.h"
#include "http/tpl.h"

struct error_page {
	unsigned status;
	int answer;		/* -1: keep the status; 0: "=", the handler's; else "=200" */
	struct tpl *target;	/* "@name", "/uri", "https://..." */
};

struct error_page_location {
	struct vec pages;	/* struct error_page */
	bool recursive;
	bool fallback;
	bool padding;
};

struct module error_page_module;

/* error_page code ... [=[answer]] uri; */
static int
error_page_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *pages = field;
	unsigned last = cf->word_count - 1, codes = last;
	struct str word = cf->words[last - 1].text;
	struct tpl *target = tpl_compile(cf, cf->words[last].text);
	int answer = -1;
	uint64_t n;

	(void)row;
	if (target == NULL)
		return (-1);
	if (str_starts(word, STR("="))) {
		answer = 0;
		codes--;
		if (codes == 1)
			return (conf_error_at(cf, last - 1, "invalid value \"" STR_FMT "\"", STR_ARG(word)));
		if (word.n > 1) {
			if (!str_to_uint(str_skip(word, 1), 999, &n))
				return (conf_error_at(cf, last - 1, "invalid value \"" STR_FMT "\"",
				    STR_ARG(word)));
			answer = (int)n;
		}
	}
	if (pages->size == 0)
		*pages = VEC_OF(struct error_page);
	for (unsigned i = 1; i < codes; i++) {
		struct error_page *page;

		if (!str_to_uint(cf->words[i].text, UINT32_MAX, &n) || n == 499)
			return (conf_error_at(cf, i, "invalid value \"" STR_FMT "\"",
			    STR_ARG(cf->words[i].text)));
		if (n < 300 || n > 599)
			return (conf_error_at(cf, i,
			    "value \"" STR_FMT "\" must be between 300 and 599",
			    STR_ARG(cf->words[i].text)));
		page = vec_push(pages, cf->pool);
		page->status = (unsigned)n;
		page->answer = answer;
		page->target = target;
	}
	return (0);
}

static const struct error_page *
error_page_find(const struct location *loc, unsigned status)
{
	const struct error_page_location *conf = location_conf(loc, error_page_module);

	VEC_EACH(&conf->pages, struct error_page, page)
		if (page->status == status)
			return (page);
	return (NULL);
}

bool
request_has_error_page(const struct request *r, unsigned status)
{
	return (error_page_find(r->location, status) != NULL);
}

/* What is special about built-in pages of some codes. */
static const struct built_in {
	unsigned status;
	unsigned shown;		/* the status that is sent */
	const char *title;	/* where it is not the status line's */
	const char *text;	/* NULL: the title is the heading, and all there is */
} built_ins[] = {
	{ 302, 302, "302 Found", NULL },
	{ 401, 401, "401 Authorization Required", NULL },
	{ 494, 400, "400 Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large" },
	{ 495, 400, "400 The SSL certificate error", "The SSL certificate error" },
	{ 496, 400, "400 No required SSL certificate was sent",
	    "No required SSL certificate was sent" },
	{ 497, 400, "400 The plain HTTP request was sent to HTTPS port",
	    "The plain HTTP request was sent to HTTPS port" },
};

static const struct built_in *
built_in_find(unsigned status)
{
	for (size_t i = 0; i < sizeof(built_ins) / sizeof(built_ins[0]); i++)
		if (built_ins[i].status == status)
			return (&built_ins[i]);
	return (NULL);
}

static unsigned
shown_status(unsigned status)
{
	const struct built_in *special = built_in_find(status);

	return (special != NULL ? special->shown : status);
}

/* msie_padding: pages of errors that some browsers think too short to be shown. */
#define PADDING	"<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"

static const char *
page_padding(const struct request *r, unsigned status)
{
	const struct error_page_location *conf = location_conf(r->location, error_page_module);
	const struct field *agent = fields_get(&r->in.fields, FIELD_USER_AGENT);
	size_t msie;

	if (!conf->padding || status < 400 || agent == NULL || r->in.version < 10 ||
	    str_find(agent->value, STR("Opera")) != SIZE_MAX)
		return ("");
	msie = str_find(agent->value, STR("MSIE "));
	if (msie != SIZE_MAX ? msie + 7 < agent->value.n :
	    str_find(agent->value, STR("Chrome/")) != SIZE_MAX &&
	    str_find(agent->value, STR("Gecko/")) == SIZE_MAX)
		return (PADDING PADDING PADDING PADDING PADDING PADDING);
	return ("");
}

struct str
error_page_text(struct request *r, unsigned status)
{
	unsigned shown = shown_status(status);
	const char *padding = page_padding(r, status);
	struct str reason = status_reason(shown);
	const struct built_in *special = built_in_find(status);
	const char *tail = r->location->core->server_tokens == 0 ? "wproxy" : "wproxy/" WPROXY_VERSION;

	if (special != NULL && special->text != NULL)
		return (pool_printf(r->pool,
		    "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n"
		    "<center><h1>%u " STR_FMT "</h1></center>\r\n<center>%s</center>\r\n"
		    "<hr><center>%s</center>\r\n</body>\r\n</html>\r\n%s", special->title, shown,
		    STR_ARG(reason), special->text, tail, padding));
	if (special != NULL)
		return (pool_printf(r->pool,
		    "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n"
		    "<center><h1>%s</h1></center>\r\n<hr><center>%s</center>\r\n"
		    "</body>\r\n</html>\r\n%s", special->title, special->title, tail, padding));
	if (reason.n == 0)	/* nginx has no page for codes it does not know */
		return (STR(""));
	return (pool_printf(r->pool, "<html>\r\n<head><title>%u " STR_FMT "</title></head>\r\n"
	    "<body>\r\n<center><h1>%u " STR_FMT "</h1></center>\r\n<hr><center>%s</center>\r\n"
	    "</body>\r\n</html>\r\n%s", shown, STR_ARG(reason), shown, STR_ARG(reason), tail,
	    padding));
}

/* After these nginx does not trust the connection any more. */
static bool
status_ends_connection(unsigned status)
{
	static const unsigned ends[] = { 400, 413, 414, 494, 495, 496, 497, 500, 501 };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends[i] == status)
			return (true);
	return (false);
}

static enum step_result
answer_built_in(struct request *r, unsigned status)
{
	struct str page = error_page_text(r, status);

	if (status == 444 || status == 499) {
		r->out.status = status;
		r->error_status = 0;
		r->keepalive = false;
		resp_abort(r);
		return (STEP_DONE);
	}
	if (r->error_status != 0)
		r->error_status = shown_status(r->error_status);
	return (request_answer(r, shown_status(status), page.n > 0 ? STR("text/html") : STR_NULL, page));
}

/* The page of error_page: an internal redirect, a named location, or a redirect to another URL. */
static enum step_result
answer_page(struct request *r, unsigned status, const struct error_page *page)
{
	struct str uri = tpl_eval(r, page->target), args = STR_NULL;
	size_t question;

	r->error_status = page->answer >= 0 ? (unsigned)page->answer : shown_status(status);
	if (str_starts(uri, STR("@")))
		return (request_named(r, uri));
	if (str_starts(uri, STR("/"))) {
		question = str_chr(uri, '?');
		if (question != SIZE_MAX) {
			args = str_skip(uri, question + 1);
			uri.n = question;
		}
		if (r->in.method != METHOD_HEAD) {
			r->in.method = METHOD_GET;
			r->in.method_name = STR("GET");
		}
		return (request_redirect(r, uri, args));
	}
	if (page->answer < 301 || page->answer > 308 || (page->answer > 303 && page->answer < 307))
		r->error_status = 302;
	r->redirect_location = uri;
	fields_set(&r->out.fields, r->pool, FIELD_LOCATION, uri);
	return (answer_built_in(r, r->error_status));
}

/* SEMANTICS D1: the error_page of the location whose try_files came here, once. */
static const struct error_page *
error_page_fallback(struct request *r, unsigned status)
{
	const struct error_page_location *conf;

	if (r->jumped_from == NULL || r->location->kind != LOCATION_NAMED ||
	    r->error_fallback_used || r->intercepted || status < 502 || status > 504)
		return (NULL);
	conf = location_conf(r->jumped_from, error_page_module);
	return (conf->fallback ? error_page_find(r->jumped_from, status) : NULL);
}

enum step_result
request_fail(struct request *r, unsigned status)
{
	const struct error_page_location *conf = location_conf(r->location, error_page_module);
	const struct error_page *page = NULL;

	assert(status >= 300);
	r->holder.cancel = NULL;
	r->events = NULL;
	if (r->out.started) {
		resp_abort(r);
		return (STEP_DONE);
	}
	if (r->http->kind->headless) {
		r->out.status = status;
		r->ops->abort(r);
		return (STEP_DONE);
	}
	if (status_ends_connection(status))
		r->keepalive = false;
	if (r->error_status == 0)
		r->failed = r->location;
	r->error_status = status;
	resp_reset(r);
	/* It stays where an error_page answers with another status. */
	if (r->redirect_location.p != NULL && status >= 301 && status <= 308)
		fields_add_id(&r->out.fields, r->pool, FIELD_LOCATION, r->redirect_location);
	if (status != 444 && status != 499 && !r->cycle && !r->error_page_used)
		page = error_page_find(r->location, status);
	if (page == NULL && !r->cycle) {
		page = error_page_fallback(r, status);
		r->error_fallback_used = r->error_fallback_used || page != NULL;
	}
	if (page == NULL)
		return (answer_built_in(r, status));
	if (!conf->recursive)
		r->error_page_used = true;
	return (answer_page(r, status, page));
}

#define IN_LOCATION(field)						\
	.scope = SCOPE_LOCATION, .offset = offsetof(struct error_page_location, field)

static const struct conf_row error_page_rows[] = {
	{ .name = "error_page", .contexts = CTX_HSLI, .min = 2, .max = CONF_ANY, .flags = CONF_REPEAT,
	    .type = &conf_custom_vec, .set = error_page_set, IN_LOCATION(pages) },
	{ .name = "recursive_error_pages", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(recursive), .dflt = "off" },
	{ .name = "msie_padding", .contexts = CTX_HSL, .min = 1, .max = 1, .type = &conf_flag,
	    IN_LOCATION(padding), .dflt = "on" },
	{ .name = "error_page_fallback", .contexts = CTX_HSL, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(fallback), .dflt = "on" },
	{ .name = NULL }
};

struct module error_page_module = {
	.name = "error_page",
	.size = { [SCOPE_LOCATION] = sizeof(struct error_page_location) },
	.rows = error_page_rows,
};
