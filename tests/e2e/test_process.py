"""Master, worker, signals, privileges, logs, descriptors: the life of the processes."""

import collections
import concurrent.futures
import os
import pwd
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

import server
from origin import OK
from server import Server, accepts, wait_until
from test_stream import memory, sanitized
from wire import Wire, WireError, fetch, request

HTTP = r"""
server {
    listen @host@:@port@;
    root @www@;
    location / { }
    location /ret { return 200 "returned"; }
    location /app { proxy_read_timeout 60s; proxy_pass http://@origin@; }
    location /up { proxy_request_buffering off; client_max_body_size 0; proxy_pass http://@origin@; }
    access_log @prefix@/access.log;
}
"""


@pytest.fixture(scope="module")
def app(shared):
    return shared.origin()


def make(scope, app, **options):
    return scope.server(HTTP.replace("@origin@", app.name), **options)


def status_of(pid, field):
    with open("/proc/%d/status" % pid) as status:
        return [x for x in status if x.startswith(field + ":")][0].split()[1:]


# -- start and stop --------------------------------------------------------------------------------

def test_processes(own, app):
    """One master, one worker, N threads in it."""
    one = make(own, app, threads=3 if not server.subject_is_nginx() else 1)
    workers = wait_until(one.workers, 5, "the worker")
    assert len(workers) == 1
    if not server.subject_is_nginx():
        wait_until(lambda: len(os.listdir("/proc/%d/task" % workers[0])) >= 3, 5, "three threads")
        assert len(os.listdir("/proc/%d/task" % one.pid)) == 1, "the master is single-threaded"


def test_pid_file(own, app):
    one = make(own, app)
    assert one.read("server.pid").strip() == str(one.pid)
    one.stop(signal.SIGTERM)
    assert not os.path.exists(one.prefix + "/server.pid")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fast_stop(own, app, number):
    """TERM and INT end within a second, also with requests under way."""
    one = make(own, app)
    app.scripts["/app/hold"] = lambda e, r: e.gone(10)
    with Wire(one.address()) as wire:
        wire.send(request("GET /app/hold"))
        wait_until(lambda: any(r.target == "/app/hold" for r in app.requests), 5, "the request is under way")
        begun = time.monotonic()
        one.kick(number)
        assert one.wait(5) == 0
        assert time.monotonic() - begun < (1.0 if not sanitized() else 3.0)
    app.clear()
    assert not accepts(one.address())
    one.process = None
    one.check_logs()


def test_quit_drains(own, app):
    """QUIT: no new connections, idle ones closed, what is in flight is finished, then the end."""
    one = make(own, app)
    gate = threading.Event()

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        gate.wait(10)
        exchange.send(b"def")
    app.scripts["/app/slow"] = script
    idle = Wire(one.address())
    idle.ask(request("GET /a.txt"))
    busy = Wire(one.address())
    busy.send(request("GET /app/slow"))
    wait_until(lambda: any(r.target == "/app/slow" for r in app.requests), 5, "the request is under way")
    one.kick(signal.SIGQUIT)
    wait_until(lambda: not accepts(one.address()), 5, "no new connections")
    assert idle.closes(5)
    gate.set()
    got = busy.read_response()
    assert got.body == b"abcdef"
    assert one.wait(10) == 0
    one.process = None
    one.check_logs()
    idle.close()
    busy.close()
    app.clear()


@pytest.mark.parametrize("word, status", [("stop", 0), ("quit", 0)])
def test_signal_option(own, app, word, status):
    """-s stop and -s quit reach the master through the pid file."""
    one = make(own, app)
    done = subprocess.run(one.command("-s", word), capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert one.wait(10) == status
    one.process = None
    again = subprocess.run(one.command("-s", word), capture_output=True, timeout=20)
    assert again.returncode == 1
    assert b"[error]" in again.stderr or b"failed (2: No such file" in again.stderr


def test_check_option(own, app):
    """-s check is a health check: 0 while it runs and accepts, 1 when it is gone."""
    one = make(own, app)
    assert subprocess.run(one.command("-s", "check"), timeout=20).returncode == 0
    assert subprocess.run(one.command("-s", "stop"), timeout=20).returncode == 0
    one.wait(10)
    one.process = None
    gone = subprocess.run(one.command("-s", "check"), capture_output=True, timeout=20)
    assert gone.returncode == 1
    assert b"failed" in gone.stderr or b"no process" in gone.stderr


def test_reopen(own, app):
    """USR1 and -s reopen: log files are opened anew; nothing is lost."""
    one = make(own, app)
    path = one.prefix + "/access.log"
    for i, how in enumerate(("signal", "option")):
        assert fetch(one.address(), "GET /a.txt?before%d" % i).status == 200
        wait_until(lambda: "before%d" % i in one.read("access.log"), 5, "the line before")
        os.rename(path, path + ".%d" % i)
        if how == "signal":
            one.kick(signal.SIGUSR1)
        else:
            assert subprocess.run(one.command("-s", "reopen"), timeout=20).returncode == 0
        wait_until(lambda: os.path.exists(path), 5, "a new file")
        asked = []

        def in_new_file():
            asked.append(fetch(one.address(), "GET /a.txt?after%d" % i).status)
            return "after%d" % i in one.read("access.log")
        wait_until(in_new_file, 5, "a line in the new file", step=0.05)

        def lines():
            return (one.read("access.log") + one.read("access.log.%d" % i)).count("after%d" % i)
        wait_until(lambda: lines() == len(asked), 5, "no line is lost")
        assert asked == [200] * len(asked)


def test_moved_log_with_variables(own, app):
    """A log whose name has variables goes on in a new file once the old one was moved away."""
    one = own.server("server { listen @host@:@port@; root @www@;"
                     " access_log @prefix@/open/$arg_f.log combined; }")
    with Wire(one.address()) as wire:
        for i in range(3):
            for name in ("one", "two"):
                log = "open/%s.log" % name
                assert wire.ask(request("GET /a.txt?f=%s&n=%d" % (name, i))).status == 200
                wait_until(lambda: "n=%d" % i in one.read(log), 5, "the line")
                os.rename(one.prefix + "/" + log, "%s/%s.%d" % (one.prefix, log, i))
    for i in range(3):
        for name in ("one", "two"):
            assert one.read("open/%s.log.%d" % (name, i)).count("\n") == 1


def test_log_lines_survive_a_stop(own, app):
    """Every line is written before the connection closes and before a stop ends."""
    one = make(own, app)
    for i in range(50):
        fetch(one.address(), "GET /a.txt?n%d" % i)
    one.stop(signal.SIGQUIT)
    assert one.read("access.log").count("\n") == 50


def test_daemon(own, app):
    """Without `daemon off;` the command detaches, as nginx does."""
    port = server.free_port()
    folder = own.folder()
    config = folder + "/daemon.conf"
    foreign = server.FOREIGN.replace("@prefix@", folder) if server.subject_is_nginx() else ""
    with open(config, "w") as out:
        out.write("pid %s/d.pid; error_log %s/error.log; events { }\nhttp { access_log off; %s\n"
                  "client_body_temp_path %s/b; proxy_temp_path %s/p;\n"
                  "server { listen 127.0.0.1:%d; return 200 detached; } }\n"
                  % (folder, folder, foreign, folder, folder, port))
    done = subprocess.run([server.SUBJECT, "-c", config, "-p", folder + "/", "-e", folder + "/error.log"],
                          stdin=subprocess.DEVNULL, timeout=20)
    assert done.returncode == 0
    wait_until(lambda: accepts(("127.0.0.1", port)), 10, "it accepts")
    assert fetch(("127.0.0.1", port), "GET /").body == b"detached"
    wait_until(lambda: os.path.exists(folder + "/d.pid") and os.path.getsize(folder + "/d.pid"), 5, "the pid file")
    with open(folder + "/d.pid") as file:
        pid = int(file.read())
    os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: not os.path.exists("/proc/%d" % pid)
               or status_of(pid, "State")[0] == "Z", 10, "it ended")


def test_bad_file_at_start(own):
    """A broken file: nothing starts, exit status 1, [emerg] on stderr and in the log."""
    one = own.server("server { listen @host@:@port@; bogus; }", start=False)
    done = subprocess.run(one.command(), capture_output=True, timeout=20)
    assert done.returncode == 1
    assert b'[emerg]' in done.stderr and b'unknown directive "bogus"' in done.stderr
    assert 'unknown directive "bogus"' in one.errors()
    one.process = None


# -- crashes ---------------------------------------------------------------------------------------

def test_worker_killed(own, app):
    """kill -9 of the worker: a new one serves in under 100 ms; the listeners never refuse."""
    one = make(own, app)
    one.allow_trouble = True
    assert fetch(one.address(), "GET /a.txt").status == 200
    for _ in range(3):
        old = one.worker()
        os.kill(old, signal.SIGKILL)
        begun = time.monotonic()
        with Wire(one.address()) as wire:       # connect() itself must not be refused
            got = None
            try:
                got = wire.ask(request("GET /a.txt"))
            except WireError:
                pass
        if got is None:                          # accepted by the dying worker: ask once more
            got = fetch(one.address(), "GET /a.txt")
        took = time.monotonic() - begun
        assert got.status == 200
        assert took < (0.1 if not sanitized() else 1.5), took
        wait_until(lambda: set(one.workers()) - {old}, 5, "a new worker")
    assert one.alive()
    assert "exited on signal 9" in one.errors()


def test_listener_never_refuses(own, app):
    """Connections attempted all the while a worker is killed are never refused."""
    one = make(own, app)
    one.allow_trouble = True
    stop = threading.Event()
    refused = []

    def knock():
        while not stop.is_set():
            probe = socket.socket()
            try:
                probe.connect(one.address())
            except ConnectionRefusedError:
                refused.append(1)
            except OSError:
                pass
            probe.close()
    threads = [threading.Thread(target=knock) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        old = one.worker()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: set(one.workers()) - {old}, 5, "a new worker")
        assert fetch(one.address(), "GET /a.txt", timeout=5).status == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert not refused


# -- privileges ------------------------------------------------------------------------------------

@pytest.mark.root
def test_privileges_dropped(own, app):
    """The worker is the configured user, in all its threads; the master stays root."""
    one = make(own, app, main="user www-data;")
    uid = str(pwd.getpwnam("www-data").pw_uid)
    worker = one.worker()
    wait_until(lambda: status_of(worker, "Uid") == [uid] * 4, 5, "the user is dropped")
    for task in os.listdir("/proc/%d/task" % worker):
        with open("/proc/%d/task/%s/status" % (worker, task)) as status:
            text = status.read()
        assert re.search(r"^Uid:\s+%s\s+%s\s+%s\s+%s$" % ((uid,) * 4), text, re.M)
        assert re.search(r"^CapEff:\s+0+$", text, re.M)
    assert status_of(one.pid, "Uid")[0] == "0"
    assert fetch(one.address(), "GET /a.txt").status == 200


@pytest.mark.root
def test_default_user_is_nobody(own, app):
    one = make(own, app)
    worker = one.worker()
    wait_until(lambda: status_of(worker, "Uid")[1] == "65534", 5, "nobody")


@pytest.mark.root
def test_unreadable_file(own, app):
    """A file that only root may read is 403, and the log says why."""
    folder = own.folder()
    with open(folder + "/secret.txt", "w") as out:
        out.write("secret")
    os.chmod(folder + "/secret.txt", 0o600)
    one = own.server("server { listen @host@:@port@; root %s; }" % folder)
    assert fetch(one.address(), "GET /secret.txt").status == 403
    one.wait_logged("(13: Permission denied)")


@pytest.mark.root
def test_as_ordinary_user(own, app):
    """Started by an ordinary user it serves files, proxies and spools bodies; `user` is only a warning."""
    one = make(own, app, user=65534, main="user www-data;")
    assert status_of(one.pid, "Uid")[1] == "65534"
    assert fetch(one.address(), "GET /a.txt").status == 200
    app.reply = OK
    app.clear()
    got = fetch(one.address(), "POST /app", body=b"x" * 200000)
    assert got.status == 200 and len(app.take(1)[0].body) == 200000
    assert 'the "user" directive makes sense only if the master process runs with super-user privileges' in one.said()


# -- logs and folders that cannot be written -------------------------------------------------------

@pytest.mark.root
def test_log_folder_unwritable_at_reopen(own, app):
    """A log that cannot be reopened: served on."""
    one = make(own, app, user=65534)
    os.rename(one.prefix + "/access.log", one.prefix + "/gone.log")
    os.chmod(one.prefix, 0o555)
    os.chown(one.prefix, 0, 0)
    size = len(one.errors())
    one.kick(signal.SIGUSR1)
    wait_until(lambda: "ermission denied" in one.errors()[size:], 5, "it says so")
    for _ in range(20):
        assert fetch(one.address(), "GET /a.txt").status == 200
    assert one.alive()
    os.chown(one.prefix, 65534, 65534)
    os.chmod(one.prefix, 0o755)


def test_full_log_device(own, app):
    """A log on a full device: served on, said, not once per request."""
    one = own.server("server { listen @host@:@port@; root @www@; access_log /dev/full; }")
    with Wire(one.address()) as wire:
        for _ in range(200):
            assert wire.ask(request("GET /a.txt")).status == 200
    assert one.errors().count("No space left") <= 20


@pytest.mark.root
def test_temp_folder_unwritable(own, app):
    """A body that must be spooled where nothing can be written is a 500 with a [crit] line, and only that."""
    one = make(own, app)
    app.reply = OK
    body = one.prefix + "/body"
    wait_until(lambda: os.path.isdir(body), 5, "the temp folder is made")
    os.chown(body, 0, 0)
    os.chmod(body, 0o700)
    got = fetch(one.address(), "POST /app", body=b"x" * 100000)
    assert got.status == 500
    one.wait_logged("[crit]")
    assert fetch(one.address(), "POST /app", body=b"small").status == 200
    assert fetch(one.address(), "GET /a.txt").status == 200
    app.clear()


# -- descriptors -----------------------------------------------------------------------------------

def test_descriptors_run_out(own, app):
    """EMFILE: new connections wait, nothing spins, service resumes."""
    one = make(own, app, main="worker_rlimit_nofile 48;", connections=512, threads=2)
    one.allow_trouble = True
    wires = []
    try:
        for _ in range(100):
            wires.append(Wire(one.address(), timeout=3))
        served = 0
        for wire in wires[:8]:
            served += wire.ask(request("GET /ret")).status == 200
        assert served == 8
        before = cpu(one)
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 0.6, 5, "a while without descriptors")
        assert cpu(one) - before < 0.3, "it spins"
    finally:
        for wire in wires:
            wire.close()

    def served_again():
        try:
            return fetch(one.address(), "GET /a.txt", timeout=3).status == 200
        except (WireError, OSError):
            return False
    wait_until(served_again, 10, "service resumes")
    assert one.alive()


def cpu(one):
    """Seconds of CPU that the server's processes have used."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in [one.pid] + one.workers():
        with open("/proc/%d/stat" % pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / ticks


def test_idle_server_sleeps(own, app):
    """Idle connections cost no CPU."""
    one = make(own, app)
    wires = [Wire(one.address()) for _ in range(50)]
    for wire in wires:
        wire.ask(request("GET /a.txt"))
    before = cpu(one)
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 1.0, 5, "a second")
    assert cpu(one) - before <= 0.05
    for wire in wires:
        wire.close()


def test_slow_clients(own, app):
    """Slow heads, slow bodies and slow readers by the hundred do not disturb others and cost little."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    each = 300 if min(soft, 1 << 30) > 2500 else 100
    one = make(own, app, connections=2048)
    app.reply = OK
    before = memory(one)
    wires = []
    try:
        for _ in range(each):
            wire = Wire(one.address())
            wire.send(b"GET /a.txt HTTP/1.1\r\nHost: x\r\nX-Slow")
            wires.append(wire)
        for _ in range(each):
            wire = Wire(one.address())
            wire.send(request("POST /app", "Content-Length: 100000") + b"part of it")
            wires.append(wire)
        for _ in range(each // 3):
            wire = Wire(one.address(), receive_buffer=4096)
            wire.send(request("GET /big.bin"))
            wires.append(wire)
        last = [-1.0]

        def filled():
            now = cpu(one)
            same, last[0] = now == last[0], now
            return same
        wait_until(filled, 30, "the readers' socket buffers are full", step=0.1)
        begun = time.monotonic()
        for _ in range(100):
            assert fetch(one.address(), "GET /a.txt").status == 200
            assert fetch(one.address(), "GET /app").status == 200
        assert time.monotonic() - begun < 5 or sanitized()
        if not sanitized():
            assert memory(one) - before < 64 << 20
    finally:
        for wire in wires:
            wire.close()
    app.clear()


# -- files that change while they are sent ---------------------------------------------------------

@pytest.fixture
def changing(own):
    folder = own.folder()
    one = own.server("server { listen @host@:@port@; root %s; sendfile on; }"
                     "server { listen @host@:@port.copy@; root %s; sendfile off; }" % (folder, folder))
    return one, folder


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)
    os.chmod(path, 0o644)


@pytest.mark.parametrize("port", ["main", "copy"])
def test_file_truncated(changing, port):
    """A file that shrinks while it is sent: no crash, the connection is closed short."""
    one, folder = changing
    write(folder + "/shrink.bin", b"s" * 40000000)
    with Wire(one.address(port), timeout=10, receive_buffer=8192) as wire:
        wire.send(request("GET /shrink.bin"))
        head = wire.read_head()
        assert head.get("Content-Length") == "40000000"
        wire.read_exactly(1000)
        os.truncate(folder + "/shrink.bin", 100)
        rest = wire.read_to_end()
        assert len(rest) < 40000000 - 1000
    assert fetch(one.address(port), "GET /shrink.bin").body == b"s" * 100


@pytest.mark.parametrize("port", ["main", "copy"])
def test_file_replaced(changing, port):
    """A file that is replaced or deleted while it is sent: the old one comes whole, the new one next."""
    one, folder = changing
    write(folder + "/swap.bin", b"o" * 6000000)
    with Wire(one.address(port), timeout=10, receive_buffer=8192) as wire:
        wire.send(request("GET /swap.bin"))
        wire.read_head()
        wire.read_exactly(1000)
        write(folder + "/new.bin", b"n" * 10)
        os.rename(folder + "/new.bin", folder + "/swap.bin")
        assert wire.read_exactly(6000000 - 1000) == b"o" * (6000000 - 1000)
    assert fetch(one.address(port), "GET /swap.bin").body == b"n" * 10
    os.unlink(folder + "/swap.bin")
    assert fetch(one.address(port), "GET /swap.bin").status == 404


def test_fresh_files(changing):
    """An edited, replaced, truncated, touched or deleted file is seen by the next request."""
    one, folder = changing
    path = folder + "/f.txt"
    with Wire(one.address()) as wire:
        for i in range(40):
            text = b"version %d" % i
            if i % 3 == 0:
                write(path, text)
            elif i % 3 == 1:
                write(path + ".new", text)
                os.rename(path + ".new", path)
            else:
                os.unlink(path)
                assert wire.ask(request("GET /f.txt")).status == 404
                write(path, text)
            got = wire.ask(request("GET /f.txt"))
            assert got.status == 200 and got.body == text, i
            again = wire.ask(request("GET /f.txt", "If-None-Match: " + got.get("ETag")))
            assert again.status == 304


def test_directory_becomes_file(changing):
    one, folder = changing
    os.mkdir(folder + "/thing")
    assert fetch(one.address(), "GET /thing").status == 301
    os.rmdir(folder + "/thing")
    write(folder + "/thing", b"now a file")
    assert fetch(one.address(), "GET /thing").body == b"now a file"


def test_special_files(changing):
    """Sockets, pipes and devices are never opened for reading by a request."""
    one, folder = changing
    os.mkfifo(folder + "/pipe")
    os.chmod(folder + "/pipe", 0o666)
    got = fetch(one.address(), "GET /pipe", timeout=5)
    assert got.status in (403, 404)
    assert fetch(one.address(), "GET /pipe").status in (403, 404)


def test_parallel_downloads(own, app):
    """40 clients download 3 MB each at once; every byte is right."""
    one = make(own, app)
    want = bytes(range(256)) * 4096 * 3

    def load(_):
        return fetch(one.address(), "GET /big.bin", timeout=60).body == want
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert all(pool.map(load, range(40)))


def test_threads_share_the_work(own, app):
    """Connections spread over all threads."""
    if server.subject_is_nginx():
        pytest.skip("nginx has no threads")
    one = make(own, app, threads=4)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(s == 404 for s in pool.map(
            lambda _: fetch(one.address(), "GET /none").status, range(600)))
    lines = one.errors().split("\n")
    told = collections.Counter(line.split("#")[1].split(":")[0] for line in lines if "open() " in line and "/none" in line)
    assert len(told) == 4 and min(told.values()) > 30, told


def test_ipv6_and_unix(own, app):
    """Listeners on [::1] and on a unix socket."""
    folder = own.folder()
    port = server.free_port(("::1",))
    one = own.server("server { listen [::1]:%d; listen unix:%s/l.sock; root @www@; "
                     "location /who { return 200 \"$remote_addr\"; } }" % (port, folder),
                     ready=[("::1", port), folder + "/l.sock"])
    assert fetch(("::1", port), "GET /who").body == b"::1"
    assert fetch(folder + "/l.sock", "GET /who").body == b"unix:"
    assert fetch(folder + "/l.sock", "GET /a.txt").status == 200
    one.stop(signal.SIGTERM)
    assert not os.path.exists(folder + "/l.sock")
    assert isinstance(one, Server)


@pytest.mark.wproxy_only
def test_reload_that_ends_with_the_worker_is_told(own):
    """systemd waits for the end of each reload, also of one that is given up because the worker died."""
    folder = own.folder()
    path = os.path.join(folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(10)
        one = own.server("server { listen @host@:@port@; return 200; }", env={"NOTIFY_SOCKET": path})
        one.allow_trouble = True
        assert notify.recv(4096).startswith(b"READY=1")
        worker = one.worker()
        os.kill(worker, signal.SIGSTOP)
        one.kick(signal.SIGHUP)
        assert notify.recv(4096).startswith(b"RELOADING=1")
        os.kill(worker, signal.SIGKILL)
        assert notify.recv(4096).startswith(b"READY=1")
        wait_until(lambda: set(one.workers()) - {worker}, 5, "a new worker")
