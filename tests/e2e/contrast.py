"""The differential harness: one file, one request, two servers, equal outcomes.

Both servers listen on the same port of different loopback addresses and talk to the same
back ends, so that almost nothing has to be normalised: the program's name, dates, the two
addresses and prefixes, and multipart boundaries.
"""

import email.utils
import re
import socket
import zlib

import pytest

import server
from wire import Wire, WireError, request

HOSTS = {"oracle": "127.0.0.2", "subject": "127.0.0.3"}
BANNER = re.compile(rb"\b(nginx|wproxy)/[0-9]+\.[0-9]+[0-9A-Za-z.+~-]*")
CENTER = re.compile(rb"<center>(nginx|wproxy)</center>")
FAR = 3650 * 86400


class Case:
    """One exchange: the bytes to send, how many answers to read, what to compare."""

    def __init__(self, line, *headers, body=b"", host="example.test", raw=None, answers=1,
                 methods=None, port="main", reply=None, want=None, name=None, ignore=(),
                 closing=False, end=True, shut=False, before=None, segments=None, timeout=10):
        self.data = raw if raw is not None else request(line, *headers, body=body, host=host)
        self.segments = segments or [self.data]
        self.answers = answers
        self.methods = methods or [line.split(" ", 1)[0]] * answers
        self.port = port
        self.reply = reply
        self.want = want
        self.name = name or " ".join((line,) + headers)
        self.ignore = tuple(n.lower() for n in ignore)
        self.closing = closing
        self.end = end
        self.timeout = timeout
        self.shut = shut
        self.before = before

    @property
    def id(self):
        text = self.name.encode("ascii", "backslashreplace").decode()
        return re.sub(r"[^\x21-\x7e]+", "_", text)[:90]


def cases(*items):
    """Decorator: one test for each Case; a plain string is a request line."""
    made = [c if isinstance(c, Case) else Case(c) for c in items]
    seen = {}
    ids = []
    for case in made:
        seen[case.id] = seen.get(case.id, 0) + 1
        ids.append(case.id if seen[case.id] == 1 else "%s#%d" % (case.id, seen[case.id]))
    return pytest.mark.parametrize("case", made, ids=ids)


class Outcome:
    """What happened, normalised: answers, the connection's end, the back ends' view."""

    def __init__(self):
        self.answers = []
        self.closed = None
        self.backend = []
        self.ended = None


class Pair:
    """nginx and the subject under one configuration, with shared back ends."""

    def __init__(self, folder, http, *, origins=None, names=None, whole=None, main="", user=None,
                 env=None, level="info"):
        self.origins = origins or {}
        base = re.findall(r"@port(?:\.([a-z0-9_]+))?@", (whole or server.FRAME) + http)
        ports = {n or "main": server.free_port(tuple(HOSTS.values())) for n in set(base)}
        shared = {"origin." + n: o.name for n, o in self.origins.items()}
        shared.update(names or {})
        self.servers = {}
        for role, binary in (("oracle", server.NGINX), ("subject", server.SUBJECT)):
            short = "nginx" if role == "oracle" else "other"
            self.servers[role] = server.Server(
                binary, "%s/%s" % (folder, short), http, whole=whole, main=main, ports=ports,
                host=HOSTS[role], names=dict(shared, role=role), user=user, env=env, level=level)

    @property
    def oracle(self):
        return self.servers["oracle"]

    @property
    def subject(self):
        return self.servers["subject"]

    def stop(self):
        failures = []
        for one in self.servers.values():
            try:
                one.stop()
            except server.ServerFailure as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    # -- normalising ---------------------------------------------------------------------------

    def plain(self, role, data):
        """Bytes or text without what must differ: address, prefix, program name."""
        text = isinstance(data, str)
        if text:
            data = data.encode("utf-8", "surrogateescape")
        one = self.servers[role]
        data = data.replace(one.prefix.encode(), b"PREFIX").replace(one.host.encode(), b"HOST")
        data = CENTER.sub(b"<center>SERVER</center>", BANNER.sub(b"SERVER/VERSION", data))
        return data.decode("utf-8", "surrogateescape") if text else data

    def headers_of(self, role, answer, body, method, reached):
        fields = {}
        date = answer.get("Date")
        server_length = len(answer.get("Server") or "")
        zipped = answer.get("Content-Encoding") == "gzip"
        result = []
        for name, value in answer.headers:
            low = name.lower()
            if low == "date":
                value = "DATE"
            elif low == "server":
                value = re.sub(r"^(nginx|wproxy)\b", "SERVER", self.plain(role, value))
            elif low == "connection":
                continue
            elif low == "expires" and date:
                delta = self.seconds(value) - self.seconds(date)
                if abs(delta) < FAR:
                    value = "DATE%+d" % round(delta / 2.0)
            elif low == "content-length" and zipped:
                continue
            elif low == "transfer-encoding" and zipped:
                continue
            elif low == "content-length":
                if body is not None and int(value) == len(answer.body):
                    value = str(len(body))
                elif (method == "HEAD" and answer.status >= 300 and not reached
                      and answer.status != 304):
                    value = str(int(value) - server_length)
            elif low == "content-type":
                value = re.sub(r"boundary=\S+", "boundary=BOUNDARY", value)
            fields.setdefault(low, []).append(value)
            result.append((low, self.plain(role, value)))
        return sorted(result)

    @staticmethod
    def seconds(value):
        try:
            return email.utils.parsedate_to_datetime(value).timestamp()
        except (TypeError, ValueError):
            return 4e9

    def body_of(self, role, answer):
        body = answer.body
        if answer.get("Content-Encoding") == "gzip" and body:
            try:
                body = zlib.decompress(body, 31)
            except zlib.error:
                pass
        found = re.search(r"boundary=(\S+)", answer.get("Content-Type") or "")
        if found:
            body = body.replace(found.group(1).encode(), b"BOUNDARY")
        return self.plain(role, body)

    def view_of(self, role, received):
        """A request as the back end saw it; the persistence of its connection is not compared."""
        headers = []
        for name, value in received.headers:
            if name.lower() == "connection" and value.lower() in ("close", "keep-alive", ""):
                continue
            headers.append((name.lower(), self.plain(role, value)))
        return {"method": received.method, "target": self.plain(role, received.target),
                "version": received.version, "headers": sorted(headers),
                "body": self.plain(role, received.body), "complete": received.complete}

    # -- asking --------------------------------------------------------------------------------

    def ask(self, role, case):
        """Plays the case against one of the servers."""
        one = self.servers[role]
        outcome = Outcome()
        for origin in self.origins.values():
            origin.clear()
            if case.reply is not None:
                origin.reply = case.reply
        if case.before:
            case.before(one)
        with Wire((one.host, one.ports[case.port]), case.timeout,
                  source="127.0.0.1") as wire:
            raw = []
            try:
                for segment in case.segments:
                    if not wire.try_send(segment):
                        break
                if case.shut:
                    wire.shut()
                for method in case.methods:
                    raw.append((method, wire.read_response(method)))
                if case.closing or case.end and not raw[-1][1].persistent:
                    outcome.closed = wire.closes()
            except (WireError, ValueError) as error:
                outcome.ended = type(error).__name__
            except socket.timeout:
                outcome.ended = "silence"
        for origin_name in sorted(self.origins):
            for received in self.origins[origin_name].take():
                if "smuggled" in received.target and b"smuggled" not in case.data:
                    continue
                view = self.view_of(role, received)
                view["origin"] = origin_name
                outcome.backend.append(view)
        for method, answer in raw:
            body = self.body_of(role, answer)
            outcome.answers.append({
                "status": answer.status, "reason": answer.reason, "version": answer.version,
                "persistent": answer.persistent, "body": body,
                "headers": [(n, v) for n, v in self.headers_of(
                    role, answer, body, method, outcome.backend) if n not in case.ignore],
                "trailers": sorted(answer.trailers),
                "infos": [i.status for i in answer.infos]})
        return outcome

    def compare(self, case):
        """Plays the case against both and fails on any difference that no row allows."""
        subject = self.ask("subject", case)
        if case.want is not None and not server.subject_is_nginx():
            case.want.check(subject)
            return subject
        oracle = self.ask("oracle", case)
        problems = []
        if case.want is not None:
            assert ([a["status"] for a in oracle.answers]
                    == [a["status"] for a in subject.answers])
            return subject
        if oracle.ended != subject.ended:
            problems.append("end: nginx %s, wproxy %s" % (oracle.ended, subject.ended))
        if len(oracle.answers) != len(subject.answers):
            problems.append("answers: nginx %d, wproxy %d" % (
                len(oracle.answers), len(subject.answers)))
        for index, (want, got) in enumerate(zip(oracle.answers, subject.answers)):
            problems += self.distance("answer %d" % (index + 1), want, got)
        if oracle.closed != subject.closed:
            problems.append("closed: nginx %s, wproxy %s" % (oracle.closed, subject.closed))
        if len(oracle.backend) != len(subject.backend):
            problems.append("back end got: nginx %d, wproxy %d requests" % (
                len(oracle.backend), len(subject.backend)))
        for index, (want, got) in enumerate(zip(oracle.backend, subject.backend)):
            problems += self.distance("back end request %d" % (index + 1), want, got)
        if problems:
            pytest.fail("%s\nsent: %r\n%s" % (
                case.name, case.data[:600], "\n".join(problems)), pytrace=False)
        return subject

    def both(self, play):
        """Runs play(server) for both and fails unless the values are equal; returns the value."""
        got = play(self.subject)
        want = play(self.oracle)
        assert got == want, "nginx %r, wproxy %r" % (want, got)
        return got

    @staticmethod
    def distance(where, want, got):
        found = []
        for key in want:
            if want[key] == got[key]:
                continue
            if key == "headers":
                only_want = [h for h in want[key] if h not in got[key]]
                only_got = [h for h in got[key] if h not in want[key]]
                found.append("%s headers: only nginx %r, only wproxy %r" % (
                    where, only_want or "(counts differ)", only_got))
            else:
                found.append("%s %s: nginx %r, wproxy %r" % (
                    where, key, cut(want[key]), cut(got[key])))
        return found


def cut(value):
    return value[:500] if isinstance(value, (bytes, str)) else value
