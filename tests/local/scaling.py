"""`make scaling`: counts move as alarms and queues ask for, while they last, and once for each reason.

Exit code 0 when every step came true.
"""
from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, List

from . import deploy
from .cloud import Deadline, LocalCloud
from .console import Console, Progress
from .ecs import Driver
from .world import CLUSTER

# A persistent ALARM steps again after a minute.
_PATIENCE = 100.0
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


class ScalingFailed(Exception):
    """A count is not what it should be."""


class Scaling:
    """The account, and what is asked of it."""

    def __init__(self, cloud: LocalCloud, driver: Driver, console: Console) -> None:
        self.cloud = cloud
        self.driver = driver
        self.console = console
        self.function = ""
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

    def say(self, alarm: str, state: str) -> None:
        """SetAlarmState, as a person would: without a value."""
        self.driver.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="a test")

    def count(self, service: str) -> int:
        """What the service is to have."""
        return int(self.driver.service(CLUSTER, service)["desiredCount"])

    def minute(self) -> None:
        """What the schedule of every minute does, and ECS after it."""
        event = {"version": "0", "id": "tick", "source": "aws.events", "detail-type": "Scheduled Event",
                 "resources": [], "detail": {"only": "active"}}
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.function, Payload=json.dumps(event).encode())
        if answer.get("FunctionError"):
            raise ScalingFailed(f"the pass of a minute failed: {answer['Payload'].read().decode()}")
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

    def must(self, text: str, service: str, count: int, tick: Callable[[], None]) -> None:
        """Look and look again until the count is so."""
        def poll() -> bool:
            if self.count(service) == count:
                return True
            tick()
            return self.count(service) == count

        try:
            self.cloud.wait(text, poll, _PATIENCE)
        except Deadline as late:
            raise ScalingFailed(f"{text}: prod/{service} has {self.count(service)}, not {count}") from late
        self.console.done(text)

    def updates(self, service: str) -> int:
        """How many UpdateService calls the function made for a service."""
        return sum(1 for call in self.cloud.calls()
                   if call["operation"] == "UpdateService" and call["caller"] == self.function
                   and (call.get("input") or {}).get("service") == service)


def _nothing() -> None:
    """No tick: the event alone does it."""


def _play(scaling: Scaling) -> None:
    _stays(scaling)
    _torn(scaling)
    _crash(scaling)
    _worker(scaling)
    scaling.must("a schedule raises the least count of a service that nothing was asked of", "morning", 3,
                 scaling.sweep)
    scaling.must("the alarm that stayed all the while: 4 become 8", "stays", 8, scaling.minute)
    scaling.say("stays-high", "OK")
    scaling.cloud.settle_deliveries()
    scaling.minute()
    if scaling.count("stays") != 8:
        raise ScalingFailed(f"prod/stays is at {scaling.count('stays')} after its alarm went back")
    scaling.console.done("and it ends with the alarm")


def _stays(scaling: Scaling) -> None:
    scaling.say("stays-high", "ALARM")
    scaling.must("an alarm set to ALARM by hand doubles a service", "stays", 2, _nothing)
    scaling.driver.settle()
    scaling.must("it stays, without another event: 2 become 4 a minute later", "stays", 4, scaling.minute)


def _torn(scaling: Scaling) -> None:
    speak = [threading.Thread(target=scaling.say, args=(name, "ALARM")) for name in ("torn-low", "torn-high")]
    for thread in speak:
        thread.start()
    for thread in speak:
        thread.join()
    scaling.cloud.settle_deliveries()
    # Fewer tasks can only have gone before the other alarm spoke; then the two steps undo one another.
    count, updates = scaling.count("torn"), scaling.updates("torn")
    if (count, updates) not in ((6, 1), (4, 2)):
        raise ScalingFailed(f"prod/torn has {count} tasks after {updates} changes")
    scaling.console.done(
        f"two alarms that pull apart in the same second: {count} tasks after {updates} change(s), none twice")
    for name in ("torn-low", "torn-high"):
        scaling.say(name, "OK")
    scaling.cloud.settle_deliveries()


def _crash(scaling: Scaling) -> None:
    scaling.cloud.fault(operation="UpdateService", caller=scaling.function, when="after", cut=True, count=5)
    scaling.say("crash-high", "ALARM")
    scaling.must("UpdateService does its work and its answer is lost", "crash", 5, _nothing)
    scaling.cloud.settle_deliveries(timeout=60)
    scaling.cloud.clear_faults()
    for _ in range(3):
        scaling.minute()
    scaling.sweep()
    if scaling.count("crash") != 5:
        raise ScalingFailed(f"prod/crash has {scaling.count('crash')} tasks: a step was made twice")
    scaling.console.done("every look since makes no second step")


def _worker(scaling: Scaling) -> None:
    scaling.send(1)
    scaling.must("one message wakes a service of no tasks", "worker", 1, scaling.sweep)
    scaling.send(6)
    scaling.must("seven messages, two for each task: four tasks", "worker", 4, scaling.minute)
    handles = scaling.take()
    scaling.minute()
    if scaling.count("worker") != 4:
        raise ScalingFailed(f"prod/worker has {scaling.count('worker')} while 7 messages are in flight")
    scaling.console.done("messages in flight are work, too")
    scaling.finish(handles)
    scaling.must("nothing waits, nothing is in flight: no task is left", "worker", 0, scaling.minute)


def main() -> int:
    """Play it."""
    console, started = Console(), time.monotonic()
    console.heading("Counts move as alarms and queues ask for")
    console.line()
    cloud = LocalCloud(iam=True)
    try:
        deploy.build_functions(console)
        command = deploy.build_cli(console)
        with Progress(console, "ministack, with five services in its account"):
            cloud.start()
            scaling = Scaling(cloud, Driver(cloud), console)
            scaling.create()
        deploy.deploy(console, cloud, deploy.BUILT)
        scaling.function = deploy.functions_of(cloud)["ScalingFunction"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "wharfinger.yaml")
            file.write_text(_DOCUMENT, encoding="utf-8")
            deploy.Cli(command, cloud)("apply", "--no-sync", str(file))
        begun = time.monotonic()
        _play(scaling)
        console.line()
        console.done(f"{len(cloud.invocations())} invocations, {len(cloud.calls())} AWS calls",
                     f"{time.monotonic() - begun:.1f} s")
        return 0
    except ScalingFailed as failure:
        console.failed(str(failure))
        for invocation in cloud.invocations()[-6:]:
            console.line(f"   {invocation['detail_type']}: {invocation['error'] or 'done'}")
            for line in invocation["log"][-6:]:
                console.line("     " + line[:400])
        return 1
    except (deploy.CommandFailed, OSError, RuntimeError) as problem:
        console.failed(str(problem))
        return 2
    finally:
        cloud.stop()
        console.line(f"   {time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    sys.exit(main())
