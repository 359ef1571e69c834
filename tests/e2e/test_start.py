"""First contact: a start that fails says in one line what failed, where, and what would help.

Each line begins with nginx's own words, which the oracle is asked for; behind them stand the
place and, in parentheses, the cure.
"""

import os
import re
import resource
import socket
import subprocess

import pytest

from certificate import make_certificate
from server import NGINX, SUBJECT, accepts, free_port, wait_until
from wire import fetch

pytestmark = pytest.mark.wproxy_only

NOBODY = 65534
FRAME = """daemon %(daemon)s;
pid %(folder)s/%(pid)s;  # pid
error_log %(folder)s/%(error_log)s;  # error_log
%(main)s  # main
events { }
http {
    access_log off;
    client_body_temp_path %(folder)s/open/body;
    proxy_temp_path %(folder)s/open/proxy;
%(foreign)s
%(http)s  # http
}
"""
LISTEN = "server { listen 127.0.0.1:@port@; }"
NO_FOLDER = r'there is no folder "@folder@/nope": make it or correct the path'
BARRED = (r'account "nobody" may not enter "@folder@/secret", which belongs to account "root" '
          r'and has mode 0700')


class Case:
    def __init__(self, http=LISTEN, mark="http", hint="", *, main="", pid="open/server.pid",
                 error_log="open/error.log", user=None, place="in", words=None):
        self.http, self.mark, self.hint, self.main = http, mark, hint, main
        self.pid, self.error_log, self.user = pid, error_log, user
        self.place = place
        self.words = words      # where nginx's are not asked for


TLS = "server { listen 127.0.0.1:@port@ ssl; ssl_certificate %s; ssl_certificate_key %s; }"
CASES = {
    "port taken": Case("server { listen 127.0.0.1:@taken@; }",
                       hint=r'process @pid@ "[^"]+" listens there: end it, or listen elsewhere'),
    "port taken, any address": Case("server { listen @taken@; }",
                                    hint=r'process @pid@ "[^"]+" listens there: .*'),
    "port taken, not to be seen": Case(
        "server { listen 127.0.0.1:@taken@; }", user=NOBODY,
        hint=r"another program listens there, \"ss -ltnp 'sport = :@taken@'\" shows it to root: .*"),
    "port below 1024": Case("server { listen 127.0.0.1:80; }", user=NOBODY,
                            hint="ports below 1024 are for root: .*"),
    "address of no interface": Case("server { listen 203.0.113.5:@port@; }",
                                    hint='no interface of this machine has the address, see "ip addr"'),
    "unix socket without folder": Case("server { listen unix:@folder@/nope/x.sock; }", hint=NO_FOLDER),
    "certificate in no folder": Case(TLS % ("nope/x.pem", "x.key"), place="for the server in",
                                     hint=NO_FOLDER),
    "certificate missing": Case(TLS % ("y.pem", "x.key"), place="for the server in",
                                hint="its folder is there, the file is not: .*"),
    "certificate barred": Case(TLS % ("secret/x.pem", "secret/x.key"), place="for the server in",
                               user=NOBODY, hint=BARRED),
    "key missing": Case(TLS % ("x.pem", "y.key"), place="for the server in",
                        hint="its folder is there, the file is not: .*"),
    "key of another": Case(TLS % ("x.pem", "other.key"), place="for the server in",
                           hint="the key is another certificate's; .*"),
    "no certificate in the file": Case(TLS % ("x.key", "x.key"), place="for the server in",
                                       hint='the file holds no "-----BEGIN .*'),
    "no key in the file": Case(TLS % ("x.pem", "x.pem"), place="for the server in",
                               hint='the file holds no "-----BEGIN PRIVATE KEY-----"; .*',
                               words='cannot load certificate key "@folder@/x.pem": '),
    "key with a password": Case(TLS % ("x.pem", "locked.key"), place="for the server in",
                                hint='the key is encrypted: "ssl_password_file" names a file with its password',
                                words='cannot load certificate key "@folder@/locked.key": '),
    "key with another password": Case(
        TLS.replace(" }", " ssl_password_file @folder@/x.pem; }") % ("x.pem", "locked.key"), place="for the server in",
        hint='no line of the "ssl_password_file" is the key\'s password'),
    "include in no folder": Case("include nope/x.conf;", hint=NO_FOLDER),
    "include barred": Case("include secret/x.conf;", user=NOBODY, hint=BARRED),
    "unknown user": Case(main="user nosuchaccount;", mark="main",
                         hint="this machine has no such account: .*"),
    "unknown group": Case(main="user nobody nosuchgroup;", mark="main",
                          hint="this machine has no such group: .*"),
    "pid file in no folder": Case(pid="nope/x.pid", mark="pid", hint=NO_FOLDER),
    "pid file barred": Case(pid="secret/x.pid", mark="pid", user=NOBODY, hint=BARRED),
    "error log in no folder": Case(error_log="nope/error.log", mark="error_log", hint=NO_FOLDER),
    "error log barred": Case(error_log="secret/error.log", mark="error_log", user=NOBODY, hint=BARRED),
    "access log in no folder": Case("server { listen 127.0.0.1:@port@; access_log @folder@/nope/x.log; }",
                                    hint=NO_FOLDER),
    "log folder not writable": Case(
        "server { listen 127.0.0.1:@port@; access_log @folder@/closed/x.log; }", user=NOBODY,
        hint=r'account "nobody" may not write in "@folder@/closed", which belongs to account "root" .*'),
    "no scheme": Case("server { listen 127.0.0.1:@port@; location / { proxy_pass localhost:80; } }",
                      hint='it begins with "http://" or "https://"'),
    "unknown host": Case("server { listen 127.0.0.1:@port@; location / { proxy_pass http://nosuch.invalid; } }",
                         hint='there is no "upstream" of that name, and neither /etc/hosts nor DNS knows it'),
    "unknown host of a group": Case("upstream app { server nosuch.invalid; } " + LISTEN,
                                    hint='neither /etc/hosts nor DNS knows it; with "resolve" behind it .*'),
    "no number": Case(main="worker_rlimit_nofile many;", mark="main",
                      hint='"many" is no whole number below 2\\^63'),
}


class Place:
    """A folder with what the cases name, and a port that this process has taken."""

    def __init__(self, folder):
        self.folder = folder
        for name, mode in (("open", 0o777), ("closed", 0o755), ("secret", 0o700)):
            os.mkdir(folder + "/" + name)
            os.chmod(folder + "/" + name, mode)
        for name in ("x", "other"):
            for path in make_certificate(folder):
                os.rename(path, folder + "/" + name + os.path.splitext(path)[1])
        subprocess.run(["openssl", "pkey", "-in", folder + "/x.key", "-aes128", "-passout", "pass:a", "-out",
                        folder + "/locked.key"], check=True, capture_output=True)
        self.port = free_port()
        self.taken = socket.socket()
        self.taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.taken.bind(("127.0.0.1", free_port()))
        self.taken.listen()

    def stop(self):
        self.taken.close()

    def fill(self, text, quoted=False):
        for name, value in (("folder", self.folder), ("port", self.port), ("pid", os.getpid()),
                            ("taken", self.taken.getsockname()[1])):
            text = text.replace("@%s@" % name, re.escape(str(value)) if quoted else str(value))
        return text

    def write(self, case, program, daemon="off"):
        text = self.fill(FRAME % {
            "daemon": daemon, "folder": self.folder, "pid": case.pid, "error_log": case.error_log,
            "main": case.main, "http": case.http,
            "foreign": "" if program != "nginx" else
            "".join(" %s_temp_path %s/open/%s;" % (x, self.folder, x) for x in ("fastcgi", "uwsgi", "scgi"))})
        path = self.folder + "/" + program + ".conf"
        with open(path, "w") as out:
            out.write(text)
        return path, 1 + [i for i, line in enumerate(text.splitlines())
                          if line.endswith("# " + case.mark)][0]

    def run(self, binary, path, *more, user=None, **options):
        line = [binary, "-c", path, *more]
        if user is not None:
            line = ["setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups"] + line
        return subprocess.run(line, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, cwd=self.folder, **options)


@pytest.fixture
def place(own):
    return own.keep(Place(own.folder()))


def lowest_port():
    """The first port that is not root's."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        return int(file.read())


def emerg_lines(text, program):
    return [x.split("] ", 1)[1] for x in text.splitlines()
            if x.startswith("%s: [emerg] " % program)]


@pytest.mark.root
@pytest.mark.parametrize("name", CASES)
def test_failed_start(place, name):
    case = CASES[name]
    path, line = place.write(case, "wproxy")
    if case.user is not None and place.run(SUBJECT, path, "-v", user=case.user).returncode != 0:
        pytest.skip("another account cannot run %s" % SUBJECT)
    if "1024" in name and lowest_port() <= 80:
        pytest.skip("everybody may listen on port 80 here")
    done = place.run(SUBJECT, path, user=case.user)
    assert done.returncode == 1
    lines = emerg_lines(done.stderr, "wproxy")
    assert len(lines) == (2 if "taken" in name else 1), done.stderr
    words = place.fill(case.words or "")
    if case.words is None:
        oracle_path, _ = place.write(case, "nginx")
        oracle = place.run(NGINX, oracle_path, "-e", "stderr", user=case.user)
        found = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*)", oracle.stderr)
        assert found, "nginx starts: " + oracle.stderr
        words = re.sub(r" in \S+:\d+$", "", found.group(1))
        # nginx's temporary ports are not ours, nor is its name of the pid file.
        words = words.replace(oracle_path, path)
    assert lines[0].startswith(words), (words, lines[0])
    rest = lines[0][len(words):]
    want = r".* %s %s:%d \(%s\)" % (case.place, re.escape(path), line, place.fill(case.hint, True))
    assert re.fullmatch(want, " " + rest), (want, rest)


def said_of(folder, text, *more):
    """What the program says of a file in the current folder: its status and its lines."""
    if text is not None:
        with open(folder + "/mine.conf", "w") as out:
            out.write(text)
    done = subprocess.run([SUBJECT, *more], capture_output=True, text=True, timeout=20, cwd=folder,
                          stdin=subprocess.DEVNULL)
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("option, words", [
    ("--help", 'invalid option: "-"'), ("-x", 'invalid option: "x"'), ("start", 'invalid option: "start"'),
    ("-c", 'option "-c" requires file name')])
def test_wrong_option(own, option, words):
    """nginx's words, and where the right ones are told."""
    assert said_of(own.folder(), None, option) == (1, [
        'wproxy: %s ("%s -h" names all options)' % (words, SUBJECT)])


def test_file_that_is_not_here(own):
    """A name that was mistyped is looked for where the person is, not only where the build has its files."""
    folder = own.folder()
    assert said_of(folder, None, "-t", "-c", "nope.conf") == (1, [
        'wproxy: [emerg] open() "%s/nope.conf" failed (2: No such file or directory) (its folder is there, the '
        'file is not: make it or correct the path)' % folder,
        'wproxy: configuration file %s/nope.conf test failed' % folder])


def test_no_events(own):
    status, lines = said_of(own.folder(), "http { }", "-c", "mine.conf")
    assert status == 1 and lines == [
        'wproxy: [emerg] no "events" section in configuration ("events { }" beside "http" will do)']


@pytest.mark.parametrize("http, silent", [
    ("include sites/*.conf;", False), ("", False), ("server { listen 127.0.0.1:@port@; }", True)])
def test_nothing_listens(own, http, silent):
    """A start that serves nothing is no failure, but a person wants to know."""
    status, lines = said_of(own.folder(), "pid x.pid; events { } http { access_log off; %s }"
                            % http.replace("@port@", str(free_port())), "-t", "-c", "mine.conf")
    assert status == 0 and len(lines) == 2 + (not silent), lines
    assert silent or lines[0] == (
        'wproxy: [warn] no "server" listens: nothing will be served (an "include" whose pattern no file has is silent)')


@pytest.mark.parametrize("pid, words", [
    (None, '[error] open() "@folder@/mine.pid" failed (2: No such file or directory) (it is not running, or its "pid" '
           'is another file)'),
    ("4194305", '[alert] kill(4194305, 1) failed (3: No such process) (it is not running: the pid file is left over)')])
def test_signal_to_nobody(own, pid, words):
    folder = own.folder()
    if pid is not None:
        with open(folder + "/mine.pid", "w") as out:
            out.write(pid + "\n")
    assert said_of(folder, "pid mine.pid; events { } http { server { listen 127.0.0.1:%d; } access_log off; }"
                   % free_port(), "-c", "mine.conf", "-s", "reload") == (
        1, ["wproxy: " + words.replace("@folder@", folder)])


@pytest.mark.root
def test_signal_to_another_account(place):
    """root's process: an ordinary user is told who may."""
    path, _ = place.write(Case(), "wproxy")
    os.chmod(place.folder, 0o755)
    with open(place.folder + "/open/server.pid", "w") as out:
        out.write("%d\n" % os.getpid())
    if place.run(SUBJECT, path, "-v", user=NOBODY).returncode != 0:
        pytest.skip("another account cannot run %s" % SUBJECT)
    done = place.run(SUBJECT, path, "-s", "reload", user=NOBODY)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["wproxy: [alert] kill(%d, 1) failed (1: Operation not permitted) (that "
                                        "process is another account's: root may)" % os.getpid()]


@pytest.mark.root
def test_open_file_limit(place):
    """A limit that may not be raised is said with its directive; the start goes on."""
    case = Case(main="worker_rlimit_nofile 100000000;", mark="main")
    path, line = place.write(case, "wproxy")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = subprocess.Popen(
        ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups", SUBJECT, "-c", path],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(("127.0.0.1", place.port)), 20, "the start")
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[1].decode()
    assert ("[alert] setrlimit(RLIMIT_NOFILE, 100000000) failed (1: Operation not permitted) in %s:%d "
            "(the hard limit is %d: only root may raise it, systemd by LimitNOFILE=)"
            % (path, line, limit)) in said


@pytest.mark.root
@pytest.mark.parametrize("folder, hint", [
    ("closed/t", r'account "nobody" may not write in "@folder@/closed", which belongs to account "root" .*'),
    ("nope/sub/t", r'.*'), ("secret/t", BARRED)])
def test_temporary_folder(place, folder, hint):
    """A service without uploads can do without it: it starts, and the log says what is wrong."""
    path, _ = place.write(Case(), "wproxy")
    os.chmod(place.folder, 0o755)
    with open(path) as file:
        text = file.read().replace("open/body", folder)
    with open(path, "w") as out:
        out.write(text)
    process = subprocess.Popen(
        ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups", SUBJECT, "-c", path],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(("127.0.0.1", place.port)), 20, "the start")
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[1].decode()
    assert re.search(place.fill(r'\[crit\] mkdir\(\) "@folder@/%s" failed \(13: Permission denied\) \(%s\)\n'
                                % (folder, hint), True), said), said


def test_too_few_files(place):
    path, _ = place.write(Case(main="worker_rlimit_nofile 10;", mark="main"), "wproxy")
    done = place.run(SUBJECT, path)
    assert done.returncode == 1
    assert re.search(r"\[emerg\] open file resource limit 10 leaves \d descriptors, 8 are needed "
                     r"\(worker_rlimit_nofile raises it\)\n", done.stderr), done.stderr


def test_failure_after_detaching(place):
    """With `daemon on` the terminal is told where the reason stands."""
    case = Case(pid="nope/x.pid", mark="pid")
    path, line = place.write(case, "wproxy", daemon="on")
    done = place.run(SUBJECT, path)
    assert done.returncode == 1
    log = place.folder + "/open/error.log"
    assert 'wproxy: the start failed, "%s" says why\n' % log in done.stderr
    with open(log) as file:
        assert "x.pid\" failed (2: No such file or directory) in %s:%d (there is no folder" % (
            path, line) in file.read()


# -- without a configuration -------------------------------------------------------------------------

def default_configuration():
    """Where this binary looks when it is not told."""
    said = subprocess.run([SUBJECT, "-h"], capture_output=True, text=True, timeout=10).stderr
    return re.search(r"configuration file \(default: (.*)\)", said).group(1)


def test_no_configuration(own):
    """Alone in an empty folder: one line of what failed, then what to do; nothing about logs."""
    missing = default_configuration()
    if os.path.exists(missing):
        pytest.skip("%s is there" % missing)
    done = subprocess.run([SUBJECT], capture_output=True, text=True, timeout=20, cwd=own.folder())
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith('wproxy: [emerg] open() "%s" failed (2: No such file or directory) (' % missing)
    assert "error log" not in done.stderr
    assert "There is no configuration yet. What to do next:" in lines
    assert "    %s -c FILE" % SUBJECT in lines and "    %s -h" % SUBJECT in lines
    assert ("-t -c /etc/nginx/nginx.conf" in done.stderr) == os.path.exists("/etc/nginx/nginx.conf")
    assert done.stderr.endswith("\n")


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/etc/nginx/nginx.conf"), reason="nginx is not configured here")
def test_advice_for_an_ordinary_user(place):
    """What only root may do is offered with sudo, and only then."""
    if os.path.exists(default_configuration()) or place.run(SUBJECT, "x", "-v", user=NOBODY).returncode != 0:
        pytest.skip("a configuration is installed, or another account cannot run %s" % SUBJECT)
    offer = "%s -t -c /etc/nginx/nginx.conf" % SUBJECT
    for user, line in ((NOBODY, "    sudo " + offer), (0, "    " + offer)):
        said = subprocess.run(["setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups", SUBJECT],
                              capture_output=True, text=True, timeout=20, cwd=place.folder).stderr
        assert line in said.splitlines(), said


def test_configuration_in_the_folder(own):
    """A wproxy.conf beside the person is offered, and what is offered works."""
    if os.path.exists(default_configuration()):
        pytest.skip("a configuration is installed")
    folder = own.folder()
    with open(folder + "/wproxy.conf", "w") as out:
        out.write("pid x.pid; error_log stderr; events { } http { access_log off; server "
                  "{ listen 127.0.0.1:%d; } }" % free_port())
    done = subprocess.run([SUBJECT], capture_output=True, text=True, timeout=20, cwd=folder)
    assert done.returncode == 1
    offered = "%s -c wproxy.conf" % SUBJECT
    assert "    " + offered in done.stderr.splitlines()
    tested = subprocess.run(offered.split() + ["-t"], capture_output=True, text=True, timeout=20,
                            cwd=folder)
    assert tested.returncode == 0, tested.stderr


@pytest.mark.parametrize("user", [pytest.param(NOBODY, marks=pytest.mark.root), None])
def test_smallest_configuration(own, user):
    """The smallest file that the advice prints serves where it lies, without a word, and ends."""
    if os.path.exists(default_configuration()):
        pytest.skip("a configuration is installed")
    folder, port = own.folder(), free_port()
    os.chmod(folder, 0o777)
    said = subprocess.run([SUBJECT], capture_output=True, text=True, timeout=20, cwd=folder).stderr
    text = [x.strip() for x in said.splitlines() if "proxy_pass" in x]
    assert len(text) == 1 and "listen 8080;" in text[0] and "http://127.0.0.1:8000;" in text[0]
    with open(folder + "/mine.conf", "w") as out:
        out.write(text[0].replace("8080", "127.0.0.1:%d" % port).replace("127.0.0.1:8000", own.origin().name))
    line = [SUBJECT, "-c", "mine.conf"]
    if user is not None:
        line = ["setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups"] + line
        if subprocess.run(line + ["-v"], capture_output=True, timeout=20, cwd=folder).returncode != 0:
            pytest.skip("another account cannot run %s" % SUBJECT)
    begun = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=open(folder + "/said", "wb"), timeout=60,
                           cwd=folder)
    try:
        with open(folder + "/said") as file:
            assert (begun.returncode, file.read()) == (0, "")
        assert fetch(("127.0.0.1", port), "GET /").status == 200
    finally:
        ended = subprocess.run(line + ["-s", "quit"], capture_output=True, text=True, timeout=20, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    wait_until(lambda: not os.path.exists(folder + "/wproxy.pid"), 20, "the end")


def test_default_pid_file(own):
    """Named from elsewhere the build's own pid file counts; where it has no folder, the directive is told."""
    said = subprocess.run([SUBJECT, "-V"], capture_output=True, text=True, timeout=10).stderr
    folder, port = own.folder(), free_port()
    with open(folder + "/mine.conf", "w") as out:
        out.write("events { } http { access_log off; client_body_temp_path %s/t; proxy_temp_path %s/t; "
                  "uwsgi_temp_path %s/t; server { listen 127.0.0.1:%d; } }" % (folder, folder, folder, port))
    done = subprocess.run([SUBJECT, "-c", folder + "/mine.conf", "-g", "daemon off; error_log stderr;"],
                          capture_output=True, text=True, timeout=30) if "prefix" not in said else None
    if done is None or done.returncode == 0 or "wproxy.pid" not in done.stderr:
        pytest.skip("the build's folders are there")
    assert re.search(r'\[emerg\] .*open\(\) "\S+/wproxy\.pid" failed \(\d+: [^)]*\) \(.*; "pid" names another '
                     r'file\)\n', done.stderr), done.stderr


def test_no_advice_for_a_named_file(own):
    done = subprocess.run([SUBJECT, "-c", own.folder() + "/mine.conf"], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 1
    assert "What to do next" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
