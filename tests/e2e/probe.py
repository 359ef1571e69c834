"""A small WSGI application that shows what reached it, and misbehaves on request."""

import hashlib
import json
import os
import time
from urllib.parse import parse_qs

COUNTER = os.environ.get("PROBE_COUNTER")


def count(environ):
    """Appends a line for each run, so that a test can count what the application really did."""
    if COUNTER:
        line = "%s %s\n" % (environ["REQUEST_METHOD"], environ.get("PATH_INFO"))
        fd = os.open(COUNTER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(fd, line.encode())
        os.close(fd)


def text(start, body, status="200 OK", *headers):
    body = body if isinstance(body, bytes) else body.encode()
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))] + list(headers))
    return [body]


def echo(environ, start, query):
    seen, size = hashlib.sha256(), 0
    stream = environ["wsgi.input"]
    while True:
        block = stream.read(65536)
        if not block:
            break
        seen.update(block)
        size += len(block)
    found = {k: v for k, v in environ.items() if isinstance(v, str)}
    return text(start, json.dumps({"size": size, "sha256": seen.hexdigest(), "environ": found}))


def refuse(environ, start, query):
    """Answers without reading the body, as an application that checks a header first does."""
    return text(start, "refused unread", "403 Forbidden", ("Connection", "close"))


def absolute(environ, start, query):
    """An absolute redirect, made of Host and the mount as old applications make it."""
    where = "http://%s%s/landed" % (environ["HTTP_HOST"], os.environ.get("FORCE_SCRIPT_NAME", ""))
    return text(start, "", "302 Found", ("Location", where), ("Refresh", "3;url=" + where))


def pause(environ, start, query):
    time.sleep(float(query.get("s", ["0.1"])[0]))
    return text(start, "rested in %d" % os.getpid())


def stream(environ, start, query):
    size = int(query.get("n", ["100000"])[0])
    start("200 OK", [("Content-Type", "application/octet-stream")])
    block = bytes(range(256)) * 64
    return (block[:min(len(block), size - at)] for at in range(0, size, len(block)))


def ticks(environ, start, query):
    start("200 OK", [("Content-Type", "text/event-stream")])

    def play():
        for i in range(int(query.get("n", ["3"])[0])):
            yield b"data: %d\n\n" % i
            time.sleep(float(query.get("s", ["0.2"])[0]))
    return play()


def head_with_body(environ, start, query):
    """Sends its body even to HEAD; gunicorn and gevent pass it on."""
    body = b"this is a body, HEAD or not"
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def empty_with_body(environ, start, query):
    """A body behind a status that has none; gunicorn passes it on, without any framing."""
    start(query["status"][0], [])
    return [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"]


ROUTES = {"/echo": echo, "/refuse": refuse, "/absolute": absolute, "/pause": pause,
          "/stream": stream, "/ticks": ticks, "/head": head_with_body, "/empty": empty_with_body}


def application(environ, start):
    count(environ)
    route = ROUTES.get(environ.get("PATH_INFO"))
    if route is None:
        return text(start, "probe %s %s" % (environ["REQUEST_METHOD"], environ.get("PATH_INFO")))
    return route(environ, start, parse_qs(environ.get("QUERY_STRING", "")))
