/*
 * Round-trip times and windows of a connection, for the $tcpinfo_ variables.
 * One getsockopt per call.
 */
#include "net/tcp_info.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

bool
tcp_info_get(const struct conn *conn, struct tcp_figures *figures)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	if (conn->fd < 0 || getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return (false);
	*figures = (struct tcp_figures){ info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_snd_cwnd,
		info.tcpi_rcv_space };
	return (true);
}
