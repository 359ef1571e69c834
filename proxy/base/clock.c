/*
 * The time, read once per turn of a loop and kept per thread, and the texts
 * made of it: each is formatted when it is first asked for in a new second.
 * Dates in UTC are computed here: glibc's gmtime_r takes a lock.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

struct date {
	time_t second;
	size_t n;		/* 0: never formatted */
	char text[48];
};

static _Thread_local struct {
	uint64_t mono_us;	/* 0: never read */
	uint64_t wall_ms;
	struct date http, local, iso8601, error;
} now;

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const day_names_long[7] = { "Sunday", "Monday", "Tuesday", "Wednesday",
	"Thursday", "Friday", "Saturday" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
	"Sep", "Oct", "Nov", "Dec" };

void
clock_update(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	now.mono_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	now.wall_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline void
clock_need(void)
{
	if (now.mono_us == 0)
		clock_update();
}

uint64_t
clock_mono_us(void)
{
	clock_need();
	return (now.mono_us);
}

uint64_t
clock_mono_ms(void)
{
	return (clock_mono_us() / 1000);
}

uint64_t
clock_wall_ms(void)
{
	clock_need();
	return (now.wall_ms);
}

time_t
clock_wall(void)
{
	return ((time_t)(clock_wall_ms() / 1000));
}

struct civil {
	int64_t year;
	unsigned month;		/* 1..12 */
	unsigned day;		/* 1..31 */
};

/* The proleptic Gregorian calendar in eras of 400 years that begin in March. */
static struct civil
civil_from_days(int64_t days)
{
	int64_t era;
	unsigned of_era, year, of_year, month;

	days += 719468;		/* 0000-03-01 to 1970-01-01 */
	era = (days >= 0 ? days : days - 146096) / 146097;
	of_era = (unsigned)(days - era * 146097);
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	return ((struct civil){
	    .year = (int64_t)year + era * 400 + (month >= 10),
	    .month = month < 10 ? month + 3 : month - 9,
	    .day = of_year - (153 * month + 2) / 5 + 1,
	});
}

static int64_t
days_from_civil(struct civil c)
{
	int64_t year = c.month <= 2 ? c.year - 1 : c.year;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	unsigned of_era_year = (unsigned)(year - era * 400);
	unsigned month = c.month > 2 ? c.month - 3 : c.month + 9;
	unsigned of_year = (153 * month + 2) / 5 + c.day - 1;
	unsigned of_era = of_era_year * 365 + of_era_year / 4 - of_era_year / 100 + of_year;

	return (era * 146097 + (int64_t)of_era - 719468);
}

#define DAY		86400
#define YEAR_9999	253402300799LL	/* last second that four digits can say */

static void
put_two_digits(char *out, unsigned n)
{
	out[0] = (char)('0' + n / 10);
	out[1] = (char)('0' + n % 10);
}

/* No printf: this is for a file's time that was not asked for lately. */
static void
http_date_format(time_t t, char out[static CLOCK_HTTP_DATE_LEN + 1])
{
	unsigned second, weekday;
	struct civil c;
	int64_t days;

	/* A file's time may be anything; the format has four digits for the year. */
	if (t < 0)
		t = 0;
	if (t > YEAR_9999)
		t = YEAR_9999;
	days = t / DAY;
	second = (unsigned)(t % DAY);
	weekday = (unsigned)((days + 4) % 7);	/* 1970-01-01 was a Thursday */
	c = civil_from_days(days);
	memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", CLOCK_HTTP_DATE_LEN + 1);
	memcpy(out, day_names[weekday], 3);
	put_two_digits(out + 5, c.day);
	memcpy(out + 8, month_names[c.month - 1], 3);
	put_two_digits(out + 12, (unsigned)c.year / 100);
	put_two_digits(out + 14, (unsigned)c.year % 100);
	put_two_digits(out + 17, second / 3600);
	put_two_digits(out + 20, second / 60 % 60);
	put_two_digits(out + 23, second % 60);
}

/* Every answer with a file's time has one, and most are of few files. */
void
clock_format_http(time_t t, char out[static CLOCK_HTTP_DATE_LEN + 1])
{
	static _Thread_local struct {
		time_t second;
		char text[CLOCK_HTTP_DATE_LEN + 1];	/* "": none yet */
	} recent[64], *slot;

	slot = &recent[(uint64_t)t % (sizeof(recent) / sizeof(recent[0]))];
	if (slot->second != t || slot->text[0] == '\0') {
		http_date_format(t, slot->text);
		slot->second = t;
	}
	memcpy(out, slot->text, sizeof(slot->text));
}

/* True when the date is of this second; otherwise it is marked so and must be written. */
static bool
date_is_current(struct date *date)
{
	time_t second = clock_wall();

	if (date->n != 0 && date->second == second)
		return (true);
	date->second = second;
	return (false);
}

static struct str
date_text(const struct date *date)
{
	return (str_make(date->text, date->n));
}

struct str
clock_http_date(void)
{
	if (!date_is_current(&now.http)) {
		clock_format_http(now.http.second, now.http.text);
		now.http.n = CLOCK_HTTP_DATE_LEN;
	}
	return (date_text(&now.http));
}

struct zone {
	char sign;
	int hours, minutes;
};

static struct zone
zone_of(const struct tm *tm)
{
	long minutes = (tm->tm_gmtoff < 0 ? -tm->tm_gmtoff : tm->tm_gmtoff) / 60;

	return ((struct zone){ tm->tm_gmtoff < 0 ? '-' : '+', (int)(minutes / 60),
	    (int)(minutes % 60) });
}

struct str
clock_log_local(void)
{
	struct date *s = &now.local;
	struct zone zone;
	struct tm tm;

	if (!date_is_current(s)) {
		localtime_r(&s->second, &tm);
		zone = zone_of(&tm);
		s->n = (size_t)snprintf(s->text, sizeof(s->text),
		    "%02d/%s/%d:%02d:%02d:%02d %c%02d%02d", tm.tm_mday, month_names[tm.tm_mon],
		    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, zone.sign, zone.hours,
		    zone.minutes);
	}
	return (date_text(s));
}

struct str
clock_log_iso8601(void)
{
	struct date *s = &now.iso8601;
	struct zone zone;
	struct tm tm;

	if (!date_is_current(s)) {
		localtime_r(&s->second, &tm);
		zone = zone_of(&tm);
		s->n = (size_t)snprintf(s->text, sizeof(s->text),
		    "%d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
		    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, zone.sign, zone.hours,
		    zone.minutes);
	}
	return (date_text(s));
}

struct str
clock_log_error(void)
{
	struct date *s = &now.error;
	struct tm tm;

	if (!date_is_current(s)) {
		localtime_r(&s->second, &tm);
		s->n = (size_t)snprintf(s->text, sizeof(s->text), "%d/%02d/%02d %02d:%02d:%02d",
		    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		    tm.tm_sec);
	}
	return (date_text(s));
}

/*
 * The three dates of RFC 9110 5.6.7 as patterns: a letter takes digits of that
 * field, '_' a digit or a blank, N the month's name, anything else itself.
 */
static const struct {
	bool day_long;		/* weekday spelled out */
	const char *rest;	/* behind the weekday */
} date_patterns[] = {
	{ false, ", DD N YYYY hh:mm:ss GMT" },
	{ true, ", DD-N-yy hh:mm:ss GMT" },
	{ false, " N _D hh:mm:ss YYYY" },
};

struct fields {
	unsigned D, Y, y, h, m, s, month;
	bool short_year;
};

static bool
month_match(struct str s, unsigned *month)
{
	for (unsigned i = 0; i < 12; i++)
		if (str_starts(s, str_make(month_names[i], 3))) {
			*month = i + 1;
			return (true);
		}
	return (false);
}

static unsigned *
field_of(struct fields *f, char letter)
{
	switch (letter) {
	case 'D':
		return (&f->D);
	case 'Y':
		return (&f->Y);
	case 'y':
		f->short_year = true;
		return (&f->y);
	case 'h':
		return (&f->h);
	case 'm':
		return (&f->m);
	case 's':
		return (&f->s);
	default:
		return (NULL);
	}
}

static bool
pattern_match(struct str s, const char *pattern, struct fields *f)
{
	unsigned *field;

	for (; *pattern != '\0'; pattern++) {
		if (s.n == 0)
			return (false);
		if (*pattern == 'N') {
			if (!month_match(s, &f->month))
				return (false);
			s = str_skip(s, 3);
			continue;
		}
		if ((field = field_of(f, *pattern)) != NULL) {
			if (s.p[0] < '0' || s.p[0] > '9')
				return (false);
			*field = *field * 10 + (unsigned)(s.p[0] - '0');
		} else if (*pattern == '_') {
			if (s.p[0] != ' ' && (s.p[0] < '0' || s.p[0] > '9'))
				return (false);
			f->D = s.p[0] == ' ' ? 0 : (unsigned)(s.p[0] - '0');
		} else if (s.p[0] != *pattern) {
			return (false);
		}
		s = str_skip(s, 1);
	}
	return (s.n == 0);
}

static time_t
fields_time(const struct fields *f)
{
	static const unsigned char month_days[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	struct civil c = { f->Y, f->month, f->D }, back;
	int64_t days;

	/* Two digits: the years around the Unix epoch, as nginx reads them. */
	if (f->short_year)
		c.year = f->y < 70 ? 2000 + f->y : 1900 + f->y;
	if (c.day == 0 || c.day > month_days[c.month - 1] || f->h > 23 || f->m > 59 || f->s > 60)
		return ((time_t)-1);
	days = days_from_civil(c);
	back = civil_from_days(days);
	if (back.day != c.day || c.year < 1970)	/* 29 February of another year */
		return ((time_t)-1);
	return ((time_t)(days * DAY + f->h * 3600 + f->m * 60 + f->s));
}

time_t
clock_parse_http(struct str s)
{
	size_t day = 0, length = 0;

	while (day < 7 && !str_starts(s, str_make(day_names[day], 3)))
		day++;
	if (day == 7)
		return ((time_t)-1);
	for (size_t i = 0; i < sizeof(date_patterns) / sizeof(date_patterns[0]); i++) {
		struct fields f = { 0 };

		length = date_patterns[i].day_long ? strlen(day_names_long[day]) : 3;
		if (date_patterns[i].day_long && !str_starts(s, str_from(day_names_long[day])))
			continue;
		if (pattern_match(str_skip(s, length), date_patterns[i].rest, &f))
			return (fields_time(&f));
	}
	return ((time_t)-1);
}
