"""With IAM enforced, a role may do what its policies say of ECS, EC2, Auto Scaling and EventBridge, and no more."""
from __future__ import annotations

import json
import unittest
from typing import Any, Dict, List

from botocore.exceptions import ClientError

from . import iam
from .cloud import ACCOUNT, REGION, LocalCloud
from .ecs import Driver

_PREFIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
_TASKS = {"Principal": {"Service": "ecs-tasks.amazonaws.com"}}
_DEFINITION: Dict[str, Any] = {
    "family": "web", "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/execution",
    "containerDefinitions": [{"name": "web", "image": "web"}],
}


class IamTest(unittest.TestCase):
    """One role, several policies."""

    cloud: LocalCloud
    iam: Any

    @classmethod
    def setUpClass(cls) -> None:
        cls.cloud = LocalCloud(iam=True)
        cls.cloud.start()
        cls.addClassCleanup(cls.cloud.stop)
        cls.iam = cls.cloud.client("iam")
        for role in ("execution", "tested"):
            cls.iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({
                "Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}]}))
        driver = Driver(cls.cloud)
        driver.create_cluster("prod")
        for name in ("web", "api"):
            driver.create_service("prod", name, {**_DEFINITION, "family": name}, 1)

    def allowed(self, *statements: Dict[str, Any]) -> Any:
        """An ECS client of the role, which has these statements as its policy from now on."""
        self.iam.put_role_policy(
            RoleName="tested", PolicyName="p", PolicyDocument=json.dumps({
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", **s} for s in statements]}))
        return self.client("ecs")

    def client(self, service: str) -> Any:
        """A client of the role."""
        session = self.cloud.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/tested", RoleSessionName="test")["Credentials"]
        return self.cloud.client_as(service, session)

    def assert_denied(self, call: Any) -> None:
        with self.assertRaises(ClientError) as refused:
            call()
        self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDeniedException")

    def test_a_service_is_named_by_its_arn(self) -> None:
        ecs = self.allowed({
            "Action": "ecs:DescribeServices", "Resource": f"{_PREFIX}:service/prod/web"})
        ecs.describe_services(cluster="prod", services=["web"])
        self.assert_denied(lambda: ecs.describe_services(cluster="prod", services=["api"]))
        self.assert_denied(lambda: ecs.describe_services(cluster="prod", services=["web", "api"]))
        self.assert_denied(lambda: ecs.update_service(cluster="prod", service="web"))

    def asks(self, operation: str, **request: Any) -> List[Any]:
        """What the caller of ECS must be allowed: the ends of the ARNs."""
        found = iam.checks(operation, request, REGION, ACCOUNT)
        self.assertEqual({check.action for check in found}, {f"ecs:{operation}"})
        return [check.resource.removeprefix(f"{_PREFIX}:") for check in found]

    def test_what_a_call_is_about(self) -> None:
        host, revision, deployment = (
            "container-instance/prod/0a", "service-revision/prod/web/1", "service-deployment/prod/web/b2")
        for expected, operation, request in (
            ([host], "DescribeContainerInstances", {"containerInstances": [f"{_PREFIX}:{host}"]}),
            ([host], "UpdateContainerInstancesState", {"containerInstances": ["0a"]}),
            (["cluster/prod"], "ListContainerInstances", {"status": "DRAINING"}),
            ([host], "ListTasks", {"containerInstance": f"{_PREFIX}:{host}"}),
            (["*"], "ListTasks", {"serviceName": "web"}),
            ([f"capacity-provider/{name}" for name in "ab"], "DescribeCapacityProviders",
             {"capacityProviders": ["a", "b"]}),
            (["service/prod/web"], "ListServiceDeployments", {"service": "web"}),
            (["service/prod/web", revision], "DescribeServiceRevisions",
             {"serviceRevisionArns": [f"{_PREFIX}:{revision}"]}),
            (["service/prod/web", deployment], "StopServiceDeployment",
             {"serviceDeploymentArn": f"{_PREFIX}:{deployment}"}),
        ):
            with self.subTest(operation):
                self.assertEqual(self.asks(operation, cluster="prod", **request), expected)

    def test_who_runs_a_task_passes_its_roles(self) -> None:
        run = {"Action": "ecs:RunTask", "Resource": f"{_PREFIX}:task-definition/*",
               "Condition": {"ArnLike": {"ecs:cluster": f"{_PREFIX}:cluster/prod"}}}
        tag = {"Action": "ecs:TagResource", "Resource": f"{_PREFIX}:task/*",
               "Condition": {"StringEquals": {"ecs:CreateAction": "RunTask"}}}
        passes = {"Action": "iam:PassRole", "Resource": "*", "Condition": {
            "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}}
        elsewhere = {**run, "Condition": {"ArnLike": {"ecs:cluster": f"{_PREFIX}:cluster/other"}}}
        asked = {"cluster": "prod", "taskDefinition": "web", "launchType": "FARGATE",
                 "propagateTags": "TASK_DEFINITION"}
        self.assertEqual(len(self.allowed(run, tag, passes).run_task(**asked)["tasks"]), 1)
        for statements in ((run, tag), (run, passes), (tag, passes), (elsewhere, tag, passes)):
            ecs = self.allowed(*statements)
            self.assert_denied(lambda: ecs.run_task(**asked))
        ecs = self.allowed(run, tag, passes)
        volumes = [{"name": "data", "managedEBSVolume": {
            "sizeInGiB": 1, "roleArn": f"arn:aws:iam::{ACCOUNT}:role/execution"}}]
        self.assert_denied(lambda: ecs.run_task(**asked, volumeConfigurations=volumes))

    def test_a_group_is_named_by_its_arn(self) -> None:
        root = self.cloud.client("autoscaling")
        for group in ("web", "other"):
            root.create_auto_scaling_group(
                AutoScalingGroupName=group, MinSize=0, MaxSize=2, DesiredCapacity=1, AvailabilityZones=[f"{REGION}a"])
        groups = {one["AutoScalingGroupName"]: one for one in root.describe_auto_scaling_groups()["AutoScalingGroups"]}
        self.allowed({
            "Action": ["autoscaling:SetDesiredCapacity", "autoscaling:SetInstanceHealth"],
            "Resource": groups["web"]["AutoScalingGroupARN"]}, {
            "Action": "autoscaling:DescribeAutoScalingInstances", "Resource": "*"})
        client = self.client("autoscaling")
        client.describe_auto_scaling_instances()
        client.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=2)
        own, others = (groups[name]["Instances"][0]["InstanceId"] for name in ("web", "other"))
        client.set_instance_health(InstanceId=own, HealthStatus="Unhealthy")
        for call in (
            lambda: client.set_desired_capacity(AutoScalingGroupName="other", DesiredCapacity=2),
            lambda: client.set_instance_health(InstanceId=others, HealthStatus="Unhealthy"),
            lambda: client.describe_auto_scaling_groups(),
        ):
            with self.assertRaisesRegex(ClientError, "AccessDenied"):
                call()

    def test_a_snapshot_is_made_of_a_volume_and_with_tags(self) -> None:
        root = self.cloud.client("ec2")

        def volume(**tags: str) -> str:
            given = [{"Key": key, "Value": value} for key, value in tags.items()]
            made = root.create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=[
                {"ResourceType": "volume", "Tags": given}])
            return str(made["VolumeId"])

        managed, other = volume(AmazonECSManaged="true"), volume(mine="true")
        snapshots = f"arn:aws:ec2:{REGION}::snapshot/*"
        owner = {"StringEquals": {"aws:ResourceTag/wharfinger:owner": "w"}}
        self.allowed(
            {"Action": "ec2:CreateSnapshot", "Resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/*",
             "Condition": {"StringEquals": {"aws:ResourceTag/AmazonECSManaged": "true"}}},
            {"Action": "ec2:CreateSnapshot", "Resource": snapshots,
             "Condition": {"StringEquals": {"aws:RequestTag/wharfinger:owner": "w"}}},
            {"Action": "ec2:CreateTags", "Resource": snapshots,
             "Condition": {"StringEquals": {"ec2:CreateAction": "CreateSnapshot"}}},
            {"Action": ["ec2:DeleteSnapshot", "ec2:DescribeSnapshotAttribute"], "Resource": snapshots,
             "Condition": owner},
            {"Action": "ec2:DeleteVolume", "Resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/*",
             "Condition": {"StringEquals": {"aws:ResourceTag/AmazonECSManaged": "true"}}})
        client = self.client("ec2")

        def snap(of: str, owner: str, through: Any = client) -> str:
            made = through.create_snapshot(VolumeId=of, TagSpecifications=[
                {"ResourceType": "snapshot", "Tags": [{"Key": "wharfinger:owner", "Value": owner}]}])
            return str(made["SnapshotId"])

        own, foreign = snap(managed, "w"), snap(managed, "another", root)
        client.describe_snapshot_attribute(SnapshotId=own, Attribute="createVolumePermission")
        for call in (
            lambda: snap(other, "w"),
            lambda: snap(managed, "another"),
            lambda: client.create_snapshot(VolumeId=managed),
            lambda: client.create_tags(Resources=[foreign], Tags=[{"Key": "wharfinger:owner", "Value": "w"}]),
            lambda: client.delete_snapshot(SnapshotId=foreign),
            lambda: client.delete_volume(VolumeId=other),
        ):
            self.assert_unauthorised(call)
        client.delete_snapshot(SnapshotId=own)
        client.delete_volume(VolumeId=managed)

    def test_each_right_to_make_a_snapshot_is_needed(self) -> None:
        root = self.cloud.client("ec2")
        source = root.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
        volume, snapshot = f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/*", f"arn:aws:ec2:{REGION}::snapshot/*"
        owner = {"StringEquals": {"aws:RequestTag/wharfinger:owner": "ours"}}
        of_volume = {"Action": "ec2:CreateSnapshot", "Resource": volume}
        of_snapshot = {"Action": "ec2:CreateSnapshot", "Resource": snapshot, "Condition": owner}
        tag = {"Action": "ec2:CreateTags", "Resource": snapshot, "Condition": {
            "StringEquals": {**owner["StringEquals"], "ec2:CreateAction": "CreateSnapshot"}}}

        def make(client: Any, name: str = "ours") -> str:
            tags = [{"ResourceType": "snapshot", "Tags": [
                {"Key": "wharfinger:volume", "Value": "data"}, {"Key": "wharfinger:owner", "Value": name}]}]
            return str(client.create_snapshot(VolumeId=source, TagSpecifications=tags)["SnapshotId"])

        cases: List[Any] = [
            ([of_volume, of_snapshot, tag], "ours", False), ([of_volume, of_snapshot, tag], "theirs", True),
            ([of_volume, of_snapshot], "ours", True), ([of_volume, tag], "ours", True),
            ([of_snapshot, tag], "ours", True), ([{**of_volume, "Condition": owner}, of_snapshot, tag], "ours", True)]
        for statements, name, denied in cases:
            self.allowed(*statements)
            if denied:
                self.assert_unauthorised(lambda name=name: make(self.client("ec2"), name))
            else:
                make(self.client("ec2"), name)

    def test_an_access_point_is_made_with_tags(self) -> None:
        files = self.cloud.client("efs").create_file_system(CreationToken="files")["FileSystemId"]
        prefix = f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}"
        owner = {"aws:RequestTag/wharfinger:owner": "ours"}
        read = {"Action": "elasticfilesystem:DescribeAccessPoints", "Resource": f"{prefix}:file-system/*"}
        make = {"Action": "elasticfilesystem:CreateAccessPoint", "Resource": f"{prefix}:file-system/*",
                "Condition": {"StringEquals": owner}}
        tag = {"Action": "elasticfilesystem:TagResource", "Resource": f"{prefix}:access-point/*",
               "Condition": {"StringEquals": {"elasticfilesystem:CreateAction": "CreateAccessPoint"}}}

        def create(name: str = "ours") -> None:
            tags = [{"Key": "wharfinger:owner", "Value": name}]
            self.client("efs").create_access_point(FileSystemId=files, ClientToken=name or "none",
                                                   Tags=tags if name else [])

        self.allowed(read, make, tag)
        create()
        found = self.client("efs").describe_access_points(FileSystemId=files)["AccessPoints"]
        self.assertEqual(len(found), 1)
        for call in (
            lambda: create("theirs"), lambda: create(""),
            lambda: self.client("efs").tag_resource(ResourceId=found[0]["AccessPointId"], Tags=[
                {"Key": "wharfinger:owner", "Value": "theirs"}]),
            lambda: self.client("efs").delete_access_point(AccessPointId=found[0]["AccessPointId"]),
        ):
            self.assert_denied(call)
        for rights in ([read, make], [read, tag], [make, tag, {**read, "Resource": f"{prefix}:access-point/*"}]):
            self.allowed(*rights)
            if read in rights:
                self.assert_denied(create)
            else:
                self.assert_denied(lambda: self.client("efs").describe_access_points(FileSystemId=files))

    def test_reading_and_removing_volumes(self) -> None:
        root = self.cloud.client("ec2")
        ours, theirs = (root.create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=[
            {"ResourceType": "volume", "Tags": [{"Key": "wharfinger:owner", "Value": name}]}])["VolumeId"]
            for name in ("ours", "theirs"))
        self.allowed({"Action": ["ec2:DescribeSnapshots", "ec2:DescribeVolumes"], "Resource": "*"}, {
            "Action": "ec2:DeleteVolume", "Resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/*",
            "Condition": {"StringEquals": {"ec2:ResourceTag/wharfinger:owner": "ours"}}})
        client = self.client("ec2")
        client.describe_snapshots()
        client.describe_volumes(VolumeIds=[theirs])
        client.delete_volume(VolumeId=ours)
        self.assert_unauthorised(lambda: client.delete_volume(VolumeId=theirs))

    def assert_unauthorised(self, call: Any) -> None:
        """Denied in the words of EC2."""
        with self.assertRaisesRegex(ClientError, "UnauthorizedOperation"):
            call()

    def test_volumes_of_a_service_need_the_right_to_pass_their_role(self) -> None:
        volumes = [{"name": "data", "managedEBSVolume": {"roleArn": "r", "sizeInGiB": 1}}]
        found = iam.checks("UpdateService", {"service": "web", "volumeConfigurations": volumes}, REGION, ACCOUNT)
        self.assertEqual([(check.action, check.resource) for check in found][1:], [("iam:PassRole", "r")])
        self.assertEqual(found[1].context, {"iam:PassedToService": "ecs.amazonaws.com"})

    def test_listing_tasks_is_bound_to_a_cluster_by_a_condition(self) -> None:
        def only(cluster: str) -> Any:
            return self.allowed({"Action": "ecs:ListTasks", "Resource": "*", "Condition": {
                "ArnLike": {"ecs:cluster": f"{_PREFIX}:cluster/{cluster}"}}})

        only("prod").list_tasks(cluster="prod")
        staging = only("staging")
        self.assert_denied(lambda: staging.list_tasks(cluster="prod"))

    def test_registering_needs_the_right_to_pass_the_role_and_to_tag(self) -> None:
        register = {"Action": "ecs:RegisterTaskDefinition", "Resource": "*"}
        tag = {"Action": "ecs:TagResource", "Resource": "*", "Condition": {
            "StringEquals": {"ecs:CreateAction": "RegisterTaskDefinition"}}}
        pass_role = {"Action": "iam:PassRole", "Resource": _DEFINITION["executionRoleArn"]}
        tagged = {**_DEFINITION, "tags": [{"key": "a", "value": "b"}]}
        cases: List[Any] = [([register], True), ([register, pass_role], True),
                            ([register, tag], True), ([register, pass_role, tag], False)]
        for statements, denied in cases:
            ecs = self.allowed(*statements)
            if denied:
                self.assert_denied(lambda ecs=ecs: ecs.register_task_definition(**tagged))
            else:
                ecs.register_task_definition(**tagged)

    def test_events_are_bound_to_their_source(self) -> None:
        self.allowed({"Action": "events:PutEvents", "Condition": {
            "StringEquals": {"events:source": "ours"}},
            "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"})
        events = self.client("events")

        def put(*sources: str) -> Any:
            return lambda: events.put_events(Entries=[
                {"Source": source, "DetailType": "d", "Detail": "{}"} for source in sources])

        put("ours")()
        self.assert_denied(put("ours", "theirs"))

    def test_moving_a_rule_needs_its_target_and_its_role(self) -> None:
        cluster, role = f"{_PREFIX}:cluster/prod", _DEFINITION["executionRoleArn"]
        self.cloud.client("events").put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
        put: Dict[str, Any] = {
            "Action": ["events:PutTargets", "events:ListTargetsByRule"],
            "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*"}
        narrowed = {"ArnLike": {"events:TargetArn": f"{_PREFIX}:cluster/*"}}
        pass_role = {"Action": "iam:PassRole", "Resource": role, "Condition": {
            "StringEquals": {"iam:PassedToService": ["events.amazonaws.com"]}}}
        target = {"Id": "1", "Arn": cluster, "RoleArn": role,
                  "EcsParameters": {"TaskDefinitionArn": f"{_PREFIX}:task-definition/web:1"}}
        other = {**target, "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"}
        move = {**put, "Action": "events:PutTargets", "Condition": narrowed}
        cases: List[Any] = [
            ([move], target, True), ([move, pass_role], target, False),
            ([move, pass_role], other, True)]
        for statements, moved, denied in cases:
            self.allowed(*statements)
            events = self.client("events")
            call = lambda events=events, moved=moved: events.put_targets(
                Rule="nightly", Targets=[moved])
            if denied:
                self.assert_denied(call)
            else:
                call()
        self.allowed(put)
        self.client("events").list_targets_by_rule(Rule="nightly")


if __name__ == "__main__":
    unittest.main()
