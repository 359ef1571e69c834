"""autoindex: listings of folders, byte for byte beside nginx, and what nginx does not promise."""

import os
import re
import socket

import pytest

from contrast import Case, cases
from difference import Want
from server import wait_until
from wire import Wire, fetch, request

HTTP = r"""
server {
    listen @host@:@port@;
    server_name example.test;
    root @tree@;
    location / { autoindex on; }
    location /sized/ { alias @tree@/; autoindex on; autoindex_exact_size off; }
    location /local/ { alias @tree@/; autoindex on; autoindex_localtime on; autoindex_exact_size off; }
    location /utf8/ { alias @tree@/; autoindex on; charset UTF-8; }
    location /koi/ { alias @tree@/; autoindex on; charset koi8-r; autoindex_format xml; }
    location /xml/ { alias @tree@/; autoindex on; autoindex_format xml; autoindex_localtime on; }
    location /json/ { alias @tree@/; autoindex on; autoindex_format json; charset UTF-8; charset_types *; }
    location /jsonp/ { alias @tree@/; autoindex on; autoindex_format jsonp; }
    location /gzip/ { alias @tree@/; autoindex on; gzip on; gzip_types *; }
    location /off/ { alias @tree@/; }
    location /indexed/ { alias @tree@/; autoindex on; index nothing.html inside; }
    location /absolute/ { alias @tree@/; autoindex on; index nothing.html /here; }
    location = /here { return 200 here; }
    location /tried/ { root @tree@/..; rewrite ^/tried(/.*) /tree$1 break; autoindex on; try_files $uri $uri/ =404; }
    location /links/ { alias @tree@/; autoindex on; disable_symlinks on from=@tree@; }
    location /page/ { error_page 404 = /plain/; return 404; }
    location /page403/ { error_page 403 /plain/; deny all; }
    location /refused/ { alias @tree@/; autoindex on; error_page 403 404 =200 /here; }
    location /denied/ { alias @tree@/; autoindex on; deny all; }
    location ~ ^/regex/([a-z]+)/$ { alias @tree@/$1/; autoindex on; }
    location /add/ { alias @tree@/; autoindex on; add_header X-One 1; expires 1h; }
    location /inherits/ { autoindex on; autoindex_format json; location /inherits/in/ { alias @tree@/; } location /inherits/off/ { alias @tree@/; autoindex off; } }
    location /noslash/ { alias @tree@/p; autoindex on; }
    location /nochunks/ { alias @tree@/; autoindex on; chunked_transfer_encoding off; }
}
"""
MTIME = 1700000000
SIZES = (0, 1, 9999, 10000, 10239, 10240, 10751, 10752, 1048575, 1048576, 1572863, 1572864, 1073741823, 1073741824,
         1610612735, 1610612736, 5 << 30)
NAMES = (b"a b&c<d>\"e'.txt", b"a:b", b"~t-_.x", b"per%cent", b"plus+semi;q?h#", b"tab\tline\nback\\slash\x01", b"bad\xffname",
         b"\xed\xa0\x80half", b"\xc0\x80long", b"cut\xc3", "na\u00efve".encode(), b"UPPER", b"upper", b".hidden", b"..two")
# Around the widths where names are padded, full, cut: bytes, characters, and what is escaped.
WIDE = [letter.encode() * width for letter in ("x", "\u00e9", "\u20ac", "\U0001f600", "&") for width in (46, 47, 48, 49, 50, 51, 60)
        if len(letter.encode()) * width < 256]


def grow_tree(top):
    def file(name, size=0, mtime=MTIME):
        path = os.path.join(os.fsencode(top), name)
        with open(path, "wb") as out:
            out.truncate(size)
        os.utime(path, (mtime, mtime))

    os.makedirs(os.path.join(top, "plain", "deeper"))
    for name in NAMES + tuple(WIDE):
        file(name)
    for size in SIZES:
        file(b"size%d" % size, size)
    for name, mtime in ((b"old", -300000000), (b"summer", 1751371200), (b"winter", 1735732800), (b"far", 4102444800)):
        file(name, 3, mtime)
    for name in ("empty", "p", "index", "a" * 49, "a" * 50, "a" * 51, "d\u00fcr", "shut", "blind", "unreadable"):
        os.makedirs(os.path.join(top, name))
    os.makedirs(os.path.join(os.fsencode(top), b"wide\xe2\x82\xac<&>" + b"z" * 50))
    for name, target in {"broken": "nowhere", "loop": "loop", "to-folder": "plain", "to-file": "size1", "to-shut": "shut/x"}.items():
        os.symlink(target, os.path.join(top, name))
    os.mkfifo(os.path.join(top, "fifo"))
    for name in ("plain/one.txt", "plain/two", "plain/deeper/x", "index/inside", "index/index.html", "p/secret", "blind/x", "blind/y"):
        file(name.encode(), 5)
    for folder, folders, names in os.walk(os.fsencode(top), topdown=False):
        for name in folders + [name for name in names if os.path.islink(os.path.join(folder, name))]:
            os.utime(os.path.join(folder, name), (MTIME, MTIME), follow_symlinks=False)
    os.chmod(os.path.join(top, "shut"), 0)
    os.chmod(os.path.join(top, "blind"), 0o444)
    os.chmod(os.path.join(top, "unreadable"), 0o111)


@pytest.fixture(scope="module", params=["GMT", "CET-1CEST,M3.5.0,M10.5.0/3", "XXX+03:30"])
def pair(shared, request):
    top = os.path.join(shared.folder(), "tree")
    os.mkdir(top, 0o755)
    grow_tree(top)
    return shared.pair(HTTP, names={"tree": top}, env={"TZ": request.param})


FORMATS = ("", "sized/", "local/", "utf8/", "koi/", "xml/", "json/", "jsonp/")
LETTERS = "aZ_.09" * 22


@cases(*["GET /%s%s" % (place, folder) for place in FORMATS for folder in ("", "plain/", "empty/")],
       *["HEAD /%s" % place for place in FORMATS],
       *[Case("GET /%splain/ HTTP/1.0" % place) for place in FORMATS],
       Case("GET /gzip/", "Accept-Encoding: gzip"), Case("GET /gzip/plain/", "Accept-Encoding: gzip"),
       "GET /jsonp/plain/?callback=a.b_1", "GET /jsonp/plain/?x=1&callback=cb&callback=d", "GET /jsonp/empty/?callback=cb",
       "GET /jsonp/?CallBack=cb", "GET /jsonp/?callback=", "GET /jsonp/?callback", "GET /jsonp/?callback=a%2eb",
       "GET /jsonp/?callback=a-b", "GET /jsonp/?callback=(", "GET /jsonp/?callback=\u00e9", "HEAD /jsonp/?callback=a-b",
       "GET /jsonp/?callback=" + LETTERS[:128], "GET /jsonp/?callback=" + LETTERS[:129], "GET /json/plain/?callback=a-b",
       "GET /plain", "GET /plain?x=1", "GET /xml/plain", "GET /nothere/", "GET /old/", "GET /fifo/", "GET /broken/",
       "GET /to-folder/", "GET /json/to-folder/", "GET /to-file/", "GET /plain/deeper/../", "GET /plain//deeper//",
       "GET /%3Cx%3E&%22/../plain/", "GET /wide%E2%82%AC%3C&%3E" + "z" * 50 + "/", "GET /utf8/d%C3%BCr/",
       Case("POST /plain/", body=b"x"), Case("PUT /plain/", body=b"x"), "DELETE /plain/", "OPTIONS /plain/", "PATCH /plain/",
       "GET /off/plain/", "GET /index/", "GET /indexed/index/", "GET /indexed/plain/", "GET /absolute/plain/",
       "GET /tried/plain", "GET /tried/plain/", "GET /tried/none", "GET /tried/index",
       "GET /links/plain/", "GET /links/to-folder/", "GET /links/",
       "GET /page/", "GET /page403/", "HEAD /page/", Case("POST /page403/", body=b"x"), "GET /refused/nothere/",
       "GET /refused/shut/", "GET /refused/plain/", "GET /denied/plain/", "GET /regex/plain/", "GET /regex/none/",
       "GET /add/plain/", "GET /inherits/in/plain/", "GET /inherits/off/plain/", "GET /nochunks/plain/",
       Case("GET /plain/", "Range: bytes=0-9"), Case("GET /plain/", "If-Modified-Since: Tue, 14 Nov 2033 22:13:20 GMT"),
       Case("GET /plain/", "If-None-Match: *"), Case("GET /plain/", "If-Match: *"), Case("GET /plain/", 'If-Match: "x"'),
       Case("GET /plain/", raw=request("GET /plain/") + request("GET /json/empty/"), answers=2),
       Case("GET /noslash/", want=Want("alias", status=404, body=b"404 Not Found")))
def test_listing(pair, case):
    pair.compare(case)


@cases("GET /shut/", "HEAD /shut/", "GET /blind/", "GET /json/blind/", "GET /unreadable/", "HEAD /unreadable/", "GET /xml/unreadable/")
def test_folders_that_may_not_be_read(pair, case):
    """Closed; names can be read and what they are cannot; names cannot be read."""
    pair.compare(case)


def test_what_the_log_says(pair):
    """A folder that may not be read, and a name left out of a list."""
    def lines(one):
        since = len(one.errors())
        assert fetch(one.address(), "GET /unreadable/").status == 403
        assert b"to-shut" not in fetch(one.address(), "GET /").body
        one.wait_logged("to-shut", since=since)
        found = re.findall(r"\[(\w+)\].*\*\d+ (\w+\(\) .*? \(\d+: .*?\))", one.errors()[since:])
        assert len(found) == 2
        return found
    pair.both(lines)


LARGE = r"""
server {
    listen @host@:@port@;
    root @tree@;
    location / { autoindex on; }
    location /json/ { alias @tree@/; autoindex on; autoindex_format json; }
    location = /small { return 200 small; }
}
"""
COUNT = 100000


@pytest.fixture(scope="module")
def large(shared):
    top = os.path.join(shared.folder(), "large")
    os.makedirs(os.path.join(top, "many"))
    os.makedirs(os.path.join(top, "few"))
    os.chmod(top, 0o755)
    first = None
    for number in range(COUNT):
        path = "%s/many/name-%06d.tile" % (top, number)
        if number % 50000:
            os.link(first, path)
        else:
            first = path
            with open(path, "w"):
                pass
            os.utime(path, (MTIME, MTIME))
    return shared.pair(LARGE, names={"tree": top}, main="")


def test_a_large_folder(large):
    """Made in pieces; the same bytes."""
    for path in ("/many/", "/json/many/"):
        answers = [fetch(one.address(), "GET " + path, timeout=60) for one in (large.subject, large.oracle)]
        assert answers[0].status == answers[1].status == 200
        assert answers[0].body.count(b"name-") >= COUNT
        assert answers[0].body == answers[1].body, path


@pytest.fixture(scope="module")
def lone(shared, large):
    return shared.server(LARGE, names={"tree": large.subject.names["tree"]}, threads=1)


@pytest.mark.wproxy_only
def test_others_are_served_meanwhile(lone):
    """One thread: whoever comes behind a large folder's reader has an answer before he has."""
    with Wire(lone.address(), 60) as wire:
        wire.send(request("GET /many/"))
        for _ in range(3):
            assert fetch(lone.address(), "GET /small").body == b"small"
        assert not wire.readable(), "the loop has read the folder itself"
        assert wire.read_response().body.count(b"name-") == 2 * COUNT


@pytest.mark.wproxy_only
def test_a_reader_that_is_slow(lone):
    """He costs no more than the names, and others do not wait."""
    slow = Wire(lone.address(), 60, receive_buffer=4096)
    with slow as wire:
        wire.send(request("GET /many/"))
        assert wait_until(wire.readable, 30, "the listing begins")
        assert fetch(lone.address(), "GET /few/").status == 200
        assert wire.read_response().body.count(b"name-") == 2 * COUNT


@pytest.mark.wproxy_only
def test_readers_that_leave(lone):
    """In every state of a listing: waiting for the helper thread, being read, being sent."""
    for number in range(40):
        with socket.create_connection(lone.address()) as client:
            client.sendall(request("GET /many/"))
            if number % 4 == 3:
                assert client.recv(100)
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert fetch(lone.address(), "GET /few/", timeout=60).status == 200
