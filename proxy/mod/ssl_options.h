#ifndef WPROXY_MOD_SSL_OPTIONS_H
#define WPROXY_MOD_SSL_OPTIONS_H

#include "conf/type.h"
#include "mod/ssl_pem.h"

/* Settings of an SSL_CTX that both sides of TLS have: clients' and back ends'. */
enum ssl_protocol {
	PROTOCOL_SSLV2 = 1, PROTOCOL_SSLV3 = 2, PROTOCOL_TLSV1 = 4, PROTOCOL_TLSV1_1 = 8,
	PROTOCOL_TLSV1_2 = 16, PROTOCOL_TLSV1_3 = 32
};
extern const struct conf_name ssl_protocol_names[];

/* Exactly these versions, whatever the system's OpenSSL configuration says. */
void	ssl_apply_protocols(struct ssl_ctx_st *, unsigned protocols);
/* ssl_conf_command: name, value, name, value ... (struct str).  -1: loader->why. */
int	ssl_apply_commands(struct conf *, struct ssl_loader *, const struct vec *commands)
	    __attribute__((warn_unused_result));

#endif
