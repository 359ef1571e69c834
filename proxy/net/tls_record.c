/*
 * Where records and the ClientHello end, so that OpenSSL is called once they are
 * whole: for a part of either it would hold 16 KiB and more while it waits.
 * Judges nothing: whatever is odd counts as whole, and OpenSSL refuses it.
 */
#include "net/tls_record.h"

enum {
	KIND_FIRST = 20,
	KIND_HANDSHAKE = 22,
	KIND_LAST = 24,
	PAYLOAD_MAX = 16384 + 2048,
	MESSAGE_HEAD = 4,
	MESSAGE_HELLO = 1
};

size_t
tls_record_size(const unsigned char *p)
{
	size_t payload = (size_t)p[3] << 8 | p[4];

	if ((p[0] & 0x80) != 0 && p[2] == 1)	/* the hello of SSLv2 */
		payload = ((size_t)(p[0] & 0x7f) << 8 | p[1]) + 2 - TLS_RECORD_HEAD;
	else if (p[0] < KIND_FIRST || p[0] > KIND_LAST || p[1] != 3)
		return (TLS_RECORD_HEAD);
	return (payload <= PAYLOAD_MAX ? TLS_RECORD_HEAD + payload : TLS_RECORD_HEAD);
}

size_t
tls_hello_size(const unsigned char *p, size_t n)
{
	size_t at = 0, seen = 0, length = 0;

	do {
		size_t size = TLS_RECORD_HEAD;

		if (n >= at + size)
			size = tls_record_size(p + at);
		if (n < at + size || p[at] != KIND_HANDSHAKE || size == TLS_RECORD_HEAD ||
		    (seen == 0 && p[at + TLS_RECORD_HEAD] != MESSAGE_HELLO))
			return (at + size);
		for (size_t i = TLS_RECORD_HEAD; i < size; i++)
			if (seen++ < MESSAGE_HEAD)
				length = (length << 8 | p[at + i]) & 0xffffff;
		at += size;
	} while (seen < MESSAGE_HEAD + length);
	return (at);
}
