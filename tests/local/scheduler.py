"""The ECS service scheduler inside the ministack process: counts, rollouts, steady state."""
from __future__ import annotations

import random
import uuid
from typing import Any, Dict, List

from . import documents
from .groups import Groups
from .hosts import Hosts
from .lifecycle import Emit, Lifecycle, Task

Service = Dict[str, Any]
Deployment = Dict[str, Any]

_random = random.SystemRandom()
# The reason of the event, and the end of the service's own message.
_NO_PLACE = {
    "FARGATE": ("RESOURCE:FARGATE", ". Reason: Capacity is unavailable at this time. Please try again later or in a "
                                    "different availability zone."),
    "EC2": ("RESOURCE:MEMORY", " because no container instance met all of its requirements. The closest matching "
                               "container-instance has insufficient memory available."),
}
_DRAINED = "Task was stopped because its container instance is in DRAINING state"


class Scheduler:
    """Starts and stops service tasks so that each service gets what it asks for."""

    def __init__(self, life: Lifecycle, hosts: Hosts, groups: Groups, emit: Emit) -> None:
        self._life = life
        self._hosts = hosts
        self._groups = groups
        self._emit = emit

    def step(self) -> int:
        """Look once at every service, then move every task and every instance that was on its way one state.

        Answers how many things changed; 0 means that nothing is left to do.
        """
        from ministack.services import ecs

        with self._life.lock:
            versions = {arn: task["version"] for arn, task in ecs._tasks.items()}
            changes = sum(self._schedule(s) for s in _active_services())
            untouched = [
                task for arn, task in ecs._tasks.items() if versions.get(arn) == task["version"]
            ]
            changes += self._life.advance(untouched)
            changes += self._groups.step()
            self._hosts.step()
            for key, service in ecs._services.items():
                refresh(service)
                ecs._recount_cluster(key.split("/", 1)[0])
            return changes

    def _schedule(self, service: Service) -> int:
        from ministack.services import ecs

        primary = ecs._primary_deployment(service)
        if primary is None:
            return 0
        changes = self._announce_progress(service, primary)
        live = [t for t in tasks_of(service) if t["desiredStatus"] == "RUNNING"]
        # A task on an instance that drains is replaced like one of a deployment before.
        fresh, stale = [], []
        for task in live:
            stays = task["_deployment_id"] == primary["id"] and not self._hosts.drains(task)
            (fresh if stays else stale).append(task)
        changes += self._scale_in(service, primary, fresh)
        changes += self._start(service, primary, len(fresh), len(stale))
        changes += self._drain(service, fresh, stale)
        return changes + self._complete(service, primary)

    def _announce_progress(self, service: Service, primary: Deployment) -> int:
        if primary["rolloutState"] != "IN_PROGRESS" or primary.get("_announced"):
            return 0
        primary["_announced"] = True
        reason = f"ECS deployment {primary['id']} in progress."
        primary["rolloutStateReason"] = reason
        self._tell(service, primary, "SERVICE_DEPLOYMENT_IN_PROGRESS", reason)
        return 1

    def _scale_in(self, service: Service, primary: Deployment, fresh: List[Task]) -> int:
        surplus = len(fresh) - service["desiredCount"]
        for task in sorted(fresh, key=lambda t: t["createdAt"], reverse=True)[:max(0, surplus)]:
            self._leave(task, primary["id"])
        return max(0, surplus)

    def _start(self, service: Service, primary: Deployment, fresh: int, stale: int) -> int:
        from ministack.services import ecs

        desired = service["desiredCount"]
        limit = max(1, desired * _percent(service, "maximumPercent", 200) // 100)
        count = max(0, min(desired - fresh, limit - fresh - stale))
        key = ecs._resolve_td_key(primary["taskDefinition"])
        capacity = ecs._task_capacity(
            service.get("launchType"), service.get("capacityProviderStrategy"))
        request = {
            "group": f"service:{service['serviceName']}",
            "startedBy": primary["id"],
            "networkConfiguration": service.get("networkConfiguration"),
            "enableExecuteCommand": service.get("enableExecuteCommand"),
        }
        for started in range(count):
            is_placed, host = self._hosts.place(service["clusterArn"], capacity)
            if not is_placed:
                return started + self._find_no_place(service, capacity[0])
            self._life.create(
                service["clusterArn"], ecs._task_defs[key], {**request, "containerInstanceArn": host}, capacity,
                primary["id"])
        service.pop("_unplaced", None)
        return count

    def _find_no_place(self, service: Service, launch_type: str) -> int:
        """Told once, in the service's own events and on the bus (ECS developer guide, "service event messages")."""
        if service.get("_unplaced"):
            return 0
        service["_unplaced"] = True
        resource, why = _NO_PLACE[launch_type]
        now = self._life.now()
        service["events"].insert(0, {
            "id": str(uuid.uuid4()), "createdAt": now,
            "message": f"(service {service['serviceName']}) was unable to place a task{why}"})
        self._emit(documents.service_action(
            service["serviceArn"], service["clusterArn"], "SERVICE_TASK_PLACEMENT_FAILURE", resource,
            account=self._life.account, region=self._life.region, at=now))
        return 1

    def _drain(self, service: Service, fresh: List[Task], stale: List[Task]) -> int:
        desired = service["desiredCount"]
        needed = -(-desired * _percent(service, "minimumHealthyPercent", 100) // 100)
        serving = sum(t["lastStatus"] == "RUNNING" for t in fresh + stale)
        stopped = 0
        for task in stale:
            running = task["lastStatus"] == "RUNNING"
            if running and serving - 1 < needed:
                continue
            serving -= running
            stopped += 1
            if self._hosts.drains(task):
                self._life.stop(task, _DRAINED, "ServiceSchedulerInitiated")
            else:
                self._leave(task, task["_deployment_id"])
        return stopped

    def _leave(self, task: Task, deployment_id: str) -> None:
        reason = f"Scaling activity initiated by (deployment {deployment_id})"
        self._life.stop(task, reason, "ServiceSchedulerInitiated")

    def _complete(self, service: Service, primary: Deployment) -> int:
        if primary["rolloutState"] != "IN_PROGRESS":
            return 0
        remaining = [t for t in tasks_of(service) if t["lastStatus"] != "STOPPED"]
        running = [t for t in remaining if t["lastStatus"] == "RUNNING"]
        others = [t for t in remaining if t["_deployment_id"] != primary["id"]]
        if others or len(running) != service["desiredCount"]:
            return 0
        reason = f"ECS deployment {primary['id']} completed."
        primary.update(rolloutState="COMPLETED", rolloutStateReason=reason)
        primary["updatedAt"] = self._life.now()
        service["deployments"] = [primary]
        self._tell(service, primary, "SERVICE_DEPLOYMENT_COMPLETED", reason)
        self._emit(documents.service_action(
            service["serviceArn"], service["clusterArn"], "SERVICE_STEADY_STATE",
            account=self._life.account, region=self._life.region, at=self._life.now(),
        ))
        return 1

    def _tell(self, service: Service, deployment: Deployment, name: str, reason: str) -> None:
        self._emit(documents.deployment_state_change(
            service["serviceArn"], deployment["id"], name, reason,
            account=self._life.account, region=self._life.region, at=self._life.now(),
        ))


def new_deployment(
    life: Lifecycle, task_definition: str, desired_count: int, status: str = "PRIMARY"
) -> Deployment:
    """A deployment as CreateService and UpdateService begin it."""
    now = life.now()
    return {
        "id": f"ecs-svc/{_random.randrange(10**18, 10**19)}",
        "status": status,
        "taskDefinition": task_definition,
        "desiredCount": desired_count,
        "runningCount": 0,
        "pendingCount": 0,
        "failedTasks": 0,
        "createdAt": now,
        "updatedAt": now,
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": "",
    }


def tasks_of(service: Service) -> List[Task]:
    """Every task that the service ever started and that is still known."""
    from ministack.services import ecs

    group = f"service:{service['serviceName']}"
    return [
        t for t in ecs._tasks.values()
        if t["group"] == group and t["clusterArn"] == service["clusterArn"]
    ]


def refresh(service: Service) -> None:
    """Bring the service's and its deployments' counts up to date."""
    tasks = tasks_of(service)
    _count(service, tasks)
    for deployment in service["deployments"]:
        _count(deployment, [t for t in tasks if t["_deployment_id"] == deployment["id"]])


def _count(holder: Dict[str, Any], tasks: List[Task]) -> None:
    wanted = [t for t in tasks if t["desiredStatus"] == "RUNNING"]
    holder["runningCount"] = sum(t["lastStatus"] == "RUNNING" for t in wanted)
    holder["pendingCount"] = len(wanted) - holder["runningCount"]


def _active_services() -> List[Service]:
    from ministack.services import ecs

    return [s for s in ecs._services.values() if s["status"] == "ACTIVE"]


def _percent(service: Service, name: str, default: int) -> int:
    return int((service.get("deploymentConfiguration") or {}).get(name, default))
