"""Certificates made on the spot."""

import os
import subprocess


def make_certificate(folder, name="example.test"):
    """Writes server.pem and server.key into the folder and returns their paths."""
    certificate = os.path.join(folder, "server.pem")
    key = os.path.join(folder, "server.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=" + name,
         "-addext", "subjectAltName=DNS:%s,DNS:*.%s,IP:127.0.0.1" % (name, name)],
        check=True, capture_output=True, timeout=60)
    os.chmod(certificate, 0o644)
    os.chmod(key, 0o644)
    return certificate, key


def make_dhparam(folder):
    path = os.path.join(folder, "dhparam.pem")
    subprocess.run(["openssl", "dhparam", "-dsaparam", "-out", path, "2048"], check=True,
                   capture_output=True, timeout=120)
    return path
