"""Where ministack differs from AWS in what Wharfinger depends on, and what replaces it.

Installed once, inside the ministack process: the ECS task life cycle and service scheduler,
lossless task definitions, refusals and pages of ECS, and the events that ECS, ECR and CloudWatch
emit by themselves.
"""
from __future__ import annotations

import copy
import json
import re
from typing import Any, Callable, Dict, Mapping, Tuple

from . import alarms, documents, revisions, volumes
from .hosts import Hosts
from .lifecycle import Emit, Lifecycle
from .scheduler import new_deployment, refresh

Answer = Tuple[int, Dict[str, str], bytes]
Data = Dict[str, Any]

# What RegisterTaskDefinition computes; giving it changes nothing.
_COMPUTED = {
    "taskDefinitionArn", "revision", "status", "registeredAt", "registeredBy",
    "deregisteredAt", "compatibilities", "requiresAttributes",
}
# What ECS fills in where a container definition leaves it out.
_CONTAINER_DEFAULTS: Mapping[str, Any] = {
    "cpu": 0, "essential": True, "environment": [], "mountPoints": [], "volumesFrom": [],
    "portMappings": [], "systemControls": [],
}
# Placeholders in an expression (DynamoDB developer guide, "Expression attribute names (aliases)").
_PLACEHOLDERS = {
    "ExpressionAttributeNames": re.compile(r"#[A-Za-z0-9_]+"),
    "ExpressionAttributeValues": re.compile(r":[A-Za-z0-9_]+"),
}
_LIMITS = {"DescribeServices": ("services", 10), "DescribeTasks": ("tasks", 100)}
_NEED_CLUSTER = {
    "CreateService", "DescribeContainerInstances", "DescribeTasks", "ListContainerInstances",
    "ListServices", "ListTasks", "RunTask", "StopTask", "UpdateContainerInstancesState", "UpdateService",
}


def install(life: Lifecycle, hosts: Hosts, emit: Emit) -> None:
    """Put every mend in place."""
    _mend_ecs(life, hosts)
    volumes.install()
    revisions.install()
    _mend_tables()
    _mend_registry(life, emit)
    _mend_file_systems()
    alarms.install(life, emit)


def _mend_ecs(life: Lifecycle, hosts: Hosts) -> None:
    from ministack.services import ecs

    plain_register = ecs._register_task_definition
    plain_dispatch = ecs._dispatch_action

    def run(data: Data) -> Answer:
        return _run_task(life, hosts, data)

    def stop(data: Data) -> Answer:
        return _stop_task(life, data)

    def register(data: Data) -> Answer:
        return _register(plain_register, data)

    def recount(cluster_name: str, svc_key: str) -> None:
        refresh(ecs._services[svc_key])

    def deployment(task_definition: str, desired_count: int, status: str = "PRIMARY") -> Data:
        return new_deployment(life, task_definition, desired_count, status)

    def dispatch(action: str, data: Data) -> Answer:
        with life.lock:
            return _refuse(action, data) or _trim(action, data, plain_dispatch(action, data))

    ecs._run_task = ecs._ACTION_MAP["RunTask"] = run
    ecs._stop_task = ecs._ACTION_MAP["StopTask"] = stop
    ecs._register_task_definition = ecs._ACTION_MAP["RegisterTaskDefinition"] = register
    ecs._reconcile_service_tasks = recount
    ecs._make_deployment = deployment
    ecs._dispatch_action = dispatch


def _refuse(action: str, data: Data) -> Any:
    """AWS's refusals that ministack does not know."""
    from ministack.core.responses import error_response_json
    from ministack.services import ecs

    name, limit = _LIMITS.get(action, ("", 0))
    if name and len(data.get(name) or []) > limit:
        return error_response_json(
            "InvalidParameterException", f"{name} can have at most {limit} items.", 400)
    if action in _NEED_CLUSTER:
        if ecs._resolve_cluster_name(data.get("cluster", "default")) not in ecs._clusters:
            return error_response_json("ClusterNotFoundException", "Cluster not found.", 400)
    return None


def _trim(action: str, data: Data, answer: Answer) -> Answer:
    """Answer no more than AWS does: 10 services unless told otherwise, tags only when asked."""
    from ministack.core.responses import json_response

    if answer[0] != 200 or action not in ("ListServices", "DescribeTaskDefinition"):
        return answer
    found = json.loads(answer[2])
    if action == "DescribeTaskDefinition":
        if "TAGS" not in data.get("include", []):
            found.pop("tags", None)
        return json_response(found)
    start, size = int(data.get("nextToken") or 0), int(data.get("maxResults") or 10)
    page: Data = {"serviceArns": found["serviceArns"][start:start + size]}
    if start + size < len(found["serviceArns"]):
        page["nextToken"] = str(start + size)
    return json_response(page)


def _register(plain: Callable[[Data], Answer], data: Data) -> Answer:
    """RegisterTaskDefinition that keeps every field it was given and invents none."""
    from ministack.core.responses import json_response
    from ministack.services import ecs

    given = copy.deepcopy({k: v for k, v in data.items() if k not in _COMPUTED and k != "tags"})
    answer = plain(data)
    if answer[0] != 200:
        return answer
    arn = json.loads(answer[2])["taskDefinition"]["taskDefinitionArn"]
    stored = ecs._task_defs[ecs._resolve_td_key(arn)]
    for key in [k for k, v in stored.items() if v in ("", None) and k not in given]:
        del stored[key]
    stored.update(given)
    for container in stored["containerDefinitions"]:
        for key, default in _CONTAINER_DEFAULTS.items():
            container.setdefault(key, copy.deepcopy(default))
        for mapping in container["portMappings"]:
            mapping.setdefault("protocol", "tcp")
            if stored["networkMode"] == "awsvpc":
                mapping.setdefault("hostPort", mapping.get("containerPort"))
    return json_response({"taskDefinition": stored, "tags": data.get("tags", [])})


def _run_task(life: Lifecycle, hosts: Hosts, data: Data) -> Answer:
    from ministack.core.responses import error_response_json, json_response
    from ministack.services import ecs

    definition = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", "")))
    if not definition:
        return error_response_json("ClientException", "TaskDefinition not found.", 400)
    cluster = ecs._clusters[ecs._resolve_cluster_name(data.get("cluster", "default"))]
    launch_type, strategy, error = ecs._launch_choice(data, cluster)
    if error:
        return error
    problem = volumes.refusal(data.get("volumeConfigurations"), definition)
    if problem:
        return error_response_json("InvalidParameterException", problem, 400)
    capacity = ecs._task_capacity(launch_type, strategy)
    tasks = []
    for _ in range(int(data.get("count", 1))):
        is_placed, host = hosts.place(cluster["clusterArn"], capacity)
        if not is_placed:
            break
        tasks.append(life.create(cluster["clusterArn"], definition, {**data, "containerInstanceArn": host}, capacity))
    return json_response({"tasks": ecs._sanitize(tasks), "failures": []})


def _stop_task(life: Lifecycle, data: Data) -> Answer:
    from ministack.core.responses import error_response_json, json_response
    from ministack.services import ecs

    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    task = ecs._resolve_task(data.get("task", ""), cluster)
    if not task:
        return error_response_json(
            "InvalidParameterException", "The referenced task was not found.", 400)
    life.stop(task, data.get("reason") or "Task stopped by user", "UserInitiated")
    return json_response({"task": ecs._sanitize(task)})


def _mend_tables() -> None:
    """ministack reads `#a-b` as `#a` and changes the wrong attribute; DynamoDB refuses it."""
    from ministack.core.responses import error_response_json
    from ministack.services import dynamodb

    plain = dynamodb.handle_request

    async def handle(
        method: str, path: str, headers: Data, body: bytes, query_params: Data
    ) -> Answer:
        wrong = _wrong_placeholder(json.loads(body)) if body else ""
        if wrong:
            return error_response_json("ValidationException", wrong, 400)
        return await plain(method, path, headers, body, query_params)

    dynamodb.handle_request = handle


def _wrong_placeholder(request: Any) -> str:
    """The first placeholder that DynamoDB would not read, anywhere in a request."""
    if isinstance(request, list):
        return next(filter(None, map(_wrong_placeholder, request)), "")
    if not isinstance(request, dict):
        return ""
    for field, form in _PLACEHOLDERS.items():
        for key in request.get(field) or {}:
            if not form.fullmatch(key):
                return f'{field} contains invalid key: Syntax error; key: "{key}"'
    return _wrong_placeholder(list(request.values()))


def _mend_registry(life: Lifecycle, emit: Emit) -> None:
    from ministack.core.responses import error_response_json
    from ministack.services import ecr

    plain = ecr._put_image

    def put(data: Data) -> Answer:
        repository, tag = data.get("repositoryName", ""), data.get("imageTag")
        before = ecr._find_image(repository, {"imageTag": tag}) if tag else None
        if before and before.get("imageManifest") == data.get("imageManifest"):
            return error_response_json(
                "ImageAlreadyExistsException",
                f"Image with tag '{tag}' already exists in the repository '{repository}'", 400)
        answer = plain(data)
        if answer[0] == 200:
            digest = json.loads(answer[2])["image"]["imageId"]["imageDigest"]
            emit(documents.image_action(
                repository, digest, tag, account=life.account, region=life.region, at=life.now()))
        return answer

    ecr._put_image = put


def _mend_file_systems() -> None:
    """A `ClientToken` makes one access point, however often it is sent (EFS API reference, `CreateAccessPoint`)."""
    from ministack.services import efs

    plain = efs._create_access_point

    def create(body: Data) -> Answer:
        known = [one for one in efs._access_points.values() if one["ClientToken"] == body.get("ClientToken")]
        if not known:
            return plain(body)
        wanted = {"PosixUser": {}, "RootDirectory": {"Path": "/"}, **body}
        if any(known[0][name] != wanted[name] for name in ("FileSystemId", "PosixUser", "RootDirectory")):
            return efs._error(409, "AccessPointAlreadyExists", "The token was used for another access point.")
        return 200, {"Content-Type": "application/json"}, json.dumps(known[0]).encode()

    efs._create_access_point = create
