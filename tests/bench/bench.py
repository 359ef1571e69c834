"""What `run`, `syscalls` and `instructions` share: tools and files made, servers started, one measurement."""

import argparse
import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import peers
import rows
from pool import Pool	# of tests/e2e, by peers

CLIENT_SIDE, SERVER_SIDE = 1, 0
MEASURE_LIMIT = 600
START_LIMIT = 120
DOWNLOADS = 10		# that run beside
QUICK_SECONDS, QUICK_ROUNDS, QUICK_PART = 0.5, 2, 4


class BenchError(Exception):
    """A tool is missing, or an answer is not what it should be: nothing may be measured."""


def options(text, **defaults):
    parser = argparse.ArgumentParser(description=text)
    names = [row.name for row in rows.ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help="of: %s (all)" % " ".join(names))
    parser.add_argument("-d", "--seconds", type=float, default=defaults.get("seconds", 2.0),
                        help="length of one measurement (%(default)s)")
    parser.add_argument("-r", "--rounds", type=int, default=defaults.get("rounds", 5),
                        help="interleaved rounds (%(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="a first look: two short rounds, fewer of the large requests")
    parser.add_argument("-s", "--servers", help="comma separated (all that are installed)")
    parser.add_argument("-t", "--threads", type=int, default=1,
                        help="threads of wproxy, workers of nginx (%(default)s)")
    parser.add_argument("--no-pin", action="store_true",
                        help="leave server and load where the kernel puts them")
    for flag, about in defaults.get("outputs", ()):
        parser.add_argument(flag, metavar="FILE", help=about)
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.rounds = QUICK_SECONDS, QUICK_ROUNDS
    unknown = set(given.rows) - set(names)
    if unknown:
        parser.error("no such row: %s" % " ".join(sorted(unknown)))
    given.rows = [row for row in rows.ROWS if not given.rows or row.name in given.rows]
    if given.quick:
        given.rows = [dataclasses.replace(row, requests=-(-row.requests // QUICK_PART))
                      if row.requests and not row.renewed else row for row in given.rows]
    installed = peers.available()
    wanted = given.servers.split(",") if given.servers else installed
    given.servers = [name for name in installed if name in wanted]
    if "wproxy" in (wanted if given.servers else ["wproxy"]) and "wproxy" not in installed:
        parser.error("no %s: WPROXY=... names the binary" % peers.BINARIES["wproxy"])
    return given


def tools():
    """Paths of load and origin, made by make in the build folder or else by cc."""
    build = os.path.dirname(os.path.abspath(peers.BINARIES["wproxy"]))
    if os.path.exists(os.path.join(build, "Makefile")):
        subprocess.run(["make", "-s", "-C", build, "tests/bench/load", "tests/bench/origin"],
                       check=True, stdout=subprocess.DEVNULL)
        return [os.path.join(build, "tests/bench", name) for name in ("load", "origin")]
    folder = tempfile.mkdtemp(prefix="wproxy-bench-tools-")
    for name in ("load", "origin"):
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-o",
                        os.path.join(folder, name), os.path.join(peers.HERE, name + ".c"),
                        "-lssl", "-lcrypto"], check=True)
    return [os.path.join(folder, name) for name in ("load", "origin")]


def script_text():
    """100 KB that compress as a script does."""
    chance = random.Random(4)
    words = ["function", "return", "var ", "this.", "(", ")", "{\n", "}\n", ";\n", " = ", "0"]
    words += ["".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(7))
              for _ in range(400)]
    text = ""
    while len(text) < 100 * 1024:
        text += chance.choice(words) + " "
    return text[:100 * 1024].encode()


def _on_terminate(number, _frame):
    sys.exit(128 + number)


class Place:
    """A temporary folder with what is served, the origin, and where processes run."""

    def __init__(self, given):
        signal.signal(signal.SIGTERM, _on_terminate)
        self.load, origin = tools()
        self.folder = tempfile.mkdtemp(prefix="wproxy-bench-")
        os.chmod(self.folder, 0o755)
        cpus = sorted(os.sched_getaffinity(0))
        pin = not given.no_pin and len(cpus) >= 2 and given.threads == 1
        self.server_cpu = {cpus[SERVER_SIDE]} if pin else None
        self.client_cpu = {cpus[CLIENT_SIDE]} if pin else None
        docroot = os.path.join(self.folder, "files")
        for folder in ("first", "many"):
            os.makedirs(os.path.join(docroot, folder))
        thumb, script = os.urandom(rows.THUMB), script_text()
        self.files = {"thumb.jpg": thumb, "64k.bin": os.urandom(65536), "script.js": script,
                      "large.bin": bytes(64 * rows.MIB)}
        self.files.update(("many/%05d.jpg" % i, thumb) for i in range(rows.MANY))
        self.files.update(("first/%05d.js" % i, script) for i in range(rows.FIRST))
        for name, content in self.files.items():
            with open(os.path.join(docroot, name), "wb") as out:
                out.write(content)
        made = time.time()
        cert, key = os.path.join(self.folder, "cert.pem"), os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", cert], check=True,
                       stderr=subprocess.DEVNULL)
        ports = [peers.free_port(), peers.free_port()]
        self.names = {"docroot": docroot, "cert": cert, "key": key, "origin": ports[0],
                      "closing": ports[1], "threads": given.threads, "connections": 20000}
        self.origin = subprocess.Popen([origin] + [str(p) for p in ports],
                                       preexec_fn=self.to_client_side)
        peers.wait_until(lambda: peers.accepts(("127.0.0.1", ports[1])), what="origin")
        # A file that has just been written is not cached by everyone.
        peers.wait_until(lambda: time.time() - made > 2.5, what="files that are old enough")

    def to_client_side(self):
        if self.client_cpu is not None:
            os.sched_setaffinity(0, self.client_cpu)

    def names_for(self, row):
        names = dict(self.names, threads=row.threads or self.names["threads"])
        if row.closing:
            names["origin"] = names["closing"]
        if row.backend:
            names["origin"] = self.pool.port
        return names

    def start_one(self, row, name, label=None):
        """A server that does the row, running; None when it cannot."""
        folder = os.path.join(self.folder, row.name)
        cpu = None if row.threads else self.server_cpu
        peer = peers.Peer(name, row, folder, cpu, self.names_for(row), label)
        return peer if peer.can else None

    @contextlib.contextmanager
    def running(self, row, servers):
        """The servers that can do the row, each beside the smaller one that it is compared with."""
        wanted = [(row, name, name) for name in servers]
        if row.few is not None:
            wanted = [one for name in servers if name in peers.READS_NGINX
                      for one in ((row, name, name), (row.few, name, name + "-few"))]
        with contextlib.ExitStack() as at_end:
            if row.backend:
                folder = os.path.join(self.folder, row.name)
                os.makedirs(folder)
                self.pool = Pool(row.backend, folder, application="wsgi:application",
                                 chdir=peers.HERE, options=["--keep-alive", "300"])
                at_end.callback(self.pool.stop)
            started = []
            for which, name, label in wanted:
                try:
                    peer = self.start_one(which, name, label)
                except RuntimeError as error:
                    print("\n%s: left out: %s" % (row.name, error))
                    continue
                if peer is not None:
                    at_end.callback(peer.stop)
                    started.append(peer)
            yield started

    def renew(self):
        """Files that nobody has seen as they are now."""
        for i in range(rows.FIRST):
            os.utime(os.path.join(self.names["docroot"], "first/%05d.js" % i))

    def request_file(self, row):
        path = os.path.join(self.folder, "request-" + row.name)
        with open(path, "wb") as out:
            out.write(request(row))
        return path

    def command(self, row, peer, seconds, requests=0):
        line = [self.load, "-p", str(peer.port), "-r", self.request_file(row),
                "-c", str(row.clients), "-e", str(row.length)]
        requests = requests or row.requests
        line += ["-n", str(requests)] if requests else ["-d", str(seconds)]
        if row.upload:
            line += ["-b", str(row.upload)]
        if row.pace:
            line += ["-s", str(row.pace)]
        if row.vary:
            line += ["-v", str(row.vary)]
        for flag, wanted in (("-1", row.new), ("-i", row.hold), ("-t", row.tls),
                             ("-T", row.resumed)):
            if wanted:
                line.append(flag)
        return line

    def load_run(self, row, peer, seconds, requests=0):
        """One run of the load generator, as it reports it."""
        done = subprocess.run(self.command(row, peer, seconds, requests), check=True,
                              stdout=subprocess.PIPE, preexec_fn=self.to_client_side,
                              timeout=MEASURE_LIMIT)
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def beside(self, row, peer):
        """What else the server has to do while it is measured: idle connections, downloads."""
        with contextlib.ExitStack() as at_end:
            for others in self.others(row):
                line = self.command(others, peer, MEASURE_LIMIT)
                if others.hold:
                    line[line.index("-d"):line.index("-d") + 2] = []
                load = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        preexec_fn=self.to_client_side)
                at_end.callback(load.wait)
                at_end.callback(load.kill)
                if others.hold and json.loads(load.stdout.readline())["errors"]:
                    raise BenchError("%s: %s: idle connections were lost" % (row.name, peer.name))
            yield

    @staticmethod
    def others(row):
        if row.idle:
            yield dataclasses.replace(row, name=row.name + "-idle", idle=0, hold=True,
                                      clients=row.idle)
        if row.beside:
            yield dataclasses.replace(row, name=row.name + "-beside", path=row.beside, length=-1,
                                      clients=DOWNLOADS)

    def stop(self):
        self.origin.kill()
        self.origin.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def request(row):
    head = "%s %s HTTP/1.1\r\nHost: %s\r\n" % ("POST" if row.upload else "GET", row.path, row.host)
    if row.upload:
        head += "Content-Length: %d\r\n" % row.upload
    return (head + row.fields + ("Connection: close\r\n" if row.new else "") + "\r\n").encode()


def _raw_answer(row, peer):
    """Head and decoded body of one answer."""
    with socket.create_connection(("127.0.0.1", peer.port), 60) as plain:
        wire = plain
        if row.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            wire = context.wrap_socket(plain)
        wire.sendall(request(row).replace(b"#####", b"00000"))
        left = row.upload
        while left > 0:
            wire.sendall(b"u" * min(left, 1 << 20))
            left -= min(left, 1 << 20)
        stream = wire.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                raise BenchError("%s: %s: no answer: %r" % (row.name, peer.name, head))
            head += line
        fields = {}
        for line in head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        if "chunked" not in fields.get("transfer-encoding", ""):
            return head, stream.read(int(fields.get("content-length", 0)))
        body = bytearray()
        while True:
            size = int(stream.readline().split(b";")[0], 16)
            body += stream.read(size)
            stream.readline()
            if size == 0:
                return head, bytes(body)


PATTERN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def check(place, row, peer):
    """The whole answer is compared once; the load generator checks status and length of each."""
    head, body = _raw_answer(row, peer)
    name = row.path.lstrip("/").replace("#####", "00000")
    if os.path.basename(name) in place.files:
        name = os.path.basename(name)
    if not head.startswith(b"HTTP/1.1 200"):
        raise BenchError("%s: %s answers %r" % (row.name, peer.name, head))
    if row.gzip and b"content-encoding: gzip" in head.lower():
        import gzip
        body = gzip.decompress(body)
    elif row.gzip and peer.name in peers.READS_NGINX:
        raise BenchError("%s: %s does not compress" % (row.name, peer.name))
    if row.upload:
        expected = b"%d\n" % row.upload
    elif name in place.files:
        expected = place.files[name]
    else:
        expected = PATTERN * (row.length // 64) + PATTERN[:row.length % 64]
    if body != expected:
        raise BenchError("%s: %s: another body (%d bytes)" % (row.name, peer.name, len(body)))


def measure(place, peer, seconds):
    """One run: the load generator's report and, as "cost", what the row is about."""
    row = peer.row
    if row.per == "connection":
        return measure_memory(place, peer)
    if row.per == "start":
        return measure_start(place, peer)
    if row.renewed:
        place.renew()
    with place.beside(row, peer):
        report, tasks = measure_load(place, peer, seconds)
    if report["done"] == 0:
        raise BenchError("%s: %s: nothing was answered: %s" % (
            row.name, peer.name, report["complaint"]))
    spent = sum(tasks.values())
    report["shares"] = sorted(task / spent for task in tasks.values() if task > spent / 100)
    if row.per == "GiB":
        report["cost"] = spent / (report["bytes"] / rows.GIB)
    elif row.per == "p99":
        report["cost"] = report["p99"]
    else:
        report["cost"] = spent * 1e6 / report["done"]
    return report


def measure_load(place, peer, seconds):
    """The load generator's report, and the CPU seconds of each of the server's threads meanwhile."""
    row = peer.row
    if row.new or row.requests:
        before = peer.cpu_of_tasks()
        report = place.load_run(row, peer, seconds)
    else:
        # Connections are there, and what they cost is past, when it begins.
        load = subprocess.Popen(place.command(row, peer, seconds) + ["-w"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, preexec_fn=place.to_client_side)
        try:
            if load.stdout.readline() != b"ready\n":
                raise BenchError("%s: %s: not every client was answered" % (row.name, peer.name))
            before = peer.cpu_of_tasks()
            load.stdin.write(b"\n")
            load.stdin.flush()
            report = json.loads(load.stdout.readline())
        finally:
            load.stdin.close()
            load.wait()
    after = peer.cpu_of_tasks()
    return report, {task: after[task] - before.get(task, 0) for task in after}


NOTHING = {"done": 1, "errors": 0, "complaint": "", "seconds": 1, "p50": 0, "p99": 0}


def measure_start(place, peer):
    """CPU milliseconds of all the server's processes until it has answered; its own are new ones."""
    peer = place.start_one(peer.row, peer.name, peer.label + "-new")
    try:
        check(place, peer.row, peer)
        return dict(NOTHING, cost=peer.cpu_of_start() * 1e3)
    finally:
        peer.stop()


def measure_memory(place, peer):
    """Bytes of the workers' memory for each of many idle connections."""
    row = peer.row
    lean = dict(place.names_for(row), connections=64)
    base = peers.Peer(peer.name, row, os.path.join(place.folder, row.name + "-base"),
                      place.server_cpu, lean)
    try:
        check(place, row, base)
        before = base.memory()
    finally:
        base.stop()
    line = place.command(row, peer, 0)
    line[line.index("-d"):line.index("-d") + 2] = []
    load = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        report = json.loads(load.stdout.readline())
        report["cost"] = (peer.memory() - before) / row.clients
        return report
    finally:
        load.stdin.close()
        load.wait()


def counted_run(place, row, requests):
    """What callgrind counted in wproxy's worker from its start to its end, and what it answered."""
    folder = os.path.join(place.folder, "%s-counted-%d" % (row.name, requests))
    peer = peers.Peer("wproxy", row, folder, None, place.names_for(row), under=[
        "valgrind", "--tool=callgrind", "--callgrind-out-file=" + folder + "/wproxy/count.%p"])
    try:
        check(place, row, peer)
        worker = peer.workers()[0]
        report = place.load_run(row, peer, 0, requests)
    finally:
        peer.stop()
    with open("%s/wproxy/count.%d" % (folder, worker)) as count:
        return next(int(line.split()[1]) for line in count if line.startswith("totals:")), \
            report["done"]


def instructions(place, row, requests):
    """
    Instructions of a request in wproxy, its libraries included, the kernel not.  Two runs that differ
    only in how many requests there are: other load on the machine does not change it.
    """
    few, few_done = counted_run(place, row, max(row.clients, requests // 10))
    many, many_done = counted_run(place, row, requests)
    return (many - few) / (many_done - few_done)
