/*
 * What proxy_* and uwsgi_* directives have in common: names of their values,
 * the setters of rows that have no type, and what is computed from them when
 * everything is inherited.  The rows are a list in the header.
 */
#include "mod/upstream_settings.h"

#include "http/header.h"
#include "http/request.h"
#include "http/tpl.h"
#include "mod/relay.h"

const struct conf_name next_upstream_names[] = {
	{ "error", NEXT_ERROR }, { "timeout", NEXT_TIMEOUT },
	{ "invalid_header", NEXT_INVALID_HEADER }, { "non_idempotent", NEXT_NON_IDEMPOTENT },
	{ "http_500", NEXT_500 }, { "http_502", NEXT_502 }, { "http_503", NEXT_503 },
	{ "http_504", NEXT_504 }, { "http_403", NEXT_403 }, { "http_404", NEXT_404 },
	{ "http_429", NEXT_429 }, { "updating", NEXT_UPDATING }, { "off", NEXT_OFF },
	{ NULL, 0 }
};

const struct conf_name ignored_header_names[] = {
	{ "X-Accel-Redirect", IGNORE_XA_REDIRECT }, { "X-Accel-Expires", IGNORE_XA_EXPIRES },
	{ "X-Accel-Limit-Rate", IGNORE_XA_LIMIT_RATE },
	{ "X-Accel-Buffering", IGNORE_XA_BUFFERING }, { "X-Accel-Charset", IGNORE_XA_CHARSET },
	{ "Expires", IGNORE_EXPIRES }, { "Cache-Control", IGNORE_CACHE_CONTROL },
	{ "Set-Cookie", IGNORE_SET_COOKIE }, { "Vary", IGNORE_VARY },
	{ NULL, 0 }
};

/* proxy_bind address [transparent] | off; */
#define NGINX_PAGE		4096	/* size of nginx's buffers where the file says nothing */

static int
bind_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct upstream_bind *bind = pool_new_object(cf->pool, struct upstream_bind);

	(void)row;
	*(struct upstream_bind **)field = bind;
	if (cf->word_count == 2 && str_eq(cf->words[1].text, STR("off")))
		return (0);
	bind->text = tpl_compile(cf, cf->words[1].text);
	if (bind->text == NULL)
		return (-1);
	if (tpl_is_literal(bind->text) && !addr_parse(cf->words[1].text, 0, &bind->addr))
		return (conf_error_at(cf, 1, "invalid address \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	if (cf->word_count == 2)
		return (0);
	if (!str_eq(cf->words[2].text, STR("transparent")))
		return (conf_error_at(cf, 2, "invalid parameter \"" STR_FMT "\"",
		    STR_ARG(cf->words[2].text)));
	return (conf_error_at(cf, 2, "transparent proxying is not implemented: the address that "
	    "back ends see would be another"));
}

const struct conf_type conf_upstream_bind = {
	.name = "address", .size = sizeof(struct upstream_bind *), .set = bind_set
};

void
upstream_bind_eval(struct request *r, const struct upstream_bind *bind, struct addr *local)
{
	struct str text;

	local->len = 0;
	if (bind == NULL || bind->text == NULL)
		return;
	*local = bind->addr;
	if (bind->addr.len > 0)
		return;
	text = tpl_eval(r, bind->text);
	if (text.n == 0 || addr_parse(text, 0, local))
		return;
	request_log(r, LOG_ERR, 0, "invalid local address \"" STR_FMT "\"", STR_ARG(text));
	local->len = 0;
}

int
upstream_conf_commands_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *commands = field;

	(void)row;
	if (commands->size == 0)
		*commands = VEC_OF(struct str);
	for (unsigned i = 1; i < 3; i++)
		*(struct str *)vec_push(commands, cf->pool) = pool_strdup(cf->pool, cf->words[i].text);
	return (0);
}

/* proxy_read_ahead size [total=size]; the total is the process'. */
int
upstream_read_ahead_set(struct conf *cf, const struct conf_row *row, void *field)
{
	uint64_t *window = field, total;
	struct str word;

	(void)row;
	if (!str_to_offset(cf->words[1].text, window))
		return (conf_error_at(cf, 1, "invalid value \"" STR_FMT "\"",
		    STR_ARG(cf->words[1].text)));
	if (cf->word_count == 2)
		return (0);
	word = cf->words[2].text;
	if (!str_starts(word, STR("total=")) || !str_to_offset(str_skip(word, 6), &total) ||
	    total == 0)
		return (conf_error_at(cf, 2, "invalid parameter \"" STR_FMT "\"", STR_ARG(word)));
	relay_set_read_ahead(total);
	return (0);
}

static void
hide_name(struct conf *cf, struct upstream_settings *s, struct str name)
{
	enum field_id id = field_id_of(name);

	if (id != FIELD_OTHER) {
		s->hidden |= FIELD_BIT(id);
		return;
	}
	if (s->hidden_names == NULL)
		s->hidden_names = hash_new(cf->pool, true);
	*hash_slot(s->hidden_names, name) = s;
}

static bool
name_is_passed(const struct upstream_settings *s, struct str name)
{
	VEC_EACH(&s->pass, struct str, it)
		if (str_eq_ci(*it, name))
			return (true);
	return (false);
}

/* A default is set as if it stood in a file without a name. */
static bool
is_written(const struct conf *cf)
{
	return (cf->words[0].at.file.n > 0);
}

static int
buffer_size_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct buffer_size *size = field;

	size->written = is_written(cf);
	return (conf_size.set(cf, row, &size->n));
}

static int
buffer_list_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct buffer_list *list = field;

	list->written = is_written(cf);
	return (conf_bufs.set(cf, row, &list->n));
}

const struct conf_type conf_buffer_size = {
	.name = "size", .size = sizeof(struct buffer_size), .set = buffer_size_set
};
const struct conf_type conf_buffer_list = {
	.name = "number and size", .size = sizeof(struct buffer_list), .set = buffer_list_set
};

int
upstream_buffers_check(struct conf *cf, const struct upstream_buffers *b, const char *prefix)
{
	/* Our defaults are larger than nginx's: they must not make a file fail that nginx takes. */
	uint64_t head = b->head.written ? b->head.n : NGINX_PAGE;
	uint64_t body = b->body.written ? b->body.n.size : NGINX_PAGE;
	uint64_t size = head > body ? head : body;
	uint64_t busy = b->busy != 0 ? b->busy : 2 * size;

	if (b->body.n.count < 2)
		return (conf_error(cf, "there must be at least 2 \"%s_buffers\"", prefix));
	if (busy < size)
		return (conf_error(cf,
		    "\"%s_busy_buffers_size\" must be equal to or greater than the "
		    "maximum of the value of \"%s_buffer_size\" and one of the \"%s_buffers\"",
		    prefix, prefix, prefix));
	if (busy > (b->body.n.count - 1) * body)
		return (conf_error(cf, "\"%s_busy_buffers_size\" must be less than the size of all "
		    "\"%s_buffers\" minus one buffer", prefix, prefix));
	if (b->file_write != 0 && b->file_write < size)
		return (conf_error(cf,
		    "\"%s_temp_file_write_size\" must be equal to or greater than the "
		    "maximum of the value of \"%s_buffer_size\" and one of the \"%s_buffers\"",
		    prefix, prefix, prefix));
	if (b->file_max != 0 && b->file_max < size)
		return (conf_error(cf, "\"%s_max_temp_file_size\" must be equal to zero to disable "
		    "temporary files usage or must be equal to or greater than the maximum of the value "
		    "of \"%s_buffer_size\" and one of the \"%s_buffers\"", prefix, prefix, prefix));
	return (0);
}

int
upstream_settings_init(struct conf *cf, struct upstream_settings *s,
    const struct upstream_settings *parent, const char *const *hidden, bool tls)
{
	for (; *hidden != NULL; hidden++)
		if (!name_is_passed(s, str_from(*hidden)))
			hide_name(cf, s, str_from(*hidden));
	VEC_EACH(&s->hide, struct str, it)
		if (!name_is_passed(s, *it))
			hide_name(cf, s, *it);
	return (tls ? upstream_ssl_init(cf, &s->ssl, parent == NULL ? NULL : &parent->ssl) : 0);
}
