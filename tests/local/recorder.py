"""Around every AWS call: who called what, how it ended, and the faults that were ordered."""
from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional
from urllib.parse import parse_qs

from .faults import Faults, render_error

Scope = Dict[str, Any]
Receive = Callable[[], Awaitable[Dict[str, Any]]]
Send = Callable[[Dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEPT_BODY = 64 * 1024
_SIGNED = re.compile(r"Credential=[^/,]+/\d+/([^/]+)/([^/]+)/aws4_request")
_APP_ID = re.compile(r"\bapp/(\S+)")
_RPC_V2 = re.compile(r"^/service/[^/]+/operation/([^/]+)$")
# What the method and the path of EFS mean (EFS API reference).
_REST = {
    "GET /2015-02-01/access-points": "DescribeAccessPoints", "POST /2015-02-01/access-points": "CreateAccessPoint"}
_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class Recorder:
    """An ASGI application around ministack's own."""

    def __init__(self, app: App, door: App, faults: Faults) -> None:
        self._app = app
        self._door = door
        self._faults = faults
        self._lock = threading.Lock()
        self._calls: List[Dict[str, Any]] = []

    def calls(self, since: int = 0) -> List[Dict[str, Any]]:
        """Every finished call from number `since` on, in the order they ended."""
        with self._lock:
            return self._calls[since:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith("/_door/"):
            await self._door(scope, receive, send)
        elif scope["path"].startswith("/_ministack/"):
            await self._app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = decode_headers(scope)
        body = await read_body(receive)
        call = describe(scope, headers, body)
        started = time.perf_counter()
        call["at"] = time.time()
        fault = self._faults.take(call)
        answer = _Answer(send, passing=fault is None or fault["when"] == "before")
        try:
            if fault:
                call["fault"] = fault["id"]
                await asyncio.sleep(float(fault.get("latency") or 0))
            if fault and fault["when"] == "before" and (fault.get("error") or fault.get("cut")):
                await _fail(fault, headers, call, answer, send)
                return
            await self._app(scope, _replay(body), answer)
            call["status"] = answer.status
            call["error"] = answer.error_code()
            if fault and fault["when"] == "after":
                await self._finish_after(fault, headers, call, answer, send)
        finally:
            call["duration_ms"] = round((time.perf_counter() - started) * 1000, 2)
            with self._lock:
                call["n"] = len(self._calls)
                self._calls.append(call)

    @staticmethod
    async def _finish_after(
        fault: Mapping[str, Any], headers: Mapping[str, str], call: Dict[str, Any],
        answer: "_Answer", send: Send,
    ) -> None:
        if fault.get("error") or fault.get("cut"):
            await _fail(fault, headers, call, answer, send)
        else:
            await answer.release()


class _Answer:
    """What the application sends: passed on at once, or kept until a fault has been decided."""

    def __init__(self, send: Send, passing: bool) -> None:
        self._send = send
        self._passing = passing
        self._kept: List[Dict[str, Any]] = []
        self.status: Optional[int] = None
        self._headers: Dict[str, str] = {}
        self._body = b""

    async def __call__(self, message: Dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            self._headers = {
                k.decode("latin-1").lower(): v.decode("latin-1")
                for k, v in message.get("headers", [])
            }
        elif message["type"] == "http.response.body" and len(self._body) < _KEPT_BODY:
            self._body += message.get("body", b"")
        if self._passing:
            await self._send(message)
        else:
            self._kept.append(message)

    async def release(self) -> None:
        for message in self._kept:
            await self._send(message)

    def error_code(self) -> Optional[str]:
        """The AWS error code of an answer that is not a success."""
        if self.status is None or self.status < 400:
            return None
        named = self._headers.get("x-amzn-errortype")
        if not named:
            named = _code_in_body(self._body)
        return named.split("#")[-1].split(":")[0] if named else f"HTTP {self.status}"


def _code_in_body(body: bytes) -> Optional[str]:
    found = _ERROR_CODE.search(body)
    if found:
        return found.group(1).decode("utf-8", "replace")
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed.get("__type") or parsed.get("code") if isinstance(parsed, dict) else None


async def _fail(
    fault: Mapping[str, Any], headers: Mapping[str, str], call: Dict[str, Any],
    answer: _Answer, send: Send,
) -> None:
    if fault.get("cut"):
        call.update(status=None, error="connection cut")
        await _cut(send)
        return
    status, fields, body = render_error(fault["error"], headers, call["service"])
    call.update(status=status, error=fault["error"]["code"])
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def _cut(send: Send) -> None:
    """Close the connection without a byte of an answer."""
    from hypercorn.protocol.events import StreamClosed
    from hypercorn.protocol.http_stream import HTTPStream

    stream = getattr(send, "__self__", None)
    if not isinstance(stream, HTTPStream):
        raise RuntimeError("hypercorn no longer hands its HTTPStream to the application")
    await stream.send(StreamClosed(stream_id=stream.stream_id))
    stream.closed = True


def _replay(body: bytes) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Dict[str, Any]:
        if messages:
            return messages.pop()
        # Nobody reads past the body except to learn of a disconnect, which this call outlives.
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive


async def read_body(receive: Receive) -> bytes:
    """The whole request body."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return b"".join(chunks)


def decode_headers(scope: Scope) -> Dict[str, str]:
    """The request's headers with lower-case names."""
    return {
        k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope.get("headers", [])
    }


def describe(scope: Scope, headers: Mapping[str, str], body: bytes) -> Dict[str, Any]:
    """Service (its signing name), operation, caller and input of a request."""
    signed = _SIGNED.search(headers.get("authorization", ""))
    app_id = _APP_ID.search(
        headers.get("user-agent", "") + " " + headers.get("x-amz-user-agent", "")
    )
    return {
        "service": signed.group(2) if signed else "",
        "region": signed.group(1) if signed else "",
        "operation": _operation(scope, headers, body),
        "caller": app_id.group(1) if app_id else None,
        "input": _input(headers, body),
        "status": None,
        "error": None,
    }


def _operation(scope: Scope, headers: Mapping[str, str], body: bytes) -> str:
    target = headers.get("x-amz-target", "")
    if target:
        return target.split(".")[-1]
    rpc = _RPC_V2.match(scope["path"])
    if rpc:
        return rpc.group(1)
    if "x-www-form-urlencoded" in headers.get("content-type", ""):
        action = parse_qs(body.decode("utf-8", "replace")).get("Action")
        if action:
            return action[0]
    asked = f"{scope['method']} {scope['path']}"
    return _REST.get(asked, asked)


def _input(headers: Mapping[str, str], body: bytes) -> Any:
    """What was asked for: JSON as it is, a form as its parameters."""
    kind = headers.get("content-type", "")
    if len(body) > _KEPT_BODY:
        return None
    if "x-www-form-urlencoded" in kind:
        return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    if "json" not in kind:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None
