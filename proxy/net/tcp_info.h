#ifndef WPROXY_NET_TCP_INFO_H
#define WPROXY_NET_TCP_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "net/conn.h"

/* The kernel's view of a TCP connection (Linux: TCP_INFO); times in microseconds. */
struct tcp_figures {
	uint32_t rtt;
	uint32_t rttvar;
	uint32_t snd_cwnd;
	uint32_t rcv_space;
};

/* False where there are none (unix sockets). */
bool	tcp_info_get(const struct conn *, struct tcp_figures *);

#endif
