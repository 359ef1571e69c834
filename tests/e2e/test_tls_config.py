"""What nginx says about ssl_* directives, and what wproxy says: the same, word by word."""

import os
import re
import subprocess

import pytest

from authority import Authority, openssl
from server import NGINX, SUBJECT

PAIR = "ssl_certificate a.pem; ssl_certificate_key a.key; "

# Accepted, or refused with the same text.
SAME = """
ssl_certificate a.pem; ssl_certificate_key a.key;

ssl on;
ssl on; ssl_certificate a.pem;
ssl on; @pair@
ssl off; @pair@
ssl_certificate a.pem;
ssl_certificate a.pem; ssl_certificate r.pem; ssl_certificate_key a.key;
ssl on; ssl_certificate a.pem; ssl_certificate r.pem; ssl_certificate_key a.key;
ssl_certificate_key a.key;
ssl_certificate no.pem; ssl_certificate_key a.key;
ssl_certificate a.pem; ssl_certificate_key no.key;
ssl_certificate g.pem; ssl_certificate_key a.key;
ssl_certificate a.pem; ssl_certificate_key g.pem;
ssl_certificate a.pem; ssl_certificate_key b.key;
ssl_certificate broken.pem; ssl_certificate_key a.key;
ssl_certificate a.pem; ssl_certificate r.pem; ssl_certificate_key a.key; ssl_certificate_key r.key;
ssl_certificate a.pem; ssl_certificate r.pem; ssl_certificate_key r.key; ssl_certificate_key a.key;
ssl_certificate a.pem; ssl_certificate a.pem; ssl_certificate_key a.key; ssl_certificate_key a.key;
ssl_certificate a.pem; ssl_certificate_key e.key; ssl_password_file pw;
ssl_certificate a.pem; ssl_certificate_key e.key; ssl_password_file pwcrlf;
ssl_certificate a.pem; ssl_certificate_key e.key; ssl_password_file no.pw;
ssl_certificate a.pem; ssl_certificate_key e.key; ssl_password_file g.pem;
@pair@ ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
@pair@ ssl_protocols TLSv1 TLSv1;
@pair@ ssl_protocols SSLv3;
@pair@ ssl_protocols TLSv9;
@pair@ ssl_protocols;
@pair@ ssl_ciphers bogus;
@pair@ ssl_ciphers HIGH:!aNULL:!MD5;
@pair@ ssl_ecdh_curve bogus;
@pair@ ssl_ecdh_curve auto;
@pair@ ssl_ecdh_curve X25519:prime256v1:secp384r1;
@pair@ ssl_dhparam no.pem;
@pair@ ssl_session_cache foo;
@pair@ ssl_session_cache shared:a;
@pair@ ssl_session_cache shared::1m;
@pair@ ssl_session_cache shared:a:1k;
@pair@ ssl_session_cache shared:a:x;
@pair@ ssl_session_cache builtin:x;
@pair@ ssl_session_cache builtin;
@pair@ ssl_session_cache builtin:1000 shared:SSL:10m;
@pair@ ssl_session_cache off shared:SSL:10m;
@pair@ ssl_session_cache none none none;
@pair@ ssl_session_ticket_key g.pem;
@pair@ ssl_session_ticket_key no;
@pair@ ssl_session_ticket_key k48; ssl_session_ticket_key k80;
@pair@ ssl_session_timeout x;
@pair@ ssl_session_timeout 10ms;
@pair@ ssl_session_tickets maybe;
@pair@ ssl_verify_client on;
@pair@ ssl_verify_client maybe;
@pair@ ssl_verify_client on; ssl_client_certificate ca.pem;
@pair@ ssl_verify_client on; ssl_client_certificate no.pem;
@pair@ ssl_verify_client on; ssl_client_certificate g.pem;
@pair@ ssl_verify_client on; ssl_trusted_certificate ca.pem;
@pair@ ssl_verify_client optional_no_ca;
@pair@ ssl_client_certificate no.pem;
@pair@ ssl_trusted_certificate no.pem;
@pair@ ssl_trusted_certificate g.pem;
@pair@ ssl_crl no.pem;
@pair@ ssl_crl g.pem;
@pair@ ssl_verify_depth x;
@pair@ ssl_conf_command foo bar;
@pair@ ssl_conf_command Protocol bar;
@pair@ ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
@pair@ ssl_conf_command Options PrioritizeChaCha;
@pair@ ssl_conf_command MinProtocol TLSv1.3;
@pair@ ssl_conf_command foo;
@pair@ ssl_stapling on;
@pair@ ssl_stapling on; ssl_stapling_file no.der;
@pair@ ssl_stapling on; ssl_stapling_responder ftp://x/;
@pair@ ssl_buffer_size x;
@pair@ ssl_buffer_size 4k;
@pair@ ssl_early_data on;
@pair@ ssl_prefer_server_ciphers maybe;
ssl_reject_handshake on;
ssl_certificate $ssl_server_name.pem; ssl_certificate_key $ssl_server_name.key;
ssl_certificate $ssl_server_name.pem;
ssl_certificate $ssl_server_name.pem; ssl_certificate_key e.key; ssl_password_file no.pw;
ssl_certificate data:$ssl_server_name; ssl_certificate_key data:$ssl_server_name;
""".strip("\n").replace("@pair@", PAIR).split("\n")

# Directives of http {} || those of server {}: inherited as nginx does, or refused with the same text.
LEVELS = """
ssl_certificate a.pem; ssl_certificate_key a.key; || ssl_certificate b.pem; ssl_certificate_key b.key;
ssl_session_cache shared:S:1m; || @pair@ ssl_session_cache shared:S:2m;
ssl_session_cache shared:S:1m; || @pair@ ssl_session_cache shared:S:1m;
ssl_certificate a.pem; ssl_certificate_key a.key; || ssl_certificate_key b.key;
ssl_verify_client on; ssl_client_certificate ca.pem; || @pair@
ssl on; listen 127.0.0.1:2; @pair@
ssl on; || @pair@
ssl on; || ssl_certificate a.pem;
ssl on; ||
ssl on; ssl_certificate a.pem; ||
ssl on; || ssl off; @pair@
ssl off; || ssl on; @pair@
ssl maybe; ||
ssl on on; ||
ssl_certificate a.pem; || ssl_certificate_key a.key;
ssl_certificate a.pem; ||
ssl_certificate_key a.key; ||
ssl_certificate_key a.key; || ssl_certificate a.pem;
ssl_certificate a.pem; ssl_certificate_key a.key; || ssl_certificate b.pem;
ssl_certificate a.pem; ssl_certificate r.pem; ssl_certificate_key a.key; ssl_certificate_key r.key; || ssl_certificate b.pem; ssl_certificate_key b.key;
ssl_certificate a.pem; ssl_certificate r.pem; ssl_certificate_key a.key; ssl_certificate_key r.key; || ssl_certificate_key a.key;
ssl_certificate no.pem; ssl_certificate_key no.key; ||
ssl_certificate no.pem; ssl_certificate_key no.key; || @pair@
ssl_ciphers bogus; || @pair@
ssl_ciphers bogus; || @pair@ ssl_ciphers HIGH;
ssl_protocols TLSv1.2; || @pair@ ssl_protocols TLSv1.3;
ssl_protocols TLSv1.2; ssl_protocols TLSv1.3; || @pair@
ssl_ecdh_curve bogus; || @pair@
ssl_ecdh_curve bogus; || @pair@ ssl_ecdh_curve auto;
ssl_dhparam no.pem; || @pair@
ssl_session_cache none; || @pair@ ssl_session_cache off;
ssl_session_cache shared:A:1m; || @pair@ ssl_session_cache shared:B:2m;
ssl_session_cache shared:A:1m shared:B:1m; || @pair@
ssl_session_cache shared:A:1m; ssl_session_cache shared:A:1m; || @pair@
ssl_session_cache builtin:-1; || @pair@
ssl_session_cache builtin:0; || @pair@
ssl_session_cache builtin:; || @pair@
ssl_session_cache shared:A:32767; || @pair@
ssl_session_cache shared:A:32768; || @pair@
ssl_session_cache shared:A:0; || @pair@
ssl_session_cache shared:A; || @pair@
ssl_session_cache shared; || @pair@
ssl_session_cache; || @pair@
ssl_session_timeout -1; || @pair@
ssl_session_timeout 0; || @pair@
ssl_session_timeout 1d; || @pair@ ssl_session_timeout 1h;
ssl_session_timeout 1h; ssl_session_timeout 1h; || @pair@
ssl_session_ticket_key no; || @pair@
ssl_session_ticket_key k48; || @pair@ ssl_session_ticket_key k80;
ssl_session_ticket_key a.pem; || @pair@
ssl_session_tickets off; ssl_session_tickets on; || @pair@
ssl_verify_client optional; || @pair@
ssl_verify_client optional_no_ca; || @pair@ ssl_verify_client on;
ssl_verify_client on; || @pair@ ssl_verify_client off;
ssl_verify_client on; || @pair@ ssl_client_certificate ca.pem;
ssl_client_certificate ca.pem; || @pair@ ssl_verify_client on;
ssl_client_certificate no.pem; || @pair@
ssl_client_certificate ""; || @pair@ ssl_verify_client on;
ssl_client_certificate ""; || @pair@
ssl_trusted_certificate ""; || @pair@
ssl_crl ""; || @pair@
ssl_crl ca.pem; || @pair@
ssl_crl ca.pem; || @pair@ ssl_verify_client on; ssl_client_certificate ca.pem;
ssl_verify_depth -1; || @pair@
ssl_verify_depth 0; || @pair@
ssl_verify_depth 1 2; || @pair@
ssl_password_file no.pw; || @pair@
ssl_password_file pw; || ssl_certificate a.pem; ssl_certificate_key e.key;
ssl_password_file pw; || @pair@ ssl_password_file pwcrlf;
ssl_stapling on; || @pair@
ssl_stapling on; || @pair@ ssl_stapling off;
ssl_stapling on; ssl_stapling_verify on; || @pair@
ssl_stapling on; ssl_trusted_certificate ca.pem; || @pair@
ssl_stapling on; ssl_trusted_certificate ca.pem; ssl_stapling_responder http://127.0.0.1/; || @pair@
ssl_stapling on; ssl_trusted_certificate ca.pem; ssl_stapling_responder https://127.0.0.1/; || @pair@
ssl_stapling on; ssl_trusted_certificate ca.pem; ssl_stapling_responder 127.0.0.1; || @pair@
ssl_stapling_file no.der; || @pair@
ssl_stapling_verify maybe; || @pair@
ssl_buffer_size 0; || @pair@
ssl_buffer_size -1; || @pair@
ssl_buffer_size 1m; || @pair@
ssl_buffer_size 4k; ssl_buffer_size 4k; || @pair@
ssl_early_data maybe; || @pair@
ssl_reject_handshake maybe; || @pair@
ssl_reject_handshake on; ||
ssl_reject_handshake on; || ssl_reject_handshake off;
ssl_reject_handshake on; || ssl_certificate a.pem;
ssl_conf_command Options; || @pair@
ssl_conf_command Options -SessionTicket; || @pair@
ssl_conf_command Curves bogus; || @pair@
ssl_conf_command Groups X25519; || @pair@ ssl_conf_command Groups P-256;
ssl_conf_command Certificate no.pem; || @pair@
ssl_conf_command Ciphersuites bogus; || @pair@
ssl_conf_command CipherString bogus; || @pair@
ssl_conf_command VerifyCAFile no.pem; || @pair@
ssl_conf_command "" ""; || @pair@
ssl_conf_command bogus 1; || @pair@ ssl_conf_command Protocol TLSv1.2;
ssl_certificate a.pem a.pem; ||
ssl_certificate data:x; ssl_certificate_key a.key; ||
ssl_certificate a.pem; ssl_certificate_key data:x; ||
ssl_certificate $ssl_server_name.pem; ssl_certificate_key a.key; ||
ssl_certificate a.pem; ssl_certificate_key $ssl_server_name.key; ||
ssl_certificate $ssl_server_name.pem; ssl_certificate_key a.key; || ssl_certificate_key b.key;
ssl_certificate $ssl_server_name.pem; ssl_certificate_key a.key; ssl_stapling on; ||
ssl_certificate a.key; ssl_certificate_key a.key; ||
ssl_certificate ca.pem; ssl_certificate_key a.key; ||
location /x { ssl_certificate a.pem; }
location /x { ssl on; }
server_name $x; @pair@
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; proxy_ssl_trusted_certificate no.pem; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate a.pem; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate a.pem; proxy_ssl_certificate_key b.key; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate no.pem; proxy_ssl_certificate_key b.key; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate_key b.key; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_ciphers bogus; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_protocols bogus; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_crl no.pem; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_crl no.pem; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_conf_command bogus 1; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate $arg_x.pem; proxy_ssl_certificate_key $arg_x.key; }
@pair@ location / { proxy_pass http://127.0.0.1; proxy_ssl_verify on; }
@pair@ location / { proxy_pass http://127.0.0.1; proxy_ssl_ciphers bogus; }
@pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_name $host; proxy_ssl_server_name on; proxy_ssl_session_reuse off; proxy_ssl_verify_depth 3; }
proxy_ssl_verify on; || @pair@ location / { proxy_pass https://127.0.0.1; }
proxy_ssl_verify on; || @pair@
proxy_ssl_certificate a.pem; || @pair@ proxy_ssl_certificate_key a.key; location / { proxy_pass https://127.0.0.1; }
proxy_ssl_certificate a.pem; || @pair@ location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate_key a.key; }
@pair@ listen 127.0.0.1:3 proxy_protocol; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; real_ip_recursive on;
@pair@ set_real_ip_from bogus;
@pair@ set_real_ip_from unix:;
@pair@ set_real_ip_from 127.0.0.1/8;
@pair@ real_ip_header X-Foo; real_ip_header X-Bar;
""".strip("\n").replace("@pair@", PAIR).split("\n")

# A listen of its own :: the rest.
LISTENS = """
listen 127.0.0.1:1; :: ssl on;
listen 127.0.0.1:1; :: ssl on; @pair@
listen 127.0.0.1:1; :: ssl on; ssl_reject_handshake on;
listen 127.0.0.1:1; :: ssl on; ssl_certificate a.pem;
listen 127.0.0.1:1; :: ssl_certificate no.pem; ssl_certificate_key no.key;
listen 127.0.0.1:1; :: ssl_certificate a.pem;
listen 127.0.0.1:1; :: ssl_verify_client on;
listen 127.0.0.1:1; :: ssl_ciphers bogus;
listen 127.0.0.1:1; :: @pair@ ssl_ciphers bogus;
listen 127.0.0.1:1; :: ssl_reject_handshake on;
listen 127.0.0.1:1 ssl proxy_protocol; :: @pair@
listen 127.0.0.1:1 ssl ssl; :: @pair@
""".strip("\n").replace("@pair@", PAIR).split("\n")


def told(body):
    return re.sub(r"[^\x21-\x7e]+", "_", body.replace(PAIR, "@pair@_"))


@pytest.fixture(scope="module")
def folder(base):
    path = os.path.join(base, "tls-config")
    os.makedirs(path)
    ca = Authority(path)
    for name, kind in (("a", "ec"), ("b", "ec"), ("r", "rsa")):
        pair = ca.issue(name + ".test", kind=kind, file=name)
        for what in ("pem", "key"):
            os.rename(getattr(pair, what), os.path.join(path, "%s.%s" % (name, what)))
    files = {"g.pem": b"garbage", "pw": b"wrong\nsecret\n", "pwcrlf": b"\r\nsecret\r\n",
             "k48": os.urandom(48), "k80": os.urandom(80)}
    with open(os.path.join(path, "a.pem"), "rb") as file:
        files["broken.pem"] = file.read() + b"-----BEGIN CERTIFICATE-----\nMIIB\n"
    for name, data in files.items():
        with open(os.path.join(path, name), "wb") as out:
            out.write(data)
    with open(os.path.join(path, "ca.pem"), "w") as out:
        out.write(ca.own.text("pem"))
    openssl("ec", "-in", os.path.join(path, "a.key"), "-aes128", "-passout", "pass:secret",
            "-out", os.path.join(path, "e.key"))
    return path


def said(binary, folder, body, listen="listen 127.0.0.1:1 ssl;", http=""):
    """The messages of `-t` and whether the syntax is accepted."""
    temps = " ".join("%s_temp_path %s/t;" % (n, folder) for n in (
        ["client_body", "proxy"] + (["fastcgi", "uwsgi", "scgi"] if binary == NGINX else [])))
    path = os.path.join(folder, "t.conf")
    with open(path, "w") as out:
        out.write("pid %s/pid; events {}\nhttp { access_log off; %s\n%s\nserver {\n%s\n%s\n} }\n" % (
            folder, temps, http, listen, body.replace("; ", ";\n")))
    done = subprocess.run([binary, "-t", "-c", path, "-p", folder + "/", "-e", "stderr"],
                          capture_output=True, text=True, timeout=60)
    lines = []
    for line in (done.stdout + done.stderr).split("\n"):
        line = re.sub(r"^(nginx|wproxy): ", "", line)
        line = re.sub(r"^\S+ \S+ (\[\w+\]) \d+#\d+: ", r"\1 ", line)
        # What wproxy says more, behind nginx's words: where, and what would help (test_start.py).
        line = re.sub(r" for the server in \S+:\d+( \(.*\))?$", "", line)
        line = re.sub(r"( in \S+:\d+) \(.*\)$", r"\1", line)
        if line.startswith(("[warn]", "[emerg]")) and line not in lines:
            lines.append(line)
    # Port 1 cannot be bound by everybody, and is not what this is about.
    return ([line for line in lines if "bind()" not in line],
            "syntax is ok" in done.stdout + done.stderr)


@pytest.mark.parametrize("body", SAME, ids=[re.sub(r"[^\x21-\x7e]+", "_", b.replace(
    PAIR, "")) or "nothing" for b in SAME])
def test_same(folder, body):
    assert said(SUBJECT, folder, body) == said(NGINX, folder, body)


@pytest.mark.parametrize("case", LEVELS, ids=told)
def test_inheritance(folder, case):
    http, _, body = case.rpartition("||")
    assert said(SUBJECT, folder, body, http=http) == said(NGINX, folder, body, http=http)


@pytest.mark.parametrize("case", LISTENS, ids=told)
def test_listens(folder, case):
    listen, body = case.split("::")
    assert said(SUBJECT, folder, body, listen=listen) == said(NGINX, folder, body, listen=listen)


# Refused here, with a reason; nginx starts, and no client can use it.
@pytest.mark.wproxy_only
@pytest.mark.parametrize("body, text", [
    ("ssl_certificate a.pem; ssl_certificate_key r.key;", "key type mismatch"),
    ("ssl_certificate a.pem; ssl_certificate_key e.key;", "cannot load certificate key"),
])
def test_unusable(folder, body, text):
    lines, ok = said(SUBJECT, folder, body)
    assert not ok and text in lines[0] and folder in lines[0]


@pytest.mark.wproxy_only
def test_http2_warns_once(folder):
    """listen ... http2 and http2 on are accepted; one warning says what is offered."""
    listen = "listen 127.0.0.1:1 ssl http2; listen 127.0.0.2:1 ssl http2;"
    lines, ok = said(SUBJECT, folder, PAIR + "http2 on;", listen=listen)
    assert ok and len(lines) == 1 and "only HTTP/1.1 is offered" in lines[0]
