"""With IAM enforced, a role may do what its policies say of ECS and EventBridge, and no more."""
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

    def test_a_container_instance_is_named_by_its_arn(self) -> None:
        wanted = f"{_PREFIX}:container-instance/prod/0123456789abcdef0123456789abcdef"
        request = {"cluster": "prod", "containerInstances": [wanted]}
        [check] = iam.checks("DescribeContainerInstances", request, REGION, ACCOUNT)
        self.assertEqual((check.action, check.resource), ("ecs:DescribeContainerInstances", wanted))

    def test_listing_container_instances_is_about_their_cluster(self) -> None:
        request = {"cluster": "prod", "status": "DRAINING"}
        [check] = iam.checks("ListContainerInstances", request, REGION, ACCOUNT)
        self.assertEqual(check.resource, f"{_PREFIX}:cluster/prod")

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
