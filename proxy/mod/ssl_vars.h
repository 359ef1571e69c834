#ifndef WPROXY_MOD_SSL_VARS_H
#define WPROXY_MOD_SSL_VARS_H

#include "http/var.h"

/* $ssl_*: ends with name NULL. */
extern const struct var_row ssl_vars[];

#endif
