"""The maintenance page, in every variant that the documents and decisions name."""

import os

import pytest

import server
from origin import answer
from test_documented import CONFIGS, adapt
from wire import Wire, fetch, request

PAGE = "OMERO maintainance"


class Outage:
    """The documented OMERO file whose back end can be taken away."""

    def __init__(self, shared, change=()):
        self.origin = shared.origin()
        with open(os.path.join(CONFIGS, "00a-seed-omero-5.4.conf")) as file:
            text = adapt(file.read(), self.origin.name, "@www@", "@www@", "@aliased@")
        for old, new in change:
            assert old in text, old
            text = text.replace(old, new)
        self.server = shared.server(text)
        self.address = self.server.address()

    def down(self):
        if self.origin.listener is not None:
            self.origin.refuse()

    def up(self):
        if self.origin.listener is None:
            self.origin.listen()


@pytest.fixture(scope="module")
def omero(shared):
    return Outage(shared)


@pytest.mark.wproxy_only
def test_page_appears(omero):
    """D1: the page of the documented file appears, with status 502."""
    omero.down()
    got = fetch(omero.address, "GET /webclient/?x=1")
    assert got.status == 502 and got.reason == "Bad Gateway"
    assert PAGE in got.text
    assert got.get("Content-Type") == "text/html"
    assert got.get("Last-Modified") is None and got.get("Accept-Ranges") is None


@pytest.mark.wproxy_only
def test_page_for_head(omero):
    omero.down()
    with Wire(omero.address) as wire:
        head = wire.ask(request("HEAD /webclient/"))
        assert head.status == 502 and head.body == b""
        assert wire.ask(request("GET /webclient/")).status == 502


@pytest.mark.wproxy_only
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_page_for_methods(omero, method):
    """D2: a form sent during the outage gets the page with 502, not 405."""
    omero.down()
    for body in (b"", b"a=b", b"z" * 300000):
        got = fetch(omero.address, method + " /webclient/login/", "Content-Type: text/plain",
                    "Content-Length: %d" % len(body), body=body)
        assert got.status == 502 and PAGE in got.text, (method, len(body))


@pytest.mark.wproxy_only
def test_page_on_a_kept_connection(omero):
    """The body of a POST is discarded, the connection goes on."""
    omero.down()
    with Wire(omero.address) as wire:
        for _ in range(3):
            got = wire.ask(request("POST /webclient/", body=b"some body"))
            assert got.status == 502 and PAGE in got.text
            assert got.persistent
        assert wire.ask(request("GET /a.txt", "Connection: close")).status == 502


@pytest.mark.wproxy_only
def test_existing_file_is_served(omero):
    """`try_files $uri …` in @maintenance: a file of that name wins, still with 502."""
    omero.down()
    got = fetch(omero.address, "GET /maintainance.html")
    assert got.status == 502 and PAGE in got.text


def test_own_errors_pass(omero):
    """A 502, 503 or 404 that the back end sends is passed on untouched."""
    omero.up()
    for status in ("502 Bad Gateway", "503 Service Unavailable", "504 Gateway Time-out", "404 Not Found"):
        omero.origin.reply = answer(status, body=b"the application's own")
        got = fetch(omero.address, "GET /webclient/")
        assert got.status == int(status[:3]) and got.body == b"the application's own"


def test_recovery_is_immediate(omero):
    """fail_timeout=0: the first request after the return is served."""
    omero.origin.reply = answer("200 OK", body=b"back")
    for _ in range(3):
        omero.down()
        assert fetch(omero.address, "GET /webclient/").status == 502
        omero.up()
        assert fetch(omero.address, "GET /webclient/").body == b"back"
        assert fetch(omero.address, "POST /webclient/", body=b"x").body == b"back"


@pytest.mark.wproxy_only
def test_broken_answers_are_the_proxys_own(omero):
    """A back end that closes, resets or talks nonsense is a 502 made by the proxy: the page."""
    omero.up()

    def close(exchange, received):
        exchange.close()

    def reset(exchange, received):
        exchange.reset()

    def nonsense(exchange, received):
        exchange.send(b"what is this\r\n\r\n")
        exchange.close()
    for name, script in (("close", close), ("reset", reset), ("nonsense", nonsense)):
        omero.origin.scripts["/" + name] = script
        got = fetch(omero.address, "GET /" + name)
        assert got.status == 502 and PAGE in got.text, name
    omero.origin.scripts.clear()


@pytest.mark.wproxy_only
def test_fallback_off(shared):
    """`error_page_fallback off;` brings nginx's built-in page back."""
    site = Outage(shared, [("server_name $hostname;", "server_name $hostname;\n    error_page_fallback off;")])
    site.down()
    got = fetch(site.address, "GET /webclient/")
    assert got.status == 502 and PAGE not in got.text and "502 Bad Gateway" in got.text


def test_page_missing(shared):
    """The page's file is missing: `=502` gives the built-in page."""
    site = Outage(shared, [("/maintainance.html", "/no-such-page.html")])
    site.down()
    got = fetch(site.address, "GET /webclient/")
    assert got.status == 502 and "<h1>502 Bad Gateway</h1>" in got.text


def test_server_level(shared):
    """error_page at server level is inherited by the named location (nginx does this too)."""
    site = Outage(shared, [("server_name $hostname;", "server_name $hostname;\n    error_page 502 @maintenance;")])
    site.down()
    got = fetch(site.address, "GET /webclient/")
    assert got.status == 502 and PAGE in got.text


def test_in_force_there(shared):
    """An error_page for the code in the proxying location itself is the one that applies."""
    site = Outage(shared, [("proxy_pass http", "error_page 502 /404.html;\n        proxy_pass http")])
    site.down()
    got = fetch(site.address, "GET /webclient/")
    assert got.status == 502 and PAGE not in got.text


@pytest.mark.wproxy_only
def test_other_code_in_force(shared):
    """An error_page there for another code does not keep D1 from applying to 502."""
    site = Outage(shared, [("proxy_pass http", "error_page 404 /404.html;\n        proxy_pass http")])
    site.down()
    got = fetch(site.address, "GET /webclient/")
    assert got.status == 502 and PAGE in got.text


@pytest.mark.wproxy_only
def test_recursive_once(shared):
    """With recursive_error_pages on, the page applies once, and a loop ends."""
    site = Outage(shared, [
        ("server_name $hostname;", "server_name $hostname;\n    recursive_error_pages on;"),
        ("try_files $uri /maintainance.html =502;", "try_files /nope @proxy_to_app;")])
    site.down()
    got = fetch(site.address, "GET /webclient/")
    assert got.status == 502 and "502 Bad Gateway" in got.text


def test_timeout_is_another_code(shared):
    """A read timeout is 504, which `error_page 502` does not catch."""
    site = Outage(shared, [("proxy_redirect off;", "proxy_redirect off;\n proxy_read_timeout 150ms;")])
    site.origin.scripts["/slow"] = lambda exchange, received: exchange.gone(5) and exchange.close()
    got = fetch(site.address, "GET /slow")
    assert got.status == 504 and got.reason == "Gateway Time-out" and PAGE not in got.text


@pytest.mark.wproxy_only
def test_timeout_listed(shared):
    site = Outage(shared, [("proxy_redirect off;", "proxy_redirect off;\n proxy_read_timeout 150ms;"),
                           ("error_page 502 @", "error_page 502 504 @")])
    site.origin.scripts["/slow"] = lambda exchange, received: exchange.gone(5) and exchange.close()
    got = fetch(site.address, "GET /slow")
    assert got.status == 504 and PAGE in got.text


def catmaid(shared, extra=""):
    origin = shared.origin()
    with open(os.path.join(CONFIGS, "17-catmaid-create_configuration.conf")) as file:
        text = adapt(file.read(), origin.name, "@www@", "@www@", "@aliased@")
    if extra:
        text = text.replace("error_page 502", extra + "\n        error_page 502")
    return origin, shared.server(text)


def test_catmaid_page(shared):
    """CATMAID's own file: error_page in the proxying location, page by rewrite."""
    origin, one = catmaid(shared)
    origin.refuse()
    for method in ("GET", "HEAD"):
        got = fetch(one.address(), method + " /catmaid/x")
        assert got.status == 502
        assert method == "HEAD" or "maintenance page" in got.text
    origin.listen()
    assert fetch(one.address(), "GET /catmaid/x").status == 200


@pytest.mark.wproxy_only
def test_catmaid_page_for_post(shared):
    origin, one = catmaid(shared)
    origin.refuse()
    got = fetch(one.address(), "POST /catmaid/x", body=b"form=1")
    assert got.status == 502 and "maintenance page" in got.text


@pytest.mark.wproxy_only
def test_cors_stays(shared):
    """D7: CORS headers of the tile's location stay on its maintenance page; others do not."""
    origin, one = catmaid(shared, "add_header Access-Control-Allow-Origin * always;\n"
                                  "add_header Access-Control-Allow-Credentials true always;\n"
                                  "add_header Timing-Allow-Origin * always;\n"
                                  "add_header Vary Origin always;\n"
                                  "add_header Cache-Control immutable always;\n"
                                  "add_header Access-Control-Max-Age 5;\n"
                                  "add_header X-Other other always;")
    origin.refuse()
    got = fetch(one.address(), "GET /catmaid/x", "Origin: http://elsewhere")
    assert got.status == 502 and "maintenance page" in got.text
    assert got.all("Access-Control-Allow-Origin") == ["*"]
    assert got.get("Access-Control-Allow-Credentials") == "true"
    assert got.get("Timing-Allow-Origin") == "*"
    assert "Origin" in (got.get("Vary") or "")
    for name in ("Cache-Control", "X-Other", "Access-Control-Max-Age"):
        assert got.get(name) is None, name


def test_flag_file(shared):
    """IDR's flag: a file switches 503 and its page on and off, without a reload."""
    folder = shared.folder()
    one = shared.server("""server { listen @host@:@port@; root @www@;
        error_page 503 /maintenance.html;
        location = /maintenance.html { }
        location / { if (-f %s/flag) { return 503; } } }""" % folder)
    assert fetch(one.address(), "GET /a.txt").status == 200
    open(folder + "/flag", "w").close()
    got = fetch(one.address(), "GET /a.txt")
    assert got.status == 503 and "maintenance page" in got.text
    os.unlink(folder + "/flag")
    assert fetch(one.address(), "GET /a.txt").status == 200


def test_page_edited(shared):
    """The page can be edited while the outage lasts."""
    folder = shared.folder()
    path = folder + "/page.html"
    with open(path, "w") as out:
        out.write("one")
    one = shared.server("server { listen @host@:@port@; root %s; error_page 502 /page.html;"
                        "location / { proxy_pass http://127.0.0.1:%d; } location = /page.html { } }"
                        % (folder, server.free_port()))
    assert fetch(one.address(), "GET /x").body == b"one"
    with open(path, "w") as out:
        out.write("another text")
    assert fetch(one.address(), "GET /x").body == b"another text"
    os.unlink(path)
    assert fetch(one.address(), "GET /x").status == 404
