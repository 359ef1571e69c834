"""A TLS client that writes records no library would: after an ordinary handshake, any type and payload."""

import ctypes
import ctypes.util
import hashlib
import hmac
import os
import socket
import ssl
import struct
import tempfile

from tlswire import V12, V13, context, records

HANDSHAKE, DATA, ALERT = 22, 23, 21
CIPHER_12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"

crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for function in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_256_gcm"):
    getattr(crypto, function).restype = ctypes.c_void_p


def seal(key, nonce, extra, text):
    """AES-GCM: what is sent for text."""
    ctx = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    kind = ctypes.c_void_p(crypto.EVP_aes_128_gcm() if len(key) == 16 else crypto.EVP_aes_256_gcm())
    out, n, tag = ctypes.create_string_buffer(len(text) + 16), ctypes.c_int(), ctypes.create_string_buffer(16)
    try:
        assert crypto.EVP_EncryptInit_ex(ctx, kind, None, key, nonce) == 1
        assert crypto.EVP_EncryptUpdate(ctx, None, ctypes.byref(n), extra, len(extra)) == 1
        assert crypto.EVP_EncryptUpdate(ctx, out, ctypes.byref(n), text, len(text)) == 1
        assert crypto.EVP_EncryptFinal_ex(ctx, None, ctypes.byref(n)) == 1
        assert crypto.EVP_CIPHER_CTX_ctrl(ctx, 0x10, 16, tag) == 1      # EVP_CTRL_AEAD_GET_TAG
    finally:
        crypto.EVP_CIPHER_CTX_free(ctx)
    return out.raw[:len(text)] + tag.raw


def expand_label(secret, label, size, digest):
    """HKDF-Expand-Label of RFC 8446, without a context, of at most one block."""
    label = b"tls13 " + label
    info = struct.pack(">HB", size, len(label)) + label + b"\0\1"
    return hmac.new(secret, info, digest).digest()[:size]


def key_block(master, randoms, size):
    """TLS 1.2's, of SHA-256."""
    seed, made = b"key expansion" + randoms, b""
    turn = seed
    while len(made) < size:
        turn = hmac.new(master, turn, hashlib.sha256).digest()
        made += hmac.new(master, turn + seed, hashlib.sha256).digest()
    return made[:size]


class RecordClient:
    """Connected, with the handshake done. seal_record() makes the bytes of one record of the client."""

    def __init__(self, address, version=V13, name="a.test", timeout=20):
        self.version = version
        self.socket = socket.create_connection(address, timeout)
        self.received = b""
        handle, path = tempfile.mkstemp()
        os.close(handle)
        try:
            self.shake(path, name)
            with open(path) as file:
                self.derive([line.split() for line in file])
        finally:
            os.unlink(path)

    def shake(self, path, name):
        ctx = context(minimum=self.version, maximum=self.version,
                      ciphers=CIPHER_12 if self.version == V12 else None)
        ctx.keylog_filename = path
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ctx.wrap_bio(incoming, outgoing, server_hostname=name)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(outgoing.read())
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("closed in the handshake")
                self.received += data
                incoming.write(data)
        self.socket.sendall(outgoing.read())
        self.cipher = tls.cipher()[0]

    def derive(self, lines):
        secrets = {line[0]: (bytes.fromhex(line[1]), bytes.fromhex(line[2]))
                   for line in lines if len(line) == 3}
        if self.version == V13:
            self.digest = hashlib.sha384 if self.cipher.endswith("384") else hashlib.sha256
            self.secret = secrets["CLIENT_TRAFFIC_SECRET_0"][1]
            self.take_secret()
            return
        client, master = secrets["CLIENT_RANDOM"]
        server = records(self.received)[0][2][6:38]
        block = key_block(master, server + client, 40)
        self.key, self.salt, self.number = block[:16], block[32:36], 1      # 0 was Finished

    def take_secret(self):
        size = 32 if "256_GCM" in self.cipher else 16
        self.key = expand_label(self.secret, b"key", size, self.digest)
        self.iv = expand_label(self.secret, b"iv", 12, self.digest)
        self.number = 0

    def seal_record(self, kind, payload):
        number = struct.pack(">Q", self.number)
        self.number += 1
        if self.version == V12:
            extra = number + struct.pack(">BHH", kind, 0x0303, len(payload))
            text = number + seal(self.key, self.salt + number, extra, payload)
            return struct.pack(">BHH", kind, 0x0303, len(text)) + text
        inner = payload + bytes([kind])
        head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
        nonce = bytes(a ^ b for a, b in zip(self.iv, b"\0\0\0\0" + number))
        return head + seal(self.key, nonce, head, inner)

    def key_update(self, wanted):
        """The record of a KeyUpdate; wanted: the server shall answer with its own."""
        made = self.seal_record(HANDSHAKE, b"\x18\0\0\1" + bytes([wanted]))
        self.secret = expand_label(self.secret, b"traffic upd", self.digest().digest_size, self.digest)
        self.take_secret()
        return made

    def data(self, payload):
        return self.seal_record(DATA, payload)

    def taken(self, pieces, reads=True):
        """Sends pieces until the server ends the connection; how many it took, None if all of them."""
        self.socket.setblocking(reads)
        for i, piece in enumerate(pieces):
            try:
                self.socket.sendall(piece)
            except OSError:
                return i
        return None

    def close(self):
        self.socket.close()
