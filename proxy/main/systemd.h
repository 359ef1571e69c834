#ifndef WPROXY_MAIN_SYSTEMD_H
#define WPROXY_MAIN_SYSTEMD_H

/*
 * systemd's two protocols, without its library.  Nothing happens where the
 * environment does not ask for it.
 */
/* Sends e.g. "READY=1" to $NOTIFY_SOCKET. */
void		systemd_notify(const char *state, ...) __attribute__((format(printf, 1, 2)));
/* How many listening sockets were handed in, from SYSTEMD_FIRST_FD on; forgets them afterwards. */
unsigned	systemd_sockets(void);
#define SYSTEMD_FIRST_FD	3

#endif
