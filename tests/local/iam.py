"""What AWS authorises of an ECS call, where ministack's IAM knows the cluster only.

With IAM enforced, each function has the rights of its role in template.yaml and no other. Sources:
Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic
Container Service"; Amazon ECS developer guide, "Grant permission to tag resources on creation";
IAM user guide, "Grant a user permissions to pass a role to an AWS service".
"""
from __future__ import annotations

import contextvars
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

_body: "contextvars.ContextVar[bytes]" = contextvars.ContextVar("body", default=b"")
_ROLES = ("executionRoleArn", "taskRoleArn")


class Check(NamedTuple):
    """One question to IAM: an action on a resource, with condition keys."""

    action: str
    resource: str
    context: Dict[str, str]


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
        return plain_arn(service, method, path, headers, body, query_params, region, account_id)

    def enforce(
        access_key_id: str, iam_action: str, service: str, region: str, resource_arn: str = "*",
        service_context: Optional[Dict[str, Any]] = None,
    ) -> Any:
        from ministack.core.responses import get_account_id

        if service != "ecs":
            return plain_enforce(
                access_key_id, iam_action, service, region, resource_arn, service_context)
        request = _parse(_body.get())
        for check in checks(iam_action.split(":", 1)[1], request, region, get_account_id()):
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
            Check(action, _arn(n, f"{prefix}:service/{cluster}/"), keys) for n in names]
    if operation in ("DescribeTasks", "StopTask"):
        tasks = request.get("tasks") or [request.get("task", "*")]
        return [Check(action, _arn(t, f"{prefix}:task/{cluster}/"), keys) for t in tasks]
    if operation == "DescribeContainerInstances":
        return [
            Check(action, _arn(i, f"{prefix}:container-instance/{cluster}/"), keys)
            for i in request.get("containerInstances") or ["*"]]
    if operation == "RegisterTaskDefinition":
        return _register(request, prefix)
    if operation in ("DescribeTaskDefinition", "DeregisterTaskDefinition"):
        return [Check(action, "*", {})]
    return [Check(action, "*", keys)]


def _register(request: Mapping[str, Any], prefix: str) -> List[Check]:
    definition = f"{prefix}:task-definition/{request.get('family', '*')}:*"
    found = [Check("ecs:RegisterTaskDefinition", definition, {})]
    if request.get("tags"):
        found.append(Check(
            "ecs:TagResource", definition, {"ecs:CreateAction": "RegisterTaskDefinition"}))
    for name in _ROLES:
        if request.get(name):
            found.append(Check(
                "iam:PassRole", request[name], {"iam:PassedToService": "ecs-tasks.amazonaws.com"}))
    return found


def _arn(reference: str, prefix: str) -> str:
    return reference if reference.startswith("arn:") else prefix + reference


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
