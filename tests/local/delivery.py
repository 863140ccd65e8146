"""`make delivery`: pushed images go out once, and only when they may; what does not come up goes back.

What waits for a clock waits for hours, until the configuration says seconds: what is to be seen meanwhile is seen on
the slowest machine, too. Exit code 0 when every step came true.
"""
from __future__ import annotations

import datetime
import json
import sys
from typing import Any, Dict, List

from . import frame
from .cloud import ACCOUNT, REGION, LocalCloud
from .ecs import image
from .fleet import FAMILY, MANY, QUEUE, WAVED, Fleet, repository_of, short
from .frame import StepFailed, no_tick

_RULE, _SCHEDULE = "nightly-by-rule", "nightly-by-schedule"
# `waves: 10%, 50%, 100%` of ten.
_FIRST, _SECOND, _THIRD = WAVED[:1], WAVED[1:5], WAVED[5:]
# What ECS takes of RegisterTaskDefinition: so many at once, and so many a second after that.
_AT_ONCE, _A_SECOND = 20, 1.0


class Delivery(Fleet):
    """The steps."""

    title = "Pushed images go out, each when it may"

    def steps(self) -> None:
        """What must come true. The configuration changes in between, and no more often than it has to."""
        _pushed(self)
        _scheduled(self)
        frozen = _is_frozen(self)
        waved, promoted = _first_wave(self), _bakes(self)
        self.set(bake="3s")
        _waves(self, waved)
        _promoted(self, promoted)
        failed, halted = _comes_not_up(self, "prod/fails", "1.1.0"), _comes_not_up(self, _FIRST[0], "1.2.0")
        self.set(timeout="1s")
        _end(self, "prod/fails", _FIRST[0])
        _fails(self, failed)
        _halts(self, waved, halted)
        self.now("prod/frozen waited all the while", self.revision("prod/frozen") == 1)
        self.set(timeout="2h", frozen=False)
        _thaws(self, frozen)
        _back(self)
        _many(self)
        self.until_set()
        _stays_back(self, failed)
        _goes_on(self)


def _pushed(delivery: Delivery) -> None:
    target = "prod/plain"
    digest = delivery.push(target, "1.1.0")
    delivery.must("a push is rolled out by its digest", lambda: delivery.image(target) == f"@{digest}", no_tick)
    delivery.must("its start is told on the bus", lambda: delivery.told("Started", target, digest), no_tick)
    delivery.roll()
    delivery.must("every task runs it: success is told on the bus",
                  lambda: delivery.told("Succeeded", target, digest), delivery.minutes)
    value = delivery.cloud.client("ssm").get_parameter(Name=f"/wharfinger/{target}/app")["Parameter"]["Value"]
    delivery.now("the parameter names the image", value == image(repository_of(target), f"@{digest}"))


def _scheduled(delivery: Delivery) -> None:
    """A rule and a schedule of the family, each with all that they can have."""
    revision = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{FAMILY}:"
    role = f"arn:aws:iam::{ACCOUNT}:role/starts-tasks"
    before = _followers(delivery)
    if before:
        raise StepFailed("there is a rule or a schedule of the family already")
    _follow(delivery.cloud, f"{revision}1", role)
    before = _followers(delivery)
    delivery.push(f"prod/{FAMILY}", "1.1.0")
    wanted = json.loads(json.dumps(before).replace(f"{revision}1", f"{revision}2"))
    if wanted == before:
        raise StepFailed("neither the rule nor the schedule names revision 1")
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
    letters = {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}"}
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


def _is_frozen(delivery: Delivery) -> str:
    target = "prod/frozen"
    digest = delivery.push(target, "1.1.0")
    delivery.must("a push within a freeze waits: WindowClosed",
                  lambda: "WindowClosed" in delivery.waiting(target, digest))
    delivery.sweep()
    delivery.now("and nothing is rolled out", delivery.revision(target) == 1)
    return digest


def _thaws(delivery: Delivery, digest: str) -> None:
    target = "prod/frozen"
    delivery.must("the window is taken out of the file: it goes", lambda: delivery.image(target) == f"@{digest}",
                  lambda: delivery.look(target))
    delivery.roll()


def _first_wave(delivery: Delivery) -> str:
    digest = delivery.push(WAVED[0], "1.1.0")
    delivery.must("10%, 50%, 100% of ten services: the first goes alone",
                  lambda: delivery.on(digest, WAVED) == _FIRST, delivery.minute)
    delivery.must("the others wait for it: WaveWaits",
                  lambda: delivery.all_waiting(digest) == {name: ["WaveWaits"] for name in _SECOND + _THIRD})
    delivery.roll()
    baking = {**{name: ["Baking"] for name in _SECOND}, **{name: ["WaveWaits"] for name in _THIRD}}
    delivery.must("it runs, and bakes: the second wave waits for that, the third for the second",
                  lambda: delivery.all_waiting(digest) == baking, delivery.minutes)
    told = [line.strip() for line in delivery.stack.cli("status").splitlines()]
    second = sum(line.startswith("wave 2 of 3 waits: those before it have run") for line in told)
    third = sum(line.startswith("wave 3 of 3 waits: 4 of the 5 targets before it have not") for line in told)
    delivery.now("`wharfinger status` tells how far it is", (second, third) == (len(_SECOND), len(_THIRD)))
    delivery.sweep()
    delivery.now("and nothing else is rolled out", delivery.on(digest, WAVED) == _FIRST)
    return digest


def _waves(delivery: Delivery, digest: str) -> None:
    delivery.must("baked: the second wave goes, and the third waits for it",
                  lambda: delivery.on(digest, WAVED) == _FIRST + _SECOND, lambda: delivery.look(*_SECOND))
    waiting = delivery.all_waiting(digest)
    delivery.now("`wharfinger status` names those that wait", sorted(waiting) == _THIRD)
    delivery.must("then the third", lambda: delivery.on(digest, WAVED) == WAVED, lambda: delivery.look(*_THIRD))
    delivery.must("every service has proved it", lambda: all(_proved(delivery, name, digest) for name in WAVED),
                  delivery.minutes)
    waves = [[delivery.status(name) for name in wave] for wave in (_FIRST, _SECOND, _THIRD)]
    waited = [min(_began(s) for s in after) - max(_since(s, digest) for s in before)
              for before, after in zip(waves, waves[1:])]
    delivery.now("no wave began before the one before had run for 3 s", min(waited) >= datetime.timedelta(seconds=3))
    updates = delivery.updated(0)
    delivery.now("each was rolled out once", [name for name in updates if name in WAVED] == WAVED)


def _proved(delivery: Delivery, target: str, digest: str) -> bool:
    return digest in [proof["wish"]["digest"] for proof in delivery.status(target)["proved"]]


def _since(status: Dict[str, Any], digest: str) -> datetime.datetime:
    """Since when the image is known to run."""
    [since] = [proof["since"] for proof in status["proved"] if proof["wish"]["digest"] == digest]
    return _time(since)


def _began(status: Dict[str, Any]) -> datetime.datetime:
    """When the last rollout began."""
    return _time(status["past"][-1]["began"])


def _time(text: str) -> datetime.datetime:
    """Tells a time of any precision, to the microsecond."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")


def _bakes(delivery: Delivery) -> str:
    staging, prod = "staging/web", "prod/web"
    digest = delivery.push(staging, "1.1.0")
    delivery.must("what staging/web has not proved waits: NotProved",
                  lambda: "NotProved" in delivery.waiting(prod, digest))
    delivery.roll()
    delivery.now("staging/web runs it", delivery.image(staging) == f"@{digest}")
    delivery.must("it has not run there for long enough: Baking",
                  lambda: "Baking" in delivery.waiting(prod, digest), delivery.minutes)
    return digest


def _promoted(delivery: Delivery, digest: str) -> None:
    staging, prod = "staging/web", "prod/web"
    delivery.must("baked, it waits for a person: ApprovalNeeded",
                  lambda: delivery.waiting(prod, digest) == ["ApprovalNeeded"], lambda: delivery.look(prod))
    delivery.now("and nothing is rolled out", delivery.revision(prod) == 1)
    told = delivery.stack.cli("approve", prod)
    delivery.now("`wharfinger approve prod/web` names the image", short(digest) in told)
    delivery.must("it lets exactly that digest through", lambda: delivery.image(prod) == f"@{digest}",
                  delivery.minutes)
    delivery.roll()
    newer = delivery.push(staging, "1.2.0")
    delivery.roll()
    delivery.must("the next image waits for a person again",
                  lambda: "ApprovalNeeded" in delivery.waiting(prod, newer), lambda: delivery.look(prod))
    delivery.now("and prod/web stays on the one that was agreed to", delivery.image(prod) == f"@{digest}")


def _comes_not_up(delivery: Delivery, target: str, tag: str) -> str:
    before = delivery.revision(target)
    digest = delivery.push(target, tag)
    delivery.must(f"{target} gets a push whose tasks do not come up",
                  lambda: delivery.revision(target) == before + 1, delivery.minute)
    delivery.break_tasks(target)
    return digest


def _end(delivery: Delivery, *targets: str) -> None:
    """The rollouts end before ECS goes on: it would start other tasks, which come up."""
    for target in targets:
        failed = delivery.revision(target)
        delivery.must(f"after `rollback.timeout` {target} goes back to the revision before",
                      lambda: delivery.revision(target) == failed - 1, lambda: delivery.ask({"target": target}))
    delivery.roll()


def _fails(delivery: Delivery, digest: str) -> None:
    target = "prod/fails"
    delivery.must("the failure is told on the bus", lambda: delivery.told("Failed", target, digest))
    delivery.must("the image is in quarantine", lambda: delivery.is_quarantined(target, digest), delivery.minutes)


def _halts(delivery: Delivery, before: str, digest: str) -> None:
    others = _SECOND + _THIRD
    delivery.must("a first wave that fails stops the next: WaveHalted",
                  lambda: delivery.all_waiting(digest) == {name: ["WaveHalted"] for name in others}, delivery.minutes)
    delivery.sweep()
    delivery.now("and every service is on the image before", delivery.on(before, WAVED) == WAVED)


def _goes_on(delivery: Delivery) -> None:
    newer = delivery.push(WAVED[0], "1.3.0")
    delivery.must("the next push of what goes in waves goes to the first alone again",
                  lambda: delivery.on(newer, WAVED) == _FIRST, delivery.minute)


def _stays_back(delivery: Delivery, digest: str) -> None:
    target = "prod/fails"
    delivery.must("the rollout that failed is over", lambda: delivery.status(target)["under-way"] is None,
                  delivery.minutes)
    before = delivery.updates(*target.split("/"))
    delivery.sweep()
    delivery.sweep()
    delivery.now("later sweeps do not roll its image out again",
                 delivery.revision(target) == 1 and delivery.updates(*target.split("/")) == before)
    delivery.now("it is still in quarantine", delivery.is_quarantined(target, digest))
    newer = delivery.push(target, "1.2.0")
    delivery.must("a newer push is rolled out", lambda: delivery.image(target) == f"@{newer}", delivery.minutes)
    delivery.roll()
    delivery.must("and succeeds", lambda: delivery.told("Succeeded", target, newer), delivery.minutes)


def _back(delivery: Delivery) -> None:
    target = "prod/plain"
    first = delivery.image(target)
    left = delivery.push(target, "1.2.0")
    delivery.must("prod/plain is on its third revision", lambda: delivery.revision(target) == 3, delivery.minutes)
    delivery.roll()
    delivery.stack.cli("rollback", target)
    delivery.must("`wharfinger rollback prod/plain` brings the second back", lambda: delivery.revision(target) == 2,
                  delivery.minutes)
    delivery.roll()
    delivery.minutes()
    delivery.sweep()
    delivery.now("and it stays after sweeps", (delivery.revision(target), delivery.image(target)) == (2, first))
    delivery.now("what was left is in quarantine", delivery.is_quarantined(target, left))


def _many(delivery: Delivery) -> None:
    since = len(delivery.cloud.calls())
    digest = delivery.push(MANY[0], "1.1.0")
    delivery.must(f"one push, {len(MANY)} services: all are on it", lambda: delivery.on(digest, MANY) == MANY,
                  delivery.minutes)
    delivery.roll()
    delivery.sweep()
    delivery.now("each was rolled out once", delivery.updated(since) == MANY)
    times = [call["at"] for call in delivery.made("RegisterTaskDefinition", since)]
    most = max(sum(at <= other < at + 1 for other in times) for at in times)
    delivery.now(f"{len(times)} RegisterTaskDefinition calls in all, at most {most} within one second: "
                 "AWS would have taken each", len(times) == len(MANY) and not _refused(times))


def _refused(times: List[float]) -> int:
    """How many of these calls AWS would have refused, if nobody else called (ECS API reference, "Request throttling")."""
    left, last, refused = float(_AT_ONCE), min(times), 0
    for at in sorted(times):
        left, last = min(_AT_ONCE, left + (at - last) * _A_SECOND), at
        if left < 1:
            refused += 1
        else:
            left -= 1
    return refused


if __name__ == "__main__":
    sys.exit(frame.run(Delivery))
