"""docker/: logs, process 1, the image's scripts and configuration, its sites.

What needs no engine is tested in place; test_image builds the image and runs it,
where buildah is installed. The files of deployments: test_deployments.py.
"""

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from certificate import make_certificate
from origin import answer
from server import SUBJECT, accepts, child_pids, free_port, wait_until
from wire import fetch

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCKER = os.path.join(TOP, "docker")
NOBODY = 65534
LOGGING = """
daemon off; pid @folder@/pid; error_log /dev/stderr notice;
events { }
http {
    client_body_temp_path @folder@/b; proxy_temp_path @folder@/p; uwsgi_temp_path @folder@/u;
    access_log /dev/stdout;
    server { listen 127.0.0.1:@port@; return 200 "here"; }
}
"""

needs_envsubst = pytest.mark.skipif(shutil.which("envsubst") is None, reason="needs gettext-base")
needs_namespaces = pytest.mark.skipif(
    os.getuid() != 0 or subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"],
                                       capture_output=True).returncode != 0,
    reason="no namespaces of processes can be made")


def read(*names):
    with open(os.path.join(DOCKER, *names)) as file:
        return file.read()


def written(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)
    return path


# -- logs ------------------------------------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", ["pipe", pytest.param("foreign pipe", marks=pytest.mark.root), "socket"])
def test_logs_to_what_was_given(own, kind):
    """/dev/stdout and /dev/stderr are what the starter gave, also where they cannot be opened."""
    folder, port = own.folder(), free_port(("127.0.0.1",))
    os.chmod(folder, 0o777)
    config = written(folder, "c", LOGGING.replace("@folder@", folder).replace("@port@", str(port)))
    command = [SUBJECT, "-e", "stderr", "-c", config, "-p", folder]
    if kind == "foreign pipe":
        command = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"] + command
    if kind == "socket":
        (out_read, out), (err_read, err) = socket.socketpair(), socket.socketpair()
    else:
        (out_read, out), (err_read, err) = os.pipe(), os.pipe()
    process = subprocess.Popen(command, stdout=out, stderr=err)
    for end in (out, err):
        os.close(end) if isinstance(end, int) else end.close()
    try:
        wait_until(lambda: process.poll() is not None or accepts(("127.0.0.1", port)), 10, "it accepts")
        assert process.poll() is None, os.read(err_read, 9999) if kind != "socket" else err_read.recv(9999)
        assert fetch(("127.0.0.1", port), "GET /seen").text == "here"
        for number in (signal.SIGHUP, signal.SIGUSR1):
            process.send_signal(number)
            assert fetch(("127.0.0.1", port), "GET /again").text == "here"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)

    def everything(end):
        file = os.fdopen(end, "rb") if isinstance(end, int) else end.makefile("rb")
        with file:
            return file.read().decode()
    said, told = everything(out_read), everything(err_read)
    assert said.count('"GET /seen HTTP/1.1" 200') == 1 and said.count('"GET /again HTTP/1.1" 200') == 2
    assert "gracefully shutting down" in told and "[emerg]" not in told


# -- process 1 -------------------------------------------------------------------------------------

@pytest.mark.wproxy_only
@needs_namespaces
def test_process_1(own):
    """Alone in its container: orphans are waited for, each signal does what it does elsewhere."""
    folder, port = own.folder(), free_port(("127.0.0.1",))
    config = written(folder, "c", LOGGING.replace("@folder@", folder).replace("@port@", str(port)))
    outer = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                              SUBJECT, "-e", "stderr", "-c", config, "-p", folder],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: outer.poll() is not None or accepts(("127.0.0.1", port)), 10, "it accepts")
        assert fetch(("127.0.0.1", port), "GET /").text == "here"
        init = child_pids(outer.pid)[0]
        worker = child_pids(init)
        assert len(worker) == 1
        subprocess.run(["nsenter", "-t", str(init), "-m", "-p", "sh", "-c", "sleep 0.5 & exec true"], check=True)
        children = "/proc/%d/task/%d/children" % (init, init)

        def offspring():
            with open(children) as file:
                return [int(pid) for pid in file.read().split()]
        wait_until(lambda: len(offspring()) == 2, 5, "the orphan is a child of process 1")
        wait_until(lambda: offspring() == worker, 5, "the orphan was waited for")
        os.kill(init, signal.SIGHUP)
        assert fetch(("127.0.0.1", port), "GET /").text == "here"
        os.kill(init, signal.SIGQUIT)
        assert outer.wait(10) == 0
    finally:
        outer.kill()
        told = outer.communicate()[1].decode()
    assert "reconfiguring" in told and not accepts(("127.0.0.1", port))


# -- the image's scripts and configuration ---------------------------------------------------------

class Image:
    """What the image has, in folders of a test: /etc/wproxy, /run/wproxy, /srv, other ports."""

    def __init__(self, scope, site, template=None, **env):
        self.scope, self.folder = scope, scope.folder()
        self.ports = {port: free_port(("127.0.0.1",)) for port in ("8079", "8080", "8443")}
        self.listened = set()
        self.run = os.path.join(self.folder, "run/wproxy")
        self.etc = os.path.join(self.folder, "etc/wproxy")
        self.env = dict(os.environ, WPROXY_ENVSUBST_TEMPLATE_DIR=self.etc + "/templates",
                        WPROXY_ENVSUBST_OUTPUT_DIR=self.run + "/conf.d",
                        WPROXY_DRAINING=self.run + "/draining", **env)
        os.makedirs(self.run)
        self.program = os.path.join(self.folder, "wproxy")
        os.symlink(SUBJECT, self.program)
        for name in ("mime.types", "proxy_params", "uwsgi_params"):
            shutil.copy(os.path.join(TOP, "conf.d", name), written(self.etc, name, ""))
        self.config = written(self.etc, "wproxy.conf", self.here(read("wproxy.conf")))
        if template is None:
            written(self.etc, "conf.d/default.conf", self.here(site))
        else:
            written(self.etc, "templates/" + template, self.here(site))
        for page in ("maintenance.html", "maintainance.html"):
            shutil.copy(os.path.join(TOP, "static-test", page), written(self.folder, "srv/maintenance/" + page, ""))
        shutil.copytree(os.path.join(TOP, "html"), self.folder + "/html")  # the tree's may be closed to others
        for top, folders, files in os.walk(self.folder):
            for name in folders + files:
                if not os.path.islink(os.path.join(top, name)):
                    os.chmod(os.path.join(top, name), 0o777 if name in folders else 0o644)

    def here(self, text):
        """Paths and ports of the container as they are in this test; nothing else changes."""
        for path in ("/etc/wproxy", "/run/wproxy", "/srv/"):
            text = text.replace(path, self.folder + path)
        text = text.replace("/usr/share/wproxy/html", self.folder + "/html")
        self.listened |= set(re.findall(r"listen (\d+)", text))
        return re.sub(r"listen (\d+)", lambda m: "listen 127.0.0.1:%d" % self.ports[m.group(1)], text)

    def start(self):
        command = ["sh", os.path.join(DOCKER, "wproxy-entrypoint"), self.program, "-e", "stderr", "-c",
                   self.config]
        self.out = open(os.path.join(self.folder, "stdout"), "wb")
        self.err = open(os.path.join(self.folder, "stderr"), "wb")
        self.process = subprocess.Popen(command, env=self.env, stdout=self.out, stderr=self.err, cwd=self.folder)
        self.scope.keep(self)
        wait_until(lambda: self.process.poll() is not None or all(
            accepts(self.address(port)) for port in self.listened), 15, "it accepts")
        assert self.process.poll() is None, self.said()
        return self

    def said(self):
        with open(os.path.join(self.folder, "stderr")) as file:
            return file.read()

    def address(self, port="8080"):
        return ("127.0.0.1", self.ports[port])

    def check(self):
        return subprocess.run([self.program, "-e", "stderr", "-q", "-s", "check", "-c", self.config],
                              capture_output=True, env=self.env, cwd=self.folder).returncode

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        status = self.process.wait(10)
        self.out.close()
        self.err.close()
        assert status == 0, self.said()


@pytest.mark.wproxy_only
def test_ready_fails_first(own):
    """wproxy-drain: not ready any more, while all is served as ever; the next start is ready again."""
    image = Image(own, read("conf.d/default.conf")).start()
    probes = image.address("8079")
    assert (fetch(probes, "GET /live").status, fetch(probes, "GET /ready").status) == (200, 200)
    assert fetch(probes, "GET /other").status == 404
    assert fetch(image.address(), "GET /").status == 200
    assert image.check() == 0
    draining = subprocess.Popen(["sh", os.path.join(DOCKER, "wproxy-drain"), "30"], env=image.env)
    try:
        wait_until(lambda: fetch(probes, "GET /ready").status == 503, 5, "not ready")
        assert draining.poll() is None, "the end does not wait for balancers"
        assert fetch(probes, "GET /live").status == 200 and fetch(image.address(), "GET /").status == 200
        assert image.check() == 0
    finally:
        draining.kill()
        draining.wait()
    image.stop()
    own.made.remove(image)
    assert image.check() != 0
    image.start()
    assert fetch(probes, "GET /ready").status == 200
    with open(os.path.join(image.folder, "stdout")) as file:
        assert "/ready" not in file.read(), "probes are not logged"


def entrypoint(folder, *words, **env):
    fake = written(folder, "bin/wproxy", "#!/bin/sh\necho \"started $*\"\n")
    os.chmod(fake, 0o755)
    env = dict({"PATH": os.environ["PATH"], "WPROXY_ENVSUBST_TEMPLATE_DIR": folder + "/t",
                "WPROXY_ENVSUBST_OUTPUT_DIR": folder + "/out",
                "WPROXY_DRAINING": folder + "/draining"}, **env)
    return subprocess.run(["sh", os.path.join(DOCKER, "wproxy-entrypoint")] + list(words or (fake, "-x")),
                          env=env, capture_output=True, text=True, cwd=folder)


def output(folder, name):
    with open(os.path.join(folder, "out", name)) as file:
        return file.read()


@needs_envsubst
def test_templates(own):
    folder = own.folder()
    written(folder, "t/a.conf.template", "server ${APP} $APP ${app} $host ${NOT_SET} $APPS;\n")
    written(folder, "t/deep er/b.conf.template", "${TWO}")
    written(folder, "t/c.conf", "${APP}")
    done = entrypoint(folder, APP="web:80 'x' \"y\" \\z", TWO="2")
    assert (done.returncode, done.stdout) == (0, "started -x\n")
    value = "web:80 'x' \"y\" \\z"
    assert output(folder, "a.conf") == "server %s %s ${app} $host ${NOT_SET} $APPS;\n" % (value, value)
    assert output(folder, "deep er/b.conf") == "2"
    assert sorted(os.listdir(folder + "/out")) == ["a.conf", "deep er"]
    done = entrypoint(folder, APP="1", TWO="2", WPROXY_ENVSUBST_FILTER="^TW")
    assert output(folder, "a.conf").startswith("server ${APP}") and output(folder, "deep er/b.conf") == "2"
    done = entrypoint(folder, APP="1", WPROXY_ENVSUBST_TEMPLATE_SUFFIX=".conf")
    assert output(folder, "c") == "1"


@needs_envsubst
def test_templates_of_a_cluster(own):
    """A volume of a ConfigMap: the files are links into a folder of its own, and are taken once."""
    folder = own.folder()
    written(folder, "t/..2026_11_21/a.conf.template", "${APP}")
    os.symlink("..2026_11_21", folder + "/t/..data")
    os.symlink("..data/a.conf.template", folder + "/t/a.conf.template")
    done = entrypoint(folder, APP="1")
    assert os.listdir(folder + "/out") == ["a.conf"] and output(folder, "a.conf") == "1"
    assert done.stderr.count(" -> ") == 1, done.stderr


def test_entrypoint_other_command(own):
    """Another command than wproxy is run as it is."""
    folder = own.folder()
    assert entrypoint(folder, "echo", "a b").stdout == "a b\n"
    assert not os.path.exists(folder + "/out")


def test_entrypoint_cannot_write(own):
    """A read-only root without a tmpfs: one line says what the container needs."""
    folder = own.folder()
    written(folder, "file", "")
    done = entrypoint(folder, WPROXY_ENVSUBST_OUTPUT_DIR=folder + "/file/conf.d")
    assert done.returncode == 1 and done.stdout == ""
    assert "cannot write" in done.stderr and "--tmpfs /run/wproxy" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.wproxy_only
@needs_envsubst
@pytest.mark.parametrize("name,keys", [
    ("omero-web.conf.template", ("fullchain.pem", "privkey.pem")),
    ("kubernetes/omero-web.conf.template", ("tls.crt", "tls.key"))])
def test_omero_web_site(own, name, keys):
    """HTTP goes to HTTPS, the application is told so, and its absence is the maintenance page."""
    origin = own.origin()
    image = Image(own, read(name), "omero-web.conf.template", OMEROWEB=origin.name, SERVER_NAME="omero.example.org")
    os.makedirs(image.etc + "/tls")
    for made, wanted in zip(make_certificate(image.folder), keys):
        shutil.copy(made, os.path.join(image.etc, "tls", wanted))
    written(image.folder, "srv/omero/static/a.css", "from the volume")
    image.start()
    moved = fetch(image.address(), "GET /webclient/?a=b", host="omero.example.org")
    assert moved.status == 301 and moved.get("Location") == "https://omero.example.org/webclient/?a=b"

    def secure(path):
        context = ssl._create_unverified_context()
        client = http.client.HTTPSConnection(*image.address("8443"), context=context, timeout=20)
        client.request("GET", path, headers={"Host": "omero.example.org", "X-Forwarded-Proto": "http"})
        reply = client.getresponse()
        body = reply.read().decode()
        client.close()
        return reply.status, body
    assert secure("/webclient/?a=b") == (200, "ok")
    seen = origin.take(1)[0]
    assert seen.target == "/webclient/?a=b" and seen.get("X-Forwarded-Proto") == "https"
    assert seen.get("Host") == "omero.example.org" and seen.get("X-Forwarded-For") == "127.0.0.1"
    assert secure("/static/a.css") == (200, "from the volume" if "/srv/omero/static" in read(name) else "ok")
    origin.refuse()
    status, body = secure("/webclient/")
    with open(os.path.join(TOP, "static-test", "maintainance.html")) as page:
        assert (status, body) == (502, page.read())


@pytest.mark.wproxy_only
@needs_envsubst
def test_catmaid_site(own):
    origin = own.origin()
    origin.reply = answer(body="from uwsgi")
    daphne = own.origin(own.folder() + "/daphne.sock")
    image = Image(own, read("catmaid.conf.template").replace(
        "/srv/catmaid/run/daphne.sock", daphne.bound), "catmaid.conf.template",
                  CATMAID=origin.name, SERVER_NAME="_")
    written(image.folder, "srv/catmaid/static/js/a.js", "tile")
    os.chmod(image.folder + "/srv/catmaid", 0o755)
    image.start()
    script = fetch(image.address(), "GET /static/js/a.js")
    assert (script.status, script.text) == (200, "tile")
    assert script.get("Access-Control-Allow-Origin") == "*" and "max-age=31536000" in script.get("Cache-Control")
    assert fetch(image.address(), "GET /channels/updates/", "Upgrade: websocket").status == 200
    asked = daphne.take(1)[0]
    assert asked.target == "/channels/updates/" and asked.get("Upgrade") == "websocket"
    origin.refuse()
    down = fetch(image.address(), "GET /projects/")
    with open(os.path.join(TOP, "static-test", "maintenance.html")) as page:
        assert (down.status, down.text) == (502, page.read())


@pytest.mark.wproxy_only
@needs_envsubst
def test_demo_site(own):
    """All that ${DEMO} is asked for, and what comes from the two folders."""
    origin = own.origin()
    image = Image(own, read("demo.conf.template"), "demo.conf.template", DEMO=origin.name)
    written(image.folder, "srv/demo/static/a.css", "collected")
    written(image.folder, "srv/static-test/tiles/0.png", "tile")
    written(image.folder, "srv/static-test/maintenance.html", "away")
    image.start()
    asked = {path: fetch(image.address(), "GET " + path).text
             for path in ("/", "/static/a.css", "/tiles/0.png", "/files/tiles/0.png")}
    assert asked == {"/": "ok", "/static/a.css": "collected", "/tiles/0.png": "tile", "/files/tiles/0.png": "tile"}
    assert origin.take(1)[0].get("X-Demo-Files") == "/files/"
    origin.refuse()
    down = fetch(image.address(), "GET /")
    assert (down.status, down.text) == (502, "away")


@pytest.mark.wproxy_only
@needs_envsubst
def test_demo_site_before_its_application(own):
    """Nobody knows the name yet: the maintenance page is there all the same."""
    image = Image(own, read("demo.conf.template"), "demo.conf.template", DEMO="web.invalid:4080")
    written(image.folder, "srv/static-test/maintenance.html", "away")
    image.start()
    down = fetch(image.address(), "GET /")
    assert (down.status, down.text) == (502, "away")
    assert 'host not found in upstream "web.invalid:4080", it is asked for again' in image.said()


# -- the image itself ------------------------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah")
def test_image():
    """docker/check-image: built, run as an engine runs it, each of its promises seen."""
    done = subprocess.run([os.path.join(DOCKER, "check-image")], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "SIGQUIT ended it with status 0" in done.stdout
    base, image = (int(x) for x in re.findall(r"^the (?:base|image): (\d+) MiB", done.stdout, re.M))
    assert base < image < base + 20, "the image is not small any more"
