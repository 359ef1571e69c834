"""A request that waits twice in one step, and whose client leaves during the second wait."""

import os
import socket

import pytest

from server import wait_until
from wire import fetch, request

HTTP = r"""
server {
    listen @host@:@port@;
    root @www@;
    auth_basic_user_file @prefix@/logins;
    location /delayed/ { alias @www@/; auth_basic realm; auth_delay 3s; }
    location /asked/ { alias @www@/; auth_basic realm; auth_request /question; }
    location = /question { internal; proxy_pass http://127.0.0.1:@held@/; }
    location /small { return 200 small; }
}
"""
# A helper thread computes its hash: that is the first wait.
LOGINS = "slow:$6$saltsalt$KN.twvCyfwE67paW76hS2/bacYkY9PxIhxqYG9vL5bZmIwWBGDJ6mu4HlCosKUBfQwVXKXxXVXPcqdwd1Ip0X/\n"
RIGHT, WRONG = "Authorization: Basic c2xvdzpwYXNz", "Authorization: Basic c2xvdzp3cm9uZw=="


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path, login, waits", [("/delayed/a.txt", WRONG, "delaying unauthorized request"),
                                                ("/asked/a.txt", RIGHT, None)])
def test_client_leaves(own, path, login, waits):
    with socket.socket() as back_end:
        back_end.bind(("127.0.0.1", 0))
        back_end.listen(100)
        back_end.settimeout(20)
        folder = own.folder()
        with open(os.path.join(folder, "logins"), "w") as out:
            out.write(LOGINS)
        os.chmod(os.path.join(folder, "logins"), 0o644)
        one = own.server(HTTP + "access_log @prefix@/access.log;", folder=folder, threads=1, level="debug",
                         names={"held": back_end.getsockname()[1]})
        for number in range(1, 6):
            client = socket.create_connection(one.address())
            client.sendall(request("GET " + path, login))
            if waits:
                wait_until(lambda: one.errors().count(waits) >= number, 20, waits)
            else:
                asked = back_end.accept()[0]
                asked.settimeout(20)
                assert asked.recv(65536)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            wait_until(lambda: one.read("access.log").count(path) == number, 20, "the request is logged")
            if not waits:
                asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                asked.close()
        since = len(one.errors())
        if waits:       # a request whose delay begins last ends last
            assert fetch(one.address(), "GET " + path, login).status == 401
        assert fetch(one.address(), "GET /small").body == b"small"
        assert one.read("access.log").count(" 499 ") == 5
        assert one.errors()[since:].count("Unauthorized") == 0
