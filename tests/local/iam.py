"""What AWS authorises of calls to ECS, EC2 Auto Scaling, EC2, EFS and EventBridge, where ministack's IAM knows less.

With IAM enforced, each function has the rights of its role in template.yaml and no other. Sources:
Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic
Container Service", "… for Amazon EC2 Auto Scaling", "… for Amazon EventBridge", "… for Amazon
EventBridge Scheduler"; Amazon ECS developer guide, "Grant permission to tag resources on creation";
IAM user guide, "Grant a user permissions to pass a role to an AWS service".
"""
from __future__ import annotations

import contextvars
import json
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import iam_files, iam_volumes
from .groups import arn_of, group_of
from .iam_volumes import Check

_body: "contextvars.ContextVar[bytes]" = contextvars.ContextVar("body", default=b"")
_call: "contextvars.ContextVar[Tuple[str, str]]" = contextvars.ContextVar("call", default=("", ""))
_form: "contextvars.ContextVar[Mapping[str, Any]]" = contextvars.ContextVar("form", default={})
_ROLES = ("executionRoleArn", "taskRoleArn")


# Calls about a part of a service need the right for the service, too: the member that names it, and what it is.
_OF_SERVICES = {
    "DescribeServiceDeployments": ("serviceDeploymentArns", "service-deployment"),
    "DescribeServiceRevisions": ("serviceRevisionArns", "service-revision"),
    "StopServiceDeployment": ("serviceDeploymentArn", "service-deployment"),
}


def install() -> None:
    """Make the checks below part of ministack's authorisation."""
    from ministack.core import iam_actions, iam_evaluator

    plain_arn = iam_actions.extract_resource_arn
    plain_enforce = iam_evaluator.enforce

    def remember_body(
        service: str, method: str, path: str, headers: Any, body: bytes, query_params: Any,
        region: str, account_id: str,
    ) -> str:
        _body.set(body)
        _call.set((method, path))
        _form.set({
            name: value[-1] if isinstance(value, list) else value for name, value in (query_params or {}).items()})
        return plain_arn(service, method, path, headers, body, query_params, region, account_id)

    def enforce(
        access_key_id: str, iam_action: str, service: str, region: str, resource_arn: str = "*",
        service_context: Optional[Dict[str, Any]] = None,
    ) -> Any:
        from ministack.core.responses import get_account_id

        operation, account = iam_action.split(":", 1)[1], get_account_id()
        request = _parse(_body.get())
        if service == "ecs":
            needed = checks(operation, request, region, account)
        elif service == "autoscaling":
            needed = [Check(iam_action, group_arn(operation, _form.get()), {})]
        elif service == "ec2":
            needed = iam_volumes.checks(operation, _form.get(), region, account) or [
                Check(iam_action, resource_arn, {})]
        elif service == "elasticfilesystem" and _call.get()[1].endswith("/access-points"):
            needed = iam_files.checks(_call.get()[0], request, _form.get(), region, account)
        elif service == "events":
            needed = event_checks(operation, request, region, account)
        elif service == "scheduler":
            needed = [Check(iam_action, resource_arn, {}), *_passes(
                [request.get("Target") or {}], "scheduler.amazonaws.com")]
        else:
            needed = [Check(iam_action, resource_arn, {})]
        for check in needed:
            context = {**(service_context or {}), **check.context}
            denied = plain_enforce(
                access_key_id, check.action, service, region, check.resource, context)
            if denied:
                return denied
        return None

    iam_actions.extract_resource_arn = remember_body
    iam_evaluator.enforce = enforce


def checks(
    operation: str, request: Mapping[str, Any], region: str, account: str
) -> List[Check]:
    """Everything that the caller of this operation must be allowed."""
    prefix = f"arn:aws:ecs:{region}:{account}"
    cluster = str(request.get("cluster") or "default").rsplit("/", 1)[-1]
    keys = {"ecs:cluster": f"{prefix}:cluster/{cluster}"}
    action = f"ecs:{operation}"
    if operation in ("DescribeServices", "UpdateService"):
        names = request.get("services") or [request.get("service", "*")]
        return [
            *(Check(action, _arn(n, f"{prefix}:service/{cluster}/"), keys) for n in names),
            *iam_volumes.passed_roles(request)]
    if operation in ("DescribeTasks", "StopTask"):
        tasks = request.get("tasks") or [request.get("task", "*")]
        return [Check(action, _arn(t, f"{prefix}:task/{cluster}/"), keys) for t in tasks]
    if operation in ("DescribeContainerInstances", "UpdateContainerInstancesState"):
        return [
            Check(action, _arn(i, f"{prefix}:container-instance/{cluster}/"), keys)
            for i in request.get("containerInstances") or ["*"]]
    if operation == "ListContainerInstances":
        return [Check(action, f"{prefix}:cluster/{cluster}", {})]
    if operation == "ListTasks" and request.get("containerInstance"):
        return [Check(action, _arn(request["containerInstance"], f"{prefix}:container-instance/{cluster}/"), keys)]
    if operation == "DescribeCapacityProviders":
        return [
            Check(action, _arn(name, f"{prefix}:capacity-provider/"), {})
            for name in request.get("capacityProviders") or ["*"]]
    if operation == "ListServiceDeployments":
        return [Check(action, _arn(str(request.get("service", "*")), f"{prefix}:service/{cluster}/"), keys)]
    if operation in _OF_SERVICES:
        member, kind = _OF_SERVICES[operation]
        given = request.get(member) or ["*"]
        return [check for arn in (given if isinstance(given, list) else [given])
                for check in _of_service(action, str(arn), kind)]
    if operation == "RegisterTaskDefinition":
        return _register(request, prefix)
    if operation == "RunTask":
        return _run(request, prefix, cluster, keys)
    if operation in ("DescribeTaskDefinition", "DeregisterTaskDefinition"):
        return [Check(action, "*", {})]
    return [Check(action, "*", keys)]


def _of_service(action: str, arn: str, kind: str) -> List[Check]:
    """A part of a service, `…:kind/cluster/service/id`, and the service."""
    before, _, path = arn.partition(f":{kind}/")
    cluster, _, rest = path.partition("/")
    service = f"{before}:service/{cluster}/{rest.partition('/')[0]}"
    keys = {"ecs:cluster": f"{before}:cluster/{cluster}"}
    return [Check(action, service, keys), Check(action, arn, {**keys, "ecs:service": service})]


def group_arn(operation: str, request: Mapping[str, Any]) -> str:
    """The group that a call to Auto Scaling is about; none of a call that describes."""
    if operation == "SetInstanceHealth":
        return group_of(str(request.get("InstanceId", "")))
    if operation.startswith("Describe") or not request.get("AutoScalingGroupName"):
        return "*"
    return arn_of(str(request["AutoScalingGroupName"]))


def event_checks(
    operation: str, request: Mapping[str, Any], region: str, account: str
) -> List[Check]:
    """Everything that the caller of this operation of EventBridge must be allowed."""
    prefix, action = f"arn:aws:events:{region}:{account}", f"events:{operation}"
    if operation == "PutEvents":
        return [
            Check(action, f"{prefix}:event-bus/{entry.get('EventBusName') or 'default'}",
                  {"events:source": str(entry.get("Source", "")),
                   "events:detail-type": str(entry.get("DetailType", ""))})
            for entry in request.get("Entries") or [{}]]
    rule = request.get("Rule") or request.get("Name")
    if rule is None:
        return [Check(action, "*", {})]
    bus = request.get("EventBusName") or "default"
    arn = f"{prefix}:rule/{rule}" if bus == "default" else f"{prefix}:rule/{bus}/{rule}"
    if operation != "PutTargets":
        return [Check(action, arn, {})]
    targets = request.get("Targets") or [{}]
    return [
        *(Check(action, arn, {"events:TargetArn": str(t.get("Arn", ""))}) for t in targets),
        *_passes(targets, "events.amazonaws.com")]


def _passes(targets: List[Mapping[str, Any]], service: str) -> List[Check]:
    return [
        Check("iam:PassRole", t["RoleArn"], {"iam:PassedToService": service})
        for t in targets if t.get("RoleArn")]


def _register(request: Mapping[str, Any], prefix: str) -> List[Check]:
    definition = f"{prefix}:task-definition/{request.get('family', '*')}:*"
    found = [Check("ecs:RegisterTaskDefinition", definition, {})]
    if request.get("tags"):
        found.append(Check(
            "ecs:TagResource", definition, {"ecs:CreateAction": "RegisterTaskDefinition"}))
    return found + _task_roles(request)


def _run(request: Mapping[str, Any], prefix: str, cluster: str, keys: Dict[str, Any]) -> List[Check]:
    """The revision that runs, its tags where the task takes them, its roles, and the role of its volumes."""
    from ministack.services import ecs

    known = ecs._task_defs.get(ecs._resolve_td_key(request.get("taskDefinition", ""))) or {}
    definition = known.get("taskDefinitionArn") or f"{prefix}:task-definition/{request.get('taskDefinition', '*')}"
    found = [Check("ecs:RunTask", definition, keys)]
    if request.get("tags") or request.get("propagateTags"):
        found.append(Check("ecs:TagResource", f"{prefix}:task/{cluster}/*", {"ecs:CreateAction": "RunTask"}))
    return [*found, *_task_roles(known), *iam_volumes.passed_roles(request)]


def _task_roles(definition: Mapping[str, Any]) -> List[Check]:
    return [
        Check("iam:PassRole", definition[name], {"iam:PassedToService": "ecs-tasks.amazonaws.com"})
        for name in _ROLES if definition.get(name)]


def _arn(reference: str, prefix: str) -> str:
    return reference if reference.startswith("arn:") else prefix + reference


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
