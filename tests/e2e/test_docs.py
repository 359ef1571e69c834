"""What the documents say is so: configurations load and serve, commands run, log lines are what
wproxy logs, links lead somewhere.

A configuration is a block that begins with ```nginx CONTEXT [NAME]: it is put where it belongs
(http where nothing is said); "server tls" is a server with a certificate. A block with a NAME is
run by the test of that name. Commands stand in ```sh blocks.
"""

import glob
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time

import pytest

from certificate import make_certificate, make_dhparam
from origin import OK
from pool import Pool, prepare_demo
from server import SUBJECT, TOP, accepts, free_port, wait_until
from test_start import lowest_port
from wire import Wire, fetch, request

pytestmark = pytest.mark.wproxy_only

MANUALS = [os.path.join(TOP, "README.md")] + sorted(
    x for x in glob.glob(os.path.join(TOP, "docs", "*.md"))
    if os.path.basename(x) not in ("directives.md", "variables.md", "install.md"))
PAGES = sorted(glob.glob(os.path.join(TOP, "**", "*.md"), recursive=True))
TROUBLE = os.path.join(TOP, "docs", "troubleshooting.md")


def text_of(path):
    with open(path) as file:
        return file.read()


def blocks(language):
    """(page, words behind the language, text) of each fenced block."""
    found = []
    for path in MANUALS:
        for match in re.finditer(r"^```%s\b([^\n]*)\n(.*?)^```$" % language, text_of(path), re.M | re.S):
            found.append((os.path.basename(path), match.group(1).split(), match.group(2)))
    return found


CONFIGS = blocks("nginx")
COMMANDS = [(page, line) for page, _, text in blocks("sh") for line in text.splitlines() if line.strip()]


def test_there_is_something():
    """The lists below are not empty because a pattern no longer matches."""
    assert len(MANUALS) >= 7 and set(MANUALS) < set(PAGES)
    assert len(CONFIGS) >= 20, len(CONFIGS)
    assert len(COMMANDS) >= 35, len(COMMANDS)
    assert len(LINES) >= 25, len(LINES)
    for path in MANUALS:
        assert text_of(path).count("```") % 2 == 0, path
        assert not re.search(r"^```\n(?=.*;$)", text_of(path), re.M), "a block without a language in " + path


# -- configurations ----------------------------------------------------------------------------------

STUBS = ("omeroweb", "catmaid-wsgi", "catmaid-asgi")
WRAP = {
    "main": "%s",
    "http": "http { %%(base)s %s server { listen 127.0.0.1:%%(port)s; } }",
    "server": "http { %%(base)s server { listen 127.0.0.1:%%(port)s; %s } }",
    "location": "http { %%(base)s server { listen 127.0.0.1:%%(port)s; location / { %s "
                "proxy_pass http://127.0.0.1:1; } } }",
    "tls": "http { %%(base)s server { listen 127.0.0.1:%%(port)s ssl; ssl_certificate /etc/ssl/x/fullchain.pem; "
           "ssl_certificate_key /etc/ssl/x/privkey.pem; %s } }",
}


class Files:
    """What the documents' paths stand for, in a folder of ours."""

    def __init__(self, folder):
        self.folder = folder
        certificate, key = make_certificate(folder, "example.org")
        self.dhparam = make_dhparam(folder)
        self.ticket = folder + "/ticket.key"
        with open(self.ticket, "wb") as out:
            out.write(os.urandom(80))
        self.paths = [(r"/etc/(ssl|letsencrypt/live)/[\w.-]+/fullchain\.pem", certificate),
                      (r"/etc/(ssl|letsencrypt/live)/[\w.-]+/privkey\.pem", key),
                      (r"/etc/ssl/\w+/dhparam\.pem", self.dhparam),
                      (r"/etc/ssl/\w+/ticket\.key", self.ticket),
                      (r"/etc/ssl/\w+/clients-ca\.pem", certificate),
                      (r"\buwsgi_params\b", TOP + "/conf.d/uwsgi_params"),
                      (r"\bproxy_params\b", TOP + "/conf.d/proxy_params"),
                      (r"\blogs/", folder + "/"), (r"\bweb\.internal\b", "127.0.0.1")]

    def fill(self, text):
        for pattern, path in self.paths:
            text = re.sub(pattern, path, text)
        return text

    def write(self, context, text):
        stubs = "".join("upstream %s { server 127.0.0.1:1; }" % name for name in STUBS
                        if name in text and "upstream " + name not in text)
        whole = (WRAP[context] % text.replace("%", "%%")) % {
            "base": "access_log off; client_body_temp_path %s/t; proxy_temp_path %s/t; uwsgi_temp_path %s/t; %s" % (
                self.folder, self.folder, self.folder, stubs), "port": free_port()}
        path = self.folder + "/docs.conf"
        with open(path, "w") as out:
            out.write("pid %s/pid; error_log %s/error.log; events { }\n" % (self.folder, self.folder))
            out.write(self.fill(whole))
        return path


@pytest.fixture(scope="module")
def files(shared):
    return Files(shared.folder())


def ports_moved(text):
    """The ports that the documents listen on become free ones on loopback: (text, {old: new})."""
    moved = {}

    def move(match):
        port = match.group(2)
        moved.setdefault(port, free_port())
        return "listen 127.0.0.1:%d%s;" % (moved[port], match.group(3))
    text = re.sub(r"listen \[::\]:\d+[^;]*;", "", text)
    return re.sub(r"listen ((?:[\d.]+:)?)(\d+)([^;]*);", move, text), moved


@pytest.mark.parametrize("number", range(len(CONFIGS)), ids=["%s-%d" % (x[0], i) for i, x in enumerate(CONFIGS)])
def test_configuration_is_good(files, number):
    """`wproxy -t` takes it without a word, wrapped into what is around it."""
    page, words, text = CONFIGS[number]
    context = "tls" if words[1:2] == ["tls"] else (words or ["http"])[0]
    path = files.write(context, ports_moved(text)[0])
    done = subprocess.run([SUBJECT, "-t", "-c", path], capture_output=True, text=True, timeout=30)
    said = done.stderr.splitlines()
    assert done.returncode == 0 and len(said) == 2 and "is ok" in said[0], (page, text, done.stderr)


def named(name):
    found = [text for _, words, text in CONFIGS if name in words[1:]]
    assert len(found) == 1, name
    return found[0]


def test_each_name_has_its_test():
    names = {x for _, words, _ in CONFIGS for x in words[1:]} - {"tls"}
    assert names == {"omero-https", "omero-queue", "catmaid-https", "tls-site", "replicas-ready"}


def serve(own, files, text, replace=()):
    """A named block in service, on ports of ours: (server, {port of the document: ours})."""
    text, moved = ports_moved(text)
    for old, new in replace:
        assert old in text, old
        text = text.replace(old, new)
    one = own.server(files.fill(text), ready=[("127.0.0.1", x) for x in moved.values()])
    return one, moved


def told(address, path, host):
    """The answer over TLS to a GET, by curl, which knows certificates."""
    done = subprocess.run(
        ["curl", "-sik", "--max-time", "30", "--resolve", "%s:%d:127.0.0.1" % (host, address),
         "https://%s:%d%s" % (host, address, path)], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return head.decode(), body


@pytest.mark.parametrize("name, host, mount, back, folders", [
    ("omero-https", "omero.example.org", "", "127.0.0.1:4080",
     [("/opt/omero/web/etc/templates/error", "@pages@"), ("/opt/omero/web/var/static", "@static@")]),
    ("catmaid-https", "catmaid.example.org", "/catmaid", "127.0.0.1:8020",
     [("/opt/catmaid/docs/html", "@pages@"), ("/opt/catmaid/django/static", "@static@")]),
])
def test_application_over_https(own, files, name, host, mount, back, folders):
    """The site of the manual with a real pool: redirect to HTTPS, page, static file, maintenance page."""
    runtime, pages = prepare_demo(own.folder()), own.folder()
    for page in glob.glob(TOP + "/static-test/*.html"):  # the checkout may be closed to the worker's user
        shutil.copy(page, pages)
    os.chmod(pages, 0o755)
    pool = own.keep(Pool("sync", own.folder(), env={"DEMO_RUNTIME": runtime, "FORCE_SCRIPT_NAME": mount}))
    one, ports = serve(own, files, named(name), [(back, pool.name)] + [
        (old, new.replace("@static@", runtime + "/static").replace("@pages@", pages)) for old, new in folders])
    plain = fetch(("127.0.0.1", ports["80"]), "GET " + mount + "/notes/?a=b", host=host)
    assert plain.status == 301 and plain.get("Location") == "https://%s%s/notes/?a=b" % (host, mount)
    head, body = told(ports["443"], mount + "/headers/", host)
    assert " 200 " in head.splitlines()[0]
    seen = json.loads(body)
    assert seen["scheme"] == "https" and seen["headers"]["X-Forwarded-Proto"] == "https"
    assert seen["host"] == "%s:%d" % (host, ports["443"])
    head, body = told(ports["443"], mount + "/", host)
    assert b"A Django application behind wproxy" in body
    style = re.search(rb'href="([^"]+demo\.css)"', body).group(1).decode()
    assert style.startswith(mount + "/static/")
    head, body = told(ports["443"], style, host)
    assert " 200 " in head.splitlines()[0] and b".card" in body
    pool.end()
    head, body = told(ports["443"], mount + "/", host)
    assert head.startswith("HTTP/1.1 502 ") and b"Back in a moment" in body
    one.allow_trouble = True


def test_queue_of_the_manual(own, files):
    """More requests than workers: all are answered, never more than max_conns at once."""
    import concurrent.futures
    app = own.origin()
    text = named("omero-queue")
    most = int(re.search(r"max_conns=(\d+)", text).group(1))
    app.scripts["/slow"] = lambda exchange, received: (time.sleep(0.1), exchange.send(OK))[-1:]
    one = own.server(text.replace("127.0.0.1:4080", app.name)
                     + "server { listen @host@:@port@; location / { proxy_pass http://omeroweb; } }")
    with concurrent.futures.ThreadPoolExecutor(30) as many:
        got = list(many.map(lambda _: fetch(one.address(), "GET /slow").status, range(30)))
    assert got == [200] * 30
    assert app.open_connections() <= most


def test_site_of_tls(own, files):
    one, ports = serve(own, files, named("tls-site"), [("/var/www/acme", one_folder(own))])
    host = "www.example.org"
    address = ("127.0.0.1", ports["80"])
    assert fetch(address, "GET /.well-known/acme-challenge/token", host=host).text == "the token"
    assert fetch(address, "GET /a?b", host=host).get("Location") == "https://www.example.org/a?b"
    head, body = told(ports["443"], "/", host)
    assert body == b"over TLSv1.3\n" and "Strict-Transport-Security: max-age=63072000" in head


def one_folder(own):
    folder = own.folder()
    os.makedirs(folder + "/.well-known/acme-challenge")
    with open(folder + "/.well-known/acme-challenge/token", "w") as out:
        out.write("the token")
    for top, _, _ in os.walk(folder):
        os.chmod(top, 0o755)
    return folder


def test_readiness(own, files):
    folder = own.folder()
    one, ports = serve(own, files, named("replicas-ready"), [("/run/wproxy", folder)])
    address = ("127.0.0.1", ports["8090"])
    assert fetch(address, "GET /ready").status == 200
    with open(folder + "/draining", "w"):
        pass
    os.chmod(folder + "/draining", 0o644)
    assert fetch(address, "GET /ready").status == 503
    assert fetch(address, "GET /live").status == 200
    os.unlink(folder + "/draining")
    assert fetch(address, "GET /ready").status == 200


# -- commands ----------------------------------------------------------------------------------------

# Programs of other packages, and what would change the machine: only looked at.
ELSEWHERE = {"omero", "./manage.py", "gunicorn", "certbot", "systemctl", "rm", "cp", "mv", "sed", "grep", "git",
             "./bootstrap", "docker", "tests/bench/run", "autoreconf", "./configure", "make", "sleep", "touch", "kill"}
# Sites of the documents' own; what they say is checked above.
SITES = re.compile(r"https?://(omero|catmaid)\.example\.org|127\.0\.0\.1:4080|//localhost/")


def test_commands_are_known():
    """Each command is either run below or is one of another program."""
    for page, line in COMMANDS:
        words = [x for x in shlex.split(line, comments=True) if x != "sudo"]
        assert words, (page, line)
        assert words[0] in ELSEWHERE | {"wproxy", "openssl", "curl", "cat"}, (page, line)
        if words[0] == "curl":
            assert SITES.search(line), (page, line)


def wproxy_lines():
    return sorted({line.replace("sudo ", "") for _, line in COMMANDS
                   if shlex.split(line)[0] == "wproxy" or line.startswith("sudo wproxy")})


def test_wproxy_commands(own):
    """They run in the order of a life: tested, started, reloaded, asked, stopped."""
    order = ("-T", "-t", "", "check", "reload", "quit")
    lines = {}
    for line in wproxy_lines():
        words = shlex.split(line, comments=True)[1:]
        if "-c" in words:
            at = words.index("-c")
            assert words[at + 1] == "/etc/nginx/nginx.conf"
            del words[at:at + 2]
        lines.setdefault(words[-1] if words else "", []).append(line)
    assert set(lines) <= set(order), lines
    assert {"-t", "", "reload", "quit"} <= set(lines)
    folder, port = own.folder(), free_port()
    with open(folder + "/w.conf", "w") as out:
        out.write("pid w.pid; error_log error.log; events { } http { access_log off; client_body_temp_path t; "
                  "proxy_temp_path t; uwsgi_temp_path t; server { listen 127.0.0.1:%d; } }" % port)
    base = [SUBJECT, "-p", folder, "-c", "w.conf"]
    for word in order:
        for line in lines.get(word, [])[:1]:
            more = [] if not word else [word] if word.startswith("-") else ["-s", word]
            done = subprocess.run(base + more, capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, (line, done.stderr)
            assert accepts(("127.0.0.1", port)) == (word in ("", "check", "reload")) or word == "quit"
    wait_until(lambda: not os.path.exists(folder + "/w.pid"), 20, "the end")


@pytest.mark.skipif(not os.path.exists("/etc/nginx/nginx.conf"), reason="nginx is not configured here")
def test_stock_tree_of_nginx():
    """`wproxy -t -c /etc/nginx/nginx.conf`, as from-nginx.md has it."""
    line = [x for x in wproxy_lines() if x == "wproxy -t -c /etc/nginx/nginx.conf"]
    assert line
    done = subprocess.run([SUBJECT] + shlex.split(line[0])[1:], capture_output=True, text=True, timeout=30)
    assert "syntax is ok" in done.stderr, done.stderr


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/etc/nginx/sites-enabled/default"), reason="needs Debian's nginx")
def test_taking_over(own):
    """from-nginx.md's copy of nginx's folder, into the place of a fresh installation: nothing of it
    names nginx's places any more, and it loads."""
    folder = own.folder()
    os.makedirs(folder + "/etc/wproxy/conf.d")
    for name, path in (("wproxy.conf", "/wproxy.conf"), ("conf.d/default.site", "/conf.d/default.conf")):
        shutil.copy(os.path.join(TOP, name), folder + "/etc/wproxy" + path)
    for name in ("run/wproxy", "var/log/wproxy"):
        os.makedirs(os.path.join(folder, name))
    lines = [line.replace("sudo ", "") for page, line in COMMANDS if page == "from-nginx.md" and "/etc/wproxy" in line]
    assert [line.split()[0] for line in lines] == ["rm", "cp", "mv", "sed", "grep"]
    for line in lines:
        done = subprocess.run(["bash", "-c", re.sub(r"(?<![\w.])(/etc|/run|/var/log)/wproxy", folder + r"\1/wproxy", line)],
                              capture_output=True, text=True)
        assert done.returncode == (1 if line.startswith("grep") else 0), (line, done.stdout, done.stderr)
    done = subprocess.run([SUBJECT, "-T", "-c", folder + "/etc/wproxy/wproxy.conf", "-e", "stderr"], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 0, done.stderr
    told = re.findall(r"^# configuration file (.*):$", done.stdout, re.M)
    assert told[0] == folder + "/etc/wproxy/wproxy.conf"
    assert folder + "/etc/wproxy/sites-enabled/default" in told
    assert {x for x in told if not x.startswith((folder, "/usr/share/nginx/"))} == set()
    assert "pid %s/run/wproxy/wproxy.pid;" % folder in done.stdout
    assert "access_log %s/var/log/wproxy/access.log;" % folder in done.stdout


def test_openssl_commands(own):
    """Those of tls.md and replicas.md, in one folder, in their order; the key belongs to the certificate."""
    folder, said = own.folder(), []
    lines = [line for page, line in COMMANDS if line.startswith(("openssl", "cat www"))]
    assert len(lines) >= 5
    for name in ("www.example.org.crt", "intermediate.crt"):
        with open(os.path.join(folder, name), "w") as out:
            out.write("-----BEGIN CERTIFICATE-----\n")
    # The authority's way comes first in the page and is replaced by the one of one's own.
    for line in sorted(lines, key=lambda x: not x.startswith("cat")):
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=folder, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, (line, done.stderr)
        if "sha256" in line and "req" not in line:
            said.append(done.stdout)
    assert len(said) == 2 and said[0] == said[1] and re.search(r"[0-9a-f]{64}", said[0])
    assert os.path.getsize(os.path.join(folder, "ticket.key")) == 80
    conf = os.path.join(folder, "c.conf")
    with open(conf, "w") as out:
        out.write("pid pid; error_log stderr; events { } http { access_log off; server { listen 127.0.0.1:%d ssl; "
                  "ssl_certificate fullchain.pem; ssl_certificate_key privkey.pem; "
                  "ssl_session_ticket_key ticket.key; } }" % free_port())
    done = subprocess.run([SUBJECT, "-t", "-p", folder, "-c", conf], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_documented_installation_of_two_commands():
    """README's two commands are what bootstrap knows."""
    two = re.findall(r"^(?:    )?(\./bootstrap \w+)", text_of(MANUALS[0]), re.M)
    assert {"./bootstrap run", "./bootstrap check"} <= set(two)
    done = subprocess.run([os.path.join(TOP, "bootstrap"), "help"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and all(x in done.stdout for x in two)


def test_fresh_machine_says_why_not():
    """What it cannot do here is told in one line, and leaves nothing behind."""
    def said(*words, **more):
        done = subprocess.run([os.path.join(TOP, "tests", "fresh-machine"), *words], capture_output=True, text=True,
                              timeout=60, **more)
        return done.returncode, done.stderr
    assert said("nonsense")[0] == 2
    status, text = said("--root", "/no/such/root", "run")
    assert status == 77 and re.fullmatch(
        "fresh-machine: (only root can|.* is not installed|/no/such/root: there is no such root)\n", text), text


# -- log lines ---------------------------------------------------------------------------------------

def table_lines():
    """The second column of troubleshooting's tables: log lines with N and ... in them."""
    found = []
    for line in text_of(TROUBLE).splitlines():
        cells = [x.strip() for x in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[1] not in ("", "log line", "---"):
            match = re.fullmatch(r"`([^`]+)`", cells[1])
            assert match, "no single line: " + cells[1]
            found.append(match.group(1))
    return found


LINES = table_lines()


def pattern(line):
    text = re.escape(line).replace(re.escape("..."), ".+")
    return re.sub(r"\bN\b", r"[\\d.]+", text)


def served(server_text, method="GET", path="/", status=None, http="", body=b"", headers=(), times=1):
    """A scenario: one server block, requests to it, the status of the last answer."""
    def play(own, www):
        app = own.origin()
        bad = {"dies": lambda e, r: e.finish(), "resets": lambda e, r: e.reset(),
               "noise": lambda e, r: e.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
               "never": lambda e, r: e.gone(20),
               "long": lambda e, r: e.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40000 + b"\r\n\r\n")}
        for name, script in bad.items():
            app.scripts["/" + name] = script
        text = server_text.replace("@origin@", app.name)
        one = own.server(http.replace("@origin@", app.name)
                         + "server { listen @host@:@port@; root @prefix@; %s }" % text)
        one.allow_trouble = True
        folder = one.prefix
        os.makedirs(folder + "/barred/in", exist_ok=True)
        os.chmod(folder + "/barred", 0o700)
        os.makedirs(folder + "/listless", exist_ok=True)
        os.chmod(folder + "/listless", 0o755)
        for _ in range(times):
            got = fetch(one.address(), "%s %s" % (method, path), *headers, body=body)
        if status is not None:
            assert got.status == status, got
        return one
    return play


def refused(text):
    """A scenario: what -t or a start says of a configuration."""
    def play(own, www):
        folder = own.folder()
        path = folder + "/x.conf"
        with open(path, "w") as out:
            out.write("pid %s/pid; error_log stderr; daemon off; events { } http { access_log off; "
                      "client_body_temp_path %s/t; proxy_temp_path %s/t; uwsgi_temp_path %s/t; %s }" % (
                          folder, folder, folder, folder, text.replace("@taken@", str(own.port))))
        command = [SUBJECT, "-c", path, "-p", folder]
        if "listen 127.0.0.1:80;" in text:
            if lowest_port() <= 80:
                pytest.skip("everybody may listen on port 80 here")
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + command
            os.chmod(folder, 0o777)
        else:
            command += [] if "@taken@" in text else ["-t"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        return done.stderr
    return play


def slow_reader(own, www):
    """A client that reads nothing of a large answer: it goes to a file."""
    app = own.origin()
    app.scripts["/big"] = lambda e, r: e.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + b"b" * 30000000)
    one = own.server("server { listen @host@:@port@; location / { proxy_pass http://%s; } }" % app.name)
    with Wire(one.address()) as wire:
        wire.send(request("GET /big"))
        one.wait_logged("buffered to a temporary file", 20)
    one.allow_trouble = True
    return one


def two_at_once(own, www):
    app = own.origin()
    app.scripts["/never"] = lambda e, r: e.gone(20)
    one = own.server("limit_conn_zone $binary_remote_addr zone=z:1m; server { listen @host@:@port@; limit_conn z 1; "
                     "location / { proxy_pass http://%s; } }" % app.name)
    one.allow_trouble = True
    with Wire(one.address()) as wire:
        wire.send(request("GET /never"))
        wait_until(lambda: app.requests, 10, "the first is under way")
        assert fetch(one.address(), "GET /").status == 503
    return one


def many_connections(main, connections):
    def play(own, www):
        one = own.server("server { listen @host@:@port@; }", main=main, threads=1, connections=connections)
        one.allow_trouble = True
        kept = []
        for _ in range(60):
            kept.append(socket.create_connection(one.address(), 5))
        try:
            wait_until(lambda: "are not enough" in one.errors() or "are all that" in one.errors(), 20, "the line")
        finally:
            for one_socket in kept:
                one_socket.close()
        return one
    return play


def handshake(own, www):
    certificate, key = make_certificate(own.folder())
    one = own.server("server { listen @host@:@port@ ssl; ssl_certificate %s; ssl_certificate_key %s; }"
                     % (certificate, key))
    one.allow_trouble = True
    subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % one.address(), "-tls1_1", "-cipher",
                    "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    return one


def barred_socket(own, www):
    folder = own.folder()
    os.mkdir(folder + "/barred")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(folder + "/barred/app.sock")
    listener.listen()
    os.chmod(folder + "/barred", 0o700)
    try:
        return served("location / { proxy_pass http://unix:%s/barred/app.sock; }" % folder, status=502)(own, www)
    finally:
        listener.close()


def cut_short(own, www):
    app = own.origin()
    app.scripts["/half"] = lambda e, r: (e.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), e.finish())
    one = own.server("server { listen @host@:@port@; location / { proxy_pass http://%s; } }" % app.name)
    one.allow_trouble = True
    with Wire(one.address()) as wire:
        wire.send(request("GET /half"))
        one.wait_logged("prematurely", 20)
    return one


PASS = "location / { %s proxy_pass http://@origin@; }"
UP = " while reading response header from upstream"
CONNECTING = " while connecting to upstream"
SCENARIOS = {
    "connect() failed (111: Connection refused)" + CONNECTING:
        served("location / { proxy_pass http://127.0.0.1:1; }", status=502),
    "connect() to unix:... failed (2: No such file or directory)" + CONNECTING:
        served("location / { proxy_pass http://unix:/nowhere/app.sock; }", status=502),
    "connect() to unix:... failed (13: Permission denied)" + CONNECTING: barred_socket,
    "upstream prematurely closed connection" + UP: served(PASS % "", path="/dies", status=502),
    "recv() failed (104: Connection reset by peer)" + UP: served(PASS % "", path="/resets", status=502),
    "upstream sent too big header (N bytes or more, the buffer for it has N)" + UP:
        served(PASS % "", path="/long", status=502),
    "upstream sent invalid header" + UP: served(PASS % "", path="/noise", status=502),
    "upstream timed out (110: Connection timed out)" + UP:
        served(PASS % "proxy_read_timeout 200ms;", path="/never", status=504),
    "client intended to send too large body: N bytes (client_max_body_size is N)":
        served("client_max_body_size 10; " + PASS % "", method="POST", body=b"x" * 11, status=413),
    'could not keep the request body in "..." (client_body_temp_path) (N: ...)':
        served("client_body_buffer_size 1k; client_body_temp_path /proc/nowhere; " + PASS % "", method="POST",
               body=b"x" * 100000),
    'open() "..." failed (2: No such file or directory)': served("", path="/nope", status=404),
    'open() "..." failed at "..." (13: Permission denied)': served("", path="/barred/in/x", status=403),
    'directory index of "..." is forbidden': served("", path="/listless/", status=403),
    'limiting requests, excess: N by zone "..."':
        served("limit_req zone=z;", http="limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m;", times=2, status=503),
    'limiting connections by zone "..."': two_at_once,
    'conflicting server name "..." on ..., ignored':
        refused("server { listen 127.0.0.1:18080; server_name a; } server { listen 127.0.0.1:18080; server_name a; }"),
    'open() ".../maintenance.html" failed (2: No such file or directory)':
        served("error_page 502 @m; location @m { root /nowhere; rewrite ^ /maintenance.html break; } "
               "location / { proxy_pass http://127.0.0.1:1; }"),
    "SSL_do_handshake() failed": handshake,
    "upstream prematurely closed connection while reading upstream": cut_short,
    'unknown "connection_upgrade" variable':
        refused("server { listen 127.0.0.1:18080; location / { proxy_set_header Connection $connection_upgrade; } }"),
    "no live upstreams, trying all of them" + CONNECTING:
        served("location / { proxy_pass http://g; }", times=3, status=502,
               http="upstream g { server 127.0.0.1:1; server 127.0.0.1:2; }"),
    'host not found in upstream "..."':
        refused("server { listen 127.0.0.1:18080; location / { proxy_pass http://nowhere.invalid; } }"),
    "an upstream response is buffered to a temporary file ... while reading upstream": slow_reader,
    "bind() to ... failed (98: Address already in use) in ...": refused("server { listen 127.0.0.1:@taken@; }"),
    "bind() to ... failed (13: Permission denied) in ...": refused("server { listen 127.0.0.1:80; }"),
    'cannot load certificate "...": ... for the server in ...':
        refused("server { listen 127.0.0.1:18080 ssl; ssl_certificate /nowhere/x; ssl_certificate_key /nowhere/y; }"),
    'unknown directive "..." in ...': refused("serverr { }"),
    'no "server" listens: nothing will be served': refused("include sites-enabled/*;"),
    "N worker_connections are not enough": many_connections("", 20),
    "N connections are all that worker_rlimit_nofile leaves this thread (24: Too many open files)":
        many_connections("worker_rlimit_nofile 60;", 1000),
}


def test_every_line_has_its_scenario():
    assert sorted(LINES) == sorted(SCENARIOS)


@pytest.mark.root
@pytest.mark.parametrize("line", LINES)
def test_log_line(own, www, line):
    """The trouble is made; the line that is logged is that of the table."""
    own.taken = socket.socket()
    own.taken.bind(("127.0.0.1", 0))
    own.taken.listen()
    own.port = own.taken.getsockname()[1]
    try:
        got = SCENARIOS[line](own, www)
        wanted = re.compile(pattern(line))
        if isinstance(got, str):
            assert any(wanted.search(x) for x in got.splitlines()), (line, got)
        else:
            wait_until(lambda: any(wanted.search(x) for x in got.errors().splitlines()), 10,
                       "%r in\n%s" % (line, got.errors()))
    finally:
        own.taken.close()


# -- links -------------------------------------------------------------------------------------------

def anchors(path):
    """GitHub's names of a page's headings."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text_of(path), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", x).lower()).replace(" ", "-") for x in heads}


def targets(path):
    """Where the links of a page lead to."""
    return re.findall(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)", re.sub(r"```.*?```", "", text_of(path), flags=re.S), re.M)


def broken_links(page):
    """What a page's relative links do not lead to; the number of all of them."""
    here = [x or y for x, y in targets(page) if "://" not in (x or y)]
    wrong = []
    for target in here:
        name, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
        if not os.path.exists(path) or anchor and anchor not in anchors(path):
            wrong.append(target)
    return wrong, len(here)


def test_links():
    """Of every page of the tree; those of an installed one: test_install.py."""
    assert len(PAGES) >= 16, PAGES
    seen = {page: broken_links(page) for page in PAGES}
    assert sum(count for _, count in seen.values()) >= 30, seen
    assert {page: wrong for page, (wrong, _) in seen.items() if wrong} == {}


@pytest.mark.parametrize("text, wrong", [
    ("[a](b.md) [c](b.md#some-heading) [d](#here)\n# Here", []), ("[a](c.md)", ["c.md"]),
    ("[a](b.md#other)", ["b.md#other"]), ("[a](#there)\n# Here", ["#there"]), ("[a]\n\n[a]: c.md", ["c.md"]),
    ("[a](https://example.org/c.md)", [])])
def test_a_broken_link_is_seen(own, text, wrong):
    folder = own.folder()
    for name, what in (("a.md", text), ("b.md", "## Some `heading`\n")):
        with open(os.path.join(folder, name), "w") as out:
            out.write(what)
    assert broken_links(os.path.join(folder, "a.md"))[0] == wrong


def test_files_that_are_named():
    """What stands in backquotes and looks like a file of the tree is one."""
    names = set()
    for page in (MANUALS[0], os.path.join(TOP, "proxy", "README.md"), os.path.join(TOP, "CONTRIBUTING.md")):
        names |= set(re.findall(r"`((?:docs|tests|proxy|conf\.d|docker|static-test|man)/[\w./-]*)`", text_of(page)))
    assert len(names) >= 15, names
    for name in {x for x in names if "X" not in x}:     # X: of a recipe
        assert os.path.exists(os.path.join(TOP, name)), name
