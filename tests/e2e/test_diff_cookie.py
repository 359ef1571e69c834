"""proxy_cookie_domain, proxy_cookie_path and proxy_cookie_flags, as nginx applies them."""

import pytest

from contrast import Case, cases
from origin import OK, answer

HTTP = r"""
proxy_http_version 1.1;
upstream app { server @origin.app@; keepalive 8; }
server {
    listen @host@:@port@;
    server_name example.test;
    proxy_pass_header X-Nothing;
    location / { proxy_pass http://app; }
    location /domain/ { proxy_cookie_domain app.local example.test; proxy_pass http://app; }
    location /dot/ { proxy_cookie_domain .app.local .example.test; proxy_pass http://app; }
    location /dvar/ { proxy_cookie_domain app.local $host; proxy_pass http://app; }
    location /drx/ { proxy_cookie_domain ~\.?(\w+)\.local$ $1.test; proxy_pass http://app; }
    location /doff/ { proxy_cookie_domain off; proxy_pass http://app; }
    location /path/ { proxy_cookie_path /one/ /two/; proxy_cookie_path / /root/; proxy_pass http://app; }
    location /prx/ { proxy_cookie_path ~*^/APP/(.*)$ /out/$1; proxy_pass http://app; }
    location /both/ { proxy_cookie_domain app.local example.test; proxy_cookie_path /one /two; proxy_pass http://app; }
    location /flags/ { proxy_cookie_flags sid secure httponly samesite=strict; proxy_cookie_flags ~^pre secure;
        proxy_pass http://app; }
    location /unflag/ { proxy_cookie_flags ~. nosecure nohttponly nosamesite; proxy_pass http://app; }
    location /lax/ { proxy_cookie_flags $arg_c samesite=lax; proxy_pass http://app; }
    location /all/ { proxy_cookie_domain app.local example.test; proxy_cookie_path / /x/;
        proxy_cookie_flags sid secure; proxy_pass http://app; }
    location /in/ { proxy_cookie_path / /outer/; proxy_pass http://app;
        location /in/off/ { proxy_cookie_path off; proxy_pass http://app; }
        location /in/own/ { proxy_cookie_path /one/ /own/; proxy_pass http://app; } }
}
"""

COOKIES = (
    "sid=1", "sid=1; Path=/", "sid=1; Path=/one/x; Domain=app.local", "sid=1; domain=.app.local; path=/one/",
    "sid=1;Path=/;HttpOnly;Secure", "sid=1; HttpOnly; SameSite=Lax; Path=/", "pre-x=2; Path=/app/y; Secure",
    "other=3; Domain=APP.LOCAL; Path=/APP/z; Max-Age=10", "sid=; expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/one/",
    "SID=1; SameSite=None; Secure", "noequals", "a=b=c; Path=/", "sid=1; Domain=notapp.local; Path=relative",
    "sid=1; Path=/;", "sid=1; ; Path=/", "sid=1; Domain", "sid=\"q; Path=/\"; Path=/", "sid=1; Domain=; Path=",
)
PLACES = ("/", "/domain/", "/dot/", "/dvar/", "/drx/", "/doff/", "/path/", "/prx/", "/both/", "/flags/",
          "/unflag/", "/lax/x?c=sid", "/all/", "/in/", "/in/off/", "/in/own/")


@pytest.fixture(scope="module")
def pair(shared):
    app = shared.origin()
    made = shared.pair(HTTP, origins={"app": app})
    app.reply = OK
    return made


@cases(*[Case("GET %s" % place, name="%s %s" % (place, cookie), reply=answer("200 OK", "Set-Cookie: " + cookie))
         for place in PLACES for cookie in COOKIES],
       Case("GET /all/", reply=answer("200 OK", "Set-Cookie: sid=1; Path=/", "Set-Cookie: b=2; Domain=app.local")))
def test_cookies(pair, case):
    pair.compare(case)
