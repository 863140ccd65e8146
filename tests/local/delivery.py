"""`make delivery`: pushed images go out once, and only when they may; what does not come up goes back.

Exit code 0 when every step came true.
"""
from __future__ import annotations

import datetime
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from . import deploy
from .cloud import ACCOUNT, REGION, Deadline, LocalCloud
from .console import Console, Progress
from .deploy import Cli
from .ecs import Driver, image

# A function may have the configuration of 30 seconds ago, and calls take turns.
_PATIENCE = 150.0
_MANY = [f"many-{number:02}" for number in range(50)]
_SERVICES = ["prod/plain", "prod/fails", "staging/web", "prod/web", "prod/frozen", *(f"prod/{n}" for n in _MANY)]
_FAMILY = "nightly"
# At once, and the one that may come within the second (`Paced::limit`).
_MOST_IN_A_SECOND = 11
_RULE, _SCHEDULE, _TOLD = "nightly-by-rule", "nightly-by-schedule", "rollouts-told"


class DeliveryFailed(Exception):
    """A rollout is not where it should be."""


def repository_of(target: str) -> str:
    """The repository from which a target takes its images."""
    name = target.split("/")[1]
    return "shop/many" if name in _MANY else f"shop/{name}"


def short(digest: str) -> str:
    """As images are named: with the first 12 digits of the digest."""
    return digest[:len("sha256:") + 12]


def document(frozen: bool) -> str:
    """The configuration; with `frozen`, a window that began ten minutes ago keeps prod/frozen as it is."""
    begun = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
    window = f"windows: {{ freeze: [ {{ cron: '{begun.minute} {begun.hour} * * *', for: 2h }} ] }}"
    more = {
        "prod/fails": ["rollback: { timeout: 5s }"],
        "prod/web": ["after: staging/web", "bake: 5s", "approval: required"],
        "prod/frozen": [window] if frozen else [],
    }
    lines = ["version: 1", "services:"]
    for target in _SERVICES:
        lines += _rule(target, more.get(target, []))
    return "\n".join([*lines, "tasks:", *_rule(f"prod/{_FAMILY}", [])]) + "\n"


def _rule(target: str, more: List[str]) -> List[str]:
    return [f"  {target}:", "    delivery:", f"      - repository: {repository_of(target)}",
            '        tags: { semver: ">=1" }', *(f"        {line}" for line in more)]


class Delivery:
    """The account, and what is asked of it."""

    def __init__(self, cloud: LocalCloud, driver: Driver, console: Console) -> None:
        self.cloud = cloud
        self.driver = driver
        self.console = console
        self.function = ""
        self.cli: Cli
        self._sqs = cloud.client("sqs")
        self._queue = ""
        self._told: List[Dict[str, Any]] = []

    def create(self) -> None:
        """Services that run what no rule wants, a family, and a queue that hears of rollouts."""
        for cluster in ("prod", "staging"):
            self.driver.create_cluster(cluster)
        for repository in sorted({repository_of(f"prod/{_FAMILY}"), *map(repository_of, _SERVICES)}):
            self.driver.ecr.create_repository(repositoryName=repository)
            self.driver.push_image(repository, "0.9.0")
        for target in _SERVICES:
            cluster, name = target.split("/")
            self.driver.create_service(cluster, name, _definition(target), desired=1)
        self.driver.ecs.register_task_definition(**_definition(f"prod/{_FAMILY}"))
        self._queue = self._sqs.create_queue(QueueName=_TOLD)["QueueUrl"]
        events = self.cloud.client("events")
        events.put_rule(Name=_TOLD, EventPattern=json.dumps({"source": ["wharfinger"]}))
        events.put_targets(Rule=_TOLD, Targets=[
            {"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{_TOLD}"}])
        self.driver.settle()

    def apply(self, frozen: bool) -> None:
        """Store the configuration."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "wharfinger.yaml")
            file.write_text(document(frozen), encoding="utf-8")
            self.cli("apply", "--no-sync", str(file))

    def push(self, target: str, tag: str) -> str:
        """Push an image for a target, and wait until it was heard; answers its digest."""
        digest = self.driver.push_image(repository_of(target), tag)
        self.cloud.settle_deliveries(timeout=120)
        return digest

    def roll(self) -> None:
        """ECS carries out what it was asked for, and tells of it."""
        self.driver.settle(lambda: self.cloud.settle_deliveries(timeout=120))

    def minute(self) -> None:
        """What the schedule of every minute does."""
        event = {"version": "0", "id": "tick", "source": "aws.events", "detail-type": "Scheduled Event",
                 "resources": [], "detail": {"only": "active"}}
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.function, Payload=json.dumps(event).encode())
        if answer.get("FunctionError"):
            raise DeliveryFailed(f"the pass of a minute failed: {answer['Payload'].read().decode()}")

    def minutes(self) -> None:
        """The pass of a minute, and ECS after it."""
        self.minute()
        self.roll()

    def sweep(self) -> None:
        """What the schedule of every five minutes does, and ECS after it."""
        self.cloud.sweep(self.function)
        self.cloud.settle_deliveries(timeout=120)
        self.roll()

    def image(self, target: str) -> str:
        """What the service is to run: the part behind the repository."""
        definition = self.driver.definition(self.service(target)["taskDefinition"])
        return str(definition["containerDefinitions"][0]["image"]).removeprefix(image(repository_of(target), ""))

    def service(self, target: str) -> Dict[str, Any]:
        """What DescribeServices tells."""
        return self.driver.service(*target.split("/"))

    def revision(self, target: str) -> int:
        """The number of the revision that the service is on."""
        return int(self.service(target)["taskDefinition"].rsplit(":", 1)[-1])

    def status(self, target: str) -> Dict[str, Any]:
        """What `wharfinger status` tells of a target's delivery."""
        return self.cli.json("status", target)["targets"][0]["delivery"]

    def waiting(self, target: str, digest: str) -> List[str]:
        """For what this image waits."""
        waiting = self.status(target)["waiting"] or {"codes": [], "images": []}
        return waiting["codes"] if any(short(digest) in name for name in waiting["images"]) else []

    def is_quarantined(self, target: str, digest: str) -> bool:
        """Whether an image is not rolled out again by itself."""
        return digest in [entry["digest"] for entry in self.status(target)["quarantine"]]

    def told(self, step: str, target: str, digest: str) -> bool:
        """Whether an event of this step came out of the queue."""
        while True:
            messages = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                break
            for message in messages:
                self._told.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return any(
            event["source"] == "wharfinger" and event["detail-type"] == f"Rollout {step}"
            and event["detail"]["target"] == target
            and any(short(digest) in name for name in event["detail"]["images"])
            for event in self._told)

    def made(self, operation: str, since: int = 0) -> List[Dict[str, Any]]:
        """The calls of an operation that the function made."""
        return [call for call in self.cloud.calls(since)
                if call["operation"] == operation and call["caller"] == self.function]

    def updates(self, target: str) -> int:
        """How many UpdateService calls the function made for a service."""
        wanted = tuple(target.split("/"))
        inputs = [call["input"] or {} for call in self.made("UpdateService")]
        return sum((i.get("cluster"), i.get("service")) == wanted for i in inputs)

    def must(self, text: str, so: Callable[[], bool], tick: Callable[[], None]) -> None:
        """Look and look again until it is so."""
        def poll() -> bool:
            if so():
                return True
            tick()
            return so()

        started = time.monotonic()
        try:
            self.cloud.wait(text, poll, _PATIENCE, every=0.5)
        except Deadline as late:
            raise DeliveryFailed(f"not so within {_PATIENCE:g} s: {text}") from late
        self.console.done(text, f"{time.monotonic() - started:.1f} s")

    def now(self, text: str, so: bool) -> None:
        """It is so already."""
        if not so:
            raise DeliveryFailed(f"not so: {text}")
        self.console.done(text)


def _definition(target: str) -> Dict[str, Any]:
    cluster, name = target.split("/")
    return {
        "family": name if cluster == "prod" else f"{name}-{cluster}",
        "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "app", "image": image(repository_of(target), ":0.9.0")}]}


def _nothing() -> None:
    """No tick: the event alone does it."""


def _play(delivery: Delivery) -> None:
    _pushed(delivery)
    _scheduled(delivery)
    failed = _fails(delivery)
    frozen = _is_frozen(delivery)
    _back(delivery)
    _promoted(delivery)
    _thaws(delivery, frozen)
    _many(delivery)
    _stays_back(delivery, failed)


def _pushed(delivery: Delivery) -> None:
    target = "prod/plain"
    digest = delivery.push(target, "1.1.0")
    delivery.must("a push is rolled out by its digest", lambda: delivery.image(target) == f"@{digest}", _nothing)
    delivery.must("its start is told on the bus", lambda: delivery.told("Started", target, digest), _nothing)
    delivery.roll()
    delivery.must("every task runs it: success is told on the bus",
                  lambda: delivery.told("Succeeded", target, digest), delivery.minutes)
    value = delivery.cloud.client("ssm").get_parameter(Name=f"/wharfinger/{target}/app")["Parameter"]["Value"]
    delivery.now("the parameter names the image", value == image(repository_of(target), f"@{digest}"))


def _scheduled(delivery: Delivery) -> None:
    """A rule and a schedule of the family, each with all that they can have."""
    revision = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{_FAMILY}:"
    role = f"arn:aws:iam::{ACCOUNT}:role/starts-tasks"
    before = _followers(delivery)
    if before:
        raise DeliveryFailed("there is a rule or a schedule of the family already")
    _follow(delivery.cloud, f"{revision}1", role)
    before = _followers(delivery)
    delivery.push(f"prod/{_FAMILY}", "1.1.0")
    wanted = json.loads(json.dumps(before).replace(f"{revision}1", f"{revision}2"))
    if wanted == before:
        raise DeliveryFailed("neither the rule nor the schedule names revision 1")
    delivery.must("a family's rule and schedule name its new revision, every other field as it was",
                  lambda: _followers(delivery) == wanted, delivery.minute)


def _follow(cloud: LocalCloud, revision: str, role: str) -> None:
    cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod"
    network = {"awsvpcConfiguration": {"Subnets": ["subnet-0a1b2c3d4e5f60001"], "SecurityGroups": ["sg-0a1b2c3d"],
                                       "AssignPublicIp": "DISABLED"}}
    spread = {"PlacementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}],
              "PlacementConstraints": [{"type": "memberOf", "expression": "attribute:stack == prod"}]}
    task = {"TaskDefinitionArn": revision, "TaskCount": 2, "PlatformVersion": "1.4.0", "Group": "nightly",
            "EnableECSManagedTags": True, "EnableExecuteCommand": True, "PropagateTags": "TASK_DEFINITION",
            "CapacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}],
            "ReferenceId": "r-1", **spread}
    retry = {"MaximumRetryAttempts": 7, "MaximumEventAgeInSeconds": 1800}
    letters = {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{_TOLD}"}
    given = json.dumps({"containerOverrides": [{"name": "app", "command": ["report", "--all", "ä"]}]})
    target = {"Arn": cluster, "RoleArn": role, "Input": given, "RetryPolicy": retry, "DeadLetterConfig": letters}
    events, scheduler = cloud.client("events"), cloud.client("scheduler")
    events.put_rule(Name=_RULE, ScheduleExpression="cron(0 3 * * ? *)", Description="each night", State="DISABLED")
    events.put_targets(Rule=_RULE, Targets=[
        {"Id": "report", **target,
         "EcsParameters": {**task, "NetworkConfiguration": network, "Tags": [{"Key": "team", "Value": "shop"}]}},
        {"Id": "letters", "Arn": letters["Arn"], "Input": "{}"}])
    small = {"awsvpcConfiguration": network["awsvpcConfiguration"]}
    scheduler.create_schedule(
        Name=_SCHEDULE, Description="each night", ScheduleExpression="cron(0 4 * * ? *)",
        ScheduleExpressionTimezone="Europe/Madrid", State="DISABLED", ActionAfterCompletion="NONE",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        StartDate=datetime.datetime(2031, 1, 1, tzinfo=datetime.timezone.utc),
        Target={**target, "EcsParameters": {
            **task, "NetworkConfiguration": small, "Tags": [{"team": "shop"}]}})


def _followers(delivery: Delivery) -> Dict[str, Any]:
    """The rule's targets and the schedule, as AWS describes them, without when they were changed."""
    events, scheduler = delivery.cloud.client("events"), delivery.cloud.client("scheduler")
    if _RULE not in [rule["Name"] for rule in events.list_rules()["Rules"]]:
        return {}
    schedule = scheduler.get_schedule(Name=_SCHEDULE)
    kept = {key: value for key, value in schedule.items()
            if key not in ("ResponseMetadata", "LastModificationDate")}
    targets = sorted(events.list_targets_by_rule(Rule=_RULE)["Targets"], key=lambda target: target["Id"])
    rule = events.describe_rule(Name=_RULE)
    rule.pop("ResponseMetadata")
    return json.loads(json.dumps({"rule": rule, "targets": targets, "schedule": kept}, default=str))


def _fails(delivery: Delivery) -> str:
    target = "prod/fails"
    digest = delivery.push(target, "1.1.0")
    delivery.must("a push whose tasks do not come up is rolled out", lambda: delivery.revision(target) == 2, _nothing)
    delivery.driver.step()
    for task in delivery.driver.tasks("prod", "fails"):
        if task["taskDefinitionArn"].endswith(":2"):
            delivery.driver.exit_task(task["taskArn"])
    delivery.must("after `rollback.timeout` it goes back to the revision before",
                  lambda: delivery.revision(target) == 1, delivery.minute)
    delivery.roll()
    delivery.must("the failure is told on the bus", lambda: delivery.told("Failed", target, digest), _nothing)
    delivery.must("the image is in quarantine", lambda: delivery.is_quarantined(target, digest), delivery.minutes)
    return digest


def _stays_back(delivery: Delivery, digest: str) -> None:
    target = "prod/fails"
    # Within two minutes of a call ECS may not show its effect yet: only then it is known to have gone back.
    delivery.must("the rollout that failed is over", lambda: delivery.status(target)["under-way"] is None,
                  delivery.minutes)
    before = delivery.updates(target)
    delivery.sweep()
    delivery.sweep()
    delivery.now("later sweeps do not roll its image out again",
                 delivery.revision(target) == 1 and delivery.updates(target) == before)
    delivery.now("it is still in quarantine", delivery.is_quarantined(target, digest))
    newer = delivery.push(target, "1.2.0")
    delivery.must("a newer push is rolled out", lambda: delivery.image(target) == f"@{newer}", delivery.minutes)
    delivery.roll()
    delivery.must("and succeeds", lambda: delivery.told("Succeeded", target, newer), delivery.minutes)


def _is_frozen(delivery: Delivery) -> str:
    target = "prod/frozen"
    digest = delivery.push(target, "1.1.0")
    delivery.must("a push within a freeze waits: WindowClosed",
                  lambda: "WindowClosed" in delivery.waiting(target, digest), _nothing)
    delivery.sweep()
    delivery.now("and nothing is rolled out", delivery.revision(target) == 1)
    return digest


def _thaws(delivery: Delivery, digest: str) -> None:
    target = "prod/frozen"
    delivery.now("prod/frozen waited all the while", delivery.revision(target) == 1)
    delivery.apply(frozen=False)
    delivery.must("the window is taken out of the file: it goes", lambda: delivery.image(target) == f"@{digest}",
                  delivery.sweep)


def _promoted(delivery: Delivery) -> None:
    staging, prod = "staging/web", "prod/web"
    digest = delivery.push(staging, "1.1.0")
    delivery.must("what staging/web has not proved waits: NotProved",
                  lambda: "NotProved" in delivery.waiting(prod, digest), _nothing)
    delivery.roll()
    delivery.now("staging/web runs it", delivery.image(staging) == f"@{digest}")
    delivery.must("it has not run there for long enough: Baking",
                  lambda: "Baking" in delivery.waiting(prod, digest), delivery.minutes)
    delivery.must("baked, it waits for a person: ApprovalNeeded",
                  lambda: delivery.waiting(prod, digest) == ["ApprovalNeeded"], delivery.minutes)
    delivery.now("and nothing is rolled out", delivery.revision(prod) == 1)
    told = delivery.cli("approve", prod)
    delivery.now("`wharfinger approve prod/web` names the image", short(digest) in told)
    delivery.must("it lets exactly that digest through", lambda: delivery.image(prod) == f"@{digest}",
                  delivery.sweep)
    delivery.roll()
    newer = delivery.push(staging, "1.2.0")
    delivery.roll()
    delivery.must("the next image waits for a person again",
                  lambda: "ApprovalNeeded" in delivery.waiting(prod, newer), delivery.minutes)
    delivery.now("and prod/web stays on the one that was agreed to", delivery.image(prod) == f"@{digest}")


def _back(delivery: Delivery) -> None:
    target = "prod/plain"
    first = delivery.image(target)
    left = delivery.push(target, "1.2.0")
    delivery.must("prod/plain is on its third revision", lambda: delivery.revision(target) == 3, delivery.minutes)
    delivery.roll()
    delivery.cli("rollback", target)
    delivery.must("`wharfinger rollback prod/plain` brings the second back", lambda: delivery.revision(target) == 2,
                  delivery.sweep)
    delivery.roll()
    delivery.sweep()
    delivery.sweep()
    delivery.now("and it stays after sweeps", (delivery.revision(target), delivery.image(target)) == (2, first))
    delivery.now("what was left is in quarantine", delivery.is_quarantined(target, left))


def _many(delivery: Delivery) -> None:
    since, targets = len(delivery.cloud.calls()), [f"prod/{name}" for name in _MANY]
    digest = delivery.push(targets[0], "1.1.0")
    delivery.must(f"one push, {len(targets)} services: all are on it",
                  lambda: all(delivery.image(target) == f"@{digest}" for target in targets), delivery.minutes)
    delivery.roll()
    delivery.sweep()
    updates = sorted((call["input"] or {})["service"] for call in delivery.made("UpdateService", since))
    delivery.now("each was rolled out once", updates == sorted(_MANY))
    times = [call["at"] for call in delivery.made("RegisterTaskDefinition", since)]
    most = max(sum(at <= other < at + 1 for other in times) for at in times)
    text = f"{len(times)} RegisterTaskDefinition calls in all, at most {most} within one second"
    delivery.now(text, len(times) == len(targets) and most <= _MOST_IN_A_SECOND)


def main() -> int:
    """Play it."""
    console, started = Console(), time.monotonic()
    console.heading("Pushed images go out, each when it may")
    console.line()
    cloud = LocalCloud(iam=True)
    try:
        deploy.build_functions(console)
        command = deploy.build_cli(console)
        with Progress(console, f"ministack, with {len(_SERVICES)} services in its account"):
            cloud.start()
            delivery = Delivery(cloud, Driver(cloud), console)
            delivery.create()
        deploy.deploy(console, cloud, deploy.BUILT)
        delivery.function = deploy.functions_of(cloud)["DeliveryFunction"]
        delivery.cli = Cli(command, cloud)
        delivery.apply(frozen=True)
        begun = time.monotonic()
        _play(delivery)
        console.line()
        console.done(f"{len(cloud.invocations())} invocations, {len(cloud.calls())} AWS calls",
                     f"{time.monotonic() - begun:.1f} s")
        return 0
    except DeliveryFailed as failure:
        console.failed(str(failure))
        for invocation in cloud.invocations()[-8:]:
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
