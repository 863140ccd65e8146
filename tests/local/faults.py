"""Faults that a test orders: which AWS calls fail, how, and how often."""
from __future__ import annotations

import fnmatch
import itertools
import json
import threading
from typing import Any, Dict, List, Mapping, Optional, Tuple
from xml.sax.saxutils import escape

_FIELDS = {
    "service", "operation", "caller", "skip", "count", "when", "error", "latency", "cut",
}


class Faults:
    """The faults in force, oldest first. A call takes the first one that fits and is not used up.

    A fault is a JSON object. `service` (the signing name: ecs, dynamodb, servicediscovery,
    monitoring, ...), `operation` and `caller` are globs, `*` when left out. `skip` calls pass
    first, then `count` calls (default 1) are hit: `latency` in seconds, and `error`
    (`{"code", "message", "status"}`) or `cut` (the connection closes without an answer), `when`
    `before` (default) or `after` the effect.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: List[Dict[str, Any]] = []
        self._ids = itertools.count(1)

    def add(self, order: Mapping[str, Any]) -> Dict[str, Any]:
        """Put one fault in force; `ValueError` says what is wrong with the order."""
        unknown = sorted(set(order) - _FIELDS)
        if unknown:
            raise ValueError(f"unknown fields {unknown}; known are {sorted(_FIELDS)}")
        if not (order.get("error") or order.get("cut") or order.get("latency")):
            raise ValueError("a fault needs at least one of error, cut, latency")
        if order.get("when", "before") not in ("before", "after"):
            raise ValueError("when is before or after")
        error = order.get("error")
        if error is not None and not error.get("code"):
            raise ValueError("error needs a code")
        fault = {"skip": 0, "count": 1, "when": "before", **order}
        with self._lock:
            fault["id"] = next(self._ids)
            fault["hits"] = 0
            self._faults.append(fault)
        return dict(fault)

    def take(self, call: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        """The fault that hits this call, counted; None when the call passes."""
        with self._lock:
            for fault in self._faults:
                if fault["hits"] >= fault["count"] or not _fits(fault, call):
                    continue
                if fault["skip"] > 0:
                    fault["skip"] -= 1
                    return None
                fault["hits"] += 1
                return dict(fault)
        return None

    def all(self) -> List[Dict[str, Any]]:
        """Every fault ever ordered since the last `clear`, with its `hits`."""
        with self._lock:
            return [dict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()


def _fits(fault: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    return all(
        fnmatch.fnmatchcase(str(call.get(key) or ""), fault.get(key, "*"))
        for key in ("service", "operation", "caller")
    )


def render_error(
    error: Mapping[str, Any], headers: Mapping[str, str], service: str
) -> Tuple[int, List[Tuple[bytes, bytes]], bytes]:
    """The error as status, headers and body in the protocol that the request spoke."""
    code = str(error["code"])
    message = str(error.get("message", "injected by the local cloud"))
    status = int(error.get("status", 400))
    content = headers.get("content-type", "")
    fields = [(b"x-amzn-errortype", code.encode()), (b"x-amzn-requestid", b"injected")]
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        import cbor2

        body = cbor2.dumps({"__type": code, "message": message})
        fields += [(b"content-type", b"application/cbor"), (b"smithy-protocol", b"rpc-v2-cbor")]
    elif service == "s3" or "x-www-form-urlencoded" in content:
        inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        if service == "s3":
            body = f"<Error>{inner}</Error>".encode()
        elif service == "ec2":
            body = (
                f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>injected</RequestID></Response>"
            ).encode()
        else:
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error>"
                "<RequestId>injected</RequestId></ErrorResponse>"
            ).encode()
        fields.append((b"content-type", b"text/xml"))
    else:
        body = json.dumps({"__type": code, "message": message}).encode()
        fields.append((b"content-type", (content or "application/json").encode()))
    fields.append((b"content-length", str(len(body)).encode()))
    return status, fields, body
