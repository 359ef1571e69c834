"""stream {}: connections handed to back ends as they are, and nothing lost on the way."""

import contextlib
import hashlib
import os
import signal
import socket
import struct
import subprocess
import threading

import pytest

import server
from certificate import make_certificate
from server import free_port, wait_until

MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
WHOLE = """load_module %s;
@main@
daemon off;
pid @prefix@/server.pid;
error_log @prefix@/error.log @level@;
worker_processes @threads@;
events { worker_connections @connections@; }
stream {
@http@
}
""" % MODULE
FORMAT = ("log_format all '$remote_addr $protocol $status $bytes_sent $bytes_received "
          "\"$upstream_addr\" \"$upstream_bytes_sent\" \"$upstream_bytes_received\"';"
          "access_log @prefix@/access.log all;\n")
BLOCK = bytes(range(256)) * 256
MIB = 1 << 20

nginx_has_streams = pytest.mark.skipif(
    server.subject_is_nginx() and not os.path.exists(MODULE),
    reason="nginx's stream module is not installed")
pytestmark = nginx_has_streams


class Backend:
    """A TCP server: talk(connection) in a thread of its own for each connection."""

    def __init__(self, talk, host="127.0.0.1", port=0):
        self.talk = talk
        self.accepted = 0
        self.open = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server((host, port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.name = "%s:%d" % (host, self.port)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                self.open += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        with contextlib.suppress(OSError, EOFError), conn:
            self.talk(conn)
        with self.lock:
            self.open -= 1

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(conn):
    while True:
        data = conn.recv(65536)
        if not data:
            return
        conn.sendall(data)


def named(name):
    """Says its name, then echoes."""
    def talk(conn):
        conn.sendall(name)
        echo(conn)
    return talk


def read_all(conn):
    got = b""
    while True:
        data = conn.recv(65536)
        if not data:
            return got
        got += data


def read_exactly(conn, count):
    got = b""
    while len(got) < count:
        data = conn.recv(count - len(got))
        if not data:
            break
        got += data
    return got


def connect(address, timeout=10):
    return socket.create_connection(address, timeout=timeout)


def ask(address, data=b"ping"):
    """What comes back for the data until the end; "" where the connection is cut."""
    with connect(address) as conn:
        try:
            conn.sendall(data)
            conn.shutdown(socket.SHUT_WR)
            return read_all(conn)
        except OSError:
            return b""


@pytest.fixture
def streams(own):
    """streams(text, back=Backend...) -> a server with that stream {}."""
    def start(text, **options):
        backs = options.pop("backs", {})
        names = {"back." + name: own.keep(back).name for name, back in backs.items()}
        return own.server(text, whole=options.pop("whole", WHOLE), names=names, **options)
    return start


# -- bytes -------------------------------------------------------------------------------------

def digest_of_all(conn):
    digest = hashlib.sha256()
    count = 0
    while True:
        data = conn.recv(1 << 18)
        if not data:
            break
        digest.update(data)
        count += len(data)
    return digest.hexdigest(), count


@pytest.mark.wproxy_only  # nginx loses what is on its way when the client's end comes
def test_large_both_ways(streams):
    """48 MiB go up and come down again at the same time, unchanged."""
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(echo)})
    sent = hashlib.sha256()
    with connect(one.address(), 60) as conn:
        def send():
            for i in range(48 * MIB // len(BLOCK)):
                block = struct.pack("!I", i) + BLOCK[4:]
                sent.update(block)
                conn.sendall(block)
            conn.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got, count = digest_of_all(conn)
        sender.join()
    assert count == 48 * MIB
    assert got == sent.hexdigest()


@pytest.mark.wproxy_only
def test_client_half_close(streams):
    """The client's end is passed on, and what the back end says to all of it is heard."""
    def talk(conn):
        digest, count = digest_of_all(conn)
        conn.sendall(("%s %d" % (digest, count)).encode())
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(talk)})
    data = os.urandom(4 * MIB)
    assert ask(one.address(), data).decode() == "%s %d" % (
        hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.wproxy_only
def test_back_end_half_close(streams):
    """The back end ends first; what the client still says reaches it."""
    heard = []

    def talk(conn):
        conn.sendall(b"go")
        conn.shutdown(socket.SHUT_WR)
        heard.append(read_all(conn))
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(talk)}, ready=[])
    wait_until(lambda: server.accepts(one.address()), 10, "start")
    wait_until(lambda: heard, 10, "the probe's end")
    del heard[:]
    with connect(one.address()) as conn:
        assert read_all(conn) == b"go"
        conn.sendall(b"late words")
    wait_until(lambda: heard == [b"late words"], 10, "the words behind the end")


def test_slow_reader_bounded(streams):
    """A reader that does not read stops the back end: the proxy's memory does not grow."""
    sent = []

    def talk(conn):
        if not conn.recv(1):
            return
        for _ in range(256 * MIB // len(BLOCK)):
            conn.sendall(BLOCK)
            sent.append(len(BLOCK))
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(talk)})
    before = resident(one.worker())
    with connect(one.address(), 60) as conn:
        conn.sendall(b"x")
        last = [-1]

        def quiet():
            still, last[0] = last[0] == len(sent) and len(sent) > 0, len(sent)
            return still
        wait_until(quiet, 20, "the back end is held back", step=0.3)
        assert sum(sent) < 64 * MIB
        assert resident(one.worker()) - before < 8 * MIB
        assert digest_of_all(conn)[1] == 256 * MIB


def resident(pid):
    with open("/proc/%d/statm" % pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- peers -------------------------------------------------------------------------------------

def test_dead_peer(streams):
    """Every connection is served although one of two peers is dead; the log says which."""
    dead = free_port()
    one = streams("""upstream two { server 127.0.0.1:%d; server @back.a@; }
        server { listen @host@:@port@; proxy_pass two; }""" % dead,
                  backs={"a": Backend(echo)})
    for i in range(20):
        with connect(one.address()) as conn:
            conn.sendall(b"%d" % i)
            assert conn.recv(100) == b"%d" % i
    one.wait_logged('connect() failed (111: Connection refused) while connecting to upstream, '
                    'client: 127.0.0.1, server: %s:%d, upstream: "127.0.0.1:%d", '
                    'bytes from/to client:0/0, bytes from/to upstream:0/0'
                    % (one.address() + (dead,)))
    one.wait_logged("upstream server temporarily disabled while connecting to upstream")


def test_all_dead(streams):
    one = streams(FORMAT + """upstream two { server 127.0.0.1:%d; server 127.0.0.1:%d; }
        server { listen @host@:@port@; proxy_pass two; }""" % (free_port(), free_port()),
                  ready=[])
    wait_until(lambda: server.accepts(one.address()), 10, "start")
    assert ask(one.address()) == b""
    wait_until(lambda: " TCP 502 0 " in one.read("access.log"), 10, "502 in the log")


@pytest.mark.wproxy_only
def test_recovery(streams):
    """A group whose peers have all failed is tried all the same: no fail_timeout of silence."""
    port = free_port()
    one = streams("""upstream two { server 127.0.0.1:%d; server 127.0.0.1:%d; }
        server { listen @host@:@port@; proxy_pass two; }""" % (port, free_port()), ready=[])
    wait_until(lambda: server.accepts(one.address()), 10, "start")
    assert ask(one.address()) == b""
    back = Backend(echo, port=port)
    try:
        assert ask(one.address()) == b"ping"
    finally:
        back.stop()


def test_next_upstream_off(streams):
    one = streams("""upstream two { server 127.0.0.1:%d max_fails=0; server @back.a@; }
        server { listen @host@:@port@; proxy_pass two; proxy_next_upstream off; }"""
                  % free_port(), backs={"a": Backend(named(b"a"))})
    got = set()
    for _ in range(4):
        with connect(one.address()) as conn:
            with contextlib.suppress(OSError):
                got.add(conn.recv(1))
    assert got == {b"", b"a"}


def test_least_conn_and_hash(streams):
    backs = {"a": Backend(named(b"a")), "b": Backend(named(b"b"))}
    one = streams("""upstream least { least_conn; server @back.a@; server @back.b@; }
        upstream sticky { hash $remote_addr consistent; server @back.a@; server @back.b@; }
        server { listen @host@:@port@; proxy_pass least; }
        server { listen @host@:@port.sticky@; proxy_pass sticky; }""", backs=backs)
    wait_until(lambda: backs["a"].open == backs["b"].open == 0, 10, "the probes are over")
    with contextlib.ExitStack() as stack:
        got = [stack.enter_context(connect(one.address())).recv(1) for _ in range(6)]
    assert sorted(got) == [b"a"] * 3 + [b"b"] * 3
    seen = set()
    for _ in range(6):
        with connect(one.address("sticky")) as conn:
            seen.add(conn.recv(1))
    assert len(seen) == 1


def test_map_in_proxy_pass(streams):
    one = streams("""upstream a { server @back.a@; }
        map $server_port $where { @port.a@ a; @port.b@ @back.b@; default nowhere; }
        server { listen @host@:@port.a@; listen @host@:@port.b@; listen @host@:@port.c@;
                 proxy_pass $where; }""",
                  backs={"a": Backend(named(b"a")), "b": Backend(named(b"b"))}, ready=[])
    wait_until(lambda: server.accepts(one.address("a")), 10, "start")
    assert ask(one.address("a"), b"1") == b"a1" or server.subject_is_nginx()
    assert ask(one.address("b"), b"2") == b"b2" or server.subject_is_nginx()
    assert ask(one.address("c")) == b""


@server.needs_localhost
@pytest.mark.wproxy_only
def test_name_in_proxy_pass(streams):
    """A name that variables make is looked up; one that nobody knows closes the connection."""
    back = Backend(named(b"a"))
    one = streams("""map $server_port $where { @port.a@ localhost:%d; default no.such.invalid:1; }
        server { listen @host@:@port.a@; listen @host@:@port.b@; proxy_pass $where;
                 resolver_timeout 1s; }""" % back.port, backs={"a": back}, ready=[])
    wait_until(lambda: server.accepts(one.address("a")), 10, "start")
    assert ask(one.address("a"), b"1") == b"a1"
    assert ask(one.address("b")) == b""
    one.wait_logged("no.such.invalid could not be resolved")


# -- settings ----------------------------------------------------------------------------------

def test_deny(streams):
    one = streams("""server { listen @host@:@port@; proxy_pass @back.a@; deny 127.0.0.1;
        allow all; }""", backs={"a": Backend(named(b"a"))})
    assert ask(one.address()) == b""
    one.wait_logged("access forbidden by rule while initializing session, client: 127.0.0.1, "
                    "server: %s:%d" % one.address())


def test_timeout(streams):
    one = streams("""server { listen @host@:@port@; proxy_pass @back.a@; proxy_timeout 300ms; }""",
                  backs={"a": Backend(named(b"a"))})
    with connect(one.address()) as conn:
        assert read_all(conn) == b"a"
    one.wait_logged("connection timed out (110: Connection timed out) while proxying connection")


def test_connect_timeout(streams):
    """A peer whose queue is full takes no connection: the next one does."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    try:
        for _ in range(4):
            extra = socket.socket()
            extra.setblocking(False)
            extra.connect_ex(full.getsockname())
            waiting.append(extra)
        one = streams("""upstream two { server 127.0.0.1:%d; server @back.a@; }
            server { listen @host@:@port@; proxy_pass two; proxy_connect_timeout 200ms; }"""
                      % full.getsockname()[1], backs={"a": Backend(named(b"a"))})
        for _ in range(3):
            with connect(one.address()) as conn:
                assert conn.recv(1) == b"a"
        one.wait_logged("upstream timed out (110: Connection timed out) while connecting to "
                        "upstream")
    finally:
        for extra in waiting + [full]:
            extra.close()


def test_proxy_protocol(streams):
    """Sent to the back end, and read from whoever is in front."""
    one = streams("""server { listen @host@:@port@; proxy_pass @back.a@; proxy_protocol on; }
        server { listen @host@:@port.in@ proxy_protocol; proxy_pass @back.a@; }""",
                  backs={"a": Backend(echo)})
    with connect(one.address()) as conn:
        want = b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (
            conn.getsockname()[1], one.ports["main"])
        conn.sendall(b"hello")
        assert read_exactly(conn, len(want) + 5) == want + b"hello"
    with connect(one.address("in")) as conn:
        conn.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nwords")
        assert read_exactly(conn, 5) == b"words"


def test_bind(streams):
    def talk(conn):
        conn.sendall(conn.getpeername()[0].encode())
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; proxy_bind 127.0.0.9; }",
                  backs={"a": Backend(talk)})
    with connect(one.address()) as conn:
        assert read_all(conn) == b"127.0.0.9"


def test_unix_sockets(own, streams):
    folder = own.folder()
    path = os.path.join(folder, "back")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen(5)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                conn, _ = listener.accept()
                with conn:
                    echo(conn)
    threading.Thread(target=serve, daemon=True).start()
    one = streams("server { listen @host@:@port@; proxy_pass unix:%s; }" % path)
    with connect(one.address()) as conn:
        conn.sendall(b"unix")
        assert read_exactly(conn, 4) == b"unix"
    listener.close()


def test_tls(own, streams):
    """The client's side under TLS; the back end sees what was said."""
    import ssl
    certificate, key = make_certificate(own.folder())
    one = streams("""ssl_certificate %s; ssl_certificate_key %s;
        server { listen @host@:@port@ ssl; proxy_pass @back.a@; ssl_protocols TLSv1.3; }"""
                  % (certificate, key), backs={"a": Backend(echo)})
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    with context.wrap_socket(connect(one.address())) as conn:
        conn.sendall(BLOCK * 16)
        assert read_exactly(conn, len(BLOCK) * 16) == BLOCK * 16
        assert conn.version() == "TLSv1.3"


@pytest.mark.parametrize("verify", ["on", "optional"])
def test_tls_client_certificate(own, streams, verify):
    """Without a certificate there is no connection where one is required."""
    import ssl
    certificate, key = make_certificate(own.folder())
    one = streams("""ssl_certificate %s; ssl_certificate_key %s; ssl_client_certificate %s;
        server { listen @host@:@port@ ssl; proxy_pass @back.a@; ssl_verify_client %s; }"""
                  % (certificate, key, certificate, verify), backs={"a": Backend(named(b"a"))})
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    got = b""
    with contextlib.suppress(OSError), context.wrap_socket(connect(one.address())) as conn:
        got = conn.recv(1)
    assert got == (b"" if verify == "on" else b"a")


# -- whoever leaves ----------------------------------------------------------------------------

def reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def test_client_gone(streams):
    """A client that is cut off takes its back-end connection with it."""
    back = Backend(named(b"a"))
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }", backs={"a": back})
    conn = connect(one.address())
    assert conn.recv(1) == b"a" and back.open >= 1  # with the probe's, it may be two
    reset(conn)
    wait_until(lambda: back.open == 0, 2, "the back end hears of it")


def test_back_end_gone(streams):
    def talk(conn):
        conn.recv(1)
        reset(conn)
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(talk)})
    with connect(one.address(), 2) as conn:
        conn.sendall(b"x")
        with contextlib.suppress(ConnectionResetError):
            assert conn.recv(1) == b""


@pytest.mark.wproxy_only
def test_connections_are_counted(streams):
    """A session counts against worker_connections: the next client waits for its end."""
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(named(b"a"))}, connections=2, threads=1)
    with connect(one.address()) as first, connect(one.address()) as second:
        assert first.recv(1) == second.recv(1) == b"a"
        third = connect(one.address(), 0.3)
        with pytest.raises(socket.timeout):
            third.recv(1)
        second.close()
        third.settimeout(10)
        assert third.recv(1) == b"a"
        third.close()


@pytest.mark.wproxy_only
def test_a_shortage_is_not_the_peers_fault(streams):
    """Where no descriptor is left for the way to a back end, none of them is marked as failed for it."""
    one = streams("upstream x { server @back.a@; server @back.b@; } server { listen @host@:@port@; proxy_pass x; }",
                  backs={"a": Backend(named(b"a")), "b": Backend(named(b"b"))},
                  main="worker_rlimit_nofile 48;", connections=512, threads=1)
    with contextlib.ExitStack() as held:
        def short():
            held.enter_context(connect(one.address()))
            return "Too many open files" in one.errors()
        wait_until(short, 10, "the shortage")
    assert "temporarily disabled" not in one.errors()


# -- the process -------------------------------------------------------------------------------

def test_reload_in_flight(streams):
    """A session outlives the configuration that it began with; new ones follow the new one."""
    backs = {"a": Backend(named(b"a")), "b": Backend(named(b"b"))}
    text = """upstream x { server @back.%s@; }
        server { listen @host@:@port@; proxy_pass x; }"""
    more = "server { listen @host@:@port.extra@; proxy_pass x; }"
    one = streams(text % "a" + more, backs=backs)
    with connect(one.address()) as old, connect(one.address("extra")) as removed:
        assert old.recv(1) == removed.recv(1) == b"a"
        for wanted in (b"b", b"a", b"b"):
            one.write(text % wanted.decode())
            one.kick(signal.SIGHUP)

            def served():
                for _ in range(8):
                    with connect(one.address()) as new:
                        if new.recv(1) != wanted:
                            return False
                return True
            wait_until(served, 10, "new connections go to %s" % wanted.decode())
            for conn in (old, removed):
                conn.sendall(BLOCK)
                assert read_exactly(conn, len(BLOCK)) == BLOCK
        assert not server.accepts(one.address("extra"))
        old.shutdown(socket.SHUT_WR)
        assert read_all(old) == b""


def test_reload_between_http_and_stream(own):
    """A port may change sides."""
    whole = WHOLE.replace("stream {\n@http@\n}", "@http@")
    back = own.keep(Backend(named(b"stream\n")))
    http = "http { access_log off; server { listen @host@:@port@; return 200 http; } }"
    stream = "stream { server { listen @host@:@port@; proxy_pass %s; } }" % back.name
    one = own.server(http, whole=whole)
    question = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(one.address()) as idle:
        idle.sendall(question)
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        for text, answer in ((stream, b"stream\n"), (http, b"HTTP/1.1 200"), (stream, b"stream\n")):
            one.write(text)
            one.kick(signal.SIGHUP)

            def served():
                with connect(one.address()) as new:
                    new.sendall(question)
                    return new.recv(1000).startswith(answer)
            wait_until(lambda: all(served() for _ in range(6)), 10, "%r" % answer)


def test_quit_waits(streams):
    """QUIT takes no new connections and lets the old ones end; TERM does not wait."""
    one = streams("server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(named(b"a"))})
    with connect(one.address()) as conn:
        assert conn.recv(1) == b"a"
        one.kick(signal.SIGQUIT)
        wait_until(lambda: not server.accepts(one.address()), 10, "the port is closed")
        conn.sendall(b"still here")
        assert read_exactly(conn, 10) == b"still here"
        assert one.alive()
    assert one.wait() == 0


def test_term_ends(streams):
    one = streams(FORMAT + "server { listen @host@:@port@; proxy_pass @back.a@; }",
                  backs={"a": Backend(named(b"a"))})
    with connect(one.address()) as conn:
        assert conn.recv(1) == b"a"
        one.kick(signal.SIGTERM)
        assert one.wait(3) == 0
        with contextlib.suppress(ConnectionResetError):
            assert conn.recv(1) == b""


# -- the documented file -----------------------------------------------------------------------

def test_catmaid_replication(own, shared):
    """CATMAID's documented file, its two ports replaced, in front of a scripted PostgreSQL."""
    def hello(conn):
        head = read_exactly(conn, 8)
        if len(head) < 8:
            raise EOFError  #  the harness only looks whether somebody listens
        return struct.unpack("!II", head)

    def postgres(conn):
        length, code = hello(conn)
        if (length, code) == (8, 80877103):		# SSLRequest: not today
            conn.sendall(b"N")
            length, code = hello(conn)
        assert code == 196608
        words = read_exactly(conn, length - 8).split(b"\0")
        conn.sendall(b"R" + struct.pack("!II", 8, 0) + b"Z" + struct.pack("!I", 5) + b"I")
        asked.append(words)
        echo(conn)
    asked = []
    back = own.keep(Backend(postgres))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs",
                        "20-catmaid-doc-stream-postgres.conf")
    with open(path) as file:
        text = file.read()
    assert "127.0.0.1:5432" in text and "listen 7432;" in text
    text = text.replace("127.0.0.1:5432", back.name).replace("listen 7432;",
                                                            "listen @host@:@port@;")
    text = text.replace("modules/ngx_stream_module.so", MODULE)
    one = own.server("", whole="daemon off; pid @prefix@/server.pid; error_log "
                     "@prefix@/error.log info;\n" + text)
    with connect(one.address()) as conn:
        conn.sendall(struct.pack("!II", 8, 80877103))
        assert conn.recv(1) == b"N"
        words = b"user\0replicator\0replication\0true\0\0"
        conn.sendall(struct.pack("!II", 8 + len(words), 196608) + words)
        assert read_exactly(conn, 15) == b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"
        conn.sendall(BLOCK)
        assert read_exactly(conn, len(BLOCK)) == BLOCK
    assert asked[-1][:2] == [b"user", b"replicator"]


# -- the language ------------------------------------------------------------------------------

SERVER = "server { listen 127.0.0.1:@port@; proxy_pass 127.0.0.1:1; %s }"
# Texts, and nginx's words about them.
WRONG = [
    ("server { listen 127.0.0.1:@port@; }", "no handler for server in @config@:"),
    ("server { proxy_pass 127.0.0.1:1; }", 'no "listen" is defined for server in @config@:'),
    ("server { listen 127.0.0.1:@port@; proxy_pass 127.0.0.1; }",
     'no port in upstream "127.0.0.1" in @config@:'),
    ("upstream a { server 127.0.0.1; } server { listen 127.0.0.1:@port@; proxy_pass a; }",
     'no port in upstream "127.0.0.1" in @config@:'),
    ("server { listen 127.0.0.1:@port@; proxy_pass nosuch; }", 'no port in upstream "nosuch" in'),
    ("server { listen 127.0.0.1:@port@; proxy_pass nosuch.invalid:1; }",
     'host not found in upstream "nosuch.invalid'),
    (SERVER % "proxy_pass 127.0.0.1:2;", '"proxy_pass" directive is duplicate in'),
    ("server { listen 127.0.0.1:@port@ default_server; proxy_pass 127.0.0.1:1; }",
     'the invalid "default_server" parameter in'),
    ("server { listen 127.0.0.1:@port@ deferred; proxy_pass 127.0.0.1:1; }",
     'the invalid "deferred" parameter in'),
    ("server { listen 127.0.0.1:@port@ bogus; proxy_pass 127.0.0.1:1; }",
     'the invalid "bogus" parameter in'),
    (SERVER % "" + SERVER % "", 'duplicate "127.0.0.1:@port@" address and port pair in'),
    (SERVER % "access_log /tmp/x;", "log format is not specified in"),
    (SERVER % "access_log /tmp/x combined;", 'unknown log format "combined" in'),
    ("log_format a $uri; " + SERVER % "access_log @prefix@/x a;", 'unknown "uri" variable'),
    ("upstream a { }", "no servers are inside upstream in"),
    ("upstream a { ip_hash; server 127.0.0.1:1; }", '"ip_hash" directive is not allowed here in'),
    ("upstream a { server 127.0.0.1:1; keepalive 1; }",
     '"keepalive" directive is not allowed here in'),
    (SERVER % "} } stream {", '"stream" directive is duplicate in'),
    ("server { listen 127.0.0.1:@port@ ssl; proxy_pass 127.0.0.1:1; }",
     'no "ssl_certificate" is defined for the "listen ... ssl" directive in @config@:'),
    ("server { listen 127.0.0.1:@port@; proxy_pass http://127.0.0.1:1; }",
     'invalid host in upstream "http://127.0.0.1:1" in'),
    ("server { listen 127.0.0.1:@port@; proxy_pass 127.0.0.1:99999; }",
     'invalid port in upstream "127.0.0.1:99999" in'),
    ("upstream a { server 127.0.0.1:1; } server { listen 127.0.0.1:@port@; proxy_pass a:12; }",
     'upstream "a" may not have port 12 in'),
    ("server { listen 127.0.0.1:@port@; proxy_pass unix:; }",
     'no path in the unix domain socket in upstream "unix:" in'),
    (SERVER % "proxy_next_upstream error;", 'invalid value "error" in "proxy_next_upstream" '
     'directive, it must be "on" or "off" in'),
    (SERVER % "proxy_timeout x;", '"proxy_timeout" directive invalid value in'),
    (SERVER % "location / { }", '"location" directive is not allowed here in'),
    (SERVER % "server_name x;", '"server_name" directive is not allowed here in'),
]
# What nginx has and wproxy says that it has not.
REFUSED = [
    ("server { listen 127.0.0.1:@port@ udp; proxy_pass 127.0.0.1:1; }",
     'the "udp" parameter is not implemented'),
    (SERVER % "ssl_preread on;", 'wproxy does not implement the "ssl_preread" directive'),
    (SERVER % "preread_timeout 1s;", 'wproxy does not implement the "preread_timeout" directive'),
    (SERVER % "preread_buffer_size 1k;",
     'wproxy does not implement the "preread_buffer_size" directive'),
    (SERVER % "proxy_ssl on;", 'wproxy does not implement the "proxy_ssl" directive'),
    (SERVER % "proxy_download_rate 1k;",
     'wproxy does not implement the "proxy_download_rate" directive'),
    (SERVER % "proxy_bind 127.0.0.1 transparent;", "transparent proxying is not implemented"),
]
RIGHT = [
    SERVER % ("proxy_connect_timeout 1s; proxy_timeout 1m; proxy_buffer_size 8k; proxy_bind off; "
              "proxy_socket_keepalive on; proxy_next_upstream on; proxy_next_upstream_tries 2; "
              "proxy_next_upstream_timeout 1s; proxy_protocol off; tcp_nodelay off; allow all; "
              "error_log @prefix@/own.log; resolver 127.0.0.1; resolver_timeout 1s; "
              "ssl_preread off; proxy_ssl off; proxy_half_close on; proxy_protocol_timeout 5s;"),
    "resolver 127.0.0.1 valid=1s; variables_hash_max_size 2048; map_hash_bucket_size 64; "
    + SERVER % "",
    "upstream a { zone a 64k; least_conn; server 127.0.0.1:1 weight=2 max_conns=3; "
    "server 127.0.0.1:2 backup; server 127.0.0.3:3 down; server unix:/x max_fails=0; } " + SERVER % "",
    "upstream a { hash $remote_addr; server 127.0.0.1:1; } upstream b { random two; "
    "server 127.0.0.1:1; server 127.0.0.1:2; } " + SERVER % "",
    "server { listen 127.0.0.1:@port@ backlog=5 so_keepalive=on bind reuseport; "
    "listen [::1]:@port@ ipv6only=on; proxy_pass 127.0.0.1:1; }",
    "geo $a { default 1; } split_clients $remote_addr $b { 50% x; * y; } "
    "map $a$b $c { default 127.0.0.1:1; } server { listen 127.0.0.1:@port@; proxy_pass $c; }",
]


def judge(scope, text, binary=None):
    """(status, what was said) of -t, and the names to fill expectations with."""
    folder = scope.folder()
    names = {"port": free_port(), "prefix": folder, "config": folder + "/server.conf",
             "threads": 1, "connections": 64, "level": "info", "main": "", "http": text}
    with open(names["config"], "w") as out:
        out.write(server.fill(WHOLE, names))
    done = subprocess.run([binary or server.SUBJECT, "-t", "-c", names["config"], "-p",
                           folder + "/", "-e", folder + "/error.log"],
                          capture_output=True, timeout=60)
    return done.returncode, done.stderr.decode(), names


@pytest.mark.parametrize("text, words", WRONG, ids=[w for _, w in WRONG])
def test_wrong(shared, text, words):
    status, said, names = judge(shared, text)
    assert status == 1 and "[emerg]" in said
    assert server.fill(words, names) in said
    if os.path.exists(MODULE):
        status, said, names = judge(shared, text, server.NGINX)
        assert status == 1 and server.fill(words, names) in said, "nginx: " + said


@pytest.mark.wproxy_only
@pytest.mark.parametrize("text, words", REFUSED, ids=[w for _, w in REFUSED])
def test_refused(shared, text, words):
    status, said, _ = judge(shared, text)
    assert status == 1 and "[emerg]" in said and words in said


@pytest.mark.parametrize("text", RIGHT, ids=range(len(RIGHT)))
def test_right(shared, text):
    status, said, _ = judge(shared, text)
    assert status == 0, said


@pytest.mark.wproxy_only
def test_same_port_twice(own):
    """http {} and stream {} cannot share an address."""
    port = free_port()
    status, said, _ = judge(own, "server { listen 127.0.0.1:%d; proxy_pass 127.0.0.1:1; } }\n"
                            "http { access_log off; server { listen 127.0.0.1:%d; }" % (port, port))
    assert status == 1
    assert "a duplicate listen 127.0.0.1:%d: http {} has it, and stream {}" % port in said


# -- beside nginx ------------------------------------------------------------------------------

BOTH = FORMAT + """
upstream two { server @dead@; server @back@; }
server { listen @host@:@port.echo@; proxy_pass @back@; }
server { listen @host@:@port.two@; proxy_pass two; }
server { listen @host@:@port.dead@; proxy_pass @dead@; }
server { listen @host@:@port.denied@; proxy_pass @back@; deny all; }
server { listen @host@:@port.slow@; proxy_pass @back@; proxy_timeout 250ms; }
"""


@pytest.mark.skipif(not os.path.exists(MODULE), reason="nginx's stream module is not installed")
@pytest.mark.wproxy_only
def test_like_nginx(own):
    """The same words to both servers: the same answers, access log and error log."""
    back = own.keep(Backend(named(b"name ")))
    dead = "127.0.0.1:%d" % free_port()
    pair = own.pair(BOTH, whole=WHOLE, names={"back": back.name, "dead": dead})
    seen = {}
    for role, one in pair.servers.items():
        skip = len(one.read("access.log")), len(one.errors())
        got = []
        for port in ("echo", "two", "dead", "denied", "slow"):
            words = b""
            with connect(one.address(port)) as conn:
                # A refused connection ends with FIN or, if the words came in time, with RST.
                with contextlib.suppress(OSError):
                    conn.sendall(b"words")
                    words = read_exactly(conn, 10)
                    if port == "slow":
                        words += read_all(conn)
            got.append((port, words))
        # Lines of the connections that looked whether the server is up may come late.
        wait_until(lambda: one.read("access.log")[skip[0]:].count("\n") >= 5, 10, "five lines")
        lines = sorted(one.read("access.log")[skip[0]:].splitlines()[-5:])
        wait_until(lambda: one.errors()[skip[1]:].count("[error]") >= 2, 10, "a refused one and a denied one")
        errors = sorted(pair.plain(role, line.split(" ", 5)[5]) for line in
                        one.errors()[skip[1]:].splitlines() if "[error]" in line)
        seen[role] = (got, lines, errors)
    assert seen["subject"] == seen["oracle"]
