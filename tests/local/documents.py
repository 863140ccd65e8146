"""The event documents that AWS would emit, built from the state of the local cloud.

Shapes follow captured and documented events: ECS tells times as ISO text with trailing zeros cut,
calls a network interface attachment `eni` and leaves out health and tags, all other than
DescribeTasks does; CloudWatch writes `+0000`; ECR's `resources` is empty.
"""
from __future__ import annotations

import copy
import datetime
import json
import uuid
from typing import Any, Dict, List, Mapping, Optional, Sequence

Document = Dict[str, Any]

_TIMES = {
    "connectivityAt", "createdAt", "executionStoppedAt", "pullStartedAt", "pullStoppedAt",
    "startedAt", "stoppedAt", "stoppingAt", "updatedAt",
}
_NOT_IN_TASK_EVENTS = {"healthStatus", "tags", "inferenceAccelerators", "platformFamily"}


def iso_seconds(epoch: float) -> str:
    """Whole seconds, as in every envelope's `time`."""
    return _utc(epoch).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_millis(epoch: float) -> str:
    """Milliseconds with trailing zeros cut, as ECS writes times: `18:21:28.1Z`."""
    text = _utc(epoch).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3].rstrip("0").rstrip(".")
    return text + "Z"


def cloudwatch_time(epoch: float) -> str:
    """Milliseconds and a numeric zone, as CloudWatch writes times."""
    return _utc(epoch).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def _utc(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(round(epoch, 3), tz=datetime.timezone.utc)


def envelope(
    source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any],
    *, account: str, region: str, at: float,
) -> Document:
    """The EventBridge envelope with a fresh id."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": iso_seconds(at),
        "region": region,
        "resources": list(resources),
        "detail": dict(detail),
    }


def task_state_change(task: Mapping[str, Any], account: str, region: str) -> Document:
    """`ECS Task State Change` for a task as the local ECS stores it."""
    at = task["_updatedAt"]
    detail = _task_detail(task)
    detail["updatedAt"] = iso_millis(at)
    return envelope(
        "aws.ecs", "ECS Task State Change", [task["taskArn"]], detail,
        account=account, region=region, at=at,
    )


def _task_detail(task: Mapping[str, Any]) -> Dict[str, Any]:
    detail: Dict[str, Any] = {}
    for key, value in task.items():
        if key.startswith("_") or value is None or key in _NOT_IN_TASK_EVENTS:
            continue
        detail[key] = iso_millis(value) if key in _TIMES else copy.deepcopy(value)
    for attachment in detail.get("attachments", []):
        if attachment["type"] == "ElasticNetworkInterface":
            attachment["type"] = "eni"
    detail["containers"] = [
        {k: v for k, v in c.items() if v is not None and k != "healthStatus"}
        for c in detail.get("containers", [])
    ]
    detail["overrides"].pop("inferenceAcceleratorOverrides", None)
    return detail


def deployment_state_change(
    service_arn: str, deployment_id: str, name: str, reason: str, *,
    account: str, region: str, at: float,
) -> Document:
    """`ECS Deployment State Change`; its detail names no cluster, `resources` does."""
    detail = {
        "eventType": "ERROR" if name.endswith("_FAILED") else "INFO",
        "eventName": name,
        "deploymentId": deployment_id,
        "updatedAt": iso_millis(at),
        "reason": reason,
    }
    return envelope(
        "aws.ecs", "ECS Deployment State Change", [service_arn], detail,
        account=account, region=region, at=at,
    )


def service_action(
    service_arn: str, cluster_arn: str, name: str, reason: str = "", *, account: str, region: str, at: float
) -> Document:
    """`ECS Service Action`, such as SERVICE_STEADY_STATE; with a reason an error."""
    detail = {
        "eventType": "ERROR" if reason else "INFO", "eventName": name, "clusterArn": cluster_arn,
        "createdAt": iso_millis(at), **({"reason": reason} if reason else {}),
    }
    return envelope(
        "aws.ecs", "ECS Service Action", [service_arn], detail,
        account=account, region=region, at=at,
    )


def container_instance_state_change(
    host: Mapping[str, Any], account: str, region: str, at: float
) -> Document:
    """`ECS Container Instance State Change`: no counts of tasks, and a cluster, unlike DescribeContainerInstances."""
    left_out = ("runningTasksCount", "pendingTasksCount", "capacityProviderName")
    detail = {key: copy.deepcopy(value) for key, value in host.items()
              if not key.startswith("_") and key not in left_out}
    detail.update(clusterArn=host["_cluster"], registeredAt=iso_millis(host["registeredAt"]), updatedAt=iso_millis(at))
    return envelope(
        "aws.ecs", "ECS Container Instance State Change", [host["containerInstanceArn"]], detail,
        account=account, region=region, at=at,
    )


def lifecycle_action(
    group: Mapping[str, Any], hook: str, instance: str, token: str, transition: str, destination: str, *,
    account: str, region: str, at: float,
) -> Document:
    """`EC2 Instance-terminate Lifecycle Action`; one that replaces the root volume goes back to its group."""
    detail = {
        "LifecycleActionToken": token, "AutoScalingGroupName": group["AutoScalingGroupName"],
        "LifecycleHookName": hook, "EC2InstanceId": instance, "LifecycleTransition": transition,
        "Origin": "AutoScalingGroup", "Destination": destination,
    }
    if destination == "AutoScalingGroup":
        detail["Action"] = "ReplaceRootVolume"
    return envelope(
        "aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", [group["AutoScalingGroupARN"]], detail,
        account=account, region=region, at=at,
    )


def instance_state(instance: str, state: str, *, account: str, region: str, at: float) -> Document:
    """`EC2 Instance State-change Notification`."""
    return _of_instance(
        "EC2 Instance State-change Notification", instance, {"state": state}, account=account, region=region, at=at)


def spot_interruption(instance: str, action: str, *, account: str, region: str, at: float) -> Document:
    """`EC2 Spot Instance Interruption Warning`: two minutes before `action`."""
    return _of_instance(
        "EC2 Spot Instance Interruption Warning", instance, {"instance-action": action},
        account=account, region=region, at=at)


def rebalance_recommendation(instance: str, *, account: str, region: str, at: float) -> Document:
    """`EC2 Instance Rebalance Recommendation`."""
    return _of_instance("EC2 Instance Rebalance Recommendation", instance, {}, account=account, region=region, at=at)


def _of_instance(
    detail_type: str, instance: str, more: Mapping[str, Any], *, account: str, region: str, at: float
) -> Document:
    arn = f"arn:aws:ec2:{region}:{account}:instance/{instance}"
    return envelope(
        "aws.ec2", detail_type, [arn], {"instance-id": instance, **more}, account=account, region=region, at=at)


def image_action(
    repository: str, digest: str, tag: Optional[str], *,
    account: str, region: str, at: float, action: str = "PUSH",
) -> Document:
    """`ECR Image Action`."""
    detail = {
        "result": "SUCCESS", "repository-name": repository, "image-digest": digest,
        "action-type": action,
    }
    if tag:
        detail["image-tag"] = tag
    return envelope(
        "aws.ecr", "ECR Image Action", [], detail, account=account, region=region, at=at
    )


def alarm_state_change(
    alarm: Mapping[str, Any], state: Mapping[str, Any], previous: Mapping[str, Any], *,
    account: str, region: str, at: float,
) -> Document:
    """`CloudWatch Alarm State Change` of a single-metric alarm."""
    metric = {
        "namespace": alarm["Namespace"],
        "name": alarm["MetricName"],
        "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []},
    }
    stat = {
        "metric": metric, "period": alarm["Period"],
        "stat": alarm.get("ExtendedStatistic") or alarm["Statistic"],
    }
    configuration: Dict[str, Any] = {
        "metrics": [{"id": _stable_id(alarm["AlarmName"]), "metricStat": stat, "returnData": True}]
    }
    if alarm.get("AlarmDescription"):
        configuration["description"] = alarm["AlarmDescription"]
    detail = {
        "alarmName": alarm["AlarmName"], "configuration": configuration,
        "previousState": dict(previous), "state": dict(state),
    }
    return envelope(
        "aws.cloudwatch", "CloudWatch Alarm State Change", [alarm["AlarmArn"]], detail,
        account=account, region=region, at=at,
    )


def _stable_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def alarm_state(
    value: str, reason: str, reason_data: Optional[str], epoch: float
) -> Dict[str, Any]:
    """One `state` or `previousState`; an alarm that was never evaluated has no reasonData."""
    state = {"value": value, "reason": reason, "timestamp": cloudwatch_time(epoch)}
    if reason_data:
        state["reasonData"] = reason_data
    return state


def reason_data(alarm: Mapping[str, Any], datapoints: Sequence[float], at: float) -> str:
    """What CloudWatch keeps about an evaluation: JSON text inside JSON."""
    datapoints = [float(value) for value in datapoints]
    start = at - len(datapoints) * alarm["Period"]
    evaluated: List[Dict[str, Any]] = [
        {"timestamp": cloudwatch_time(start + i * alarm["Period"]), "sampleCount": 1.0, "value": v}
        for i, v in enumerate(datapoints)
    ]
    return json.dumps(
        {
            "version": "1.0",
            "queryDate": cloudwatch_time(at),
            "startDate": cloudwatch_time(start),
            "statistic": alarm.get("ExtendedStatistic") or alarm["Statistic"],
            "period": alarm["Period"],
            "recentDatapoints": datapoints,
            "threshold": float(alarm["Threshold"]),
            "evaluatedDatapoints": evaluated,
        },
        separators=(",", ":"),
    )


def scheduled_event(rule_arn: str, *, account: str, region: str, at: float) -> Document:
    """`Scheduled Event`, as a rule with a schedule sends it."""
    return envelope(
        "aws.events", "Scheduled Event", [rule_arn], {}, account=account, region=region, at=at
    )
