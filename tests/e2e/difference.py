"""The intended differences between wproxy and nginx, as a table.

differences.md says the same in prose. A case of the differential suite may expect something
else than nginx's answer only by naming a row of this table; test_differences.py holds the two
files together and refuses rows that no case uses.
"""

ROWS = {
    "maintenance": "SEMANTICS decision D1: a named location entered by try_files that answers 502, "
                   "503 or 504 made by the proxy takes the error_page of the location that jumped.",
    "post-down": "SEMANTICS decision D2: while an error is answered, a static location takes POST, "
                 "PUT, PATCH and DELETE as GET.",
    "cors": "SEMANTICS decision D7: CORS headers added with `always` in the location that failed "
            "stay on the error page.",
    "transfer-encoding": "SEMANTICS decision Transfer-Encoding: in HTTP/1.0, repeated or beside "
                         "Content-Length 400; any value but chunked 501; from a back end 502.",
    "no-live": "SEMANTICS decision D8: peers that are all marked failed are tried as if none were.",
    "alias": "SEMANTICS decision Alias traversal: a path that leaves the aliased folder is 404.",
    "hop-by-hop": "SEMANTICS decision Hop-by-hop: fields named in Connection are removed.",
    "authority": "SEMANTICS decision Hop-by-hop: the authority of an absolute-form target "
                 "replaces Host everywhere.",
    "strict-head": "Issue 2 section 3 (RFC 9112): an invalid request line, target, Host or field "
                   "is 400 and the connection is closed.",
    "strict-chunk": "Issue 2 section 3 (RFC 9112 7.1): bad chunk sizes, extensions or line ends "
                    "are 400 and the connection is closed.",
    "strict-answer": "Issue 2 section 3: a back end's invalid status line, field, length or chunk, "
                     "an HTTP/0.9 stream or an unasked 101 is a 502.",
    "interim": "Issue 2 section 3: 1xx answers of a back end are skipped; nginx 1.22 takes them "
               "for the final answer.",
    "written-anew": "Issue 2 section 3: what goes to a back end is written anew: field names are valid, "
                    "a target has no blank.",
    "several": "nginx 1.23: what stands in several fields of a request is one parameter of uwsgi.",
    "always-host": "Issue 2 section 3: what goes to a back end always has a Host.",
    "close-wins": "Issue 2 section 3: nothing is processed after Connection: close, wherever it "
                  "stands (RFC 9112 9.3).",
    "streamed-framing": "Issue 2 section 3: with proxy_request_buffering off a chunked body is "
                        "passed on chunked; nginx writes a length when all of it came with the head.",
    "expect": "Issue 2 section 3: 100 (Continue) is sent only to a 1.1 client that waits for it.",
    "refused-method": "Issue 2 section 3: CONNECT and TRACE are refused.",
    "server-name": "PRODUCT conventions: the name in Server, in error pages and in messages.",
    "nearest-word": "Issue 2 section 2: an unknown directive says which known one is nearest.",
    "accepted-body": "The size of a body that was received whole is not looked at again where "
                     "X-Accel-Redirect leads to.",
    "early-answer": "Issue 2 section 3: what a back end said before it closed is always forwarded.",
}


class Want:
    """What wproxy answers where a row allows it to differ from nginx."""

    def __init__(self, row, status=None, headers=None, absent=(), body=None, closes=None,
                 reaches=None, lacks=(), told=None):
        if row not in ROWS:
            raise KeyError("no such difference: " + row)
        self.row = row
        self.status = status
        self.headers = headers or {}
        self.absent = absent
        self.body = body
        self.closes = closes
        self.reaches = reaches
        self.lacks = lacks          # names that the back end must not see
        self.told = told or {}      # what the back end must see

    def check(self, outcome):
        """Fails unless the normalised outcome is what this row promises."""
        assert outcome.answers, "no answer at all; expected %s (%s)" % (self.status, self.row)
        last = outcome.answers[-1]
        if self.status is not None:
            allowed = self.status if isinstance(self.status, tuple) else (self.status,)
            assert last["status"] in allowed, "%s: expected %s, got %s" % (
                ROWS[self.row], self.status, last)
        for name, value in self.headers.items():
            assert (name.lower(), value) in last["headers"], (self.row, name, last["headers"])
        for name in self.absent:
            assert name.lower() not in [n for n, _ in last["headers"]], (self.row, name)
        if self.body is not None:
            assert self.body in last["body"], (self.row, last["body"][:300])
        if self.closes is not None:
            assert outcome.closed == self.closes, "%s: closed=%s" % (self.row, outcome.closed)
        if self.reaches is not None:
            assert len(outcome.backend) == self.reaches, (
                "%s: %d requests reached the back end: %r" % (
                    self.row, len(outcome.backend), outcome.backend))
        for view in outcome.backend:
            names = [n for n, _ in view["headers"]]
            for name in self.lacks:
                assert name not in names, "%s reached the back end (%s)" % (name, self.row)
            for field in self.told.items():
                assert field in view["headers"], (self.row, field, view["headers"])
