#ifndef WPROXY_MOD_UNBUILT_H
#define WPROXY_MOD_UNBUILT_H

#include "http/module.h"

/*
 * nginx's directives that wproxy knows and does not implement, and load_module.  No name is
 * here that another module's rows have: whoever builds a feature deletes its rows here.
 */
extern struct module unbuilt_module;

#endif
