"""What `run` and `syscalls` share: tools and files made, servers started, one measurement."""

import argparse
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

CLIENT_SIDE, SERVER_SIDE = 1, 0
MEASURE_LIMIT = 600


class BenchError(Exception):
    """A tool is missing, or an answer is not what it should be: nothing may be measured."""


def options(text, **defaults):
    parser = argparse.ArgumentParser(description=text)
    names = [row.name for row in rows.ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help="of: %s (all)" % " ".join(names))
    parser.add_argument("-d", "--seconds", type=float, default=defaults.get("seconds", 2.0),
                        help="length of one measurement (%(default)s)")
    parser.add_argument("-r", "--rounds", type=int, default=defaults.get("rounds", 3),
                        help="interleaved rounds (%(default)s)")
    parser.add_argument("-s", "--servers", help="comma separated (all that are installed)")
    parser.add_argument("-t", "--threads", type=int, default=1,
                        help="threads of wproxy, workers of nginx (%(default)s)")
    parser.add_argument("--no-pin", action="store_true",
                        help="leave server and load where the kernel puts them")
    given = parser.parse_args()
    unknown = set(given.rows) - set(names)
    if unknown:
        parser.error("no such row: %s" % " ".join(sorted(unknown)))
    given.rows = [row for row in rows.ROWS if not given.rows or row.name in given.rows]
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
        os.makedirs(docroot)
        self.files = {"thumb.jpg": os.urandom(rows.THUMB), "64k.bin": os.urandom(65536),
                      "script.js": script_text(), "large.bin": bytes(64 * rows.MIB)}
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
        names = dict(self.names)
        if row.closing:
            names["origin"] = names["closing"]
        return names

    def start(self, row, servers):
        """The servers that can do the row, running."""
        started = []
        folder = os.path.join(self.folder, row.name)
        try:
            for name in servers:
                try:
                    peer = peers.Peer(name, row, folder, self.server_cpu, self.names_for(row))
                except RuntimeError as error:
                    print("\n%s: left out: %s" % (row.name, error))
                    continue
                if peer.can:
                    started.append(peer)
        except BaseException:
            for peer in started:
                peer.stop()
            raise
        return started

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

    def stop(self):
        self.origin.kill()
        self.origin.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def request(row):
    head = "%s %s HTTP/1.1\r\nHost: localhost\r\n" % ("POST" if row.upload else "GET", row.path)
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
        wire.sendall(request(row))
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
    name = row.path.lstrip("/")
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


def measure(place, row, peer, seconds):
    """One run: the load generator's report and, as "cost", CPU microseconds (or seconds per GiB)."""
    if row.new or row.requests:
        before = peer.cpu_seconds()
        report = place.load_run(row, peer, seconds)
    else:
        # Connections are there, and what they cost is past, when it begins.
        load = subprocess.Popen(place.command(row, peer, seconds) + ["-w"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, preexec_fn=place.to_client_side)
        try:
            if load.stdout.readline() != b"ready\n":
                raise BenchError("%s: %s: not every client was answered" % (row.name, peer.name))
            before = peer.cpu_seconds()
            load.stdin.write(b"\n")
            load.stdin.flush()
            report = json.loads(load.stdout.readline())
        finally:
            load.stdin.close()
            load.wait()
    spent = peer.cpu_seconds() - before
    if report["done"] == 0:
        raise BenchError("%s: %s: nothing was answered: %s" % (
            row.name, peer.name, report["complaint"]))
    if row.per == "GiB":
        report["cost"] = spent / (report["bytes"] / rows.GIB)
    else:
        report["cost"] = spent * 1e6 / report["done"]
    return report


def measure_memory(place, row, peer):
    """Bytes of the workers' memory for each of many idle connections."""
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
