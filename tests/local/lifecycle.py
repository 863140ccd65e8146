"""The life of ECS tasks inside the ministack process, one explicit step at a time.

Tasks are kept in ministack's own table, so that DescribeTasks, ListTasks and the events always
tell the same. Nothing here waits: a state lasts until the next `step`.
"""
from __future__ import annotations

import copy
import hashlib
import re
import threading
import time
import uuid
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Tuple

from . import documents, volumes

Task = Dict[str, Any]
Emit = Callable[[documents.Document], None]

RISING = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")
FALLING = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
_ECR_IMAGE = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/(?P<repository>[^@:]+)"
                        r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$")


class Lifecycle:
    """Creates, advances and stops tasks, and emits their events."""

    def __init__(self, emit: Emit, account: str, region: str) -> None:
        self._emit = emit
        self.account = account
        self.region = region
        self.lock = threading.RLock()
        self._addresses = 0
        self._created = 0
        self._last_time = 0.0

    def now(self) -> float:
        """The time in milliseconds; every call answers a later one."""
        with self.lock:
            self._last_time = max(round(time.time(), 3), round(self._last_time + 0.001, 3))
            return self._last_time

    def create(
        self, cluster_arn: str, definition: Mapping[str, Any], request: Mapping[str, Any],
        capacity: Tuple[str, Optional[str]], deployment_id: Optional[str] = None,
    ) -> Task:
        """A new task in PROVISIONING, stored and announced.

        `request` has the fields of RunTask, and `containerInstanceArn` where it is placed on one; `capacity` is launch
        type and capacity provider.
        """
        from ministack.services import ecs

        with self.lock:
            task = self._build(cluster_arn, definition, request, capacity)
            task["_deployment_id"] = deployment_id
            ecs._tasks[task["taskArn"]] = task
            if request.get("tags"):
                ecs._tags[task["taskArn"]] = list(request["tags"])
            self._announce(task)
            return task

    def advance(self, tasks: Iterable[Task]) -> int:
        """Move each of these tasks that is on its way one state further; answer how many moved."""
        with self.lock:
            moved = 0
            for task in tasks:
                _become_healthy(task)
                moved += self._advance(task)
            return moved

    def stop(self, task: Task, reason: str, code: str) -> bool:
        """Decide that a task is to stop; False when that was decided before."""
        with self.lock:
            if task["desiredStatus"] == "STOPPED":
                return False
            now = self.now()
            running = task["lastStatus"] == "RUNNING"
            task.update(
                desiredStatus="STOPPED", stoppingAt=now, stoppedReason=reason, stopCode=code,
                # A task that never ran has no targets to leave and no process to stop.
                lastStatus="DEACTIVATING" if running else "DEPROVISIONING",
            )
            self._announce(task)
            return True

    def exit(self, task: Task, exit_code: int) -> None:
        """The essential container ends by itself."""
        with self.lock:
            now = self.now()
            task.update(
                desiredStatus="STOPPED", lastStatus="DEPROVISIONING", stoppingAt=now,
                executionStoppedAt=now, stopCode="EssentialContainerExited",
                stoppedReason="Essential container in task exited",
            )
            for container in task["containers"]:
                container.update(lastStatus="STOPPED", exitCode=exit_code)
            self._announce(task)

    def lose(self, task: Task, reason: str) -> None:
        """What the task ran on is gone, and it with it."""
        with self.lock:
            now = self.now()
            task.update(
                desiredStatus="STOPPED", lastStatus="STOPPED", stoppedReason=reason, stopCode="TerminationNotice",
                stoppingAt=now, executionStoppedAt=now, stoppedAt=now,
            )
            _detach(task)
            self._announce(task)

    def _advance(self, task: Task) -> bool:
        status = task["lastStatus"]
        if task["desiredStatus"] == "STOPPED":
            if status not in FALLING or status == "STOPPED":
                return False
            self._enter(task, FALLING[FALLING.index(status) + 1])
        else:
            if status not in RISING or status == "RUNNING":
                return False
            self._enter(task, RISING[RISING.index(status) + 1])
        return True

    def _enter(self, task: Task, status: str) -> None:
        task["lastStatus"] = status
        now = self.now()
        if status == "PENDING":
            self._attach_interface(task)
            problem = volumes.attach(task)
            if problem:
                # The code is AWS's, the words are not.
                task.update(desiredStatus="STOPPED", lastStatus="DEPROVISIONING", stoppingAt=now,
                            stopCode="TaskFailedToStart", stoppedReason=f"The EBS volume was not created: {problem}")
        elif status == "ACTIVATING":
            task.update(pullStartedAt=now, pullStoppedAt=now)
            for container in task["containers"]:
                container.update(
                    lastStatus="RUNNING", imageDigest=_resolve_digest(container["image"]),
                    runtimeId=f"{_task_id(task)}-{uuid.uuid4().int % 10**10:010d}",
                )
        elif status == "RUNNING":
            task.update(startedAt=now, connectivity="CONNECTED", connectivityAt=now)
        elif status == "DEPROVISIONING":
            task["executionStoppedAt"] = now
            for container in task["containers"]:
                container.update(lastStatus="STOPPED", exitCode=0)
        elif status == "STOPPED":
            task["stoppedAt"] = now
            _detach(task)
        self._announce(task)

    def _announce(self, task: Task) -> None:
        task["version"] += 1
        task["_updatedAt"] = self.now()
        self._emit(documents.task_state_change(task, self.account, self.region))

    def _attach_interface(self, task: Task) -> None:
        for attachment in task["attachments"]:
            if attachment["type"] != "ElasticNetworkInterface":
                continue
            self._addresses += 1
            number = self._addresses
            address = f"10.0.{number // 250}.{4 + number % 250}"
            attachment["status"] = "ATTACHED"
            attachment["details"] += [
                {"name": "networkInterfaceId", "value": f"eni-{number:017x}"},
                {"name": "macAddress", "value": _mac(number)},
                {"name": "privateDnsName",
                 "value": f"ip-{address.replace('.', '-')}.{self.region}.compute.internal"},
                {"name": "privateIPv4Address", "value": address},
            ]
            for container in task["containers"]:
                container["networkInterfaces"] = [
                    {"attachmentId": attachment["id"], "privateIpv4Address": address}
                ]

    def _build(
        self, cluster_arn: str, definition: Mapping[str, Any], request: Mapping[str, Any],
        capacity: Tuple[str, Optional[str]],
    ) -> Task:
        cluster = cluster_arn.rsplit("/", 1)[-1]
        task_id = uuid.uuid4().hex
        arn = f"arn:aws:ecs:{self.region}:{self.account}:task/{cluster}/{task_id}"
        launch_type, provider = capacity
        zone, subnet = self._place(request)
        task: Task = {
            "taskArn": arn,
            "clusterArn": cluster_arn,
            "taskDefinitionArn": definition["taskDefinitionArn"],
            "group": request.get("group") or f"family:{definition['family']}",
            "startedBy": request.get("startedBy") or None,
            "launchType": launch_type,
            "containerInstanceArn": request.get("containerInstanceArn"),
            "capacityProviderName": provider,
            "platformVersion": "1.4.0" if launch_type == "FARGATE" else None,
            "platformFamily": "Linux" if launch_type == "FARGATE" else None,
            "cpu": definition.get("cpu"),
            "memory": definition.get("memory"),
            "createdAt": self.now(),
            "lastStatus": "PROVISIONING",
            "desiredStatus": "RUNNING",
            "healthStatus": "UNKNOWN",
            "version": 0,
            "availabilityZone": zone,
            "enableExecuteCommand": bool(request.get("enableExecuteCommand")),
            "ephemeralStorage": definition.get("ephemeralStorage") or {"sizeInGiB": 20},
            "attributes": [{"name": "ecs.cpu-architecture", "value": _architecture(definition)}],
            "attachments": [],
            "containers": [
                _container(c, arn, cluster, self) for c in definition["containerDefinitions"]
            ],
            "overrides": _overrides(definition, request),
            "_health_checked": {
                c["name"] for c in definition["containerDefinitions"] if c.get("healthCheck")
            },
        }
        if definition.get("networkMode") == "awsvpc":
            task["attachments"] = [{
                "id": str(uuid.uuid4()), "type": "ElasticNetworkInterface",
                "status": "PRECREATED", "details": [{"name": "subnetId", "value": subnet}],
            }]
        task["attachments"] += volumes.planned(request, cluster)
        return task

    def _place(self, request: Mapping[str, Any]) -> Tuple[str, str]:
        """Availability zone and subnet, in turn: one subnet per zone."""
        network = (request.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
        subnets = network.get("subnets") or ["subnet-0123456789abcdef0"]
        turn = self._created % len(subnets)
        self._created += 1
        return f"{self.region}{'abcdef'[turn % 6]}", subnets[turn]


def _detach(task: Task) -> None:
    """What the stopped task had is no longer its own."""
    volumes.release(task)
    for attachment in task["attachments"]:
        attachment["status"] = "DELETED"


def _task_id(task: Task) -> str:
    return task["taskArn"].rsplit("/", 1)[-1]


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in b"\x0a" + number.to_bytes(5, "big"))


def _architecture(definition: Mapping[str, Any]) -> str:
    wanted = (definition.get("runtimePlatform") or {}).get("cpuArchitecture", "X86_64")
    return wanted.lower()


def _container(
    definition: Mapping[str, Any], task_arn: str, cluster: str, life: Lifecycle
) -> Dict[str, Any]:
    task_id = task_arn.rsplit("/", 1)[-1]
    return {
        "containerArn": f"arn:aws:ecs:{life.region}:{life.account}:container/"
                        f"{cluster}/{task_id}/{uuid.uuid4()}",
        "taskArn": task_arn,
        "name": definition["name"],
        "image": definition["image"],
        "lastStatus": "PENDING",
        "networkInterfaces": [],
        "networkBindings": None,
        "healthStatus": "UNKNOWN",
        "cpu": str(definition.get("cpu", 0)),
    }


def _overrides(definition: Mapping[str, Any], request: Mapping[str, Any]) -> Dict[str, Any]:
    overrides = copy.deepcopy(dict(request.get("overrides") or {}))
    given = {o["name"]: o for o in overrides.get("containerOverrides", [])}
    overrides["containerOverrides"] = [
        given.get(c["name"], {"name": c["name"]}) for c in definition["containerDefinitions"]
    ]
    overrides["inferenceAcceleratorOverrides"] = []
    return overrides


def _resolve_digest(image: str) -> str:
    """The digest that the pull would find; any image outside this registry has a made-up one."""
    from ministack.services import ecr

    named = _ECR_IMAGE.match(image)
    if named and named["digest"]:
        return named["digest"]
    if named:
        found = ecr._find_image(named["repository"], {"imageTag": named["tag"] or "latest"})
        if found:
            return found["imageDigest"]
    return "sha256:" + hashlib.sha256(image.encode()).hexdigest()


def _become_healthy(task: Task) -> None:
    # ECS emits no event for a change of health, and its version does not move.
    if task["lastStatus"] != "RUNNING" or not task["_health_checked"]:
        return
    for container in task["containers"]:
        if container["name"] in task["_health_checked"]:
            container["healthStatus"] = "HEALTHY"
    task["healthStatus"] = "HEALTHY"
