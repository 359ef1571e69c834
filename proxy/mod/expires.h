#ifndef WPROXY_MOD_EXPIRES_H
#define WPROXY_MOD_EXPIRES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "conf/conf.h"
#include "http/request.h"
#include "http/tpl.h"

/* The "expires" directive: how long an answer may be kept. */
enum expires_kind { EXPIRES_OFF, EXPIRES_ACCESS, EXPIRES_MODIFIED, EXPIRES_DAILY, EXPIRES_EPOCH,
	EXPIRES_MAX };

struct expires {
	enum expires_kind kind;
	int64_t seconds;	/* may be negative */
	struct tpl *variable;	/* text known at each answer only; kind: MODIFIED, ACCESS */
};

struct expires_fields {
	struct str expires;
	struct str cache_control;
};

/* False: no fields (off, or a variable that says nothing sensible). */
bool	expires_evaluate(struct request *, const struct expires *, time_t last_modified,
	    struct expires_fields *);
/* The directive's words; for a row (conf_set). */
int	expires_set(struct conf *, const struct conf_row *, void *field);
/* "off", "24h", "-1", "@15h30m", "epoch", "max".  NULL, or nginx's words.  Pure. */
const char	*expires_parse(struct str, struct expires *);

#endif
