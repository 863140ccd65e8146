"""EBS volumes of tasks, their snapshots, and EFS access points, as the play of storage needs them."""
from __future__ import annotations

import unittest
from typing import Any, Dict, List

from . import test_cloud
from .cloud import ACCOUNT, REGION, CloudError

_ROLE = f"arn:aws:iam::{ACCOUNT}:role/ecs-infrastructure"
_OURS = {"Name": "tag:wharfinger:owner", "Values": ["wharfinger"]}


def volume(**more: Any) -> Dict[str, Any]:
    """A volume configuration."""
    return {"name": "data", "managedEBSVolume": {
        "roleArn": _ROLE, **({} if "snapshotId" in more else {"sizeInGiB": 4}), **more}}


class VolumesTest(test_cloud.CloudCase):
    """Each test has a cluster of its own."""

    ec2: Any

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.ec2 = cls.cloud.client("ec2")

    def definition(self, family: str, volumes: int = 1) -> Dict[str, Any]:
        return {
            "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
            "memory": "512", "containerDefinitions": [{"name": "db", "image": "db"}],
            "volumes": [{"name": "data", "configuredAtLaunch": True}] * volumes}

    def service(self, cluster: str, desired: int = 1, **more: Any) -> None:
        self.driver.create_cluster(cluster)
        self.driver.create_service(
            cluster, "db", self.definition(cluster), desired,
            **{"volumeConfigurations": [volume()], "enableECSManagedTags": True, **more})
        self.driver.settle()

    def run_task(self, cluster: str, **more: Any) -> Dict[str, Any]:
        """A standalone task that runs."""
        self.driver.create_cluster(cluster)
        self.driver.ecs.register_task_definition(**self.definition(cluster))
        [task] = self.driver.ecs.run_task(
            cluster=cluster, taskDefinition=cluster, launchType="FARGATE",
            volumeConfigurations=[volume(**more)])["tasks"]
        self.driver.settle()
        return self.task(cluster, task["taskArn"])

    def task(self, cluster: str, arn: str) -> Dict[str, Any]:
        return self.driver.ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]

    def attachment(self, task: Dict[str, Any], kind: str = "AmazonElasticBlockStorage") -> Dict[str, str]:
        """The details of the one volume of a task, and the status of its attachment."""
        [found] = [one for one in task["attachments"] if one["type"] == kind]
        return {"status": found["status"], **{one["name"]: one["value"] for one in found["details"]}}

    def volumes(self, cluster: str) -> List[Dict[str, Any]]:
        """The volumes that EC2 has of the tasks of a cluster."""
        created = {"Name": "tag:AmazonECSCreated", "Values": [f"*:task/{cluster}/*"]}
        return self.ec2.describe_volumes(Filters=[created])["Volumes"]

    def snapshot(self, volume_id: str, ends: bool = True, **tags: str) -> str:
        made = self.ec2.create_snapshot(VolumeId=volume_id, TagSpecifications=[
            {"ResourceType": "snapshot", "Tags": [{"Key": f"wharfinger:{k}", "Value": v} for k, v in tags.items()]}
        ] if tags else [])
        if ends:
            self.end(made["SnapshotId"])
        return str(made["SnapshotId"])

    def end(self, snapshot: str, failure: str = "") -> None:
        self.cloud.door("POST", "snapshots/end", {"snapshot": snapshot, "failure": failure})

    def test_each_task_of_a_service_has_a_volume_that_goes_with_it(self) -> None:
        since = len(self.cloud.events())
        self.service("each", desired=2, enableECSManagedTags=True)
        first, second = self.driver.tasks("each", "db")
        details = self.attachment(first)
        self.assertEqual({**details, "volumeId": "vol"}, {
            "status": "ATTACHED", "roleArn": _ROLE, "volumeName": "data", "deleteOnTermination": "true",
            "volumeId": "vol"})
        found = {one["VolumeId"]: one for one in self.volumes("each")}
        self.assertEqual(sorted(found), sorted(self.attachment(task)["volumeId"] for task in (first, second)))
        mine = found[details["volumeId"]]
        self.assertEqual((mine["State"], mine["Size"], mine["AvailabilityZone"]),
                         ("in-use", 4, first["availabilityZone"]))
        self.assertEqual({tag["Key"]: tag["Value"] for tag in mine["Tags"]}, {
            "AmazonECSCreated": first["taskArn"], "AmazonECSManaged": "true",
            "aws:ecs:clusterName": "each", "aws:ecs:serviceName": "db"})
        told = [event["detail"] for event in self.seen("ECS Task State Change", since)
                if event["detail"]["taskArn"] == first["taskArn"]]
        self.assertEqual([self.attachment(one, "amazonebs").get("volumeId") for one in told],
                         [None] + [details["volumeId"]] * 3)
        self.refused(lambda: self.ec2.delete_volume(VolumeId=details["volumeId"]), "VolumeInUse", "attached")
        self.driver.exit_task(first["taskArn"])
        self.assertEqual(len(self.volumes("each")), 2, "it is there until its task has stopped")
        self.driver.settle()
        self.assertNotIn(details["volumeId"], [one["VolumeId"] for one in self.volumes("each")])
        self.assertEqual(len(self.volumes("each")), 2, "the task that follows has another")
        self.assertEqual(self.attachment(self.task("each", first["taskArn"]))["status"], "DELETED")

    def test_a_volume_of_a_standalone_task_may_stay(self) -> None:
        task = self.run_task("stays", terminationPolicy={"deleteOnTermination": False}, tagSpecifications=[
            {"resourceType": "volume", "tags": [{"key": "team", "value": "shop"}]}])
        details = self.attachment(task)
        self.assertEqual(details["deleteOnTermination"], "false")
        self.driver.ecs.stop_task(cluster="stays", task=task["taskArn"])
        self.driver.settle()
        [left] = self.volumes("stays")
        self.assertEqual((left["VolumeId"], left["State"], left["Attachments"]), (details["volumeId"], "available", []))
        self.assertEqual({tag["Key"]: tag["Value"] for tag in left["Tags"]}["team"], "shop")
        self.ec2.delete_volume(VolumeId=left["VolumeId"])
        self.refused(lambda: self.ec2.create_snapshot(VolumeId=left["VolumeId"]), "InvalidVolume.NotFound", "exist")

    def test_what_differs_makes_a_deployment_and_its_revision(self) -> None:
        self.service("differs")
        [task] = self.driver.tasks("differs", "db")
        snapshot = self.snapshot(self.attachment(task)["volumeId"])
        update, before = self.driver.ecs.update_service, self.driver.service("differs", "db")
        [deployment], [old] = before["deployments"], before["currentServiceRevisions"]
        self.assertEqual(deployment["volumeConfigurations"], [volume()])
        for same in ({}, {"volumeConfigurations": [volume()]}):
            service = update(cluster="differs", service="db", **same)["service"]
            self.assertEqual([one["id"] for one in service["deployments"]], [deployment["id"]])
        restored = volume(snapshotId=snapshot, sizeInGiB=8)
        self.driver.ecs.register_task_definition(**self.definition("differs"))
        service = update(cluster="differs", service="db", taskDefinition="differs:2",
                         volumeConfigurations=[restored])["service"]
        self.assertEqual([one["volumeConfigurations"] for one in service["deployments"]], [[restored], [volume()]])
        new = service["currentServiceRevisions"][0]["arn"]
        self.assertEqual(service["currentServiceRevisions"][1]["arn"], old["arn"])
        missing = new[:-1] + ("1" if new[-1] == "2" else "2")
        answer = self.driver.ecs.describe_service_revisions(serviceRevisionArns=[old["arn"], new, missing])
        told = [(one["taskDefinition"][-1], one["volumeConfigurations"]) for one in answer["serviceRevisions"]]
        self.assertEqual(told, [("1", [volume()]), ("2", [restored])])
        self.assertEqual(answer["failures"], [{"arn": missing, "reason": "MISSING"}])
        self.driver.settle()
        service = self.driver.service("differs", "db")
        self.assertEqual([one["arn"] for one in service["currentServiceRevisions"]], [new])
        [own] = self.volumes("differs")
        self.assertEqual((own["SnapshotId"], own["Size"]), (snapshot, 8))
        service = update(cluster="differs", service="db", forceNewDeployment=True)["service"]
        self.assertEqual(service["deployments"][0]["volumeConfigurations"], [restored], "what is not given stays")

    def test_a_task_does_not_start_without_its_snapshot(self) -> None:
        self.service("broken")
        [task] = self.driver.tasks("broken", "db")
        pending = self.snapshot(self.attachment(task)["volumeId"], ends=False)
        for snapshot, words in ((pending, "IncorrectState"), ("snap-0", "InvalidSnapshot.NotFound")):
            task = self.run_task("starts", snapshotId=snapshot)
            self.assertEqual((task["lastStatus"], task["stopCode"]), ("STOPPED", "TaskFailedToStart"))
            self.assertIn(words, task["stoppedReason"])
            self.assertIn(words, self.attachment(task)["statusReason"])
        self.assertEqual(self.volumes("starts"), [])
        self.end(pending)
        self.attachment(self.run_task("starts", snapshotId=pending))
        self.assertEqual([one["Size"] for one in self.volumes("starts")], [4], "as large as the snapshot")

    def test_what_ecs_refuses(self) -> None:
        self.driver.create_cluster("refuses")
        other = {**volume(), "name": "other"}
        unsized = {"name": "data", "managedEBSVolume": {"roleArn": _ROLE}}
        for given, words in (
            ([], "data is not configured"), ([other], "no volume other"), ([volume(), volume()], "one volume"),
            ([unsized], "sizeInGiB or snapshotId"),
        ):
            with self.subTest(words):
                self.refused(lambda given=given: self.driver.create_service(
                    "refuses", "db", self.definition("refuses"), 1, volumeConfigurations=given),
                    "InvalidParameterException", words)
        self.service("refuses")
        update, run = self.driver.ecs.update_service, self.driver.ecs.run_task
        self.refused(lambda: update(cluster="refuses", service="db", volumeConfigurations=[other]),
                     "InvalidParameterException", "no volume other")
        self.refused(lambda: run(cluster="refuses", taskDefinition="refuses"),
                     "InvalidParameterException", "configured")

    def test_a_snapshot_is_pending_until_it_ends(self) -> None:
        source = self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=4)["VolumeId"]
        since = len(self.cloud.events())
        made = self.ec2.create_snapshot(VolumeId=source)
        self.assertEqual((made["State"], made["Progress"]), ("pending", "0%"))
        failing = self.snapshot(source, ends=False)
        self.assertEqual(self.seen("EBS Snapshot Notification", since), [])
        self.end(made["SnapshotId"])
        self.end(failing, "The volume cannot be read")
        done, failed = self.ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"], failing])["Snapshots"]
        self.assertEqual((done["State"], done["Progress"], done["StartTime"]), ("completed", "100%", made["StartTime"]))
        self.assertEqual((failed["State"], failed["StateMessage"]), ("error", "The volume cannot be read"))
        events = self.seen("EBS Snapshot Notification", since)
        self.assertEqual([(one["detail"]["result"], one["detail"]["cause"]) for one in events],
                         [("succeeded", ""), ("failed", "The volume cannot be read")])
        arn = f"arn:aws:ec2::{REGION}:snapshot/{made['SnapshotId']}"
        self.assertEqual((events[0]["resources"], events[0]["detail"]["snapshot_id"]), ([arn], arn))
        self.assertTrue(events[0]["detail"]["source"].endswith(f"volume/{source}"))
        with self.assertRaisesRegex(CloudError, "is completed"):
            self.end(made["SnapshotId"])
        self.cloud.door("POST", "snapshots/age", {"snapshot": failing, "seconds": 90})
        [older] = self.ec2.describe_snapshots(SnapshotIds=[failing])["Snapshots"]
        self.assertEqual((failed["StartTime"] - older["StartTime"]).total_seconds(), 90)
        self.ec2.delete_snapshot(SnapshotId=failing)
        for call in (lambda: self.ec2.delete_snapshot(SnapshotId=failing),
                     lambda: self.ec2.describe_snapshots(SnapshotIds=[failing])):
            self.refused(call, "InvalidSnapshot.NotFound", failing)

    def test_five_snapshots_of_a_volume_are_pending_at_most(self) -> None:
        source = self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=4)["VolumeId"]
        first = [self.snapshot(source, ends=False) for _ in range(5)][0]
        self.refused(lambda: self.snapshot(source), "ConcurrentSnapshotLimitExceeded", "(5)")
        self.end(first)
        self.snapshot(source)

    def test_filters_and_pages(self) -> None:
        source = self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=4)["VolumeId"]
        ours = [self.snapshot(source, owner="wharfinger", lineage=f"prod/db/{n % 2}") for n in range(7)]
        other = self.snapshot(source, owner="other")
        own = {"Filters": [_OURS], "OwnerIds": ["self"]}
        first = self.ec2.describe_snapshots(MaxResults=5, **own)
        second = self.ec2.describe_snapshots(MaxResults=5, NextToken=first["NextToken"], **own)
        self.assertNotIn("NextToken", second)
        self.assertEqual([len(page["Snapshots"]) for page in (first, second)], [5, 2])
        found = [one["SnapshotId"] for page in (first, second) for one in page["Snapshots"]]
        self.assertEqual(sorted(found), sorted(ours))
        lineage = {"Name": "tag:wharfinger:lineage", "Values": ["prod/db/1"]}
        ids = {"Name": "snapshot-id", "Values": [ours[1], ours[2], other]}
        for filters, expected in (([_OURS, lineage], 3), ([_OURS, lineage, ids], 1), ([ids], 3)):
            self.assertEqual(len(self.ec2.describe_snapshots(Filters=filters)["Snapshots"]), expected)
        self.assertEqual(self.ec2.describe_snapshots(Filters=[_OURS], OwnerIds=["999988887777"])["Snapshots"], [])
        self.refused(lambda: self.ec2.describe_snapshots(SnapshotIds=[other], MaxResults=5),
                     "InvalidParameterCombination", "maxResults")
        volumes = {"Filters": [{"Name": "volume-id", "Values": [source]}]}
        self.assertEqual(len(self.ec2.describe_volumes(MaxResults=5, **volumes)["Volumes"]), 1)

    def test_a_snapshot_is_shared(self) -> None:
        source = self.ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=4)["VolumeId"]
        snapshot = {"SnapshotId": self.snapshot(source), "Attribute": "createVolumePermission"}

        def shared() -> List[Dict[str, str]]:
            return self.ec2.describe_snapshot_attribute(**snapshot)["CreateVolumePermissions"]

        self.assertEqual(shared(), [])
        other, everyone = {"UserId": "999988887777"}, {"Group": "all"}
        self.ec2.modify_snapshot_attribute(CreateVolumePermission={"Add": [other, everyone]}, **snapshot)
        self.assertEqual(shared(), [other, everyone])
        self.ec2.modify_snapshot_attribute(CreateVolumePermission={"Remove": [everyone]}, **snapshot)
        self.ec2.modify_snapshot_attribute(OperationType="add", UserIds=["999988886666"], **snapshot)
        self.assertEqual(shared(), [other, {"UserId": "999988886666"}])
        self.refused(lambda: self.ec2.describe_snapshot_attribute(**{**snapshot, "SnapshotId": "snap-0"}),
                     "InvalidSnapshot.NotFound", "snap-0")

    def test_a_token_makes_one_access_point(self) -> None:
        efs = self.cloud.client("efs")
        files = efs.create_file_system(CreationToken="files")["FileSystemId"]
        given = {"FileSystemId": files, "RootDirectory": {"Path": "/shop"}}
        first, again = (efs.create_access_point(ClientToken="a", **given) for _ in range(2))
        self.assertEqual(first["AccessPointId"], again["AccessPointId"])
        other = efs.create_access_point(ClientToken="b", **given)
        self.assertNotEqual(first["AccessPointId"], other["AccessPointId"])
        given["RootDirectory"] = {"Path": "/other"}
        self.refused(lambda: efs.create_access_point(ClientToken="a", **given), "AccessPointAlreadyExists", "token")


if __name__ == "__main__":
    unittest.main()
