"""`make churn`: 200 tasks of four services come and go, and every event comes twice and in any order.

Afterwards Cloud Map and the target groups must hold the tasks that run, exactly. Exit code 0 when they do.
"""
from __future__ import annotations

import random
import sys
from typing import Any, Dict, List, Set, Tuple

from . import frame
from .cloud import LocalCloud
from .console import Console
from .ecs import Driver
from .frame import StepFailed
from .world import CLUSTER, address_of

SERVICES = ("basket", "catalogue", "checkout", "search")
_TASKS = 50
_PORT = 8080
_NAMESPACE = "churn.local"
_SEED = 20261122
# EventBridge takes as many in one call, too.
_BATCH = 50

Document = Dict[str, Any]


class Churn(frame.Play):
    """The account, and the hand that shuffles its events."""

    title = "200 tasks come and go, their events twice and in any order"
    account = "four services"

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        super().__init__(cloud, console)
        self.random = random.Random(_SEED)
        self.published = 0
        self._seen = 0
        self._past: List[Document] = []
        self._groups: Dict[str, str] = {}
        self._registries: Dict[str, str] = {}

    def create(self) -> None:
        """Four services that want no task yet, each with a registry and a target group."""
        self.driver.create_cluster(CLUSTER)
        discovery, balancing = self.cloud.client("servicediscovery"), self.cloud.client("elbv2")
        operation = discovery.create_http_namespace(Name=_NAMESPACE)["OperationId"]
        namespace = discovery.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        for name in SERVICES:
            self._registries[name] = discovery.create_service(
                Name=name, NamespaceId=namespace)["Service"]["Id"]
            self._groups[name] = balancing.create_target_group(
                Name=name, Protocol="HTTP", Port=_PORT, VpcId="vpc-0a1b2c3d", TargetType="ip",
            )["TargetGroups"][0]["TargetGroupArn"]
            self.driver.create_service(CLUSTER, name, _definition(name), desired=0)

    def configure(self) -> None:
        """The four; from then on no event comes but by this hand."""
        lines = ["version: 1", "services:"]
        for name in SERVICES:
            lines += [
                f"  {CLUSTER}/{name}:",
                f"    discovery: [ {{ to: {_NAMESPACE}/{name}, port: {_PORT} }} ]",
                f"    balancing: [ {{ target-group: {name}, port: {_PORT} }} ]",
            ]
        self.apply("\n".join(lines) + "\n")
        self.cloud.hold(True)

    def steps(self) -> None:
        """Four waves, and no invocation that failed."""
        _play(self)
        failed = [i for i in self.cloud.invocations() if i["error"]]
        if failed:
            raise StepFailed(f"{len(failed)} invocations failed: {failed[0]['error']}")

    def numbers(self) -> str:
        """What is told at the end."""
        return f"{self.published} events, {super().numbers()}"

    def wants(self, name: str, count: int) -> None:
        """Set a desired count."""
        self.driver.ecs.update_service(cluster=CLUSTER, service=name, desiredCount=count)

    def publish(self, lost: float = 0.0) -> None:
        """Publish what has happened since: each event twice, and some old ones once more, in any order."""
        news = [entry["document"] for entry in self.cloud.events(self._seen)]
        news = [document for document in news if document["detail-type"] == "ECS Task State Change"]
        kept = [document for document in news if self.random.random() >= lost]
        late = self.random.sample(self._past, len(self._past) // 10)
        self._past += news
        wave = kept + kept + late
        self.random.shuffle(wave)
        for start in range(0, len(wave), _BATCH):
            self.cloud.publish(*wave[start:start + _BATCH])
            self.deliver()
        self.published += len(wave)
        self._seen = len(self.cloud.events())

    def live(self) -> List[Tuple[str, Dict[str, Any]]]:
        """The tasks that run and are meant to, with their services."""
        return [(name, task) for name in SERVICES for task in _all_tasks(self.driver, name)
                if task["lastStatus"] == "RUNNING"]

    def check(self, when: str) -> None:
        """Compare what is registered with what runs."""
        wanted = {(name, f"{address_of(task)}:{_PORT}") for name, task in self.live()}
        found, targets = self._instances(), self._targets()
        addresses = {(name, address.split(":")[0]) for name, address in wanted}
        for what, is_, should in (("Cloud Map", found, wanted), ("the target groups", targets, addresses)):
            if is_ != should:
                raise StepFailed(
                    f"{when}: {what} hold {len(is_)} and should hold {len(should)}; "
                    f"missing {sorted(should - is_)[:5]}, too many {sorted(is_ - should)[:5]}")
        self.console.done(f"{when}: {len(wanted)} tasks run, and just these are registered and targeted")

    def _instances(self) -> Set[Tuple[str, str]]:
        pages = self.cloud.client("servicediscovery").get_paginator("list_instances")
        return {
            (name, f"{i['Attributes']['AWS_INSTANCE_IPV4']}:{i['Attributes']['AWS_INSTANCE_PORT']}")
            for name, registry in self._registries.items()
            for page in pages.paginate(ServiceId=registry) for i in page["Instances"]}

    def _targets(self) -> Set[Tuple[str, str]]:
        client = self.cloud.client("elbv2")
        return {
            (name, health["Target"]["Id"]) for name, group in self._groups.items()
            for health in client.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
            if health["TargetHealth"]["State"] != "draining"}


def _all_tasks(driver: Driver, name: str) -> List[Dict[str, Any]]:
    pages = driver.ecs.get_paginator("list_tasks")
    arns = [arn for page in pages.paginate(cluster=CLUSTER, serviceName=name, desiredStatus="RUNNING")
            for arn in page["taskArns"]]
    return [task for start in range(0, len(arns), 100)
            for task in driver.ecs.describe_tasks(cluster=CLUSTER, tasks=arns[start:start + 100])["tasks"]]


def _definition(name: str) -> Dict[str, Any]:
    return {
        "family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "cpu": "256", "memory": "512", "containerDefinitions": [{
            "name": name, "image": f"example.com/{name}:1", "portMappings": [{"containerPort": _PORT}]}],
    }


def _play(churn: Churn) -> None:
    driver, cloud = churn.driver, churn.cloud
    for name in SERVICES:
        churn.wants(name, _TASKS)
    driver.settle()
    churn.publish()
    churn.check("200 tasks start")

    driver.ecs.update_service(cluster=CLUSTER, service="basket", forceNewDeployment=True)
    churn.wants("catalogue", 20)
    for _, task in churn.random.sample(churn.live(), 30):
        driver.exit_task(task["taskArn"])
    driver.settle()
    churn.publish()
    churn.check("a rollout, a smaller service, 30 tasks that end by themselves")

    churn.wants("catalogue", _TASKS)
    churn.wants("search", 5)
    for _, task in churn.random.sample(churn.live(), 20):
        driver.exit_task(task["taskArn"])
    driver.settle()
    churn.publish(lost=1 / 3)
    for logical in ("DiscoveryFunction", "BalancingFunction"):
        cloud.sweep(churn.stack.functions[logical])
    churn.deliver()
    churn.check("a third of the events lost, and one sweep")

    for name in SERVICES:
        churn.wants(name, 0)
    driver.settle()
    churn.publish()
    churn.check("all stop")


if __name__ == "__main__":
    sys.exit(frame.run(Churn))
