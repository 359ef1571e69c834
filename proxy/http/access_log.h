#ifndef WPROXY_HTTP_ACCESS_LOG_H
#define WPROXY_HTTP_ACCESS_LOG_H

#include "http/request.h"

extern struct module access_log_module;

/* Writes the request's lines to the logs of its location.  Once, by request_finish(). */
void	access_log_write(struct request *);

/* Closes the logs that a thread opened for paths with variables; when the thread ends. */
void	access_log_thread_end(void);

#endif
