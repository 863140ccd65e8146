"""Publishing events onto the default bus as AWS services do, with every field as given."""
from __future__ import annotations

import json
import threading
import time
from typing import Any, Dict, List, Optional

from . import documents
from .lambdas import Lambdas, matches_of


class Publisher:
    """Publishes event documents; what it was given and where it went is on record.

    While `hold` is on, what the cloud emits by itself is kept back: a test then publishes it
    late, twice, in another order or never.
    """

    def __init__(self, lambdas: Lambdas, account: str, region: str) -> None:
        self._lambdas = lambdas
        self._account = account
        self._region = region
        self._lock = threading.Lock()
        self._entries: List[Dict[str, Any]] = []
        self._hold = False

    def hold(self, on: bool) -> None:
        """Keep back what the cloud emits from now on, or stop doing so."""
        with self._lock:
            self._hold = on

    def entries(self, since: int = 0) -> List[Dict[str, Any]]:
        """Every document from number `since` on: `at`, `held`, `matched` rules, `document`."""
        with self._lock:
            return self._entries[since:]

    def emit(self, document: documents.Document) -> None:
        """An event of the cloud's own."""
        with self._lock:
            held = self._hold
        if held:
            self._note(document, held=True, matched=[])
        else:
            self.publish(document)

    def publish(self, document: documents.Document) -> Dict[str, Any]:
        """Match the document against the rules of the default bus and deliver it."""
        from ministack.core.responses import request_scope
        from ministack.services import eventbridge

        if not isinstance(document, dict) or "detail-type" not in document:
            raise ValueError("an event is a JSON object with at least a detail-type")
        with request_scope(self._account, self._region):
            record = eventbridge._event_from_test_payload(document)
            record["Detail"] = json.dumps(document.get("detail", {}))
            view = eventbridge._pattern_event_view(record)
            entry = self._note(document, held=False, matched=[])
            entry["matched"] = matches_of(lambda: eventbridge._dispatch_event(record, view))
        return entry

    def sweep(self, function: str) -> Dict[str, Any]:
        """Fire the sweep of one function now; `LookupError` when it has none."""
        from ministack.core.responses import request_scope
        from ministack.services import eventbridge

        with request_scope(self._account, self._region):
            rule, target = self._schedule_of(function)
            document = documents.scheduled_event(
                rule["Arn"], account=self._account, region=self._region, at=time.time())
            record = eventbridge._event_from_test_payload(document)
            record["Detail"] = "{}"
            entry = self._note(document, held=False, matched=[])
            entry["matched"] = matches_of(
                lambda: eventbridge._invoke_target(target, record, rule))
        return entry

    @staticmethod
    def _schedule_of(function: str) -> Any:
        from ministack.services import eventbridge

        for key, rule in eventbridge._rules.items():
            if not rule.get("ScheduleExpression") or rule.get("State") != "ENABLED":
                continue
            for target in eventbridge._targets.get(key, []):
                # A schedule with an input of its own is for a part of the work.
                if target.get("Arn", "").rsplit(":", 1)[-1] == function and not target.get("Input"):
                    return rule, target
        raise LookupError(f"no enabled scheduled rule has the function {function} as its target")

    def _note(
        self, document: documents.Document, held: bool, matched: List[Dict[str, str]]
    ) -> Dict[str, Any]:
        entry: Dict[str, Optional[Any]] = {
            "at": time.time(), "held": held, "matched": matched, "document": document,
        }
        with self._lock:
            entry["n"] = len(self._entries)
            self._entries.append(entry)
        return entry
