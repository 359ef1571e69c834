"""Every collected real configuration file loads with -t in the context it is included in."""

import glob
import os
import re
import subprocess

import pytest

import server
from certificate import make_certificate, make_dhparam
from server import SUBJECT

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs")
FILES = sorted(os.path.basename(p) for p in glob.glob(HERE + "/*.conf"))

# Rejected as written: nginx's own words.
REJECTED = {
    "13-catmaid-doc-maintenance.conf":
        'named location "@maintenance" can be on the server level only',
    "30-ome-prod-nginx-omero.conf": '"ssl_ciphers" directive is duplicate',
}
# Known to nginx and not built here: refused by name, never ignored.
NOT_BUILT = {"20-catmaid-doc-stream-postgres.conf": "stream"}
# What a snippet needs around it, because its file says so.
EXTRA_HTTP = {
    "13-catmaid-doc-maintenance.conf": "upstream catmaid-fafb-v14 { server 127.0.0.1:1; }",
    "14-catmaid-doc-production.conf": "upstream catmaid-fafb-v14-asgi { server 127.0.0.1:1; }",
    "32-ome-prod-omerows-include.conf":
        "map $http_upgrade $connection_upgrade { default upgrade; '' close; }",
    "36-ome-prod-exporters-web.conf": "upstream omeroweb { server 127.0.0.1:1; }",
}
WRAP = {
    "main": "%s",
    "http": "events { }\nhttp {\n%s\n}\n",
    "server": "events { }\nhttp {\nEXTRA\nserver {\nlisten 127.0.0.1:PORT;\n%s\n}\n}\n",
    "location": "events { }\nhttp {\nserver {\nlisten 127.0.0.1:PORT;\nlocation / {\n%s\n}\n}\n}\n",
}


def substitutions(folder, tools):
    """Textual substitution of places and addresses, and nothing else."""
    certificate, key, dhparam = tools
    return [
        (r"listen(\s+)\[::\]:\d+", lambda m: "listen%s[::1]:%d" % (m.group(1), server.free_port(("::1",)))),
        (r"listen(\s+)\d+", lambda m: "listen%s127.0.0.1:%d" % (m.group(1), server.free_port())),
        (r"(ssl_certificate|ssl_trusted_certificate)(\s+)[^;]+;", r"\1\2%s;" % certificate),
        (r"ssl_certificate_key(\s+)[^;]+;", r"ssl_certificate_key\1%s;" % key),
        (r"ssl_dhparam(\s+)[^;]+;", r"ssl_dhparam\1%s;" % dhparam),
        (r"auth_basic_user_file(\s+)[^;]+;", r"auth_basic_user_file\1%s/logins;" % folder),
        (r"/etc/nginx/(mime.types|conf.d|sites-enabled|modules-enabled|conf.d-nested-includes)",
         folder + r"/etc/\1"),
        (r"/home/omero/OMERO.server/etc/mime.types", folder + "/etc/mime.types"),
        (r"(/home/omero/OMERO.server|(?<!OMERO\.server)/var/log/nginx|/tmp/nginx|/var/run/nginx|/run/nginx)", folder + r"/tree\1"),
        (r"(www.openmicroscopy.org|omeroserver:|localhost:|omeroweb:4080)",
         lambda m: "127.0.0.1" + (":" if m.group(1).endswith(":") else ":4080" if "4080" in m.group(1) else "")),
        (r"user(\s+)(nginx|www-data|nobody nogroup);", ""),
        (r"include(\s+)(mime.types|uwsgi_params|nginx-cors.conf|snippets/cors.conf);",
         r"include\1%s/etc/\2;" % folder),
    ]


@pytest.fixture(scope="module")
def tools(shared):
    folder = shared.folder()
    return make_certificate(folder) + (make_dhparam(folder),)


def adapt(text, folder, tools):
    for pattern, value in substitutions(folder, tools):
        text = re.sub(pattern, value, text)
    return text


def furnish(folder, tools):
    """The files that the snippets include."""
    for name in ("etc/conf.d", "etc/sites-enabled", "etc/modules-enabled", "etc/snippets",
                 "etc/conf.d-nested-includes", "tree/home/omero/OMERO.server/var/log",
                 "tree/home/omero/OMERO.server/var/nginx_tmp", "tree/var/log/nginx", "tree/tmp",
                 "tree/var/run", "tree/run"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    with open(os.path.join(folder, "etc/mime.types"), "w") as out:
        out.write("types { text/html html; text/css css; }\n")
    with open(os.path.join(folder, "etc/uwsgi_params"), "w") as out:
        out.write("uwsgi_param QUERY_STRING $query_string;\nuwsgi_param REQUEST_METHOD $request_method;\n")
    with open(os.path.join(folder, "logins"), "w") as out:
        out.write("user:{PLAIN}password\n")
    for source, name in (("16-catmaid-docker-nginx-cors.conf", "etc/nginx-cors.conf"),
                         ("11-catmaid-doc-cors-snippet.conf", "etc/snippets/cors.conf")):
        with open(os.path.join(HERE, source)) as file, open(os.path.join(folder, name), "w") as out:
            out.write(adapt(file.read(), folder, tools))


def context_of(text):
    return re.search(r"^# context: (\w+)", text, re.M).group(1)


def settled(name, folder, tools):
    """The whole configuration text that includes the file as its header says."""
    with open(os.path.join(HERE, name)) as file:
        text = file.read()
    context = context_of(text)
    body = adapt(text, folder, tools)
    whole = WRAP[context].replace("PORT", str(server.free_port()))
    if context == "http":
        body = EXTRA_HTTP.get(name, "") + "\n" + body
        if not re.search(r"\blisten\b", body):
            body = re.sub(r"server \{", "server {\n    listen 127.0.0.1:%d;" % server.free_port(), body, 1)
    whole = whole.replace("EXTRA", EXTRA_HTTP.get(name, ""))
    head = ""
    if context != "main":
        head = "pid %s/t.pid;\nerror_log %s/e.log;\n" % (folder, folder)
        body = re.sub(r"^", "", body)
    return head + whole.replace("%s", body)


def check(binary, name, shared, tools):
    folder = shared.folder()
    furnish(folder, tools)
    config = os.path.join(folder, "whole.conf")
    with open(config, "w") as out:
        out.write(settled(name, folder, tools))
    done = subprocess.run([binary, "-t", "-c", config, "-p", folder + "/", "-e", folder + "/e.log"],
                          capture_output=True, timeout=60)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("name", FILES)
def test_loads(shared, tools, name):
    if name.startswith("20-") and server.subject_is_nginx():
        pytest.skip("nginx's stream module is not installed")
    status, said = check(SUBJECT, name, shared, tools)
    if name in REJECTED:
        assert status == 1 and REJECTED[name] in said, said
    elif name in NOT_BUILT and status == 1:
        assert "[emerg]" in said and NOT_BUILT[name] in said, said
    else:
        assert status == 0, said
        assert "syntax is ok" in said and "test is successful" in said


def test_provenance():
    """Each file keeps the two lines that say where it is from and where it is included."""
    assert len(FILES) >= 37
    for name in FILES:
        with open(os.path.join(HERE, name)) as file:
            text = file.read()
        assert text.startswith("# provenance: "), name
        assert context_of(text) in WRAP, name
