"""A server under test: one process, started from a configuration text.

Both programs are driven through the same command line (`-c file -p prefix -e log`), so every
test can be pointed at nginx as well as at wproxy: WPROXY=/usr/sbin/nginx proves the harness.
"""

import functools
import os
import random
import re
import select
import signal
import socket
import subprocess
import time

import pytest

NGINX = os.environ.get("NGINX", "/usr/sbin/nginx")
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SUBJECT = os.path.abspath(os.environ.get("WPROXY") or (
    "wproxy" if os.path.exists("wproxy") else os.path.join(TOP, "wproxy")))
THREADS = os.environ.get("WPROXY_THREADS", "2")

# What a sanitizer, a failed assertion or a dying worker leaves behind.
TROUBLE = re.compile(
    rb"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|MemorySanitizer|UndefinedBehaviorSanitizer"
    rb"|runtime error: |exited on signal|exited with fatal code|Assertion .* failed"
    rb"|assertion failed|stack smashing|Segmentation fault|double free|core dumped)[^\n]*")

FRAME = """@main@
daemon off;
pid @prefix@/server.pid;
error_log @prefix@/error.log @level@;
worker_processes @threads@;
events { worker_connections @connections@; }
http {
    types {
        text/html html htm;
        text/css css;
        text/xml xml;
        image/jpeg jpg jpeg;
        image/png png;
        application/javascript js;
        application/json json;
        text/plain txt;
    }
    client_body_temp_path @prefix@/body;
    proxy_temp_path @prefix@/proxy;
@foreign@
@http@
}
"""
FOREIGN = """    fastcgi_temp_path @prefix@/fastcgi;
    uwsgi_temp_path @prefix@/uwsgi;
    scgi_temp_path @prefix@/scgi;"""

_taken = set()


class ServerFailure(AssertionError):
    """The server did not start, did not stop, crashed, or a sanitizer spoke."""


@functools.lru_cache(maxsize=None)
def program_name(binary):
    """"nginx" or "wproxy", from what the binary says about itself."""
    out = subprocess.run([binary, "-v"], capture_output=True, timeout=30)
    text = (out.stdout + out.stderr).decode()
    return "nginx" if "nginx version: nginx/" in text else "wproxy"


@functools.lru_cache(maxsize=None)
def strange_oracle(binary):
    """Why this nginx is none to compare with, or None: the answers are Debian 12's to the byte."""
    text = subprocess.run([binary, "-v"], capture_output=True, timeout=30).stderr.decode().strip()
    if re.search(r"nginx/1\.22\.\d+$", text):
        return None
    return "answers are compared with those of Debian 12's nginx 1.22, not of " + text


@functools.lru_cache(maxsize=None)
def localhost_is_known():
    """A bare root has no /etc/hosts."""
    try:
        return bool(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM))
    except OSError:
        return False


needs_localhost = pytest.mark.skipif(not localhost_is_known(), reason="there is no localhost in /etc/hosts")


def subject_is_nginx():
    return program_name(SUBJECT) == "nginx"


def free_port(hosts=("127.0.0.1",)):
    """A port below the ephemeral range that is free on all the hosts."""
    while True:
        port = random.randrange(10000, 32000)
        if port in _taken:
            continue
        try:
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                with socket.socket(family, socket.SOCK_STREAM) as probe:
                    probe.bind((host, port))
        except OSError:
            continue
        _taken.add(port)
        return port


def wait_until(condition, timeout=10.0, what="condition", step=0.005):
    """Polls condition() until it is true and returns its value; fails after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("timed out after %.1f s: %s" % (timeout, what))
        select.select([], [], [], step)


def accepts(address, timeout=1.0):
    """Whether something accepts connections at the address (a (host, port) pair or a path)."""
    family = socket.AF_UNIX if isinstance(address, str) else (
        socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


def fill(template, names):
    """Replaces @name@ by names[name], twice, so that values may hold placeholders."""
    def value(match):
        return str(names[match.group(1)]) if match.group(1) in names else match.group(0)
    for _ in range(3):
        template = re.sub(r"@([a-z_][a-z0-9_.]*)@", value, template)
    return template


def child_pids(pid):
    """Pids whose parent is pid."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % entry) as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry))
    return sorted(found)


class Server:
    """One running server. `ports` maps names used as @port.NAME@ (and @port@ for "main")."""

    def __init__(self, binary, folder, http="", *, whole=None, main="", host="127.0.0.1",
                 ports=None, names=None, level="info", threads=None, connections=1024, user=None,
                 ready=None, env=None, start=True, arguments=(), wrapper=()):
        if binary == NGINX and strange_oracle(NGINX):
            pytest.skip(strange_oracle(NGINX))
        self.binary = binary
        self.name = program_name(binary)
        self.prefix = folder
        self.host = host
        self.user = user
        self.process = None
        self.arguments = list(arguments)
        self.wrapper = list(wrapper)
        self.allow_trouble = False
        self._scanned = {}
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        os.makedirs(os.path.join(folder, "open"), exist_ok=True)
        os.chmod(os.path.join(folder, "open"), 0o777)
        if user is not None:
            os.chown(folder, user, user)
        if threads is None:
            threads = 1 if self.name == "nginx" else THREADS
        template = whole if whole is not None else FRAME
        self.ports = dict(ports or {})
        text = template.replace("@http@", http)
        for name in re.findall(r"@port(?:\.([a-z0-9_]+))?@", text):
            self.ports.setdefault(name or "main", None)
        for name, port in self.ports.items():
            if port is None:
                self.ports[name] = free_port((host,))
        self.names = {
            "prefix": folder, "host": host, "level": level, "threads": threads,
            "connections": connections, "main": main,
            "foreign": FOREIGN if self.name == "nginx" else "",
        }
        self.names.update(names or {})
        for name, port in self.ports.items():
            self.names["port." + name] = port
        if "main" in self.ports:
            self.names["port"] = self.ports["main"]
        self.template = template
        self.config = os.path.join(folder, "server.conf")
        self.log = os.path.join(folder, "error.log")
        self.ready = ready if ready is not None else [(host, p) for p in self.ports.values()]
        self.env = dict(os.environ, **(env or {}))
        self.write(http)
        if start:
            self.start()

    # -- life ----------------------------------------------------------------------------------

    def write(self, http):
        """Writes the configuration file; a running server sees it at the next reload."""
        with open(self.config, "w") as out:
            out.write(fill(self.template.replace("@http@", http), self.names))

    def command(self, *extra):
        line = self.wrapper + [self.binary, "-c", self.config, "-p", self.prefix + "/", "-e", self.log]
        if self.user is not None and os.getuid() == 0:
            line = ["setpriv", "--reuid=%d" % self.user, "--regid=%d" % self.user,
                    "--clear-groups"] + line
        return line + self.arguments + list(extra)

    def start(self):
        with open(os.path.join(self.prefix, "stderr"), "ab") as err:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=err, stderr=err, env=self.env,
                start_new_session=True, cwd=self.prefix)

        def up():
            if self.process.poll() is not None:
                raise ServerFailure("%s ended with %s at start:\n%s" % (
                    self.name, self.process.returncode, self.said()))
            return (all(accepts(address) for address in self.ready)
                    and self.read("server.pid").strip() == str(self.pid))
        try:
            wait_until(up, 30, "%s accepts on %s" % (self.name, self.ready))
        except AssertionError:
            self.kill()
            raise
        return self

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        return child_pids(self.pid)

    def worker(self):
        return wait_until(self.workers, 10, "a worker process")[0]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kick(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=10):
        """Waits for the end of the process and returns its exit status."""
        return self.process.wait(timeout)

    def kill(self):
        if self.process is None:
            return
        # The master first: it would start another worker, and nginx's goes on without a master.
        for pid in [self.pid] + self.workers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)

    def stop(self, number=signal.SIGTERM, timeout=15):
        """Ends the server and fails when it does not end cleanly."""
        if self.process is None:
            return
        if self.alive():
            self.kick(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise ServerFailure("%s did not stop:\n%s" % (self.name, self.said()))
        status, self.process_status = self.process.returncode, self.process.returncode
        self.process = None
        self.check_logs()
        if status != 0 and not self.allow_trouble:
            raise ServerFailure("%s stopped with status %s:\n%s" % (
                self.name, status, self.said()))

    # -- what it said --------------------------------------------------------------------------

    def read(self, name):
        path = os.path.join(self.prefix, name)
        if not os.path.exists(path):
            return ""
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")

    def errors(self):
        return self.read("error.log")

    def said(self):
        return self.read("stderr")[-4000:] + self.errors()[-6000:]

    def wait_logged(self, text, timeout=10, since=0):
        """Waits until the error log holds text (after the first `since` characters)."""
        return wait_until(lambda: text in self.errors()[since:], timeout,
                          "%r in the error log of %s" % (text, self.name))

    def check_logs(self):
        """Fails when a sanitizer or a crash has shown up since the last look."""
        for name in ("stderr", "error.log"):
            path = os.path.join(self.prefix, name)
            if not os.path.exists(path):
                continue
            with open(path, "rb") as file:
                file.seek(self._scanned.get(name, 0))
                new = file.read()
                self._scanned[name] = file.tell()
            found = TROUBLE.search(new)
            if found and not self.allow_trouble:
                raise ServerFailure("%s: %s\n%s" % (
                    self.name, found.group(0).decode("utf-8", "replace"),
                    new[max(0, found.start() - 500):found.start() + 6000].decode(
                        "utf-8", "replace")))

    def check(self):
        if self.process is None:
            return
        self.check_logs()
        if not self.alive() and not self.allow_trouble:
            raise ServerFailure("%s has ended with %s:\n%s" % (
                self.name, self.process.returncode, self.said()))

    # -- talking to it -------------------------------------------------------------------------

    def address(self, port="main"):
        return (self.host, self.ports[port])

    def url(self, path="/", port="main"):
        return "http://%s:%d%s" % (self.host, self.ports[port], path)
