#ifndef WPROXY_CONF_MESSAGE_H
#define WPROXY_CONF_MESSAGE_H

#include "conf/conf.h"

/* What the engine says beyond conf_error(); same rules, for conf/ only. */

/* The caret under what the lexer looked at last, not under the directive. */
int	conf_error_mark(struct conf *, const char *, ...) __attribute__((format(printf, 2, 3)));
/* With cf->caret: a line that names the contexts where the directive just refused is allowed. */
void	conf_note_contexts(struct conf *, unsigned contexts);

#endif
