"""The account of `make capacity`: its clusters with their Auto Scaling groups, and what is asked of it."""
from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List, Optional, Tuple

from . import documents, frame
from .cloud import ACCOUNT, REGION, LocalCloud
from .console import Console
from .ecs import Driver

# How many instances each cluster's group has; the group and its hook are named like the cluster, and `drain`.
CLUSTERS = {"prod": 7, "spot": 4, "trial": 1, "idle": 2, "edge": 3, "full": 1}
HOOK = "drain"
# How many tasks an instance of `full` takes.
ROOM = 2
SPOT, TWIN = "fleet", "fleet-on-demand"
_NAMESPACE = "shop.local"
_PORT = 8080
_QUEUE = "impaired"
_WAITED = 60.0


@dataclass(frozen=True)
class Settings:
    """What of the configuration changes while it is played: a deadline comes when it is asked for."""

    deadline: str = "10h"


def document(settings: Settings) -> str:
    """The configuration. Each cluster but prod is there for one thing."""
    return f"""\
version: 1
clusters:
  prod: {{ capacity: {{ drain: {{ deadline: {settings.deadline}, hooks: [{HOOK}] }} }} }}
  spot: {{ capacity: {{}} }}
  trial: {{ capacity: {{ dry-run: true }} }}
  idle: {{ capacity: {{}} }}
  edge: {{ capacity: {{ disconnected: {{ after: 1m, action: replace }} }} }}
  full: {{ capacity: {{ placement: {{ auto-scaling-group: full, max: 2 }} }} }}
services:
  spot/{SPOT}:
    capacity: {{ spot: {{ fallback: {{ twin: spot/{TWIN} }}, after: 1s, return-after: 1s }} }}
  prod/web: {{ discovery: [ {{ to: {_NAMESPACE}/web, port: {_PORT} }} ] }}
"""


class Instances(frame.Play):
    """The account, and what is asked of it."""

    account = f"{sum(CLUSTERS.values())} instances in {len(CLUSTERS)} clusters"
    domain = "CapacityFunction"

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        super().__init__(cloud, console)
        self.driver: Driver
        self.groups = cloud.client("autoscaling")
        self._discovery = cloud.client("servicediscovery")
        self._sqs = cloud.client("sqs")
        self._queue = ""
        self._told: List[Dict[str, Any]] = []
        self._settings = Settings()

    def create(self) -> None:
        """Groups whose instances are in their clusters, services on them, and a queue that hears of crash loops."""
        for cluster, count in CLUSTERS.items():
            self.driver.create_cluster(cluster)
            self.groups.create_auto_scaling_group(
                AutoScalingGroupName=cluster, MinSize=0, MaxSize=20, DesiredCapacity=count,
                AvailabilityZones=[f"{REGION}a"])
            self.groups.put_lifecycle_hook(
                AutoScalingGroupName=cluster, LifecycleHookName=HOOK, HeartbeatTimeout=120,
                LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING")
            for instance in self.members(cluster):
                self.cloud.door("POST", "hosts", {"cluster": cluster, "instance": instance})
        for cluster, name, count in (("prod", "web", 4), ("spot", "batch", 4), ("trial", "web", 1), ("idle", "web", 1)):
            self._service(cluster, name, count)
        self.limit("full", ROOM)
        self._service("full", "web", ROOM)
        for name, count, provider in ((SPOT, 3, "FARGATE_SPOT"), (TWIN, 0, "FARGATE")):
            definition = {
                "family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
                "memory": "512", "containerDefinitions": [{"name": "app", "image": "example.com/app:1"}]}
            self.driver.create_service("spot", name, definition, count, capacityProviderStrategy=[
                {"capacityProvider": provider, "weight": 1}])
        self._service("prod", "stuck", 1, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 100})
        self._queue = self._sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
        events = self.cloud.client("events")
        events.put_rule(Name=_QUEUE, EventPattern=json.dumps({"source": ["wharfinger"]}))
        events.put_targets(Rule=_QUEUE, Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{_QUEUE}"}])
        self.driver.settle()

    def _service(self, cluster: str, name: str, count: int, **more: Any) -> None:
        definition = {
            "family": f"{cluster}-{name}", "networkMode": "awsvpc", "requiresCompatibilities": ["EC2"],
            "containerDefinitions": [{"name": "app", "image": "example.com/app:1", "memory": 128,
                                      "portMappings": [{"containerPort": _PORT}]}]}
        self.driver.create_service(cluster, name, definition, count, launch_type="EC2", **more)

    def configure(self) -> None:
        """One cluster is paused before any function has looked at it; the endpoints of prod/web are found."""
        self.apply(document(self._settings), "--create")
        self.stack.cli("pause", "idle", "capacity")

    def set(self, **changes: Any) -> None:
        """Store the configuration with other settings. A function may go by those before for 30 seconds."""
        self._settings = replace(self._settings, **changes)
        self.apply(document(self._settings), "--no-sync")

    # What happens to instances.

    def members(self, cluster: str) -> List[str]:
        """The instances of a cluster's group."""
        answer = self.groups.describe_auto_scaling_groups(AutoScalingGroupNames=[cluster])
        return [instance["InstanceId"] for instance in answer["AutoScalingGroups"][0]["Instances"]]

    def end(self, instance: str, ago: float = _WAITED, stays: bool = False) -> Dict[str, Any]:
        """The instance's group ends it, or replaces its root volume, since so many seconds; answers what that told."""
        since = len(self.cloud.events())
        self.cloud.door("POST", "groups/end", {"instance": instance, "ago": ago, "stays": stays})
        self.deliver()
        kind = "EC2 Instance-terminate Lifecycle Action"
        [told] = [entry["document"] for entry in self.cloud.events(since) if entry["document"]["detail-type"] == kind]
        return dict(told)

    def back(self, instance: str) -> None:
        """Its group has an instance in service again."""
        self.cloud.door("POST", "groups/back", {"instance": instance})

    def connect(self, instance: str, connected: bool) -> None:
        """Its agent is connected, or not any more."""
        self.cloud.door("POST", "hosts/agent", {"instance": instance, "connected": connected})
        self.deliver()

    def limit(self, where: str, tasks: Optional[int]) -> None:
        """An instance of a cluster takes so many tasks, or a capacity provider so many in all; None: any number."""
        self.cloud.door("POST", "room", {"where": where, "tasks": tasks})

    def join(self, cluster: str) -> None:
        """What the group of a cluster has launched registers in it."""
        for instance in self.members(cluster):
            if not self.host(cluster, instance):
                self.cloud.door("POST", "hosts", {"cluster": cluster, "instance": instance})

    def want(self, cluster: str, service: str, count: int) -> None:
        """Someone wants so many tasks of a service."""
        self.driver.ecs.update_service(cluster=cluster, service=service, desiredCount=count)

    def counts(self, cluster: str, service: str) -> Tuple[int, int]:
        """How many tasks of a service are wanted, and how many run."""
        found = self.driver.service(cluster, service)
        return found["desiredCount"], found["runningCount"]

    def tell(self, *events: Dict[str, Any]) -> None:
        """Publish events, and wait until they have been dealt with."""
        self.cloud.publish(*events)
        self.deliver()

    def warn(self, instance: str, action: str = "terminate", ago: float = 0.0) -> Dict[str, Any]:
        """A Spot interruption warning."""
        return documents.spot_interruption(instance, action, account=ACCOUNT, region=REGION, at=time.time() - ago)

    def minutes(self) -> None:
        """The pass of a minute, and ECS after it."""
        self.minute()
        self.roll()

    def sweep(self) -> None:
        """What the schedule of every five minutes does."""
        self.cloud.sweep(self.function)
        self.deliver()

    # What is there, and what is told of it.

    def host(self, cluster: str, instance: str) -> Dict[str, Any]:
        """The container instance, as ECS describes it; empty when it has left the cluster."""
        ecs = self.driver.ecs
        listed = ecs.list_container_instances(cluster=cluster, filter=f"ec2InstanceId == {instance}")
        arns = listed["containerInstanceArns"]
        if not arns:
            return {}
        return dict(ecs.describe_container_instances(cluster=cluster, containerInstances=arns)["containerInstances"][0])

    def status(self, cluster: str, *instances: str) -> List[str]:
        """The states of these instances."""
        return [self.host(cluster, instance).get("status", "") for instance in instances]

    def tasks(self, cluster: str, service: str) -> Dict[str, str]:
        """The EC2 instance of each wanted task of a service, by the task's ARN."""
        tasks = self.driver.tasks(cluster, service)
        arns = sorted({task["containerInstanceArn"] for task in tasks})
        if not arns:
            return {}
        hosts = self.driver.ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
        ids = {host["containerInstanceArn"]: host["ec2InstanceId"] for host in hosts["containerInstances"]}
        return {task["taskArn"]: ids[task["containerInstanceArn"]] for task in tasks}

    def task_on(self, cluster: str, service: str, instance: str) -> str:
        """The task of a service on an instance."""
        [task] = [task for task, host in self.tasks(cluster, service).items() if host == instance]
        return task

    def endpoints(self) -> List[str]:
        """The ids of the tasks of prod/web in Cloud Map."""
        services = self._discovery.list_services()["Services"]
        [service] = [one["Id"] for one in services if one["Name"] == "web"]
        return sorted(one["Id"] for one in self._discovery.list_instances(ServiceId=service)["Instances"])

    def asked(self, operation: str, instance: str, since: int = 0) -> List[Dict[str, Any]]:
        """The inputs of the function's calls to Auto Scaling about an instance."""
        return [call["input"] for call in self.made(operation, since) if call["input"]["InstanceId"] == instance]

    def states(self, since: int = 0) -> List[Dict[str, Any]]:
        """The inputs of its UpdateContainerInstancesState calls."""
        return [call["input"] for call in self.made("UpdateContainerInstancesState", since)]

    def changes(self, since: int = 0) -> List[str]:
        """The calls with which it has changed anything outside of its tables."""
        reads = ("Describe", "List", "Get", "Query", "BatchGet")
        return sorted(call["operation"] for call in self.cloud.calls(since)
                      if call["caller"] == self.function and call["service"] != "dynamodb"
                      and not call["operation"].startswith(reads))

    def known(self, cluster: str) -> Dict[str, Any]:
        """What `wharfinger status` tells of a cluster's instances, by their id."""
        [row] = self.stack.cli.json("status", cluster)["clusters"]
        return {one["instance"]: one for one in row["capacity"]["instances"]}

    def said(self, target: str, code: str, part: str = "") -> bool:
        """Whether `wharfinger history` has a reason of capacity with this code, and this part of its words."""
        records = self.stack.cli.json("history", target, "--domain", "capacity", "-n", "500")["records"]
        reasons = [reason for record in records for reason in record["reasons"]]
        return any(reason["code"] == code and part in reason["message"] for reason in reasons)

    def explain(self, event: Dict[str, Any], *options: str) -> Dict[str, Any]:
        """What `wharfinger explain` says of an event, by the stored configuration."""
        with TemporaryDirectory() as folder:
            file = Path(folder, "event.json")
            file.write_text(json.dumps(event), encoding="utf-8")
            return dict(self.stack.cli.json("explain", *options, str(file)))

    def impaired(self) -> List[Dict[str, Any]]:
        """The details of the `Tasks Impaired` events on the bus so far."""
        while True:
            answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
            messages = answer.get("Messages", [])
            for message in messages:
                event = json.loads(message["Body"])
                if event["detail-type"] == "Tasks Impaired":
                    self._told.append(event["detail"])
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
            if not messages:
                return self._told
