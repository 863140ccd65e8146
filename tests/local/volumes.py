"""The EBS volumes that ECS manages inside the ministack process: each task a new one, which goes with it.

ministack's ECS knows none. The volumes are in the tables of its EC2, so that `DescribeVolumes` shows them.
Sources: ECS developer guide, "Use Amazon EBS volumes with Amazon ECS", "Defer volume configuration to launch time in an
Amazon ECS task definition", "Tag Amazon EBS volumes for Amazon ECS", "Amazon ECS infrastructure IAM role"; ECS API
reference, `ServiceVolumeConfiguration`, `TaskManagedEBSVolumeConfiguration`, `Attachment`, `UpdateService`.
"""
from __future__ import annotations

import copy
import re
import uuid
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

Answer = Tuple[int, Dict[str, str], bytes]
Data = Dict[str, Any]
Task = Dict[str, Any]

KIND = "AmazonElasticBlockStorage"
_VOLUME = re.compile(rb"<volumeId>(vol-[0-9a-f]+)</volumeId>")
_REFUSED = re.compile(rb"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>")
# How a configuration of ECS names what CreateVolume of EC2 takes.
_TAKEN = {"sizeInGiB": "Size", "snapshotId": "SnapshotId", "volumeType": "VolumeType", "iops": "Iops",
          "encrypted": "Encrypted"}


def install() -> None:
    """Let services have volumes, and refuse the configurations that ECS refuses. `RunTask` asks `refusal` itself."""
    from ministack.services import ecs

    plain_create, plain_update = ecs._create_service, ecs._update_service
    ecs._create_service = ecs._ACTION_MAP["CreateService"] = lambda data: _create_service(data, plain_create)
    ecs._update_service = ecs._ACTION_MAP["UpdateService"] = lambda data: _update_service(data, plain_update)


def refusal(configurations: Any, definition: Optional[Mapping[str, Any]]) -> str:
    """Why ECS does not take these configurations for tasks of this definition; empty when it does."""
    given = configurations or []
    names = [str(one.get("name")) for one in given]
    deferred = [volume["name"] for volume in (definition or {}).get("volumes") or []
                if volume.get("configuredAtLaunch")]
    if len(given) > 1:
        return "A task can have one volume that is configured at launch."
    for one in given:
        if one.get("name") not in deferred:
            return f"The task definition has no volume {one.get('name')} with configuredAtLaunch."
        volume = one.get("managedEBSVolume") or {}
        if not volume.get("roleArn"):
            return f"The volume {one['name']} has no roleArn."
        if not (volume.get("sizeInGiB") or volume.get("snapshotId")):
            return f"The volume {one['name']} needs sizeInGiB or snapshotId."
    missing = [name for name in deferred if name not in names]
    return f"The volume {missing[0]} is not configured." if missing else ""


def planned(request: Mapping[str, Any], cluster: str) -> List[Data]:
    """The attachments of a task that is asked for like this, before there are volumes."""
    attachments = []
    for one in request.get("volumeConfigurations") or []:
        volume = one["managedEBSVolume"]
        details = {"roleArn": volume["roleArn"], "volumeName": one["name"], "deleteOnTermination": _goes(volume)}
        attachments.append({
            "id": str(uuid.uuid4()), "type": KIND, "status": "CREATED",
            "details": [{"name": name, "value": value} for name, value in details.items()],
            "_volume": volume, "_tags": _tags(one, request, cluster)})
    return attachments


def attach(task: Task) -> str:
    """Make the task's volumes and attach them; why that does not go, empty when it does."""
    for attachment in _of(task):
        volume, problem = _make(task, attachment)
        attachment["status"] = "FAILED" if problem else "ATTACHED"
        if problem:
            attachment["details"].append({"name": "statusReason", "value": problem})
            return problem
        attachment["details"].append({"name": "volumeId", "value": volume})
    return ""


def release(task: Task) -> None:
    """The task has stopped: its volumes are deleted, or left over."""
    from ministack.services import ec2

    for attachment in _of(task):
        details = details_of(attachment)
        volume = ec2._volumes.get(details.get("volumeId", ""))
        if not volume:
            continue
        volume.update(State="available", Attachments=[])
        if details["deleteOnTermination"] == "true":
            del ec2._volumes[volume["VolumeId"]]
            ec2._tags.pop(volume["VolumeId"], None)


def details_of(attachment: Mapping[str, Any]) -> Dict[str, str]:
    """The details of an attachment by their names."""
    return {detail["name"]: detail["value"] for detail in attachment["details"]}


def _of(task: Task) -> List[Data]:
    return [attachment for attachment in task["attachments"] if attachment["type"] == KIND]


def _make(task: Task, attachment: Data) -> Tuple[str, str]:
    """The id of a new volume of the task, or why there is none."""
    from ministack.services import ec2

    asked = {"AvailabilityZone": task["availabilityZone"], "VolumeType": "gp3"}
    for name, parameter in _TAKEN.items():
        if attachment["_volume"].get(name) is not None:
            asked[parameter] = _text(attachment["_volume"][name])
    asked["TagSpecification.1.ResourceType"] = "volume"
    tags = {"AmazonECSCreated": task["taskArn"], "AmazonECSManaged": "true", **attachment["_tags"]}
    for number, (key, value) in enumerate(tags.items(), start=1):
        asked[f"TagSpecification.1.Tag.{number}.Key"] = key
        asked[f"TagSpecification.1.Tag.{number}.Value"] = value
    status, _, body = ec2._ACTION_MAP["CreateVolume"](asked)
    if status != 200:
        code, message = _found(_REFUSED, body).groups()
        return "", f"{code.decode()}: {message.decode()}"
    volume = _found(_VOLUME, body).group(1).decode()
    record = ec2._volumes[volume]
    # What it is attached to is no instance of the account: EC2 names neither that nor a device.
    record.update(State="in-use", Attachments=[{
        "VolumeId": volume, "InstanceId": "", "Device": "", "State": "attached", "AttachTime": record["CreateTime"],
        "DeleteOnTermination": details_of(attachment)["deleteOnTermination"] == "true"}])
    return volume, ""


def _tags(configuration: Mapping[str, Any], request: Mapping[str, Any], cluster: str) -> Dict[str, str]:
    """The tags of its own that a volume gets. What `propagateTags` would add is left out."""
    tags = {tag["key"]: tag.get("value", "")
            for specification in configuration["managedEBSVolume"].get("tagSpecifications") or []
            for tag in specification.get("tags") or []}
    if request.get("enableECSManagedTags"):
        kind, _, service = str(request.get("group") or "").partition(":")
        tags["aws:ecs:clusterName"] = cluster
        if kind == "service":
            tags["aws:ecs:serviceName"] = service
    return tags


def _goes(volume: Mapping[str, Any]) -> str:
    """Whether the volume is deleted with its task; that of a service always is."""
    return _text((volume.get("terminationPolicy") or {}).get("deleteOnTermination", True))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _found(pattern: "re.Pattern[bytes]", body: bytes) -> "re.Match[bytes]":
    match = pattern.search(body)
    if not match:
        raise LookupError(f"ministack answered CreateVolume otherwise than expected: {body!r}")
    return match


def _create_service(data: Data, plain: Callable[[Data], Answer]) -> Answer:
    problem = refusal(data.get("volumeConfigurations"), _definition(data.get("taskDefinition")))
    if problem:
        return _invalid(problem)
    answer = plain(data)
    given = data.get("volumeConfigurations")
    return _bring(data, given) if answer[0] == 200 and given else answer


def _update_service(data: Data, plain: Callable[[Data], Answer]) -> Answer:
    """What is not given stays as it is; what differs makes a deployment."""
    from ministack.services import ecs

    service = _service(data)
    if service is None:
        return plain(data)
    before = ecs._primary_deployment(service).get("volumeConfigurations") or []
    wanted = data.get("volumeConfigurations")
    wanted = before if wanted is None else wanted
    problem = refusal(wanted, _definition(data.get("taskDefinition") or service["taskDefinition"]))
    if problem:
        return _invalid(problem)
    deployments = len(service["deployments"])
    answer = plain({**data, "forceNewDeployment": data.get("forceNewDeployment") or wanted != before})
    is_new = answer[0] == 200 and len(service["deployments"]) > deployments
    return _bring(data, wanted) if is_new and wanted else answer


def _bring(data: Data, configurations: List[Data]) -> Answer:
    """Let the newest deployment of the service that is meant have these volumes; answers the service."""
    from ministack.core.responses import json_response
    from ministack.services import ecs

    service = _service({**data, "service": data.get("service") or data["serviceName"]})
    ecs._primary_deployment(service)["volumeConfigurations"] = copy.deepcopy(configurations)
    return json_response({"service": ecs._sanitize(service)})


def _service(data: Data) -> Optional[Data]:
    from ministack.services import ecs

    reference = ecs._resolve_service_ref(data.get("service", ""))
    if reference is None:
        return None
    return ecs._services.get(f"{ecs._resolve_cluster_name(data.get('cluster', 'default'))}/{reference[0]}")


def _definition(reference: Any) -> Optional[Data]:
    from ministack.services import ecs

    return ecs._task_defs.get(ecs._resolve_td_key(reference or ""))


def _invalid(message: str) -> Answer:
    from ministack.core.responses import error_response_json

    return error_response_json("InvalidParameterException", message, 400)
