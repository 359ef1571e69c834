"""disable_symlinks: which links on the way to a file are followed, beside nginx."""

import os

import pytest

from contrast import Case, cases

HTTP = r"""
server {
    listen @host@:@port@;
    server_name example.test;
    root @tree@;
    gzip_static on;
    location / { }
    location /on/ { alias @tree@/; disable_symlinks on; }
    location /owner/ { alias @tree@/; disable_symlinks if_not_owner; }
    location /from/ { alias @tree@/; disable_symlinks on from=@tree@; }
    location /fromslash/ { alias @tree@/; disable_symlinks on from=@tree@/; }
    location /fromlink/ { alias @tree@/; disable_symlinks on from=@tree@/linked; }
    location /frompart/ { alias @tree@/; disable_symlinks on from=@tree@/lin; }
    location /fromother/ { alias @tree@/; disable_symlinks on from=/nowhere; }
    location /fromfile/ { alias @tree@/; disable_symlinks on from=@tree@/link.txt; }
    location /variable/ { alias @tree@/; disable_symlinks on from=$document_root; }
    location /inherits/ { disable_symlinks on; location /inherits/in/ { alias @tree@/; } location /inherits/off/ { disable_symlinks off; alias @tree@/; } }
    location /tried/ { alias @tree@/; disable_symlinks on; try_files $uri /a.txt; }
    location /test/ { disable_symlinks on; if (-f @tree@/link.txt) { return 200 yes; } return 200 no; }
    location /behind/ { alias @tree@/through/; disable_symlinks on from=@tree@/through; }
}
"""


def grow_links(top):
    os.makedirs(os.path.join(top, "real", "sub"))
    for name, text in {"a.txt": "a\n", "real/b.txt": "b\n", "real/index.html": "i\n",
                       "real/sub/c.txt": "c\n", "z.txt": "z\n", "real.txt": "plain\n"}.items():
        with open(os.path.join(top, name), "w") as out:
            out.write(text)
        os.utime(os.path.join(top, name), (1700000000, 1700000000))
    links = {"link.txt": "a.txt", "linked": "real", "through": ".", "dangling": "nothing",
             "loop": "loop", "foreign.txt": "a.txt", "foreign": "real", "real.txt.gz": "z.txt",
             "real/index.link": "index.html", "indexed": "real"}
    for name, target in links.items():
        os.symlink(target, os.path.join(top, name))
    if os.geteuid() == 0:
        for name in ("foreign.txt", "foreign"):
            os.lchown(os.path.join(top, name), 1, 1)
    for folder, _, _ in os.walk(top):
        os.chmod(folder, 0o755)


@pytest.fixture(scope="module")
def pair(shared):
    top = os.path.join(shared.folder(), "tree")
    grow_links(top)
    return shared.pair(HTTP, names={"tree": top})


PLACES = ("", "on/", "owner/", "from/", "fromslash/", "fromlink/", "frompart/", "fromother/", "fromfile/",
          "variable/", "inherits/in/", "inherits/off/", "tried/", "behind/")
FILES = ("a.txt", "link.txt", "linked/b.txt", "linked", "linked/", "real/sub/c.txt", "linked/sub/c.txt",
         "dangling", "loop", "foreign.txt", "foreign/b.txt", "foreign/", "a.txt/x", "missing", "real/",
         "linked//b.txt")


@cases(*["GET /%s%s" % (place, name) for place in PLACES for name in FILES], "GET /test/",
       Case("GET /on/real.txt", "Accept-Encoding: gzip"), Case("GET /real.txt", "Accept-Encoding: gzip"),
       Case("GET /on/a.txt", "Range: bytes=0-0"), Case("HEAD /on/a.txt"), Case("HEAD /on/link.txt"))
def test_links(pair, case):
    pair.compare(case)
