"""EBS snapshots inside the ministack process: pending until the door says what becomes of them.

ministack's are completed at once, come in one page, and volumes are made of any. Sources: EC2 API reference,
`CreateSnapshot`, `DescribeSnapshots`, `DescribeVolumes`, `CreateVolume`, `ModifySnapshotAttribute`,
`DescribeSnapshotAttribute`, "Error codes for the Amazon EC2 API"; EBS user guide, "EventBridge for Amazon EBS".
"""
from __future__ import annotations

import datetime
from typing import Any, Callable, Dict, List, Mapping, Tuple
from xml.sax.saxutils import escape

from . import documents
from .hosts import Refused
from .lifecycle import Emit, Lifecycle

Answer = Tuple[int, Dict[str, str], bytes]
Parameters = Mapping[str, Any]
Snapshot = Dict[str, Any]

# How many of one volume may be pending.
_PENDING = 5
# How many one page has at most, whatever is asked for: EC2 may answer fewer than that.
_PAGE = 5


class Snapshots:
    """What becomes of snapshots, and the calls that ministack answers otherwise than EC2."""

    def __init__(self, life: Lifecycle, emit: Emit) -> None:
        self._life = life
        self._emit = emit

    def install(self) -> None:
        """Put the calls about them, and about volumes, in place."""
        from ministack.services import ec2

        create, volume = ec2._create_snapshot, ec2._create_volume
        for action, answer in (
            ("CreateSnapshot", lambda p: self._create(p, create)),
            ("CreateVolume", lambda p: _create_volume(p, volume)),
            ("DescribeSnapshots", _describe_snapshots),
            ("DescribeVolumes", _describe_volumes),
            ("DescribeSnapshotAttribute", _describe_attribute),
            ("ModifySnapshotAttribute", _modify_attribute),
        ):
            ec2._ACTION_MAP[action] = self._answering(answer)

    def end(self, snapshot: str, failure: str = "") -> None:
        """A pending snapshot is completed, or comes to nothing for this reason; EBS tells of it."""
        with self._life.lock:
            found = _snapshot(snapshot)
            if found["State"] != "pending":
                raise Refused("IncorrectState", f"{snapshot} is {found['State']}")
            found.update(State="error" if failure else "completed", Progress="" if failure else "100%")
            if failure:
                found["_message"] = failure
            self._emit(documents.snapshot_notification(
                found, failure, account=self._life.account, region=self._life.region, at=self._life.now()))

    def age(self, snapshot: str, seconds: float) -> None:
        """Let a snapshot be so much older."""
        found = _snapshot(snapshot)
        started = datetime.datetime.fromisoformat(found["StartTime"].replace("Z", "+00:00")).timestamp()
        found["StartTime"] = documents.iso_fixed_millis(started - seconds)

    def _create(self, parameters: Parameters, plain: Callable[[Parameters], Answer]) -> Answer:
        from ministack.services import ec2

        volume = ec2._p(parameters, "VolumeId")
        pending = [one for one in ec2._snapshots.values() if (one["VolumeId"], one["State"]) == (volume, "pending")]
        if len(pending) >= _PENDING:
            raise Refused("ConcurrentSnapshotLimitExceeded",
                          f"Maximum allowed in-progress snapshots ({_PENDING}) for a single volume exceeded.")
        known = set(ec2._snapshots)
        answer = plain(parameters)
        for snapshot in set(ec2._snapshots) - known:
            made = ec2._snapshots[snapshot]
            made.update(State="pending", Progress="0%", StartTime=documents.iso_fixed_millis(self._life.now()))
            return ec2._xml(200, "CreateSnapshotResponse", ec2._snapshot_inner_xml(made))
        return answer

    def _answering(self, answer: Callable[[Parameters], Answer]) -> Callable[[Parameters], Answer]:
        from ministack.services import ec2

        def handle(parameters: Parameters) -> Answer:
            try:
                with self._life.lock:
                    return answer(parameters)
            except Refused as refused:
                return ec2._error(refused.code, str(refused), 400)

        return handle


def _snapshot(snapshot: str) -> Snapshot:
    from ministack.services import ec2

    found = ec2._snapshots.get(snapshot)
    if not found:
        raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{snapshot}' does not exist.")
    return found


def _create_volume(parameters: Parameters, plain: Callable[[Parameters], Answer]) -> Answer:
    """Of a snapshot only when that is completed, and of its size when none is given."""
    from ministack.services import ec2

    source = ec2._p(parameters, "SnapshotId")
    if not source:
        return plain(parameters)
    found = _snapshot(source)
    if found["State"] != "completed":
        raise Refused("IncorrectState", f"Snapshot '{source}' is not completed, it is {found['State']}.")
    size = int(ec2._p(parameters, "Size") or found["VolumeSize"])
    if size < found["VolumeSize"]:
        raise Refused("InvalidParameterValue", f"The volume cannot be smaller than snapshot '{source}'.")
    return plain({**parameters, "Size": str(size)})


def _describe_snapshots(parameters: Parameters) -> Answer:
    from ministack.services import ec2

    asked, filters = ec2._parse_member_list(parameters, "SnapshotId"), ec2._parse_filters(parameters)
    owners = ec2._parse_member_list(parameters, "Owner")
    _refuse_pages_of(asked, parameters, "snapshotSet")
    found = [_snapshot(one) for one in asked] if asked else list(ec2._snapshots.values())
    # Everything here is of the account itself.
    found = [one for one in found
             if (not owners or "self" in owners or one["OwnerId"] in owners)
             and ec2._resource_matches_tag_filters(one["SnapshotId"], filters)
             and ec2._snapshot_matches_filters(one, filters)]
    return _page(parameters, "DescribeSnapshots", "snapshotSet", [_told(one) for one in found])


def _told(snapshot: Snapshot) -> str:
    from ministack.services import ec2

    message = snapshot.get("_message")
    told = str(ec2._snapshot_inner_xml(snapshot))
    return told + (f"<statusMessage>{escape(message)}</statusMessage>" if message else "")


def _describe_volumes(parameters: Parameters) -> Answer:
    from ministack.services import ec2

    asked, filters = ec2._parse_member_list(parameters, "VolumeId"), ec2._parse_filters(parameters)
    _refuse_pages_of(asked, parameters, "volumeId")
    for volume in asked:
        if volume not in ec2._volumes:
            raise Refused("InvalidVolume.NotFound", f"The volume '{volume}' does not exist.")
    found = [one for one in ec2._volumes.values()
             if (not asked or one["VolumeId"] in asked)
             and ec2._resource_matches_tag_filters(one["VolumeId"], filters)
             and ec2._volume_matches_filters(one, filters)]
    return _page(parameters, "DescribeVolumes", "volumeSet", [ec2._volume_inner_xml(one) for one in found])


def _refuse_pages_of(asked: List[str], parameters: Parameters, name: str) -> None:
    if asked and "MaxResults" in parameters:
        raise Refused("InvalidParameterCombination",
                      f"The parameter {name} cannot be used with the parameter maxResults")


def _page(parameters: Parameters, action: str, name: str, items: List[str]) -> Answer:
    """A page, when pages are asked for; all otherwise."""
    from ministack.services import ec2

    start = int(ec2._p(parameters, "NextToken") or 0)
    asked = int(ec2._p(parameters, "MaxResults") or 0)
    size = min(asked, _PAGE) or len(items) or 1
    inner = "".join(f"<item>{item}</item>" for item in items[start:start + size])
    after = f"<nextToken>{start + size}</nextToken>" if start + size < len(items) else ""
    return ec2._xml(200, f"{action}Response", f"<{name}>{inner}</{name}>{after}")


def _describe_attribute(parameters: Parameters) -> Answer:
    from ministack.services import ec2

    snapshot = ec2._p(parameters, "SnapshotId")
    items = "".join(
        f"<item><{kind}>{value}</{kind}></item>" for kind, value in _snapshot(snapshot).get("_permissions", []))
    return ec2._xml(200, "DescribeSnapshotAttributeResponse",
                    f"<snapshotId>{snapshot}</snapshotId><createVolumePermission>{items}</createVolumePermission>")


def _modify_attribute(parameters: Parameters) -> Answer:
    """In both spellings: `CreateVolumePermission.Add.1.UserId`, and `OperationType=add` with `UserId.1`."""
    from ministack.services import ec2

    permissions = _snapshot(ec2._p(parameters, "SnapshotId")).setdefault("_permissions", [])
    operation = ec2._p(parameters, "OperationType")
    for change, old in (("Add", "add"), ("Remove", "remove")):
        named = [("userId", one) for one in _members(parameters, f"CreateVolumePermission.{change}", "UserId")]
        named += [("group", one) for one in _members(parameters, f"CreateVolumePermission.{change}", "Group")]
        if operation == old:
            named += [("userId", one) for one in ec2._parse_member_list(parameters, "UserId")]
            named += [("group", one) for one in ec2._parse_member_list(parameters, "UserGroup")]
        permissions[:] = [one for one in permissions if one not in named]
        permissions += named if change == "Add" else []
    return ec2._xml(200, "ModifySnapshotAttributeResponse", "<return>true</return>")


def _members(parameters: Parameters, prefix: str, member: str) -> List[str]:
    """The values of `prefix.N.member`."""
    from ministack.services import ec2

    keys = [key for key in parameters if key.startswith(f"{prefix}.") and key.endswith(f".{member}")]
    return [ec2._p(parameters, key) for key in sorted(keys)]
