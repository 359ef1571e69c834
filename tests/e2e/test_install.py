"""make install and what it brings: run from a DESTDIR, the unit, logrotate, completion, manual pages.

The build folder is that of the program under test; a program without one is not
installed here. Debian's own nginx tree is used as it stands, in a network of its own.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess

import pytest

from server import NGINX, SUBJECT, accepts, child_pids, free_port, wait_until
from certificate import make_certificate
from test_docs import broken_links
from wire import fetch

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("top_builddir") or os.path.dirname(os.path.abspath(SUBJECT))
NOBODY = 65534

pytestmark = [pytest.mark.wproxy_only]
needs_build = pytest.mark.skipif(not os.path.exists(os.path.join(BUILD, "Makefile")),
                                 reason="the program has no build folder beside it")


def program_wanted(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return pytest.mark.skipif(path is None, reason="needs " + name)


def run_make(*words):
    """In the build folder; whoever ran these tests by make has flags of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", "-s", "-C", BUILD] + list(words), capture_output=True, text=True, env=env)


def make(target, folder):
    done = run_make(target, "DESTDIR=" + folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def variable(name):
    """What ./configure was told, as make sees it."""
    done = run_make("--eval", "print-%s:; @echo $(%s)" % (name, name), "print-" + name)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def files_in(folder):
    return sorted(os.path.join(top, name)[len(folder):] for top, _, names in os.walk(folder) for name in names)


class Installed:
    def __init__(self, folder):
        self.folder = folder
        make("install", folder)

    def path(self, name, rest=""):
        return self.folder + variable(name) + rest

    def read(self, name, rest=""):
        with open(self.path(name, rest)) as file:
            return file.read()


@pytest.fixture(scope="module")
def installed(shared):
    return Installed(os.path.join(shared.folder(), "dest"))


# -- make install, make uninstall ------------------------------------------------------------------

@needs_build
def test_installed_files(installed):
    found = files_in(installed.folder)
    for name, rest in (("sbindir", "/wproxy"), ("confdir", "/wproxy.conf"), ("confdir", "/mime.types"),
                       ("confdir", "/conf.d/default.conf"), ("confdir", "/uwsgi_params"),
                       ("prefix", "/lib/systemd/system/wproxy.service"),
                       ("prefix", "/lib/systemd/system/wproxy.socket"), ("prefix", "/lib/tmpfiles.d/wproxy.conf"),
                       ("sysconfdir", "/logrotate.d/wproxy"), ("mandir", "/man8/wproxy.8"),
                       ("mandir", "/man5/wproxy.conf.5"), ("sitehtmldir", "/index.html"),
                       ("datadir", "/bash-completion/completions/wproxy"), ("docdir", "/docs/install.md"),
                       ("docdir", "/conf.d/tls-site.conf.example")):
        assert variable(name) + rest in found
    for path in found:
        mode = stat.S_IMODE(os.stat(installed.folder + path).st_mode)
        assert mode == (0o755 if path.endswith("/sbin/wproxy") else 0o644), (path, oct(mode))
        if not path.endswith("/sbin/wproxy"):
            with open(installed.folder + path) as file:
                text = file.read()
            assert installed.folder not in text and BUILD not in text, path
            assert not re.search(r"@[a-z]+dir@", text), path


@needs_build
def test_installed_pages(installed):
    """Every link of theirs leads to what was installed, and a reader finds all that README.md names."""
    at = installed.path("docdir")
    pages = [path for path in files_in(at) if path.endswith(".md")]
    assert len(pages) >= 15, pages
    assert {page: broken_links(at + page)[0] for page in pages if broken_links(at + page)[0]} == {}
    assert broken_links(at + "/README.md")[1] >= 15


@needs_build
def test_runs_from_there(installed, own):
    """The configuration that was installed, with this folder before its paths and a free port."""
    folder, port = own.folder(), free_port(("127.0.0.1",))
    tree = os.path.join(folder, "tree")
    shutil.copytree(installed.folder, tree)
    for top, folders, _ in os.walk(tree):
        for name in folders:
            os.chmod(os.path.join(top, name), 0o755)
    at = tree + variable("confdir")
    for name in ("wproxy.conf", "conf.d/default.conf"):
        with open(os.path.join(at, name)) as file:
            text = file.read()
        text = re.sub(r" (/\S+)(?=;)", lambda m: " " + tree + m.group(1), text)
        with open(os.path.join(at, name), "w") as out:
            out.write(text.replace("listen 80 ", "listen 127.0.0.1:%d " % port))
    program = [tree + variable("sbindir") + "/wproxy", "-c", at + "/wproxy.conf", "-p", tree + variable("pkgdatadir"),
               "-e", tree + variable("logdir") + "/error.log"]
    test = subprocess.run(program + ["-t"], capture_output=True, text=True)
    assert test.returncode == 0 and "emerg" not in test.stderr, test.stderr
    assert subprocess.run(program).returncode == 0, "it detaches when every socket accepts"
    try:
        page = fetch(("127.0.0.1", port), "GET /")
        with open(os.path.join(TOP, "html", "index.html")) as file:
            assert (page.status, page.text) == (200, file.read())
        assert subprocess.run(program + ["-q", "-s", "check"]).returncode == 0
        assert subprocess.run(program + ["-s", "reload"]).returncode == 0
        assert fetch(("127.0.0.1", port), "GET /").status == 200
        pid_file = tree + variable("runstatedir") + "/wproxy/wproxy.pid"
        with open(pid_file) as file:
            assert os.path.realpath("/proc/%s/exe" % file.read().strip()) == os.path.realpath(program[0])
    finally:
        subprocess.run(program + ["-s", "quit"])
    wait_until(lambda: not accepts(("127.0.0.1", port)), 10, "it ends")
    wait_until(lambda: not os.path.exists(pid_file), 10, "its pid file goes")
    with open(tree + variable("logdir") + "/access.log") as log:
        assert '"GET / HTTP/1.1" 200' in log.read()


@needs_build
def test_uninstall_leaves_nothing(own):
    tree = Installed(os.path.join(own.folder(), "dest"))
    make("uninstall", tree.folder)
    assert files_in(tree.folder) == []
    left = [os.path.join(path, name) for path, folders, _ in os.walk(tree.folder) for name in folders if "wproxy" in name]
    # The prefix itself may lie in a folder of that name.
    prefix = tree.folder + variable("prefix") + "/"
    assert [path for path in left if not prefix.startswith(path + "/")] == []


@needs_build
def test_changes_stay(own):
    """What a person changed survives an upgrade and an uninstall; what was not changed does not."""
    tree = Installed(os.path.join(own.folder(), "dest"))
    changed, site = tree.path("confdir", "/wproxy.conf"), tree.path("confdir", "/conf.d/mine.conf")
    for path in (changed, site):
        with open(path, "a") as out:
            out.write("# mine\n")
    default = tree.path("confdir", "/conf.d/default.conf")
    os.unlink(default)
    make("install", tree.folder)
    assert not os.path.exists(default), "a site that was removed does not come back"
    assert tree.read("confdir", "/wproxy.conf").endswith("# mine\n")
    assert not tree.read("confdir", "/wproxy.conf.default").endswith("# mine\n")
    make("uninstall", tree.folder)
    assert files_in(tree.folder) == sorted(path[len(tree.folder):] for path in (changed, site))


# -- systemd ---------------------------------------------------------------------------------------

def settings(text):
    """{setting: [value]} of a unit's file."""
    found = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@needs_build
@program_wanted("systemd-analyze")
def test_unit(installed, own):
    """systemd has nothing to say against it, and not much against its exposure."""
    text = installed.read("prefix", "/lib/systemd/system/wproxy.service")
    assert "ExecStart=%s/wproxy -g \"daemon off;\"\n" % variable("sbindir") in text
    folder = own.folder()
    unit = os.path.join(folder, "wproxy.service")
    with open(unit, "w") as out:
        out.write(text.replace(variable("sbindir") + "/wproxy", installed.path("sbindir", "/wproxy")))
    shutil.copy(installed.path("prefix", "/lib/systemd/system/wproxy.socket"), folder)
    for name in ("wproxy.service", "wproxy.socket"):
        seen = subprocess.run(["systemd-analyze", "verify", "--man=no", os.path.join(folder, name)],
                              capture_output=True, text=True)
        assert (seen.returncode, seen.stderr) == (0, ""), seen.stderr
    score = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", unit],
                           capture_output=True, text=True)
    assert score.returncode == 0, score.stdout[-200:]
    unit = settings(text)
    assert unit["Type"] == ["notify"] and unit["KillSignal"] == ["SIGQUIT"]
    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"]
    assert unit["RuntimeDirectoryPreserve"] == ["yes"], "a start by hand needs the folder after a stop"


@pytest.mark.root
def test_capabilities_stay_with_the_master(own):
    """With the unit's capabilities: root's key is read, and the worker has no capability left."""
    folder, port = own.folder(), free_port(("127.0.0.1",))
    os.chmod(folder, 0o777)
    certificate, key = make_certificate(folder)
    os.chmod(key, 0o600)
    secret = os.path.join(folder, "secret.txt")
    with open(secret, "w") as out:
        out.write("root's own")
    os.chmod(secret, 0o600)
    config = os.path.join(folder, "c")
    with open(config, "w") as out:
        out.write("daemon off; pid %s/pid; error_log stderr; events { }\nhttp {\n    access_log off;\n"
                  "    client_body_temp_path %s/b; proxy_temp_path %s/p; uwsgi_temp_path %s/u;\n"
                  "    server { listen 127.0.0.1:%d; listen 127.0.0.1:%d ssl; root %s;\n"
                  "        ssl_certificate %s; ssl_certificate_key %s; }\n}\n" % (
                      folder, folder, folder, folder, port, free_port(("127.0.0.1",)), folder, certificate, key))
    command = [SUBJECT, "-e", "stderr", "-c", config, "-p", folder]
    user = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
    plain = subprocess.run(user + command + ["-t"], capture_output=True, text=True)
    assert plain.returncode == 1 and "server.key" in plain.stderr, "the key is really root's"
    given = "+net_bind_service,+dac_read_search"
    with open(os.path.join(folder, "said"), "wb") as said:
        process = subprocess.Popen(user + ["--inh-caps=" + given, "--ambient-caps=" + given] + command, stderr=said)
    try:
        wait_until(lambda: process.poll() is not None or accepts(("127.0.0.1", port)), 10, "it accepts")
        with open(os.path.join(folder, "said")) as said:
            assert process.poll() is None, said.read()

        def capabilities(pid):
            with open("/proc/%d/status" % pid) as status:
                return {line.split()[0]: int(line.split()[1], 16) for line in status if line.startswith("Cap")}
        # Who answers has settled.
        assert fetch(("127.0.0.1", port), "GET /secret.txt").status == 403
        assert capabilities(process.pid)["CapEff:"] != 0
        [worker] = map(capabilities, child_pids(process.pid))
        assert [worker[name] for name in ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")] == [0, 0, 0, 0]
    finally:
        process.send_signal(signal.SIGQUIT)
        assert process.wait(10) == 0


@pytest.mark.root
@pytest.mark.parametrize("name,warns", [("nobody", False), ("www-data", True), ("no-such-user", True)])
def test_user_that_it_is_already(own, name, warns):
    """`user' where the unit made the process that user: fulfilled, not ignored."""
    folder = own.folder()
    config = os.path.join(folder, "c")
    with open(config, "w") as out:
        out.write("user %s;\npid %s/pid;\nevents { }\n" % (name, folder))
    done = subprocess.run(["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups", SUBJECT, "-t",
                           "-e", "stderr", "-c", config, "-p", folder], capture_output=True, text=True)
    assert done.stderr.count("makes sense only") == (1 if warns else 0), done.stderr


@pytest.mark.root
@pytest.mark.parametrize("option", [["-t"], []])
def test_logs_that_root_made(own, option):
    """`sudo wproxy -t', or a start by hand, before the unit's: logs that it makes are not in the way of
    the unit's account; what was there stays whose it was."""
    folder = own.folder()
    os.chmod(folder, 0o777)
    program = shutil.copy(SUBJECT, folder)  # the build's folder may be closed to others
    config, port = os.path.join(folder, "c"), free_port(("127.0.0.1",))
    with open(os.path.join(folder, "there.log"), "w"):
        pass
    with open(config, "w") as out:
        out.write("user nobody nogroup; daemon off; pid %s/pid; error_log %s/error.log; error_log %s/there.log; events { }\n"
                  "http {\n    access_log %s/access.log;\n"
                  "    client_body_temp_path %s/b; proxy_temp_path %s/p; uwsgi_temp_path %s/u;\n"
                  "    server { listen 127.0.0.1:%d; }\n}\n" % ((folder,) * 7 + (port,)))
    command = [program, "-e", "stderr", "-p", folder, "-c", config]
    process = subprocess.Popen(command + option, stderr=subprocess.DEVNULL)
    if not option:
        wait_until(lambda: accepts(("127.0.0.1", port)), 10, "it accepts")
        process.send_signal(signal.SIGQUIT)
    assert process.wait(20) == 0
    owners = {name: os.stat(os.path.join(folder, name)).st_uid for name in ("error.log", "access.log", "there.log")}
    assert owners == {"error.log": NOBODY, "access.log": NOBODY, "there.log": 0}
    os.unlink(os.path.join(folder, "there.log"))
    done = subprocess.run(["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"] + command + ["-t"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.root
@needs_build
def test_socket_activation(installed, own):
    """The socket of the unit's address is used as it is handed in: port 80 stays with systemd."""
    assert settings(installed.read("prefix", "/lib/systemd/system/wproxy.socket"))["ListenStream"] == ["0.0.0.0:80"]
    folder = own.folder()
    os.chmod(folder, 0o777)
    port = free_port(("0.0.0.0",))
    program = shutil.copy(SUBJECT, folder)  # the build's folder may be closed to others
    config = os.path.join(folder, "c")
    with open(config, "w") as out:
        out.write("daemon off; pid %s/pid; error_log stderr notice; events { }\nhttp {\n    access_log off;\n"
                  "    client_body_temp_path %s/b; proxy_temp_path %s/p; uwsgi_temp_path %s/u;\n"
                  "    server { listen %d; return 200 here; }\n}\n" % (folder, folder, folder, folder, port))
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", port))
        listener.listen(16)
        early = socket.create_connection(("127.0.0.1", port))
        early.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        notify_path = os.path.join(folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(notify_path)
            os.chmod(notify_path, 0o777)
            notify.settimeout(15)
            # As systemd does it: descriptor 3, and the pid of the program itself.
            script = 'exec 3<&%d; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' % listener.fileno()
            process = subprocess.Popen(
                ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups", "bash", "-c", script, "bash",
                 program, "-e", "stderr", "-c", config, "-p", folder], pass_fds=[listener.fileno()],
                env=dict(os.environ, NOTIFY_SOCKET=notify_path), stderr=subprocess.DEVNULL)
            try:
                told = notify.recv(4096).decode()
                assert "READY=1" in told and "MAINPID=%d" % process.pid in told
                assert early.makefile("rb").read().endswith(b"here"), "who waited for the start is answered"
                process.send_signal(signal.SIGHUP)
                told = [notify.recv(4096).decode() for _ in range(2)]
                assert told[0].startswith("RELOADING=1\nMONOTONIC_USEC=") and told[1].startswith("READY=1")
            finally:
                process.send_signal(signal.SIGQUIT)
                assert process.wait(10) == 0
            assert "STOPPING=1" in notify.recv(4096).decode()
        assert accepts(("127.0.0.1", port)), "the port is not wproxy's to close"
        early.close()


# -- logrotate, completion, manual pages -----------------------------------------------------------

@needs_build
@pytest.mark.root
@program_wanted("logrotate")
def test_logrotate(installed, own):
    """The rule that was installed, with other paths: lines go to the new file."""
    one = own.server("server { listen @host@:@port@; return 200; access_log @prefix@/access.log; }")
    rule = installed.read("sysconfdir", "/logrotate.d/wproxy")
    assert variable("logdir") + "/*.log {" in rule and variable("runstatedir") + "/wproxy/wproxy.pid" in rule
    rule = rule.replace(variable("logdir"), one.prefix).replace(variable("runstatedir") + "/wproxy/wproxy.pid",
                                                                one.prefix + "/server.pid")
    path = os.path.join(own.folder(), "rule")
    with open(path, "w") as out:
        out.write(rule)
    fetch(one.address(), "GET /before")
    wait_until(lambda: "/before" in one.read("access.log"), 10, "a line")
    log = os.path.join(one.prefix, "access.log")
    first = os.stat(log).st_ino
    done = subprocess.run(["logrotate", "-f", "-s", path + ".state", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "/before" in one.read("access.log.1")

    def answered_in_new_file():
        fetch(one.address(), "GET /after")
        return "/after" in one.read("access.log")
    wait_until(answered_in_new_file, 10, "a line in the new file")
    assert os.stat(log).st_ino != first and stat.S_IMODE(os.stat(log).st_mode) == 0o640


def letters():
    """The options that -h tells."""
    text = subprocess.run([SUBJECT, "-h"], capture_output=True, text=True).stderr
    return set(re.findall(r"^  ((?:-.,)*-.)", text, re.M)), text


def complete(*words):
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wproxy 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, "bash", os.path.join(TOP, "system", "wproxy.completion"), "wproxy"]
                          + list(words), capture_output=True, text=True, check=True, cwd=TOP)
    return sorted(done.stdout.split())


def test_completion():
    """Each option and each signal, and no other."""
    shown, text = letters()
    assert complete("-") == sorted(option for group in shown for option in group.split(","))
    told = re.search(r"-s signal .*?: (.*?)\n(.*?)\n", text)
    named = set(re.findall(r"\b(stop|quit|reopen|reload|check)\b", told.group(0)))
    assert set(complete("-s", "")) == named == {"stop", "quit", "reopen", "reload", "check"}
    assert complete("-s", "re") == ["reload", "reopen"]
    assert "wproxy.conf" in complete("-c", "wproxy.c")
    assert complete("-e", "stde") == ["stderr"]


@pytest.mark.parametrize("page", ["wproxy.8", "wproxy.conf.5"])
@program_wanted("man")
def test_manual_pages(page):
    path = os.path.join(TOP, "man", page)
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", path], capture_output=True, text=True,
                          env=dict(os.environ, MANWIDTH="90", LC_ALL="C.UTF-8"))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    if page == "wproxy.8":
        for group in letters()[0]:
            for option in group.split(","):
                assert re.search(r"^\s+(-.+, )?%s\b" % re.escape(option), done.stdout, re.M) or option == "-?", option


# -- Debian's nginx, as it stands ------------------------------------------------------------------

STOCK = r"""
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log/nginx
"$1" -t -q -c /etc/nginx/nginx.conf
"$1" -c /etc/nginx/nginx.conf
for address in 127.0.0.1 '[::1]'; do
	curl -s --retry 20 --retry-connrefused --retry-delay 1 -o "$2/page" -w '%{http_code} %{content_type}\n' "http://$address/"
	curl -s -o /dev/null -w '%{http_code}\n' "http://$address/no-such-page"
done
cmp "$2/page" "$(ls /var/www/html/index*.html | head -1)" >&2
"$1" -c /etc/nginx/nginx.conf -s reload
curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1/
"$1" -c /etc/nginx/nginx.conf -s quit
while [ -e /run/nginx.pid ]; do sleep 0.1; done
cut -d' ' -f6- /var/log/nginx/access.log
"""


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/etc/nginx/sites-enabled/default") or not os.path.exists(NGINX),
                    reason="needs Debian's nginx with its configuration")
@pytest.mark.skipif(os.getuid() != 0 or subprocess.run(["unshare", "--mount", "--net", "true"],
                                                       capture_output=True).returncode != 0,
                    reason="no namespaces can be made")
@program_wanted("curl")
@program_wanted("ip")
def test_stock_tree(own):
    """wproxy -c /etc/nginx/nginx.conf, nothing changed: it answers on port 80 what nginx answers."""
    seen = {}
    for program in (NGINX, SUBJECT):
        done = subprocess.run(["unshare", "--mount", "--net", "sh", "-c", STOCK, "sh", program, own.folder()],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "[emerg]" not in done.stderr and "[error]" not in done.stderr
        # The page for what is missing names the program, Ubuntu's nginx its system too.
        seen[program] = re.sub(r'" 404 \d+ ', '" 404 N ', done.stdout)
    assert seen[SUBJECT] == seen[NGINX]
    assert seen[SUBJECT].startswith("200 text/html\n404\n")
