"""`make scaling`: counts move as alarms and queues ask for, while they last, and once for each reason.

Exit code 0 when every step came true.
"""
from __future__ import annotations

import sys
import threading
from typing import Callable, List

from . import frame
from .cloud import LocalCloud
from .console import Console
from .frame import StepFailed, no_tick
from .world import CLUSTER

_SERVICES = {"stays": 1, "torn": 4, "crash": 2, "worker": 0, "morning": 1}
_QUEUE = "jobs"
_DOCUMENT = """\
version: 1
services:
  prod/stays:
    scaling:
      { min: 1, max: 8, cooldown: { out: 0s, in: 0s }, rules: [ { alarm: stays-high, percent: 100 } ] }
  prod/torn:
    scaling:
      min: 1
      max: 8
      cooldown: { out: 0s, in: 0s }
      rules: [ { alarm: torn-high, add: 2 }, { alarm: torn-low, add: -2 } ]
  prod/crash:
    scaling: { min: 1, max: 8, rules: [ { alarm: crash-high, add: 3 } ] }
  prod/worker:
    scaling:
      min: 0
      max: 8
      cooldown: { out: 0s, in: 0s }
      rules: [ { queue: jobs, per-task: 2, idle-for: 1s } ]
  prod/morning:
    scaling:
      min: 1
      max: 8
      schedule: [ { cron: "* * * * *", timezone: Europe/Madrid, min: 3 } ]
"""


class Scaling(frame.Play):
    """The account, and what is asked of it."""

    title = "Counts move as alarms and queues ask for"
    account = "five services"
    domain = "ScalingFunction"

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        super().__init__(cloud, console)
        self._sqs = cloud.client("sqs")
        self._queue = ""

    def create(self) -> None:
        """Services of one family, alarms without a metric that speaks, and a queue."""
        self.driver.create_cluster(CLUSTER)
        self.driver.ecs.register_task_definition(**{
            "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "app", "image": "example.com/app:1"}]})
        for name, count in _SERVICES.items():
            self.driver.run_service(CLUSTER, name, "app", count)
        for name in ("stays-high", "torn-high", "torn-low", "crash-high"):
            self.driver.cloudwatch.put_metric_alarm(
                AlarmName=name, Namespace="Shop", MetricName=name, Statistic="Average", Period=60,
                EvaluationPeriods=1, Threshold=50, ComparisonOperator="GreaterThanThreshold")
            self.say(name, "OK")
        self._queue = self._sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
        self.driver.settle()

    def configure(self) -> None:
        """All five."""
        self.apply(_DOCUMENT, "--no-sync")

    def steps(self) -> None:
        """What must come true."""
        _play(self)

    def say(self, alarm: str, state: str) -> None:
        """SetAlarmState, as a person would: without a value."""
        self.driver.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="a test")

    def count(self, service: str) -> int:
        """What the service is to have."""
        return int(self.driver.service(CLUSTER, service)["desiredCount"])

    def minute(self) -> None:
        """What the schedule of every minute does, and ECS after it."""
        super().minute()
        self.driver.settle()

    def sweep(self) -> None:
        """What the schedule of every five minutes does."""
        self.cloud.sweep(self.function)
        self.driver.settle()

    def send(self, messages: int) -> None:
        """Put messages into the queue."""
        for number in range(messages):
            self._sqs.send_message(QueueUrl=self._queue, MessageBody=str(number))

    def take(self) -> List[str]:
        """Receive all that wait: they are in flight then."""
        handles: List[str] = []
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self._queue, MaxNumberOfMessages=10, VisibilityTimeout=600)
            found = [message["ReceiptHandle"] for message in answer.get("Messages", [])]
            if not found:
                return handles
            handles += found

    def finish(self, handles: List[str]) -> None:
        """Delete messages that were worked on."""
        for handle in handles:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=handle)

    def has(self, text: str, service: str, count: int, tick: Callable[[], None]) -> None:
        """Look and look again until the count is so."""
        try:
            self.must(text, lambda: self.count(service) == count, tick, timed=False)
        except StepFailed as late:
            raise StepFailed(f"{text}: prod/{service} has {self.count(service)}, not {count}") from late


def _play(scaling: Scaling) -> None:
    _stays(scaling)
    _torn(scaling)
    _crash(scaling)
    _worker(scaling)
    scaling.has("a schedule raises the least count of a service that nothing was asked of", "morning", 3,
                 scaling.sweep)
    scaling.has("the alarm that stayed all the while: 4 become 8", "stays", 8, scaling.minute)
    scaling.say("stays-high", "OK")
    scaling.deliver()
    scaling.minute()
    if scaling.count("stays") != 8:
        raise StepFailed(f"prod/stays is at {scaling.count('stays')} after its alarm went back")
    scaling.console.done("and it ends with the alarm")


def _stays(scaling: Scaling) -> None:
    scaling.say("stays-high", "ALARM")
    scaling.has("an alarm set to ALARM by hand doubles a service", "stays", 2, no_tick)
    scaling.driver.settle()
    scaling.has("it stays, without another event: 2 become 4 a minute later", "stays", 4, scaling.minute)


def _torn(scaling: Scaling) -> None:
    speak = [threading.Thread(target=scaling.say, args=(name, "ALARM")) for name in ("torn-low", "torn-high")]
    for thread in speak:
        thread.start()
    for thread in speak:
        thread.join()
    scaling.deliver()
    # Fewer tasks can only have gone before the other alarm spoke; then the two steps undo one another.
    count, updates = scaling.count("torn"), scaling.updates(CLUSTER, "torn")
    if (count, updates) not in ((6, 1), (4, 2)):
        raise StepFailed(f"prod/torn has {count} tasks after {updates} changes")
    scaling.console.done(
        f"two alarms that pull apart in the same second: {count} tasks after {updates} change(s), none twice")
    for name in ("torn-low", "torn-high"):
        scaling.say(name, "OK")
    scaling.deliver()


def _crash(scaling: Scaling) -> None:
    scaling.cloud.fault(operation="UpdateService", caller=scaling.function, when="after", cut=True, count=5)
    scaling.say("crash-high", "ALARM")
    scaling.has("UpdateService does its work and its answer is lost", "crash", 5, no_tick)
    scaling.deliver()
    scaling.cloud.clear_faults()
    for _ in range(3):
        scaling.minute()
    scaling.sweep()
    if scaling.count("crash") != 5:
        raise StepFailed(f"prod/crash has {scaling.count('crash')} tasks: a step was made twice")
    scaling.console.done("every look since makes no second step")


def _worker(scaling: Scaling) -> None:
    scaling.send(1)
    scaling.has("one message wakes a service of no tasks", "worker", 1, scaling.sweep)
    scaling.send(6)
    scaling.has("seven messages, two for each task: four tasks", "worker", 4, scaling.minute)
    handles = scaling.take()
    scaling.minute()
    if scaling.count("worker") != 4:
        raise StepFailed(f"prod/worker has {scaling.count('worker')} while 7 messages are in flight")
    scaling.console.done("messages in flight are work, too")
    scaling.finish(handles)
    scaling.has("nothing waits, nothing is in flight: no task is left", "worker", 0, scaling.minute)


if __name__ == "__main__":
    sys.exit(frame.run(Scaling))
