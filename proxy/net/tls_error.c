/*
 * OpenSSL's error queue as one line of text, and whose fault it was.  Used by
 * tls.c.
 */
#include "net/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <string.h>

/* What a stranger can make happen by sending bytes; alerts received come on top. */
static const int peers_reasons[] = {
	SSL_R_BAD_CHANGE_CIPHER_SPEC,
	SSL_R_BAD_DECOMPRESSION,
	SSL_R_BAD_DIGEST_LENGTH,
	SSL_R_BAD_EXTENSION,
	SSL_R_BAD_KEY_SHARE,
	SSL_R_BAD_LENGTH,
	SSL_R_BAD_PACKET,
	SSL_R_BAD_RECORD_TYPE,
	SSL_R_BLOCK_CIPHER_PAD_IS_WRONG,
	SSL_R_CALLBACK_FAILED,		/* a server name that is refused */
	SSL_R_CCS_RECEIVED_EARLY,
	SSL_R_CERT_CB_ERROR,
	SSL_R_CLIENTHELLO_TLSEXT,
	SSL_R_DATA_BETWEEN_CCS_AND_FINISHED,
	SSL_R_DATA_LENGTH_TOO_LONG,
	SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
	SSL_R_DIGEST_CHECK_FAILED,
	SSL_R_ENCRYPTED_LENGTH_TOO_LONG,
	SSL_R_ERROR_IN_RECEIVED_CIPHER_LIST,
	SSL_R_EXCESSIVE_MESSAGE_SIZE,
	SSL_R_GOT_A_FIN_BEFORE_A_CCS,
	SSL_R_HTTPS_PROXY_REQUEST,
	SSL_R_HTTP_REQUEST,
	SSL_R_INAPPROPRIATE_FALLBACK,
	SSL_R_INVALID_CCS_MESSAGE,
	SSL_R_LENGTH_MISMATCH,
	SSL_R_LENGTH_TOO_SHORT,
	SSL_R_MISSING_SIGALGS_EXTENSION,
	SSL_R_NOT_ON_RECORD_BOUNDARY,
	SSL_R_NO_APPLICATION_PROTOCOL,
	SSL_R_NO_CIPHERS_SPECIFIED,
	SSL_R_NO_COMPRESSION_SPECIFIED,
	SSL_R_NO_RENEGOTIATION,
	SSL_R_NO_SHARED_CIPHER,
	SSL_R_NO_SHARED_GROUPS,
	SSL_R_NO_SUITABLE_GROUPS,
	SSL_R_NO_SUITABLE_KEY_SHARE,
	SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
	SSL_R_PACKET_LENGTH_TOO_LONG,
	SSL_R_RECORD_LENGTH_MISMATCH,
	SSL_R_RECORD_TOO_SMALL,
	SSL_R_RENEGOTIATE_EXT_TOO_LONG,
	SSL_R_RENEGOTIATION_ENCODING_ERR,
	SSL_R_RENEGOTIATION_MISMATCH,
	SSL_R_SCSV_RECEIVED_WHEN_RENEGOTIATING,
	SSL_R_TOO_MANY_KEY_UPDATES,
	SSL_R_TOO_MANY_WARN_ALERTS,
	SSL_R_TOO_MUCH_EARLY_DATA,
	SSL_R_UNEXPECTED_CCS_MESSAGE,
	SSL_R_UNEXPECTED_END_OF_EARLY_DATA,
	SSL_R_UNEXPECTED_EOF_WHILE_READING,
	SSL_R_UNEXPECTED_MESSAGE,
	SSL_R_UNEXPECTED_RECORD,
	SSL_R_UNKNOWN_ALERT_TYPE,
	SSL_R_UNKNOWN_PROTOCOL,
	SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
	SSL_R_UNSUPPORTED_PROTOCOL,
	SSL_R_VERSION_TOO_HIGH,
	SSL_R_VERSION_TOO_LOW,
	SSL_R_WRONG_SIGNATURE_TYPE,
	SSL_R_WRONG_SSL_VERSION,
	SSL_R_WRONG_VERSION_NUMBER,
};

static bool
error_is_peers(unsigned long error)
{
	int reason = ERR_GET_REASON(error);

	if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		return (false);
	if (reason >= SSL_AD_REASON_OFFSET)	/* an alert that the other side sent */
		return (true);
	for (size_t i = 0; i < sizeof(peers_reasons) / sizeof(peers_reasons[0]); i++)
		if (peers_reasons[i] == reason)
			return (true);
	return (false);
}

void
tls_error_take(const char *call, char *text, size_t room, bool *peers)
{
	const char *details;
	unsigned long error;
	char one[256];
	int flags;
	size_t n;

	n = (size_t)snprintf(text, room, "%s failed", call);
	*peers = error_is_peers(ERR_peek_error());
	for (int i = 0; (error = ERR_get_error_all(NULL, NULL, NULL, &details, &flags)) != 0; i++) {
		if (n >= room)
			continue;	/* the rest is dropped, the queue emptied */
		ERR_error_string_n(error, one, sizeof(one));
		n += (size_t)snprintf(text + n, room - n, "%s%s%s%s", i == 0 ? " (SSL: " : " ", one,
		    (flags & ERR_TXT_STRING) && details[0] != '\0' ? ":" : "",
		    (flags & ERR_TXT_STRING) ? details : "");
	}
	if (n > strlen(call) + strlen(" failed") && n < room)
		snprintf(text + n, room - n, ")");
}
