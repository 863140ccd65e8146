"""Service revisions inside the ministack process: what each deployment of a service was to bring.

ministack has none. Here each deployment has one of its own, also when it goes back to what was there before.
Source: ECS API reference, `ServiceCurrentRevisionSummary`, `DescribeServiceRevisions`, `ServiceRevision`.
"""
from __future__ import annotations

import copy
import random
from typing import Any, Dict, Mapping

from .hosts import Refused, answering

Data = Dict[str, Any]

_DESCRIBED = 20
_KEPT = ("taskDefinition", "launchType", "capacityProviderStrategy", "volumeConfigurations", "createdAt")
_random = random.SystemRandom()


def install() -> None:
    """Put the call about them in place."""
    from ministack.services import ecs

    ecs._ACTION_MAP["DescribeServiceRevisions"] = answering(_describe)


def note(service: Data) -> None:
    """Let every deployment of a service have its revision, and the service name those that it has now."""
    known = service.setdefault("_revisions", {})
    current = []
    for deployment in service["deployments"]:
        if "_revision" not in deployment:
            prefix = service["serviceArn"].replace(":service/", ":service-revision/")
            deployment["_revision"] = f"{prefix}/{_random.randrange(10**18, 10**19)}"
            known[deployment["_revision"]] = deployment
        current.append({
            "arn": deployment["_revision"], "requestedTaskCount": deployment["desiredCount"],
            "runningTaskCount": deployment["runningCount"], "pendingTaskCount": deployment["pendingCount"]})
    service["currentServiceRevisions"] = current


def _describe(data: Data) -> Data:
    from ministack.services import ecs

    asked = data.get("serviceRevisionArns") or []
    if not asked or len(asked) > _DESCRIBED:
        raise Refused(
            "InvalidParameterException", f"serviceRevisionArns must have between 1 and {_DESCRIBED} items.")
    known: Dict[str, Data] = {}
    for service in ecs._services.values():
        for arn, deployment in service.get("_revisions", {}).items():
            known[arn] = _revision(arn, service, deployment)
    return {"serviceRevisions": [known[arn] for arn in asked if arn in known],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known]}


def _revision(arn: str, service: Mapping[str, Any], deployment: Mapping[str, Any]) -> Data:
    kept = {name: copy.deepcopy(deployment[name]) for name in _KEPT if deployment.get(name) is not None}
    return {"serviceRevisionArn": arn, "serviceArn": service["serviceArn"], "clusterArn": service["clusterArn"], **kept}
