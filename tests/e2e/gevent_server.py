"""CATMAID's run-gevent.py: gevent's WSGIServer, given an address and module:application."""

import importlib
import sys

from gevent import monkey

monkey.patch_all()

from gevent import socket  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from pool import unix_listener  # noqa: E402


def main(address, application):
    module, _, name = application.partition(":")
    target = getattr(importlib.import_module(module), name)
    if address.startswith("unix:"):
        listener = socket.socket(fileno=unix_listener(address[5:]).detach())
    else:
        host, _, port = address.rpartition(":")
        listener = (host, int(port))
    WSGIServer(listener, target, log=None).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
