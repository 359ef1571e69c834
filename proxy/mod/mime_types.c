/* Lists of content types, for filters that touch some of them: gzip_types, sub_filter_types. */
#include "mod/mime_types.h"

#include "conf/conf.h"

static int
mime_types_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct mime_types *types = field;

	(void)row;
	if (types->names == NULL) {
		types->names = hash_new(cf->pool, true);
		*hash_slot(types->names, STR("text/html")) = types;
	}
	for (unsigned i = 1; i < cf->word_count; i++) {
		struct str type = cf->words[i].text;
		void **slot = hash_slot(types->names, pool_strdup(cf->pool, type));

		if (str_eq(type, STR("*")))
			types->any = true;
		if (*slot != NULL)
			conf_warn_at(cf, i, "duplicate MIME type \"" STR_FMT "\"", STR_ARG(type));
		*slot = types;
	}
	return (0);
}

const struct conf_type conf_mime_types = {
	.name = "mime types", .size = sizeof(struct mime_types), .set = mime_types_set
};

bool
mime_types_have(const struct mime_types *types, struct str content_type)
{
	size_t semicolon = str_chr(content_type, ';');

	if (semicolon != SIZE_MAX)
		content_type = str_trim(str_make(content_type.p, semicolon));
	if (types->any)
		return (true);
	if (content_type.n == 0)
		return (false);
	if (types->names == NULL)
		return (str_eq_ci(content_type, STR("text/html")));
	return (hash_get(types->names, content_type) != NULL);
}
