/*
 * PROXY protocol headers: what is accepted is accepted with any number of bytes behind it, and
 * each beginning of it is partial.
 */
#include <assert.h>
#include <stdint.h>

#include "http/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct proxied_connection whole = { 0 }, part;
	const char *p = (const char *)bytes;
	ssize_t length = proxy_protocol_parse(p, size, &whole), got;

	assert(length >= -1 && length <= 65535 + 16);
	assert(whole.present == (length > 0));
	if (length <= 0)
		return (0);
	for (size_t n = 0; n < size; n++) {
		part = (struct proxied_connection){ 0 };
		got = proxy_protocol_parse(p, n, &part);
		assert(got == 0 || got == length);
		assert(got == 0 || addr_eq(&part.client, &whole.client) ||
		    whole.client.len == 0);
	}
	return (0);
}
