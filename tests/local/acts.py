"""The acts of the story. Each raises `StepFailed` when something does not come true."""
from __future__ import annotations

from typing import Any, Dict, List

from .ecs import image
from .frame import StepFailed
from .stage import Stage
from .world import CLUSTER, COMPUTED, FUTURE_FIELD, raw_ecs, task_id

_WEB, _API, _REPORTS = 8080, 9090, 7070


def tasks_start(stage: Stage) -> None:
    """Tasks of services, and one without a service, come and go in Cloud Map."""
    with stage.act(
        "1  Tasks start, and are found",
        "ECS starts two tasks of prod/web, one of prod/api, and the nightly report, which belongs "
        "to no service. Each is registered in AWS Cloud Map when it is RUNNING.",
    ):
        driver, world = stage.driver, stage.world
        [report] = driver.ecs.run_task(
            cluster=CLUSTER, taskDefinition="nightly-report", launchType="FARGATE")["tasks"]
        driver.settle(stage.deliver)
        _found(stage, "web", _WEB, 2)
        _found(stage, "api", _API, 1)
        stage.must("the nightly report is found in shop.local/reports",
                   lambda: list(world.endpoints("reports")) == [f"{task_id(report)}-{_REPORTS}"])
        stage.must("each endpoint names its task and its owner",
                   lambda: _named_right(world.endpoints("web"), stage.outputs))
        driver.exit_task(report["taskArn"], exit_code=0)
        stage.deliver()
        stage.must("the report ends, and is no longer found", lambda: not world.endpoints("reports"))
        driver.settle(stage.deliver)


def image_is_pushed(stage: Stage) -> None:
    """A push becomes a rollout in which nobody is sent to a task that stops."""
    with stage.act(
        "2  An image is pushed, and rolled out",
        "docker push shop/web:1.3.0 fits the policy >=1.2, <2. The task definition is rewritten with "
        "the image's digest and nothing else changed, and ECS replaces the tasks.",
    ):
        driver, world = stage.driver, stage.world
        before = raw_ecs(stage.cloud, "DescribeTaskDefinition", {"taskDefinition": "web:1"})
        digest = driver.push_image("shop/web", "1.3.0")
        stage.must("prod/web runs a new revision",
                   lambda: len(driver.service(CLUSTER, "web")["deployments"]) == 2, timed=True)
        stage.deliver()
        after = raw_ecs(stage.cloud, "DescribeTaskDefinition",
                        {"taskDefinition": driver.service(CLUSTER, "web")["taskDefinition"],
                         "include": ["TAGS"]})
        _only_the_image_changed(stage, before["taskDefinition"], after, digest)
        _roll_out(stage)
        _found(stage, "web", _WEB, 2)
        stage.must("the deployment is COMPLETED with the new revision alone", lambda: [
            (d["rolloutState"], d["runningCount"]) for d in driver.service(CLUSTER, "web")["deployments"]
        ] == [("COMPLETED", 2)])
        stage.must("the new endpoints tell the new revision", lambda: {
            e.get("revision") for e in world.endpoints("web").values()} == {"2"})
        mark = stage.timeline.mark()
        driver.push_image("shop/web", "2.0.0-rc.1")
        stage.deliver()
        stage.must("shop/web:2.0.0-rc.1 is pushed, too, and stays out of prod",
                   lambda: not stage.timeline.changes(mark), timeout=0)


def alarm_doubles(stage: Stage) -> None:
    """An alarm moves the desired count."""
    with stage.act(
        "3  An alarm fires, and the count doubles",
        "web-requests: 1000 requests a minute for each task, where prod/web asks for 500.",
    ):
        driver = stage.driver
        driver.alarm("web-requests", "OK", [320.0])
        stage.deliver()
        driver.alarm("web-requests", "ALARM", [1000.0])
        stage.must("prod/web wants 4 tasks instead of 2",
                   lambda: driver.service(CLUSTER, "web")["desiredCount"] == 4, timed=True)
        driver.settle(stage.deliver)
        _found(stage, "web", _WEB, 4)
        stage.must("`wharfinger history prod/web` tells why",
                   lambda: "ScaleOut" in stage.cli("history", "prod/web"))


def events_misbehave(stage: Stage) -> None:
    """Stale, duplicated and reordered events change nothing."""
    with stage.act(
        "4  Events come late, twice and in the wrong order, and change nothing",
        "EventBridge delivers at least once and in any order. What is newest is kept in a ledger, so "
        "that an event is a hint only.",
        in_full=True,
    ) as mark:
        cloud, driver, world = stage.cloud, stage.driver, stage.world
        [gone, *_] = driver.tasks(CLUSTER, "web", "STOPPED")
        [live, *_] = driver.tasks(CLUSTER, "web")
        late = _events_of(stage, gone["taskArn"])
        cloud.hold(True)
        [report] = driver.ecs.run_task(
            cluster=CLUSTER, taskDefinition="nightly-report", launchType="FARGATE")["tasks"]
        driver.settle()
        driver.exit_task(report["taskArn"], exit_code=0)
        driver.settle()
        cloud.hold(False)
        before = world.picture()
        _changes_nothing(stage, "a stopped task's RUNNING comes again: it is not let in",
                         [e for e in late if e["detail"]["lastStatus"] == "RUNNING"], before)
        alarm = stage.find("CloudWatch Alarm State Change", alarmName="web-requests")
        _changes_nothing(stage, "the alarm comes twice more: the count doubled once",
                         [alarm, alarm], before)
        _changes_nothing(stage, "the alarm's earlier OK comes after it: it is known to be older",
                         [e for e in _all(stage, "CloudWatch Alarm State Change")
                          if e["detail"]["alarmName"] == "web-requests"
                          and e["detail"]["state"]["value"] == "OK"], before)
        _changes_nothing(stage, "another alarm of prod/web speaks: nothing is counted twice",
                         [stage.find("CloudWatch Alarm State Change", alarmName="web-idle")], before)
        _changes_nothing(stage, "the push comes again: there is one rollout",
                         [stage.find("ECR Image Action", **{"image-tag": "1.3.0"})], before)
        _changes_nothing(stage, "a running task's RUNNING comes again: its endpoint stays as it is",
                         [e for e in _events_of(stage, live["taskArn"])
                          if e["detail"]["lastStatus"] == "RUNNING"], before)
        _changes_nothing(stage, "a report's whole life comes backwards: it is never let in",
                         list(reversed(_events_of(stage, report["taskArn"]))), before)
        _every_decision_is_told(stage, mark)


def events_get_lost(stage: Stage) -> None:
    """A sweep repairs what no event told."""
    with stage.act(
        "5  Events get lost, and the next sweep repairs it",
        "A task starts, a task stops and an image is pushed, and no event of it ever arrives. The "
        "schedules look at what really is (sent early here; every 5 minutes otherwise).",
    ):
        cloud, driver, world = stage.cloud, stage.driver, stage.world
        discovery, delivery = (stage.functions[f"{n}Function"] for n in ("Discovery", "Delivery"))
        _in_silence(stage, 2)
        _differs(stage, "a task of prod/api starts unseen: it is not found", 1, 2)
        cloud.sweep(discovery)
        _found(stage, "api", _API, 2)
        stage.deliver()
        _in_silence(stage, 1)
        _differs(stage, "it stops unseen: its endpoint is a ghost", 2, 1)
        cloud.sweep(discovery)
        _found(stage, "api", _API, 1)
        stage.deliver()
        cloud.hold(True)
        digest = driver.push_image("shop/api", "release-8")
        cloud.hold(False)
        cloud.sweep(delivery)
        stage.must("the unseen push of shop/api:release-8 is rolled out", lambda: _image_of(
            stage, "api") == image("shop/api", f"@{digest}"))
        driver.settle(stage.deliver)
        _found(stage, "api", _API, 1)
        stage.must("prod/web is as it was", lambda: world.addresses("web") == world.serving("web", _WEB))


def aws_stumbles(stage: Stage) -> None:
    """Throttles and lost answers delay things, and double nothing."""
    with stage.act(
        "6  AWS throttles and loses answers, and it comes right all the same",
        "RegisterInstance is throttled more often than an SDK tries. Then UpdateService does what it "
        "is asked, and its answer is lost.",
        may_fail=True,
    ):
        cloud, driver = stage.cloud, stage.driver
        discovery, delivery = (stage.functions[f"{n}Function"] for n in ("Discovery", "Delivery"))
        cloud.fault(operation="RegisterInstance", caller=discovery, count=4,
                    error={"code": "ThrottlingException", "message": "Rate exceeded"})
        driver.ecs.update_service(cluster=CLUSTER, service="api", desiredCount=2)
        driver.settle(stage.deliver)
        _found(stage, "api", _API, 2)
        cloud.fault(operation="UpdateService", caller=delivery, when="after", cut=True)
        digest = driver.push_image("shop/api", "release-9")
        stage.must("shop/api:release-9 is rolled out once", lambda: (
            _image_of(stage, "api") == image("shop/api", f"@{digest}")
            and len(driver.service(CLUSTER, "api")["deployments"]) == 2))
        stage.must("all faults have hit", lambda: all(
            f["hits"] == f["count"] for f in cloud.faults()))
        driver.settle(stage.deliver)
        _found(stage, "api", _API, 2)


def _found(stage: Stage, service: str, port: int, count: int) -> None:
    def true() -> bool:
        found = stage.world.addresses(service)
        return len(found) == count and found == stage.world.serving(service, port)

    words = "the one task" if count == 1 else f"exactly the {count} tasks"
    verb = "is" if count == 1 else "are"
    stage.must(f"{words} of prod/{service} {verb} found in shop.local/{service}", true)


def _named_right(endpoints: Dict[str, Dict[str, str]], outputs: Dict[str, str]) -> bool:
    return bool(endpoints) and all(
        attributes.get("WHARFINGER_TASK", "").endswith("/" + instance.rsplit("-", 1)[0])
        and attributes.get("WHARFINGER_OWNER") == "wharfinger"
        and attributes.get("lane") == "blue"
        for instance, attributes in endpoints.items()
    )


def _only_the_image_changed(
    stage: Stage, before: Dict[str, Any], described: Dict[str, Any], digest: str
) -> None:
    after = described["taskDefinition"]
    expected = {k: v for k, v in before.items() if k not in COMPUTED}
    expected["containerDefinitions"] = [
        {**c, "image": image("shop/web", f"@{digest}")} for c in before["containerDefinitions"]]
    stage.must("it is pinned to the pushed digest, and nothing else differs: not the tags, not a "
               "field that no SDK knows", lambda: (
                   {k: v for k, v in after.items() if k not in COMPUTED} == expected
                   and after["fieldOfTheFuture"] == FUTURE_FIELD
                   and {"key": "team", "value": "shop"} in described.get("tags", [])))


def _roll_out(stage: Stage) -> None:
    """Step through the rollout, looking after each step."""
    fewest = [99]
    early: List[str] = []

    def look() -> None:
        stage.deliver()
        endpoints = stage.world.endpoints("web")
        fewest[0] = min(fewest[0], len(endpoints))
        for task in stage.driver.tasks(CLUSTER, "web", "STOPPED"):
            if f"{task_id(task)}-{_WEB}" in endpoints:
                raise StepFailed(f"{task_id(task)} is {task['lastStatus']} and still found")
            if task["lastStatus"] == "DEACTIVATING":
                early.append(task_id(task))

    stage.driver.settle(look)
    stage.must("each old endpoint left while its task still served (DEACTIVATING), before it stopped",
               lambda: len(set(early)) == 2)
    stage.must("at every moment at least two endpoints were found", lambda: fewest[0] >= 2)


def _every_decision_is_told(stage: Stage, since: Any) -> None:
    # The shop has no target groups of its own, so balancing has nothing to decide.
    undecided = stage.functions["BalancingFunction"]
    rows = [r for r in stage.timeline.rows(since) if r.invocation["function"] != undecided]
    stage.must(f"each of the {len(rows)} invocations said why it did nothing", lambda: rows and all(
        row.decisions and all(d.reasons for d in row.decisions) for row in rows), timeout=0)


def _changes_nothing(
    stage: Stage, text: str, documents: List[Dict[str, Any]], before: Dict[str, Any]
) -> None:
    """Publish events one after the other: no changing call, and the world is what it was."""
    if not documents:
        raise StepFailed(f"there is no event to publish again: {text}")
    mark = stage.timeline.mark()
    for document in documents:
        stage.cloud.publish(document)
        stage.deliver()
    stage.must(text, lambda: not stage.timeline.changes(mark) and stage.world.picture() == before,
               timeout=0)


def _all(stage: Stage, detail_type: str) -> List[Dict[str, Any]]:
    documents = {e["document"]["id"]: e["document"] for e in stage.cloud.events()}
    return [d for d in documents.values() if d["detail-type"] == detail_type]


def _events_of(stage: Stage, task_arn: str) -> List[Dict[str, Any]]:
    return [d for d in _all(stage, "ECS Task State Change") if d["detail"]["taskArn"] == task_arn]


def _in_silence(stage: Stage, desired: int) -> None:
    stage.cloud.hold(True)
    stage.driver.ecs.update_service(cluster=CLUSTER, service="api", desiredCount=desired)
    stage.driver.settle()
    stage.cloud.hold(False)


def _differs(stage: Stage, text: str, found: int, serving: int) -> None:
    world = stage.world
    stage.must(text, lambda: (len(world.endpoints("api")), len(world.serving("api", _API)))
               == (found, serving), timeout=0)


def _image_of(stage: Stage, service: str) -> str:
    definition = stage.driver.definition(stage.driver.service(CLUSTER, service)["taskDefinition"])
    return str(definition["containerDefinitions"][0]["image"])
