/*
 * What "syslog:..." of error_log and access_log says.  Called by generation.c, when a
 * configuration names one, and by logs.c, which opens it.
 */
#include "main/syslog_target.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/vec.h"
#include "net/addr.h"

#define FACILITY_DEFAULT	23	/* local7 */
#define SEVERITY_DEFAULT	6	/* info */
#define PORT_DEFAULT		514

struct target_reading {
	struct pool *pool;
	struct syslog *out;
	unsigned seen;		/* bits of the parameters' places in the table */
};

static const char *const facilities[] = { "kern", "user", "mail", "daemon", "auth", "intern", "lpr",
	"news", "uucp", "clock", "authpriv", "ftp", "ntp", "audit", "alert", "cron", "local0",
	"local1", "local2", "local3", "local4", "local5", "local6", "local7" };

static const char *
complaint(const struct target_reading *reading, const char *what, struct str value)
{
	return (pool_printf(reading->pool, "%s \"" STR_FMT "\"", what, STR_ARG(value)).p);
}

static const char *
server_read(struct target_reading *reading, struct str value)
{
	struct vec addrs = VEC_OF(struct addr);
	const char *why = addr_resolve(reading->pool, value, PORT_DEFAULT, &addrs);
	const struct addr *addr;

	if (why != NULL)
		return (pool_printf(reading->pool, "%s in syslog server \"" STR_FMT "\"", why,
		    STR_ARG(value)).p);
	addr = vec_at(&addrs, struct addr, 0);
	memcpy(&reading->out->addr, &addr->u, addr->len);
	reading->out->addr_len = addr->len;
	return (NULL);
}

static const char *
facility_read(struct target_reading *reading, struct str value)
{
	for (unsigned i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++) {
		if (!str_eq(value, str_from(facilities[i])))
			continue;
		reading->out->facility = i;
		return (NULL);
	}
	return (complaint(reading, "unknown syslog facility", value));
}

static const char *
severity_read(struct target_reading *reading, struct str value)
{
	int level = log_level_by_name(value);

	if (level < LOG_EMERG)
		return (complaint(reading, "unknown syslog severity", value));
	reading->out->severity = (unsigned)level - LOG_EMERG;
	return (NULL);
}

static const char *
tag_read(struct target_reading *reading, struct str value)
{
	if (value.n > SYSLOG_TAG_MAX)
		return ("syslog tag length exceeds 32");
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = ascii_lower((unsigned char)value.p[i]);

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_')
			return ("syslog \"tag\" only allows alphanumeric characters and underscore");
	}
	memcpy(reading->out->tag, value.p, value.n);
	reading->out->tag[value.n] = '\0';
	return (NULL);
}

static const struct target_parameter {
	const char *name;
	const char *(*read)(struct target_reading *, struct str);
} parameters[] = {
	{ "server", server_read }, { "facility", facility_read }, { "severity", severity_read },
	{ "tag", tag_read },
};

static const char *
parameter_read(struct target_reading *reading, struct str word)
{
	size_t equals = str_chr(word, '=');

	if (str_eq(word, STR("nohostname"))) {
		reading->out->hostname[0] = '\0';
		return (NULL);
	}
	for (unsigned i = 0; equals != SIZE_MAX && i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		if (!str_eq(str_make(word.p, equals), str_from(parameters[i].name)))
			continue;
		if ((reading->seen & 1u << i) != 0)
			return (complaint(reading, "duplicate syslog", str_from(parameters[i].name)));
		reading->seen |= 1u << i;
		return (parameters[i].read(reading, str_skip(word, equals + 1)));
	}
	return (complaint(reading, "unknown syslog parameter", word));
}

bool
syslog_target_is(struct str text)
{
	return (str_starts(text, STR("syslog:")));
}

const char *
syslog_target_parse(struct pool *pool, struct str text, struct syslog *out)
{
	struct target_reading reading = { pool, out, 0 };
	struct str rest = str_skip(text, 7), word;
	const char *why;

	*out = (struct syslog){ .facility = FACILITY_DEFAULT, .severity = SEVERITY_DEFAULT,
		.tag = "wproxy" };
	if (gethostname(out->hostname, sizeof(out->hostname) - 1) != 0)
		out->hostname[0] = '\0';
	while (str_cut(&rest, ',', &word))
		if ((why = parameter_read(&reading, word)) != NULL)
			return (why);
	return (out->addr_len == 0 ? "no syslog server specified" : NULL);
}
