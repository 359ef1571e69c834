#ifndef WPROXY_CONF_VALUES_H
#define WPROXY_CONF_VALUES_H

#include "conf/conf.h"

/* What a mark in conf_values.set says. */
enum conf_mark { CONF_SET_NOT, CONF_SET_INHERITED, CONF_SET_WRITTEN };

/* May the directive stand only once, and is it (or a synonym) written at this level already? */
bool	conf_row_is_written(const struct conf_values *, const struct conf_row *);

#endif
