"""The container instances of ECS inside the ministack process: which take tasks, and what runs on them.

ministack has none. Here one registers when the door says so, and stays as it is until a call or the door changes it.
Sources: ECS API reference, `ContainerInstance`, `ListContainerInstances`, `DescribeContainerInstances`,
`UpdateContainerInstancesState`; ECS developer guide, "Draining Amazon ECS container instances", "Cluster query
language".
"""
from __future__ import annotations

import json
import re
import uuid
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import documents
from .lifecycle import Emit, Lifecycle, Task

Answer = Tuple[int, Dict[str, str], bytes]
Data = Dict[str, Any]
Host = Dict[str, Any]

# How many one call changes and describes.
_CHANGED, _DESCRIBED, _LISTED = 10, 100, 100
# The one question of the cluster query language that is asked here.
_FILTER = re.compile(r"^\s*ec2InstanceId\s*==\s*(i-[0-9a-f]+)\s*$")


class Refused(Exception):
    """A call that AWS refuses: its code and its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Hosts:
    """Every container instance, by its ARN."""

    def __init__(self, life: Lifecycle, emit: Emit) -> None:
        self._life = life
        self._emit = emit
        self._hosts: Dict[str, Host] = {}
        # How many tasks each container instance of a cluster takes, or a capacity provider in all.
        self._room: Dict[str, int] = {}

    def install(self) -> None:
        """Put the calls about them in place."""
        from ministack.services import ecs

        for action, answer in (
            ("ListContainerInstances", self._list),
            ("DescribeContainerInstances", self._describe),
            ("UpdateContainerInstancesState", self._update),
        ):
            ecs._ACTION_MAP[action] = _answering(answer)
        plain = ecs._list_tasks

        def tasks(data: Data) -> Answer:
            asked, answer = data.get("containerInstance"), plain(data)
            return self._tasks_on(asked, answer) if asked else answer

        ecs._list_tasks = ecs._ACTION_MAP["ListTasks"] = tasks

    def register(self, cluster: str, instance: str) -> str:
        """The agent of an EC2 instance registers it; answers the ARN of the container instance."""
        life = self._life
        with life.lock:
            arn = f"arn:aws:ecs:{life.region}:{life.account}:container-instance/{cluster}/{uuid.uuid4().hex}"
            host: Host = {
                "containerInstanceArn": arn, "ec2InstanceId": instance, "status": "ACTIVE", "agentConnected": True,
                "runningTasksCount": 0, "pendingTasksCount": 0, "version": 0, "registeredAt": life.now(),
                "attributes": [], "registeredResources": [], "remainingResources": [],
                "_cluster": f"arn:aws:ecs:{life.region}:{life.account}:cluster/{cluster}",
            }
            self._hosts[arn] = host
            self._tell(host)
            return arn

    def connect(self, instance: str, connected: bool) -> None:
        """The agent of an EC2 instance is connected, or is not any more."""
        with self._life.lock:
            host = self.of(instance)
            if host["agentConnected"] != connected:
                host["agentConnected"] = connected
                self._tell(host)

    def end(self, instance: str) -> None:
        """The EC2 instance is terminated: what ran on it is over, and it leaves the cluster."""
        with self._life.lock:
            host = self.of(instance)
            for task in tasks_of(host):
                self._life.lose(task, f"Host EC2 (instance {instance}) terminated.")
            host.update(status="INACTIVE", agentConnected=False)
            self._count(host)
            self._tell(host)

    def of(self, instance: str) -> Host:
        """The container instance that an EC2 instance is; `LookupError` when it is none."""
        for host in self._hosts.values():
            if host["ec2InstanceId"] == instance and host["status"] != "INACTIVE":
                return host
        raise LookupError(f"{instance} is no container instance")

    def limit(self, where: str, tasks: Optional[int]) -> None:
        """An instance of a cluster takes so many tasks, or a capacity provider so many in all; None: any number."""
        with self._life.lock:
            if tasks is None:
                self._room.pop(where, None)
            else:
                self._room[where] = tasks

    def place(self, cluster_arn: str, capacity: Tuple[str, Optional[str]]) -> Tuple[bool, Optional[str]]:
        """Where a new task goes: whether there is a place for it, and on which container instance, the emptiest.

        A cluster without container instances has a place for every task, on none. `capacity` is launch type and
        capacity provider.
        """
        launch_type, provider = capacity
        if provider in self._room and len(_tasks_from(provider)) >= self._room[provider]:
            return False, None
        here = [host for host in self._hosts.values() if host["_cluster"] == cluster_arn]
        if launch_type != "EC2" or not here:
            return True, None
        takes = [host for host in here if host["status"] == "ACTIVE" and host["agentConnected"]]
        room = self._room.get(cluster_arn.rsplit("/", 1)[-1])
        takes = [host for host in takes if room is None or len(tasks_of(host)) < room]
        if not takes:
            return False, None
        return True, min(takes, key=lambda host: len(tasks_of(host)))["containerInstanceArn"]

    def drains(self, task: Task) -> bool:
        """Whether a task is on an instance that drains."""
        host = self._hosts.get(task.get("containerInstanceArn") or "")
        return host is not None and host["status"] == "DRAINING"

    def step(self) -> None:
        """Count the tasks on each, and tell of those where that changed."""
        for host in self._hosts.values():
            if host["status"] != "INACTIVE" and self._count(host):
                self._tell(host)

    @staticmethod
    def _count(host: Host) -> bool:
        tasks = tasks_of(host)
        # A task that is stopping is neither: ECS counts those that it still wants (aws/aws-cdk#13506).
        wanted = [task for task in tasks if task["desiredStatus"] == "RUNNING"]
        pending = sum(task["lastStatus"] == "PENDING" for task in wanted)
        counts = {"runningTasksCount": len(wanted) - pending, "pendingTasksCount": pending}
        changed = any(host[name] != count for name, count in counts.items())
        host.update(counts)
        return changed

    def _tell(self, host: Host) -> None:
        host["version"] += 1
        life = self._life
        self._emit(documents.container_instance_state_change(host, life.account, life.region, life.now()))

    def _find(self, data: Data, reference: str) -> Optional[Host]:
        cluster = _cluster(data)
        for arn, host in self._hosts.items():
            if host["_cluster"].rsplit("/", 1)[-1] == cluster and reference in (arn, arn.rsplit("/", 1)[-1]):
                return host
        return None

    def _list(self, data: Data) -> Data:
        status, asked = data.get("status"), data.get("filter")
        wanted = _FILTER.match(asked) if asked else None
        if asked and not wanted:
            raise Refused("InvalidParameterException", f"this cloud does not understand the filter `{asked}`")
        found = [
            arn for arn, host in self._hosts.items()
            if host["_cluster"].rsplit("/", 1)[-1] == _cluster(data)
            and (host["status"] == status if status else host["status"] != "INACTIVE")
            and (wanted is None or host["ec2InstanceId"] == wanted.group(1))
        ]
        start, size = int(data.get("nextToken") or 0), int(data.get("maxResults") or _LISTED)
        page: Data = {"containerInstanceArns": found[start:start + size]}
        if start + size < len(found):
            page["nextToken"] = str(start + size)
        return page

    def _describe(self, data: Data) -> Data:
        return self._each(data, _DESCRIBED, lambda host: None)

    def _update(self, data: Data) -> Data:
        status = data.get("status")
        if status not in ("ACTIVE", "DRAINING"):
            raise Refused("InvalidParameterException", "Container instance status should be one of [ACTIVE, DRAINING]")

        def change(host: Host) -> Optional[str]:
            if host["status"] not in ("ACTIVE", "DRAINING"):
                return str(host["status"])
            if host["status"] != status:
                host["status"] = status
                self._tell(host)
            return None

        return self._each(data, _CHANGED, change)

    def _each(self, data: Data, most: int, visit: Any) -> Data:
        references = data.get("containerInstances") or []
        if not references or len(references) > most:
            raise Refused(
                "InvalidParameterException", f"containerInstances must have between 1 and {most} items.")
        found, failures = [], []
        for reference in references:
            host = self._find(data, reference)
            reason = visit(host) if host else "MISSING"
            if host is None or reason:
                failures.append({"arn": reference, "reason": reason})
            else:
                found.append({key: value for key, value in host.items() if not key.startswith("_")})
        return {"containerInstances": found, "failures": failures}

    def _tasks_on(self, reference: str, answer: Answer) -> Answer:
        from ministack.core.responses import json_response
        from ministack.services import ecs

        if answer[0] != 200:
            return answer
        found = json.loads(answer[2])
        found["taskArns"] = [
            arn for arn in found["taskArns"]
            if reference in _names(ecs._tasks[arn].get("containerInstanceArn"))]
        return json_response(found)


def tasks_of(host: Mapping[str, Any]) -> List[Task]:
    """What is on it and not over."""
    from ministack.services import ecs

    arn = host["containerInstanceArn"]
    return [task for task in ecs._tasks.values()
            if task.get("containerInstanceArn") == arn and task["lastStatus"] != "STOPPED"]


def _tasks_from(provider: str) -> List[Task]:
    """What runs on a capacity provider and is not over."""
    from ministack.services import ecs

    return [task for task in ecs._tasks.values()
            if task.get("capacityProviderName") == provider and task["lastStatus"] != "STOPPED"]


def _names(arn: Optional[str]) -> Tuple[str, ...]:
    return (arn, arn.rsplit("/", 1)[-1]) if arn else ()


def _cluster(data: Data) -> str:
    return str(data.get("cluster") or "default").rsplit("/", 1)[-1]


def _answering(answer: Any) -> Any:
    from ministack.core.responses import error_response_json, json_response

    def handle(data: Data) -> Answer:
        try:
            return json_response(answer(data))
        except Refused as refused:
            return error_response_json(refused.code, str(refused), 400)

    return handle
