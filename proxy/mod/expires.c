/*
 * expires: its forms, and the two header fields they make.  Called by headers.c.
 */
#include "mod/expires.h"

#include "base/clock.h"

#define DAY	(24 * 60 * 60)

static const struct {
	struct str name;
	enum expires_kind kind;
} expires_names[] = {
	{ { "epoch", 5 }, EXPIRES_EPOCH }, { { "max", 3 }, EXPIRES_MAX },
	{ { "off", 3 }, EXPIRES_OFF },
};

const char *
expires_parse(struct str text, struct expires *expires)
{
	bool negative = false;
	uint64_t seconds;

	for (size_t i = 0; i < sizeof(expires_names) / sizeof(expires_names[0]); i++) {
		if (expires->kind == EXPIRES_MODIFIED || !str_eq(text, expires_names[i].name))
			continue;
		expires->kind = expires_names[i].kind;
		return (NULL);
	}
	if (text.n > 0 && text.p[0] == '@') {
		if (expires->kind == EXPIRES_MODIFIED)
			return ("daily time cannot be used with \"modified\" parameter");
		expires->kind = EXPIRES_DAILY;
		text = str_skip(text, 1);
	} else if (text.n > 0 && (text.p[0] == '+' || text.p[0] == '-')) {
		negative = text.p[0] == '-';
		text = str_skip(text, 1);
	}
	if (!str_to_sec(text, &seconds))
		return ("invalid value");
	if (expires->kind == EXPIRES_DAILY && seconds > DAY)
		return ("daily time value must be less than 24 hours");
	expires->seconds = (int64_t)seconds;
	if (negative)
		expires->seconds = -expires->seconds;
	return (NULL);
}

int
expires_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct expires *expires = field;
	struct str text = cf->words[cf->word_count - 1].text;
	const char *error = NULL;

	(void)row;
	expires->kind = EXPIRES_ACCESS;
	if (cf->word_count == 3) {
		expires->kind = EXPIRES_MODIFIED;
		if (!str_eq(cf->words[1].text, STR("modified")))
			error = "invalid value";
	}
	if (error == NULL && str_chr(text, '$') != SIZE_MAX) {
		expires->variable = tpl_compile(cf, text);
		return (expires->variable == NULL ? -1 : 0);
	}
	if (error == NULL)
		error = expires_parse(text, expires);
	if (error != NULL)
		return (conf_error_at(cf, 1, "\"expires\" directive %s", error));
	return (0);
}

/* The next time the clock shows so many seconds after midnight (local time). */
static time_t
next_daily(time_t now, int64_t seconds)
{
	struct tm tm;
	time_t next;

	if (localtime_r(&now, &tm) == NULL)
		return (now);
	tm.tm_hour = (int)(seconds / 3600);
	tm.tm_min = (int)(seconds % 3600 / 60);
	tm.tm_sec = (int)(seconds % 60);
	tm.tm_isdst = -1;
	next = mktime(&tm);
	if (next > now)
		return (next);
	tm.tm_mday++;
	tm.tm_isdst = -1;
	return (mktime(&tm));
}

static struct str
date_text(struct request *r, time_t when)
{
	char text[CLOCK_HTTP_DATE_LEN + 1];

	clock_format_http(when, text);
	return (pool_strdup(r->pool, str_make(text, CLOCK_HTTP_DATE_LEN)));
}

static void
fields_of(struct request *r, const struct expires *conf, time_t last_modified,
    struct expires_fields *fields)
{
	time_t now = clock_wall(), when = now + (time_t)conf->seconds;

	if (conf->kind == EXPIRES_DAILY)
		when = next_daily(now, conf->seconds);
	else if (conf->kind == EXPIRES_MODIFIED && last_modified != (time_t)-1)
		when = last_modified + (time_t)conf->seconds;
	fields->expires = date_text(r, when);
	if (conf->seconds < 0 || when < now)
		fields->cache_control = STR("no-cache");
	else
		fields->cache_control = pool_printf(r->pool, "max-age=%lld",
		    (long long)(when - now));
}

bool
expires_evaluate(struct request *r, const struct expires *conf, time_t last_modified,
    struct expires_fields *fields)
{
	struct expires now = *conf;

	if (conf->variable != NULL && expires_parse(tpl_eval(r, conf->variable), &now) != NULL)
		return (false);
	switch (now.kind) {
	case EXPIRES_OFF:
		return (false);
	case EXPIRES_EPOCH:
		fields->expires = STR("Thu, 01 Jan 1970 00:00:01 GMT");
		fields->cache_control = STR("no-cache");
		return (true);
	case EXPIRES_MAX:
		fields->expires = STR("Thu, 31 Dec 2037 23:55:55 GMT");
		fields->cache_control = STR("max-age=315360000");
		return (true);
	case EXPIRES_ACCESS:
	case EXPIRES_MODIFIED:
		if (now.seconds == 0) {
			fields->expires = date_text(r, clock_wall());
			fields->cache_control = STR("max-age=0");
			return (true);
		}
		break;
	case EXPIRES_DAILY:
		break;
	}
	fields_of(r, &now, last_modified, fields);
	return (true);
}
