#ifndef WPROXY_MAIN_SYSLOG_TARGET_H
#define WPROXY_MAIN_SYSLOG_TARGET_H

#include "base/pool.h"
#include "base/syslog.h"

/* Is it "syslog:..." rather than a path? */
bool	syslog_target_is(struct str);
/*
 * Reads "syslog:server=ADDRESS[,facility=][,severity=][,tag=][,nohostname]".  NULL, or what is
 * wrong in nginx's words, in the pool.  Names are looked up (and waited for).
 */
const char	*syslog_target_parse(struct pool *, struct str, struct syslog *out);

#endif
