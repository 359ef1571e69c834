"""A visitor with cookies: gets pages, posts forms, follows redirects when told to."""

import re
from urllib.parse import urlencode, urljoin, urlsplit

from wire import fetch


class Browser:
    """Keeps cookies by name for one site, reached at `address` under the host name `host`."""

    def __init__(self, address, host="example.test", scheme="http"):
        self.address = address
        self.host = host
        self.base = "%s://%s/" % (scheme, host)
        self.cookies = {}
        self.at = self.base

    def open(self, method, path, *headers, body=b""):
        lines = list(headers)
        if self.cookies:
            lines.append("Cookie: " + "; ".join("%s=%s" % c for c in self.cookies.items()))
        answer = fetch(self.address, "%s %s" % (method, path), *lines, body=body, host=self.host)
        for value in answer.all("Set-Cookie"):
            name, _, rest = value.partition("=")
            self.cookies[name] = rest.split(";")[0]
        self.at = urljoin(self.base, path)
        return answer

    def get(self, path, *headers):
        return self.open("GET", path, *headers)

    def follow(self, answer):
        """Goes where a redirect leads; fails when that is another host."""
        target = urlsplit(urljoin(self.at, answer.get("Location")))
        assert target.netloc in (self.host, self.host.split(":")[0]), answer.get("Location")
        return self.get(target.path + ("?" + target.query if target.query else ""))

    def token(self, page):
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert found, page.text[:500]
        return found.group(1)

    def post(self, path, page=None, **fields):
        if page is not None:
            fields["csrfmiddlewaretoken"] = self.token(page)
        return self.open("POST", path, "Content-Type: application/x-www-form-urlencoded",
                         body=urlencode(fields).encode())
