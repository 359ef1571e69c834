/*
 * The types of directives: how the words of one become a field.  Called by the
 * engine for a directive that is written, and for a row's default.  The texts of
 * refusals are nginx's, which differ from type to type.
 */
#include "conf/type.h"

#include "conf/conf.h"

static int
refuse(struct conf *cf, const char *why)
{
	return (conf_error_at(cf, 1, "\"" STR_FMT "\" directive %s", STR_ARG(cf->words[0].text),
	    why));
}

static int
flag_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str value = cf->words[1].text;

	(void)row;
	if (!str_eq_ci(value, STR("on")) && !str_eq_ci(value, STR("off")))
		return (conf_error_at(cf, 1, "invalid value \"" STR_FMT "\" in \"" STR_FMT
		    "\" directive, it must be \"on\" or \"off\"", STR_ARG(value),
		    STR_ARG(cf->words[0].text)));
	*(bool *)field = value.n == 2;
	return (0);
}

static int
uint_set(struct conf *cf, const struct conf_row *row, void *field)
{
	const struct conf_range *range = row->param;
	uint64_t value;

	if (!str_to_uint(cf->words[1].text, INT64_MAX, &value))
		return (conf_error_hint(cf, 1, pool_printf(cf->temp, "\"" STR_FMT "\" is no whole "
		    "number below 2^63", STR_ARG(cf->words[1].text)).p,
		    "\"" STR_FMT "\" directive invalid number", STR_ARG(cf->words[0].text)));
	if (range != NULL && range->max == 0 && value < range->min)
		return (conf_error_at(cf, 1, "value must be equal to or greater than %llu",
		    (unsigned long long)range->min));
	if (range != NULL && range->max != 0 && (value < range->min || value > range->max))
		return (conf_error_at(cf, 1, "value must be between %llu and %llu",
		    (unsigned long long)range->min, (unsigned long long)range->max));
	*(uint64_t *)field = value;
	return (0);
}

static int
size_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	if (!str_to_size(cf->words[1].text, field))
		return (refuse(cf, "invalid value"));
	return (0);
}

static int
offset_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	if (!str_to_offset(cf->words[1].text, field))
		return (refuse(cf, "invalid value"));
	return (0);
}

static int
msec_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	if (!str_to_msec(cf->words[1].text, field))
		return (refuse(cf, "invalid value"));
	return (0);
}

static int
sec_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	if (!str_to_sec(cf->words[1].text, field))
		return (refuse(cf, "invalid value"));
	return (0);
}

static int
str_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)row;
	*(struct str *)field = cf->words[1].text;
	return (0);
}

/* NULL: no such name. */
static const struct conf_name *
name_find(const struct conf_name *names, struct str wanted)
{
	for (; names->name != NULL; names++)
		if (str_eq_ci(str_from(names->name), wanted))
			return (names);
	return (NULL);
}

static int
enum_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct str value = cf->words[1].text;
	const struct conf_name *name = name_find(row->param, value);

	if (name == NULL)
		return (conf_error_at(cf, 1, "invalid value \"" STR_FMT "\"", STR_ARG(value)));
	*(unsigned *)field = name->value;
	return (0);
}

static int
mask_set(struct conf *cf, const struct conf_row *row, void *field)
{
	unsigned *mask = field;

	for (unsigned i = 1; i < cf->word_count; i++) {
		struct str value = cf->words[i].text;
		const struct conf_name *name = name_find(row->param, value);

		if (name == NULL)
			return (conf_error_at(cf, i, "invalid value \"" STR_FMT "\"",
			    STR_ARG(value)));
		if ((*mask & name->value) != 0)
			conf_warn_at(cf, i, "duplicate value \"" STR_FMT "\"", STR_ARG(value));
		*mask |= name->value;
	}
	return (0);
}

static int
strs_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct vec *list = field;

	(void)row;
	if (list->size == 0)
		*list = VEC_OF(struct str);
	for (unsigned i = 1; i < cf->word_count; i++)
		*(struct str *)vec_push(list, cf->pool) = cf->words[i].text;
	return (0);
}

static int
bufs_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct conf_bufs bufs;

	(void)row;
	if (!str_to_uint(cf->words[1].text, INT64_MAX, &bufs.count) || bufs.count == 0 ||
	    !str_to_size(cf->words[2].text, &bufs.size) || bufs.size == 0 ||
	    bufs.count > INT64_MAX / bufs.size)
		return (refuse(cf, "invalid value"));
	*(struct conf_bufs *)field = bufs;
	return (0);
}

static int
inert_set(struct conf *cf, const struct conf_row *row, void *field)
{
	(void)cf;
	(void)row;
	(void)field;
	return (0);
}

const struct conf_type conf_flag = { "flag", sizeof(bool), flag_set, NULL };
const struct conf_type conf_uint = { "number", sizeof(uint64_t), uint_set, NULL };
const struct conf_type conf_size = { "size", sizeof(uint64_t), size_set, NULL };
const struct conf_type conf_offset = { "size", sizeof(uint64_t), offset_set, NULL };
const struct conf_type conf_msec = { "time", sizeof(uint64_t), msec_set, NULL };
const struct conf_type conf_sec = { "time in seconds", sizeof(uint64_t), sec_set, NULL };
const struct conf_type conf_str = { "string", sizeof(struct str), str_set, NULL };
const struct conf_type conf_enum = { "name", sizeof(unsigned), enum_set, NULL };
const struct conf_type conf_mask = { "names", sizeof(unsigned), mask_set, NULL };
const struct conf_type conf_strs = { "strings", sizeof(struct vec), strs_set, NULL };
const struct conf_type conf_bufs = { "number and size", sizeof(struct conf_bufs), bufs_set, NULL };
const struct conf_type conf_custom_ptr = { "custom", sizeof(void *), NULL, NULL };
const struct conf_type conf_custom_vec = { "custom list", sizeof(struct vec), NULL, NULL };
const struct conf_type conf_inert = { "inert", 0, inert_set, NULL };
