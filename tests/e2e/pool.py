"""Real back ends: gunicorn, gevent and uWSGI running the Django demo or the probe application."""

import os
import signal
import socket
import subprocess

from server import accepts, free_port, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(os.path.dirname(HERE), "demo")
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")

KINDS = ("sync", "gthread", "gevent", "wsgiserver", "uwsgi")    # and "uwsgi-socket", its own protocol; "daphne", ASGI


def prepare_demo(runtime):
    """Makes the demo's database (user admin, password admin) and collects its static files."""
    env = dict(os.environ, DEMO_RUNTIME=runtime, PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([PYTHON, os.path.join(DEMO, "manage.py"), "prepare"], env=env,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    for top, _, names in os.walk(runtime):
        os.chmod(top, 0o755)
        for name in names:
            os.chmod(os.path.join(top, name), 0o644)
    return runtime


class Pool:
    """One back-end server; `name` is what stands behind `server` in an upstream block."""

    def __init__(self, kind, folder, *, unix=False, application="demo.wsgi:application",
                 chdir=DEMO, env=None, workers=2, options=(), port=None):
        self.kind = kind
        self.folder = folder
        self.process = None
        self.port = None
        if unix:
            self.address = os.path.join(folder, "pool.sock")
            self.name = "unix:" + self.address
        else:
            self.port = port or free_port()
            self.address = ("127.0.0.1", self.port)
            self.name = "127.0.0.1:%d" % self.port
        self.application = application
        self.chdir = chdir
        self.workers = workers
        self.options = list(options)
        self.env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=chdir, **(env or {}))
        self.start()

    def command(self):
        if self.kind in ("sync", "gthread", "gevent"):
            extra = ["--threads", "8"] if self.kind == "gthread" else []
            return [PYTHON, "-m", "gunicorn", "--bind", self.name, "--worker-class", self.kind,
                    "--workers", str(self.workers), "--chdir", self.chdir, "--timeout", "60",
                    "--graceful-timeout", "5", "--log-level", "warning", "--worker-tmp-dir", "/tmp",
                    "--umask", "0"] + extra + self.options + [self.application]
        if self.kind == "wsgiserver":
            return [PYTHON, os.path.join(HERE, "gevent_server.py"), self.name, self.application]
        if self.kind == "daphne":
            bind = ["-u", self.address] if self.port is None else ["-b", "127.0.0.1", "-p", str(self.port)]
            return ["daphne", "-v", "0"] + bind + self.options + [self.application]
        module = self.application
        bind = self.address if self.port is None else self.name
        socket_kind = "--socket" if self.kind == "uwsgi-socket" else "--http-socket"
        return ["uwsgi", "--plugin", "python3", socket_kind, bind, "--module", module,
                "--chdir", self.chdir, "--processes", str(self.workers), "--master", "--die-on-term",
                "--need-app", "--chmod-socket=666", "--socket-timeout", "60", "--disable-logging",
                "--buffer-size", "16384"] + self.options

    def start(self):
        self.log = open(os.path.join(self.folder, "pool.log"), "ab")
        self.process = subprocess.Popen(self.command(), env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True,
                                        cwd=self.chdir)

        def up():
            if self.process.poll() is not None:
                raise AssertionError("%s ended: %s" % (self.kind, self.said()))
            return accepts(self.address)
        wait_until(up, 30, "%s accepts" % self.kind)
        if isinstance(self.address, str):
            os.chmod(self.address, 0o666)
        return self

    def said(self):
        with open(os.path.join(self.folder, "pool.log"), "rb") as log:
            return log.read().decode("utf-8", "replace")[-4000:]

    def end(self, number=signal.SIGTERM):
        """Ends the pool by a signal to all its processes."""
        if self.process is None:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        except ProcessLookupError:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process = None
        self.log.close()
        if isinstance(self.address, str) and os.path.exists(self.address):
            os.unlink(self.address)

    def stop(self):
        self.end(signal.SIGKILL)

    def kill(self):
        self.end(signal.SIGKILL)


def unix_listener(path):
    """A listening socket for gevent's server."""
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(256)
    return listener
