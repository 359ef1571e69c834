#ifndef WPROXY_BASE_CLOCK_H
#define WPROXY_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/str.h"

/*
 * The time, cached per thread: clock_update() reads the system's clocks, once
 * per turn of a loop; the readers below cost nothing.  Strings are formatted
 * when the second changes, and are valid until the thread's next clock_update().
 */
void		clock_update(void);
uint64_t	clock_mono_ms(void);	/* monotonic, for timeouts */
uint64_t	clock_mono_us(void);
uint64_t	clock_wall_ms(void);	/* since 1970, UTC */
time_t		clock_wall(void);

struct str	clock_http_date(void);	/* "Sun, 06 Nov 1994 08:49:37 GMT" */
struct str	clock_log_local(void);	/* "06/Nov/1994:08:49:37 +0000" ($time_local) */
struct str	clock_log_iso8601(void);	/* "1994-11-06T08:49:37+00:00" */
struct str	clock_log_error(void);	/* "1994/11/06 08:49:37" */

/* Exactly 29 bytes, no NUL needed by the reader. */
#define CLOCK_HTTP_DATE_LEN	29
void		clock_format_http(time_t, char out[static CLOCK_HTTP_DATE_LEN + 1]);
/* The three formats of RFC 9110 5.6.7; (time_t)-1 when it is none. */
time_t		clock_parse_http(struct str);

#endif
