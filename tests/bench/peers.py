"""The servers that are compared: how each is configured for a row, started, and found in /proc.

nginx and wproxy read the same file; Debian's older nginx is given kept-alive back-end connections,
which newer ones and wproxy have by default. The others get what does the same work.
"""

import os
import re
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from server import accepts, child_pids, free_port, wait_until  # noqa: E402

BINARIES = {
    "wproxy": os.environ.get("WPROXY") or os.path.abspath("wproxy"),
    "before": os.environ.get("BEFORE", ""),	# another wproxy, to see what a change brings
    "nginx": os.environ.get("NGINX", "/usr/sbin/nginx"),
    "haproxy": os.environ.get("HAPROXY", "haproxy"),
    "lighttpd": os.environ.get("LIGHTTPD", "lighttpd"),
    "h2o": os.environ.get("H2O", "h2o"),
}

NGINX = """daemon off;
pid %(prefix)s/server.pid;
error_log %(prefix)s/error.log error;
worker_processes %(threads)d;
worker_rlimit_nofile 65536;
%(main)s
events { worker_connections %(connections)d; }
http {
    types { image/jpeg jpg; application/javascript js; application/octet-stream bin; }
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    access_log off;
    client_body_temp_path %(prefix)s/body;
    proxy_temp_path %(prefix)s/proxy;
%(http)s
}
"""
# What a newest nginx does by default, said to an older one.
KEPT_GROUP = "    keepalive 32;\n    keepalive_requests 1000000000;\n"
KEPT_LOCATION = 'proxy_http_version 1.1;\n        proxy_set_header Connection "";\n        '

READS_NGINX = ("wproxy", "before", "nginx")

HAPROXY = """global
    nbthread 1
    maxconn 5000
defaults
    mode http
    timeout connect 10s
    timeout client 300s
    timeout server 300s
    option http-keep-alive
    option forwardfor
    http-reuse always
frontend in
    bind 127.0.0.1:%(port)d
    http-request set-header X-Forwarded-Proto http
    default_backend out
backend out
    server origin 127.0.0.1:%(origin)d
"""

LIGHTTPD = """server.modules = ( %(modules)s )
server.bind = "127.0.0.1"
server.port = %(port)d
server.document-root = "%(docroot)s"
server.pid-file = "%(prefix)s/server.pid"
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 300
server.max-connections = 20000
server.max-fds = 65536
server.stream-response-body = 2
server.stream-request-body = 2
server.upload-dirs = ( "%(prefix)s" )
mimetype.assign = ( ".jpg" => "image/jpeg", ".js" => "application/javascript",
    ".bin" => "application/octet-stream" )
%(http)s
"""

H2O = """num-threads: 1
max-connections: 20000
pid-file: %(prefix)s/server.pid
error-log: %(prefix)s/error.log
http1-request-timeout: 300
limit-request-body: 1073741824
%(http)s
hosts:
  default:
    listen:
      host: 127.0.0.1
      port: %(port)d
%(tls)s
    paths:
      /:
%(path)s
"""


def available():
    """Names of the servers that are installed here, wproxy and nginx first."""
    return [name for name, binary in BINARIES.items() if shutil.which(binary)]


def _nginx_text(name, row, names):
    http = row.http
    if name == "nginx":
        if "keepalive " not in http:
            http = re.sub(r"(?m)^(upstream [^{]*\{\n(?:[^}]*\n)?)\}",
                          r"\1" + KEPT_GROUP + "}", http)
        http = re.sub(r"proxy_pass ", KEPT_LOCATION + "proxy_pass ", http)
        if "upstream " in http and "keepalive " not in http:
            raise RuntimeError("keepalive was not set for nginx")
    return NGINX % dict(names, http=http % names, main="user %s;" % row.user if row.user else "")


def _haproxy_text(row, names):
    return HAPROXY % names if row.kind == "proxy" and not row.tls else None


def _lighttpd_text(row, names):
    modules, http = [], ""
    if row.tls or row.kind not in ("static", "proxy"):
        return None
    if row.kind == "proxy":
        modules.append('"mod_proxy"')
        http = 'proxy.server = ( "" => ( ( "host" => "127.0.0.1", "port" => %(origin)d ) ) )' % names
    if row.log:
        modules.append('"mod_accesslog"')
        http = 'accesslog.filename = "%(prefix)s/access.log"' % names
    return LIGHTTPD % dict(names, modules=", ".join(modules), http=http)


def _h2o_text(row, names):
    if row.kind == "proxy":
        path = "        proxy.reverse.url: http://127.0.0.1:%(origin)d/\n" \
            "        proxy.preserve-host: ON\n        proxy.timeout.keepalive: 60000" % names
    elif row.kind == "static":
        path = "        file.dir: %(docroot)s" % names
    else:
        return None
    if row.gzip:
        path += "\n        gzip: ON"
    http = "access-log: %(prefix)s/access.log" % names if row.log else ""
    tls = "      ssl:\n        certificate-file: %(cert)s\n        key-file: %(key)s" % names
    return H2O % dict(names, path=path, http=http, tls=tls if row.tls else "")


class Peer:
    """One running server for one row."""

    def __init__(self, name, row, folder, cpu, names, label=None, under=()):
        self.name, self.row = name, row
        self.label = label or name
        self.prefix = os.path.join(folder, self.label)
        self.port = free_port()
        self.process = None
        os.makedirs(self.prefix, exist_ok=True)
        os.chmod(self.prefix, 0o777)
        names = dict(names, prefix=self.prefix, port=self.port)
        if name in READS_NGINX:
            text = _nginx_text(name, row, names)
        else:
            text = globals()["_%s_text" % name](row, names)
        self.can = text is not None
        if not self.can:
            return
        config = os.path.join(self.prefix, "server.conf")
        with open(config, "w") as out:
            out.write(text)
        command = ["-c", config, "-p", self.prefix + "/", "-e", self.prefix + "/error.log"]
        command = command if name in READS_NGINX else {
            "haproxy": ["-db", "-f", config],
            "lighttpd": ["-D", "-f", config],
            "h2o": ["-c", config],
        }[name]
        self.output = open(os.path.join(self.prefix, "output"), "wb")
        self.process = subprocess.Popen(
            list(under) + [BINARIES[name]] + command, stdout=self.output, stderr=self.output,
            preexec_fn=None if cpu is None else lambda: os.sched_setaffinity(0, cpu))
        try:
            wait_until(self._ready, 60, what="%s accepts connections" % name)
        except AssertionError:
            self.stop()
            with open(os.path.join(self.prefix, "output"), errors="replace") as said:
                raise RuntimeError("%s did not start: %s" % (name, said.read()[-2000:]))

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError("exited")
        return accepts(("127.0.0.1", self.port))

    def workers(self):
        """Pids of the processes that serve."""
        children = child_pids(self.process.pid)
        return children if children and self.name in READS_NGINX else [self.process.pid]

    def cpu_of_tasks(self, pids=None):
        """User and system seconds of each thread of the workers so far."""
        spent = {}
        for pid in pids or self.workers():
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/schedstat" % (pid, task)) as stat:
                    spent[task] = int(stat.read().split()[0]) / 1e9
        return spent

    def cpu_seconds(self):
        """The same of all of them together."""
        return sum(self.cpu_of_tasks().values())

    def cpu_of_start(self):
        """Of the master as well: what it took until now."""
        return sum(self.cpu_of_tasks(set(self.workers()) | {self.process.pid}).values())

    def memory(self):
        """Anonymous memory of the workers, bytes."""
        total = 0
        for pid in self.workers():
            with open("/proc/%d/smaps_rollup" % pid) as rollup:
                for line in rollup:
                    if line.startswith("Pss_Anon:"):
                        total += int(line.split()[1]) * 1024
        return total

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in self.workers():
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self.output.close()
