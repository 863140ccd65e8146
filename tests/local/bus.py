"""What Wharfinger tells on the bus, heard by a queue, as a team hears of it."""
from __future__ import annotations

import json
from typing import Any, Dict, List

from .cloud import ACCOUNT, REGION, LocalCloud


class Bus:
    """A rule for everything from Wharfinger, and its queue; both of this name."""

    def __init__(self, cloud: LocalCloud, name: str) -> None:
        self._sqs = cloud.client("sqs")
        self._events = cloud.client("events")
        self._name = name
        self._queue = ""
        self._told: List[Dict[str, Any]] = []
        self.arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def listen(self) -> None:
        """Make them."""
        self._queue = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        self._events.put_rule(Name=self._name, EventPattern=json.dumps({"source": ["wharfinger"]}))
        self._events.put_targets(Rule=self._name, Targets=[{"Id": "queue", "Arn": self.arn}])

    def details(self, kind: str) -> List[Dict[str, Any]]:
        """The details of the events of this `detail-type` so far."""
        while True:
            messages = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
            for message in messages:
                self._told.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
            if not messages:
                return [event["detail"] for event in self._told if event["detail-type"] == kind]
