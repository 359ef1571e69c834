"""The rows of the table: what is asked for, of which configuration, and what it may cost.

`http` is the configuration of nginx and wproxy, with %(port)d, %(origin)d, %(closing)d and so on;
the documented files are taken as they are, only addresses and folders are put in.
"""

import dataclasses
import os
import re

CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e", "configs")
MIB = 1 << 20
GIB = 1 << 30
THUMB = 4405
PLANE = 262144
FIRST = 200		# files that nobody has asked for
MANY = 2000		# small files


@dataclasses.dataclass
class Row:
    name: str
    title: str
    target: float		# wproxy / nginx, at most
    http: str
    path: str
    length: int = -1		# of the answer's body; -1: not known beforehand
    kind: str = "static"	# what other servers would have to do: static, proxy, other
    per: str = "request"	# request, GiB, connection (memory), p99 (of a request), start (of the server)
    clients: int = 100
    requests: int = 0		# so many instead of so long
    upload: int = 0		# bytes of the request's body
    pace: int = 0		# bytes each client reads in 10 ms
    fields: str = ""		# of the request
    new: bool = False		# a connection for each request
    closing: bool = False	# the back end closes after each answer
    tls: bool = False
    resumed: bool = False
    log: bool = False
    gzip: bool = False
    hold: bool = False		# memory of idle connections
    user: str = ""
    host: str = "localhost"
    vary: int = 0		# ##### in path or host is so many numbers in turn
    idle: int = 0		# connections that are open beside, and idle
    beside: str = ""		# what ten others download meanwhile
    backend: str = ""		# a kind of tests/e2e/pool.py instead of origin
    renewed: bool = False	# files are touched before each measurement: nobody has seen them
    threads: int = 0		# not pinned then
    few: "Row" = None		# what it is compared with, server by server, instead of nginx


STATIC = """    server {
        listen 127.0.0.1:%(port)d;
        location / { root %(docroot)s; }
    }"""
LOGGED = STATIC.replace("location /", "access_log %(prefix)s/access.log combined;\n        location /")
TLS = STATIC.replace("listen 127.0.0.1:%(port)d;", """listen 127.0.0.1:%(port)d ssl;
        ssl_certificate %(cert)s;
        ssl_certificate_key %(key)s;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:bench:1m;""")
GZIP = STATIC.replace("location /", "gzip on;\n        gzip_types application/javascript;\n"
                      "        location /")
PROXY = """upstream backend {
    server 127.0.0.1:%(origin)d;
}
server {
    listen 127.0.0.1:%(port)d;
    location / {
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        {more}
        proxy_pass http://backend;
    }
}"""


def documented(name, port, addresses):
    """A documented file with our address, its back end's address and our folder in it."""
    with open(os.path.join(CONFIGS, name)) as source:
        text = source.read().replace("%", "%%")
    for address in addresses:
        text = text.replace(address, "127.0.0.1:%%(%s)d" % port)
    text = re.sub(r"listen 80;", "listen 127.0.0.1:%(port)d;", text)
    return re.sub(r"/(home|opt)/[a-zA-Z]+", "%(docroot)s", text)


def omero(port="origin"):
    return documented("00a-seed-omero-5.4.conf", port, ["127.0.0.1:4080"])


def catmaid():
    return documented("00b-seed-catmaid-gevent.conf", "origin", ["127.0.0.1:8080"])


def proxy(more=""):
    return PROXY.replace("{more}", more)


UNBUFFERED = proxy("proxy_buffering off;")

def servers(count):
    """Servers with a name each."""
    return "    server_names_hash_max_size 65536;\n" + "".join("""    server {
        listen 127.0.0.1:%%(port)d;
        server_name h%05d.example.org;
        location / { root %%(docroot)s; }
    }
""" % i for i in range(count))


def locations(count):
    """One server with prefix locations; what is served is the same file in each."""
    return "    server {\n        listen 127.0.0.1:%(port)d;\n" + "".join(
        "        location /l%05d/ { alias %%(docroot)s/; }\n" % i for i in range(count)) + "    }"


def group(count):
    """A group of peers, all of them origin."""
    peers = "".join("    server 127.0.%d.%d:%%(origin)d;\n" % (i // 250, i % 250 + 1)
                    for i in range(count))
    return proxy().replace("    server 127.0.0.1:%(origin)d;\n",
                           peers + "    keepalive 2000;\n    keepalive_requests 1000000000;\n")


def scaling(name, title, target, few, **many):
    """A row that is compared with a smaller one of the same server."""
    few = dataclasses.replace(few, name=name, title=title, target=target)
    return dataclasses.replace(few, few=few, **many)


ROWS = [
    Row("static", "static 4,405 B, keep-alive", 0.60, STATIC, "/thumb.jpg", THUMB),
    Row("static-log", "the same with an access log", 0.60, LOGGED, "/thumb.jpg", THUMB, log=True),
    Row("static-64k", "static 64 KiB", 0.75, STATIC, "/64k.bin", 65536),
    Row("static-new", "static 4,405 B, new connection", 0.75, STATIC, "/thumb.jpg", THUMB,
        new=True),
    Row("omero", "proxied 4,405 B, OMERO's file", 0.50, omero(), "/webclient/thumb", THUMB,
        kind="proxy"),
    Row("omero-closes", "the same, back end closes", 0.78, omero("closing"), "/webclient/thumb",
        THUMB, kind="proxy", closing=True),
    Row("catmaid", "proxied 4,405 B, CATMAID's file", 0.70, catmaid(), "/catmaid/thumb", THUMB,
        kind="proxy"),
    Row("plane", "plane of 262 KB, unbuffered", 0.25, UNBUFFERED, "/plane", PLANE, kind="proxy",
        clients=20),
    Row("download", "1 GiB download, with length", 0.50, UNBUFFERED, "/size/%d" % GIB, GIB,
        kind="proxy", per="GiB", clients=1, requests=1),
    Row("download-chunked", "1 GiB download, chunked", 0.45, UNBUFFERED, "/chunked/%d" % GIB, GIB,
        kind="proxy", per="GiB", clients=1, requests=1),
    Row("slow-readers", "200 slow readers, 8 MiB each", 0.40, UNBUFFERED, "/size/%d" % (8 * MIB),
        8 * MIB, kind="proxy", clients=200, requests=200, pace=48 * 1024),
    Row("upload", "upload 100 MiB, buffered", 0.50, proxy(), "/upload", upload=100 * MIB,
        kind="other", clients=1, requests=4),
    Row("upload-unbuffered", "upload 100 MiB, unbuffered", 0.62,
        proxy("proxy_request_buffering off;"), "/upload", upload=100 * MIB, kind="proxy",
        clients=1, requests=4),
    Row("tls-full", "TLS 1.3 full handshake, P-256", 1.0, TLS, "/thumb.jpg", THUMB, new=True,
        tls=True, clients=20),
    Row("tls-resumed", "TLS 1.3 resumed handshake", 0.95, TLS, "/thumb.jpg", THUMB, new=True,
        tls=True, resumed=True, clients=20),
    Row("tls", "TLS 4,405 B, keep-alive", 0.75, TLS, "/thumb.jpg", THUMB, tls=True),
    Row("tls-bulk", "TLS bulk, 64 MiB files", 1.0, TLS, "/large.bin", 64 * MIB, per="GiB",
        clients=1, requests=16, tls=True),
    Row("gzip", "gzip of a 100 KB script", 0.05, GZIP, "/script.js", clients=20,
        fields="Accept-Encoding: gzip\r\n", gzip=True),
    Row("gzip-first", "gzip, the first answer for a file", 1.0, GZIP, "/first/#####.js",
        clients=20, requests=FIRST, vary=FIRST, renewed=True,
        fields="Accept-Encoding: gzip\r\n", gzip=True),
    Row("idle", "idle connections, memory", 0.7, STATIC, "/thumb.jpg", THUMB, per="connection",
        clients=5000, hold=True),
    Row("idle-tls", "idle TLS connections, memory", 1.0, TLS, "/thumb.jpg", THUMB, tls=True,
        per="connection", clients=1000, hold=True),
    Row("gunicorn-gthread", "gunicorn, gthread, OMERO's file", 0.90, omero(), "/webclient/thumb",
        THUMB, kind="other", clients=20, backend="gthread"),
    Row("gunicorn-gevent", "gunicorn, gevent, OMERO's file", 0.90, omero(), "/webclient/thumb",
        THUMB, kind="other", clients=20, backend="gevent"),
    Row("p99", "p99 of 4,405 B beside 10 downloads", 1.0, UNBUFFERED, "/thumb", THUMB,
        kind="proxy", per="p99", clients=20, beside="/size/%d" % GIB),
    Row("start", "10,000 servers: until the first answer", 1.0, servers(10000), "/thumb.jpg",
        THUMB, kind="other", per="start", host="h00000.example.org"),
    scaling("threads", "two threads against one", 1.10,
            Row("", "", 0, STATIC, "/thumb.jpg", THUMB, kind="other", threads=1), threads=2),
    scaling("open-1000", "1,000 connections open, 100 active, against 100", 1.15,
            Row("", "", 0, STATIC, "/thumb.jpg", THUMB), idle=900),
    scaling("open-10000", "10,000 connections open, 100 active, against 100", 1.15,
            Row("", "", 0, STATIC, "/thumb.jpg", THUMB), idle=9900),
    scaling("locations", "1,000 prefix locations against 10", 1.15,
            Row("", "", 0, locations(10), "/l#####/thumb.jpg", THUMB, kind="other", vary=10),
            http=locations(1000), vary=1000),
    scaling("servers", "1,000 server names against 10", 1.15,
            Row("", "", 0, servers(10), "/thumb.jpg", THUMB, kind="other", vary=10,
                host="h#####.example.org"), http=servers(1000), vary=1000),
    scaling("peers", "1,000 peers against 10", 1.15,
            Row("", "", 0, group(10), "/thumb", THUMB, kind="other"), http=group(1000)),
    # Of 200 a turn of the event loop rarely sees one twice: what is shared in a turn is not measured.
    scaling("files", "2,000 files against 200", 1.15,
            Row("", "", 0, STATIC, "/many/#####.jpg", THUMB, vary=200), vary=MANY),
]
