"""What gunicorn serves in the benchmark: 4,405 bytes at any path, as origin's /thumb."""

PATTERN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
THUMB = (PATTERN * 69)[:4405]


def application(_environ, start_response):
    start_response("200 OK", [("Content-Type", "image/jpeg"), ("Content-Length", str(len(THUMB)))])
    return [THUMB]
