"""What AWS authorises of calls about volumes and snapshots, where ministack's IAM knows less.

Sources: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2"; EC2 user guide,
"Grant permission to tag Amazon EC2 resources during creation"; ECS developer guide, "Amazon ECS infrastructure IAM role".
"""
from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

_TAG = re.compile(r"^TagSpecification\.(\d+)\.Tag\.(\d+)\.Key$")


class Check(NamedTuple):
    """One question to IAM: an action on a resource, with condition keys."""

    action: str
    resource: str
    context: Dict[str, Any]


def checks(operation: str, form: Mapping[str, Any], region: str, account: str) -> Optional[List[Check]]:
    """Everything that the caller of this operation of EC2 must be allowed; `None` of one that is not known here."""
    action = f"ec2:{operation}"
    if operation in ("DescribeSnapshots", "DescribeVolumes"):
        return [Check(action, "*", {})]
    if operation in ("DeleteSnapshot", "DescribeSnapshotAttribute", "ModifySnapshotAttribute"):
        return [_of_one(action, str(form.get("SnapshotId", "*")), region, account)]
    if operation == "DeleteVolume":
        return [_of_one(action, str(form.get("VolumeId", "*")), region, account)]
    if operation != "CreateSnapshot":
        return None
    given = {f"aws:RequestTag/{form[key]}": form.get(key[:-len("Key")] + "Value", "")
             for key in form if _TAG.match(key)}
    volume = _of_one(action, str(form.get("VolumeId", "*")), region, account)
    made = _arn("snap-*", region, account).replace("snap-*", "*")
    found = [
        # The tags are those of the snapshot that is made, and not of the volume.
        volume._replace(context={**dict.fromkeys(given), **volume.context}), Check(action, made, given)]
    if given:
        found.append(Check("ec2:CreateTags", made, {**given, "ec2:CreateAction": operation}))
    return found


def passed_roles(request: Mapping[str, Any]) -> List[Check]:
    """The roles by which ECS makes the volumes of a service or a task."""
    roles = [(one.get("managedEBSVolume") or {}).get("roleArn") for one in request.get("volumeConfigurations") or []]
    return [Check("iam:PassRole", role, {"iam:PassedToService": "ecs.amazonaws.com"}) for role in roles if role]


def _of_one(action: str, resource: str, region: str, account: str) -> Check:
    """A question about something that is there, with its tags."""
    from ministack.services import ec2

    keys = {f"{prefix}:ResourceTag/{tag['Key']}": tag.get("Value", "")
            for tag in ec2._tags.get(resource, []) for prefix in ("aws", "ec2")}
    return Check(action, _arn(resource, region, account), keys)


def _arn(resource: str, region: str, account: str) -> str:
    """The ARN of a volume, or of a snapshot, which names no account."""
    if resource.startswith("snap-"):
        return f"arn:aws:ec2:{region}::snapshot/{resource}"
    return f"arn:aws:ec2:{region}:{account}:volume/{resource}"
