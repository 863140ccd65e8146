"""The account of `make storage`: services whose tasks have volumes, their snapshots, and what is asked of them."""
from __future__ import annotations

import datetime
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List

from . import frame
from .bus import Bus
from .cloud import ACCOUNT, LocalCloud
from .console import Console
from .ecs import image
from .files import Files
from .volumes import KIND, details_of
from .world import FUTURE_FIELD, raw_ecs

REPOSITORY = "shop/db"
VOLUME = "data"
KEPT = 3
# What is snapshotted, what has a volume for each of its tasks, and what is paused.
TARGET, SEVERAL, IDLE = "prod/db", "prod/several", "prod/idle"
_DESIRED = {TARGET: 1, SEVERAL: 2, IDLE: 1}
# A bit more than the `every` of prod/db: hours, so that nothing is due that the play does not make older.
_EVERY = 3601.0


def document(more: str, kept: int = KEPT, action: str = "report") -> str:
    """The configuration."""
    return f"""\
version: 1
services:
  {TARGET}:
    storage: [ {{ volume: {VOLUME}, snapshot: {{ every: 1h, keep: {{ last: {kept} }} }}, restore: newest }} ]
    delivery: [ {{ repository: {REPOSITORY}, tags: {{ semver: ">=1" }} }} ]
  {SEVERAL}:
    storage: [ {{ volume: {VOLUME}, snapshot: {{ every: 1m }} }} ]
  {IDLE}:
    storage: [ {{ volume: {VOLUME}, snapshot: {{ every: 1m }} }} ]
{more}clusters:
  prod:
    storage: {{ orphans: {{ after: 1h, action: {action} }} }}
"""


def configuration(**more: Any) -> Dict[str, Any]:
    """The volume of a service, as its `volumeConfigurations` have it."""
    return {"name": VOLUME, "managedEBSVolume": {
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/ecs-infrastructure", "sizeInGiB": 4, "volumeType": "gp3",
        "filesystemType": "ext4", "encrypted": True,
        "tagSpecifications": [{"resourceType": "volume", "tags": [{"key": "team", "value": "shop"}]}], **more}}


class Lineages(frame.Play):
    """The account, and what is asked of it."""

    account = f"{len(_DESIRED) + 1} services with volumes"
    domain = "StorageFunction"

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        super().__init__(cloud, console)
        self.ec2 = cloud.client("ec2")
        self.bus = Bus(cloud, "snapshots-told")
        self.files = Files(cloud, self.driver)

    def create(self) -> None:
        """Services whose tasks have a volume each, and a queue that hears what becomes of snapshots."""
        self.driver.create_cluster("prod")
        self.driver.ecr.create_repository(repositoryName=REPOSITORY)
        self.driver.push_image(REPOSITORY, "0.9.0")
        for target, desired in _DESIRED.items():
            name = target.split("/")[1]
            definition = {
                "family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
                "memory": "512", "volumes": [{"name": VOLUME, "configuredAtLaunch": True}],
                "containerDefinitions": [{
                    "name": "app", "image": image(REPOSITORY, ":0.9.0"),
                    "mountPoints": [{"sourceVolume": VOLUME, "containerPath": "/data"}]}]}
            self.driver.create_service(
                "prod", name, definition, desired, volumeConfigurations=[configuration()], enableECSManagedTags=True)
        self.files.create()
        self.bus.listen()
        self.driver.settle()

    def configure(self) -> None:
        """One service is paused before any function has looked at it."""
        self.apply(document(self.files.entry("/shop")), "--no-sync")
        self.stack.cli("pause", IDLE, "storage")

    def keep(self, kept: int) -> None:
        """Store the configuration with another number to keep, and have the function look by it."""
        self.apply(document(self.files.entry("/shop"), kept), "--no-sync")
        self.ask({"target": TARGET})

    def remove(self) -> None:
        """Store the configuration with volumes removed that ECS left behind; it holds for the next function process."""
        self.apply(document(self.files.entry("/shop"), action="remove"), "--no-sync")
        # A function that has read it a moment ago keeps it for a while; who asks for one target has it read anew.
        self.ask({"target": TARGET})

    def mount(self, path: str) -> None:
        """Store the configuration with another directory for the volume on EFS."""
        self.apply(document(self.files.entry(path)), "--no-sync")

    def go_on(self) -> None:
        """What the schedule of delivery does: a configuration that it has known for a while is read anew."""
        self.cloud.sweep(self.stack.functions["DeliveryFunction"])
        self.deliver()

    # What happens to volumes and snapshots.

    def leave(self) -> str:
        """A task that keeps its volume runs and stops; answers the volume."""
        volume = configuration(terminationPolicy={"deleteOnTermination": False})
        [task] = self.driver.ecs.run_task(
            cluster="prod", taskDefinition="db", launchType="FARGATE", enableECSManagedTags=True,
            volumeConfigurations=[volume])["tasks"]
        self.roll()
        [task] = self.driver.ecs.describe_tasks(cluster="prod", tasks=[task["taskArn"]])["tasks"]
        self.driver.ecs.stop_task(cluster="prod", task=task["taskArn"])
        self.roll()
        [left] = [details_of(one)["volumeId"] for one in task["attachments"] if one["type"] == KIND]
        return left

    def pass_hours(self, volume: str, hours: float) -> None:
        """Let it be so much longer ago that a volume was found attached to nothing."""
        since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours)
        self.cloud.client("dynamodb").update_item(
            TableName=self.stack.outputs["StateTableName"],
            Key={"pk": {"S": "cluster#prod"}, "sk": {"S": "state"}},
            UpdateExpression="SET #orphans.#volumes.#volume.#since = :since",
            ConditionExpression="attribute_exists(#orphans.#volumes.#volume)",
            ExpressionAttributeNames={
                "#orphans": "orphans", "#volumes": "volumes", "#volume": volume, "#since": "since"},
            ExpressionAttributeValues={":since": {"S": since.isoformat()}})

    def end(self, snapshot: str, failure: str = "") -> None:
        """A snapshot is completed, or comes to nothing; the events of it have been dealt with."""
        self.cloud.door("POST", "snapshots/end", {"snapshot": snapshot, "failure": failure})
        self.deliver()

    def age(self, seconds: float = _EVERY) -> None:
        """Let every snapshot be so much older: the next of a lineage is due."""
        for snapshot in self.ec2.describe_snapshots()["Snapshots"]:
            self.cloud.door("POST", "snapshots/age", {"snapshot": snapshot["SnapshotId"], "seconds": seconds})

    def next(self, text: str) -> str:
        """An hour later, the next snapshot of the lineage is asked for; answers its id."""
        known = set(self.ids())
        self.age()
        self.must(text, lambda: len(set(self.ids()) - known) == 1, self.sweep)
        [made] = set(self.ids()) - known
        return made

    def hand(self, **tags: str) -> str:
        """Somebody makes a snapshot of the running task's volume with these tags; answers its id when it is done."""
        [volume] = self.volumes()
        specification = {"ResourceType": "snapshot", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        made = self.ec2.create_snapshot(
            VolumeId=volume["VolumeId"], TagSpecifications=[specification] if tags else [])["SnapshotId"]
        self.end(made)
        return str(made)

    def share(self, snapshot: str, shared: bool) -> None:
        """Another account may make volumes of a snapshot, or may not any more."""
        self.ec2.modify_snapshot_attribute(
            SnapshotId=snapshot, Attribute="createVolumePermission",
            CreateVolumePermission={"Add" if shared else "Remove": [{"UserId": "999988887777"}]})

    def use(self, *snapshot: str) -> None:
        """Somebody has the service make its volumes of a snapshot, or of none; its task is replaced."""
        more = {"snapshotId": snapshot[0]} if snapshot else {}
        raw_ecs(self.cloud, "UpdateService", {
            "cluster": "prod", "service": "db",
            "volumeConfigurations": [{**configuration(**more), "fieldOfTheFuture": FUTURE_FIELD}]})
        self.roll()

    def push(self, tag: str) -> str:
        """Push an image for prod/db, and wait until it was heard; answers its digest."""
        digest = self.driver.push_image(REPOSITORY, tag)
        self.deliver()
        return digest

    # What is there, and what is told of it.

    def snapshots(self, target: str = TARGET) -> List[Dict[str, Any]]:
        """The snapshots of a target's lineage that are ours, the oldest first."""
        found = self.ec2.describe_snapshots(OwnerIds=["self"], Filters=[
            {"Name": "tag:wharfinger:lineage", "Values": [f"{target}/{VOLUME}"]},
            {"Name": "tag:wharfinger:owner", "Values": [self.owner]}])["Snapshots"]
        return sorted(found, key=lambda snapshot: snapshot["StartTime"])

    def ids(self, target: str = TARGET) -> List[str]:
        """Their ids."""
        return [snapshot["SnapshotId"] for snapshot in self.snapshots(target)]

    def is_there(self, *snapshots: str) -> bool:
        """Whether each of these snapshots is there."""
        there = {snapshot["SnapshotId"] for snapshot in self.ec2.describe_snapshots()["Snapshots"]}
        return there.issuperset(snapshots)

    @property
    def owner(self) -> str:
        """Whose snapshots are ours."""
        return self.stack.outputs.get("Owner", "wharfinger")

    def volumes(self) -> List[Dict[str, Any]]:
        """What EC2 tells of the volumes of the tasks of prod/db."""
        service = {"Name": "tag:aws:ecs:serviceName", "Values": ["db"]}
        return list(self.ec2.describe_volumes(Filters=[service])["Volumes"])

    def standing(self, target: str = TARGET) -> Dict[str, Any]:
        """How `wharfinger status` tells that the lineage stands."""
        [row] = self.stack.cli.json("status", target)["targets"]
        [lineage] = row["storage"]["lineages"]
        return dict(lineage)

    def left(self) -> Dict[str, Any]:
        """What `wharfinger status` tells of volumes that ECS left behind."""
        [cluster] = self.stack.cli.json("status", "prod")["clusters"]
        return dict(cluster["orphans"])

    def explained(self, event: Dict[str, Any]) -> Dict[str, Any]:
        """What `wharfinger explain` says of an event, given the snapshots that there are."""
        facts = {"DescribeSnapshots": {"Snapshots": self.snapshots()}}
        with TemporaryDirectory() as folder:
            file = Path(folder, "facts.json")
            file.write_text(json.dumps(facts, default=lambda time: time.isoformat()), encoding="utf-8")
            return self.explain(event, "--facts", str(file))

    def configured(self) -> Dict[str, Any]:
        """How the newest deployment of prod/db has its volume, every field as it is stored."""
        answer = raw_ecs(self.cloud, "DescribeServices", {"cluster": "prod", "services": ["db"]})
        [volume] = answer["services"][0]["deployments"][0]["volumeConfigurations"]
        return dict(volume)

    def updated(self, function: str) -> List[Dict[str, Any]]:
        """What a function asked UpdateService for so far."""
        name = self.stack.functions[function]
        return [call["input"] for call in self.cloud.calls()
                if (call["operation"], call["caller"]) == ("UpdateService", name)]

    def removed(self) -> List[str]:
        """The snapshots for which the function called DeleteSnapshot, as often as it has."""
        return sorted(call["input"]["SnapshotId"] for call in self.made("DeleteSnapshot"))

    def notified(self, snapshot: str) -> Dict[str, Any]:
        """The `EBS Snapshot Notification` of a snapshot."""
        [event] = [entry["document"] for entry in self.cloud.events()
                   if entry["document"]["detail-type"] == "EBS Snapshot Notification"
                   and entry["document"]["detail"]["snapshot_id"].endswith(snapshot)]
        return dict(event)
