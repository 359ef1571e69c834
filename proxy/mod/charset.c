/* charset: the parameter added to Content-Type of text.  A filter that touches heads only. */
#include "http/filter.h"
#include "http/response.h"
#include "http/tpl.h"
#include "mod/modules.h"

struct charset_location {
	struct tpl *charset;	/* NULL or "off": none */
	bool override;
	struct vec types;	/* struct str */
};

/* What "charset" names anywhere: only such may be asked for by X-Accel-Charset. */
struct charset_main {
	struct vec names;	/* struct str */
};

bool
charset_is_declared(const struct http_conf *http, struct str charset)
{
	const struct charset_main *main = main_conf(http, charset_module);

	VEC_EACH(&main->names, struct str, it)
		if (str_eq_ci(*it, charset))
			return (true);
	return (false);
}

static int
charset_init_location(struct conf *cf, struct location *loc)
{
	const struct charset_location *conf = location_conf(loc, charset_module);
	struct charset_main *main = main_conf(loc->http, charset_module);

	if (conf->charset == NULL || !tpl_is_literal(conf->charset) ||
	    str_eq(tpl_text(conf->charset), STR("off")) ||
	    charset_is_declared(loc->http, tpl_text(conf->charset)))
		return (0);
	if (main->names.size == 0)
		main->names = VEC_OF(struct str);
	*(struct str *)vec_push(&main->names, cf->pool) = tpl_text(conf->charset);
	return (0);
}

/* text/html is in every list, as in nginx. */
static bool
charset_type_listed(const struct charset_location *conf, struct str type)
{
	if (str_eq_ci(type, STR("text/html")))
		return (true);
	VEC_EACH(&conf->types, struct str, it)
		if (str_eq(*it, STR("*")) || str_eq_ci(*it, type))
			return (true);
	return (false);
}

static enum filter_verdict
charset_start(struct request *r, void **state)
{
	const struct charset_location *conf = location_conf(r->location, charset_module);
	struct str charset, type = r->out.content_type;
	size_t end;

	(void)state;
	if (conf->charset == NULL || type.n == 0 || r->out.charset.n > 0 ||
	    (r->out.status >= 301 && r->out.status <= 308))
		return (FILTER_SKIP);
	if (r->out.from_upstream && fields_get(&r->out.fields, FIELD_CONTENT_ENCODING) != NULL)
		return (FILTER_SKIP);
	charset = tpl_eval(r, conf->charset);
	if (charset.n == 0 || str_eq(charset, STR("off")))
		return (FILTER_SKIP);
	if (str_find(type, STR("charset=")) != SIZE_MAX) {
		if (!conf->override)
			return (FILTER_SKIP);
		end = str_chr(type, ';');
		if (end == SIZE_MAX)	/* the parameter without a type before it */
			return (FILTER_SKIP);
		type.n = end;
	}
	end = str_chr(type, ';');
	if (!charset_type_listed(conf, str_trim(str_make(type.p, end == SIZE_MAX ? type.n : end))))
		return (FILTER_SKIP);
	r->out.content_type = type;
	r->out.charset = charset;
	return (FILTER_SKIP);
}

const struct filter charset_filter = { .name = "charset", .start = charset_start };

#define IN_LOCATION(field)						\
	.scope = SCOPE_LOCATION, .offset = offsetof(struct charset_location, field)

static const struct conf_row charset_rows[] = {
	{ .name = "charset", .contexts = CTX_HSLI, .min = 1, .max = 1, .type = &conf_tpl,
	    IN_LOCATION(charset) },
	{ .name = "override_charset", .contexts = CTX_HSLI, .min = 1, .max = 1,
	    .type = &conf_flag, IN_LOCATION(override), .dflt = "off" },
	{ .name = "charset_types", .contexts = CTX_HSL, .min = 1, .max = CONF_ANY,
	    .flags = CONF_REPEAT, .type = &conf_strs, IN_LOCATION(types), .dflt = "text/html text/xml text/plain "
	    "text/vnd.wap.wml application/javascript application/rss+xml" },
	{ .name = NULL }
};

struct module charset_module = {
	.name = "charset",
	.size = { [SCOPE_MAIN] = sizeof(struct charset_main),
	    [SCOPE_LOCATION] = sizeof(struct charset_location) },
	.rows = charset_rows,
	.init_location = charset_init_location,
};
