"""Lambda as EventBridge uses it: asynchronous, retried, and with every attempt on record."""
from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from typing import Any, Callable, Dict, List, Optional

logger = logging.getLogger("wharfinger.lambdas")

# The rules that the event being published has matched, with their targets.
_matches: "contextvars.ContextVar[Optional[List[Dict[str, str]]]]" = contextvars.ContextVar(
    "matches", default=None
)


class Lambdas:
    """Delivery of events to functions, and the record of their invocations."""

    def __init__(self, retry_seconds: float) -> None:
        self._retry_seconds = retry_seconds
        self._changed = threading.Condition()
        self._invocations: List[Dict[str, Any]] = []
        self._pending = 0

    def install(self) -> None:
        """Put this in place of ministack's own delivery."""
        from ministack.services import eventbridge, lambda_svc

        invoke_target = eventbridge._invoke_target
        worker_env = lambda_svc._provided_worker_env
        dispatch = lambda_svc._execute_function_dispatch

        def record_match(target: Dict, event: Dict, rule: Dict, view: Any = None) -> None:
            matches = _matches.get()
            if matches is not None:
                matches.append({"rule": rule.get("Name", ""), "target": target.get("Arn", "")})
            invoke_target(target, event, rule, view)

        def named_env(config: Dict, code_dir: str, port: int) -> Dict[str, str]:
            env = worker_env(config, code_dir, port)
            env["AWS_SDK_UA_APP_ID"] = config.get("FunctionName", "unknown")
            return env

        def recorded(
            func: Dict, config: Dict, event: Any, request_id: str, started: float
        ) -> Dict[str, Any]:
            return self._record(dispatch, func, config, event, request_id, started)

        eventbridge._invoke_target = record_match
        eventbridge._dispatch_to_lambda = self.deliver
        lambda_svc._provided_worker_env = named_env
        lambda_svc._execute_function_dispatch = recorded

    def invocations(self, since: int = 0) -> List[Dict[str, Any]]:
        """Every finished invocation from number `since` on."""
        with self._changed:
            return self._invocations[since:]

    def pending(self) -> int:
        """How many deliveries have neither succeeded nor used up their retries."""
        with self._changed:
            return self._pending

    def deliver(self, arn: str, payload: str) -> None:
        """Invoke a function asynchronously, with the retries and the destination it asks for."""
        from ministack.services import lambda_svc

        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        if not function or not config:
            logger.warning("no function %s for an event", name)
            return
        record = lambda_svc._execution_record_for_config(function, config)
        event = json.loads(payload)
        with self._changed:
            self._pending += 1
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._attempts, record, event, name), daemon=True,
            name=f"delivery-{name}",
        ).start()

    def _attempts(self, record: Dict, event: Any, name: str) -> None:
        from ministack.services import lambda_svc

        try:
            settings = _invoke_settings(record)
            deadline = time.monotonic() + int(settings.get("MaximumEventAgeInSeconds", 21600))
            result: Dict[str, Any] = {}
            for attempt in range(int(settings.get("MaximumRetryAttempts", 2)) + 1):
                delay = self._retry_seconds * 2 ** (attempt - 1) if attempt else 0.0
                if time.monotonic() + delay > deadline:
                    break
                time.sleep(delay)
                result = lambda_svc._execute_function_with_config_scope(record, event)
                if not (result.get("error") or result.get("throttle")):
                    return
            destination = _failure_destination(record, settings)
            if destination:
                lambda_svc._route_async_failure(destination, name, event, result)
        finally:
            with self._changed:
                self._pending -= 1
                self._changed.notify_all()

    def _record(
        self, dispatch: Callable[..., Dict[str, Any]], func: Dict, config: Dict, event: Any,
        request_id: str, started: float,
    ) -> Dict[str, Any]:
        begin = time.time()
        result = dispatch(func, config, event, request_id, started)
        envelope = event if isinstance(event, dict) else {}
        body = result.get("body")
        entry = {
            "function": config.get("FunctionName", "unknown"),
            "request_id": request_id,
            "event_id": envelope.get("id"),
            "detail_type": envelope.get("detail-type"),
            "at": begin,
            "duration_ms": round((time.time() - begin) * 1000, 2),
            "error": body if result.get("error") else None,
            "result": None if result.get("error") else body,
            "log": (result.get("log") or "").splitlines(),
        }
        with self._changed:
            entry["n"] = len(self._invocations)
            self._invocations.append(entry)
            self._changed.notify_all()
        return result


def matches_of(publish: Callable[[], None]) -> List[Dict[str, str]]:
    """Run `publish` and answer which rules matched, each with its target."""
    found: List[Dict[str, str]] = []
    token = _matches.set(found)
    try:
        publish()
    finally:
        _matches.reset(token)
    return found


def _invoke_settings(record: Dict[str, Any]) -> Dict[str, Any]:
    by_qualifier = record.get("event_invoke_configs") or {}
    return record.get("event_invoke_config") or by_qualifier.get("$LATEST") or by_qualifier.get("") or {}


def _failure_destination(record: Dict[str, Any], settings: Dict[str, Any]) -> str:
    on_failure = (settings.get("DestinationConfig") or {}).get("OnFailure") or {}
    dead_letters = (record.get("config") or {}).get("DeadLetterConfig") or {}
    return on_failure.get("Destination") or dead_letters.get("TargetArn") or ""
