"""A small ASGI application for Daphne: WebSockets that echo, and HTTP beside them."""

import asyncio
import hashlib
import json


async def websocket(scope, receive, send):
    """Echoes; says who it was told that the client is; /channels/tick/ speaks unasked; "bye" ends with code 4001."""
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"].endswith("/refused/"):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    if scope["path"].endswith("/tick/"):
        for i in range(5):
            await send({"type": "websocket.send", "text": "tick %d" % i})
            await asyncio.sleep(0.2)
    while True:
        event = await receive()
        if event["type"] != "websocket.receive":
            return
        if event.get("text") == "bye":
            await send({"type": "websocket.close", "code": 4001})
            return
        if event.get("text") == "who":
            told = {n.decode(): v.decode() for n, v in scope["headers"]}
            await send({"type": "websocket.send", "text": json.dumps({"client": scope["client"], "path": scope["path"], "headers": told})})
            continue
        await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})


async def http(scope, receive, send):
    seen, size, more = hashlib.sha256(), 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        seen.update(event.get("body", b""))
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    if scope["path"].endswith("/stream/"):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for i in range(5):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % i, "more_body": True})
            await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    body = json.dumps({"method": scope["method"], "path": scope["path"], "size": size, "sha256": seen.hexdigest(),
                       "client": scope["client"], "scheme": scope["scheme"],
                       "headers": {n.decode(): v.decode("latin-1") for n, v in scope["headers"]}}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def application(scope, receive, send):
    await (websocket if scope["type"] == "websocket" else http)(scope, receive, send)
