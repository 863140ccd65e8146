"""Container instances and Auto Scaling groups, as the play of capacity needs them."""
from __future__ import annotations

import unittest
from typing import Any, Dict, List

from botocore.exceptions import ClientError

from . import test_cloud
from .cloud import REGION, CloudError

_HOOK = {"LifecycleHookName": "drain", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
_TERMINATING = "EC2 Instance-terminate Lifecycle Action"


class HostsTest(test_cloud.CloudCase):
    """Each test has a cluster of its own, and a group of the same name whose instances are in it."""

    groups: Any

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.groups = cls.cloud.client("autoscaling")

    def cluster(self, name: str, instances: int, hook: bool = True) -> List[str]:
        """Answers the ids of the instances."""
        self.driver.create_cluster(name)
        self.groups.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=1, MaxSize=5, DesiredCapacity=instances,
            AvailabilityZones=[f"{REGION}a"])
        if hook:
            self.groups.put_lifecycle_hook(AutoScalingGroupName=name, **_HOOK)
        ids = list(self.members(name))
        for instance in ids:
            self.cloud.door("POST", "hosts", {"cluster": name, "instance": instance})
        return ids

    def members(self, name: str) -> Dict[str, Dict[str, Any]]:
        group = self.groups.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
        return {instance["InstanceId"]: instance for instance in group["Instances"]}

    def hosts(self, cluster: str, **asked: Any) -> Dict[str, Dict[str, Any]]:
        """The container instances by their EC2 id."""
        arns = self.driver.ecs.list_container_instances(cluster=cluster, **asked)["containerInstanceArns"]
        if not arns:
            return {}
        found = self.driver.ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
        return {host["ec2InstanceId"]: host for host in found["containerInstances"]}

    def service(self, cluster: str, desired: int, **more: Any) -> None:
        self.driver.create_service(
            cluster, "web", {"family": cluster, "networkMode": "awsvpc", "containerDefinitions": [
                {"name": "web", "image": "web", "memory": 64}]}, desired, launch_type="EC2", **more)
        self.driver.settle()

    def drain(self, cluster: str, instance: str, status: str = "DRAINING") -> None:
        arn = self.hosts(cluster)[instance]["containerInstanceArn"]
        self.driver.ecs.update_container_instances_state(cluster=cluster, containerInstances=[arn], status=status)

    def where(self, cluster: str) -> List[str]:
        """The EC2 instance of each wanted task, sorted."""
        by_arn = {host["containerInstanceArn"]: instance for instance, host in self.hosts(cluster).items()}
        return sorted(by_arn[task["containerInstanceArn"]] for task in self.driver.tasks(cluster, "web"))

    def refused(self, call: Any, code: str, words: str) -> None:
        with self.assertRaises(ClientError) as refused:
            call()
        error = refused.exception.response["Error"]
        self.assertEqual(error["Code"], code)
        self.assertIn(words, error["Message"])

    def test_tasks_are_spread_and_counted_and_listed_by_their_instance(self) -> None:
        ids = self.cluster("spread", 2)
        self.service("spread", 4)
        self.assertEqual(self.where("spread"), sorted(ids * 2))
        for host in self.hosts("spread").values():
            self.assertEqual((host["runningTasksCount"], host["pendingTasksCount"]), (2, 0))
            tasks = self.driver.ecs.list_tasks(cluster="spread", containerInstance=host["containerInstanceArn"])
            self.assertEqual(len(tasks["taskArns"]), 2)

    def test_the_filter_the_status_and_pages_of_the_list(self) -> None:
        first, second = self.cluster("listed", 2)
        self.drain("listed", first)
        self.assertEqual(list(self.hosts("listed", filter=f"ec2InstanceId == {second}")), [second])
        self.assertEqual(list(self.hosts("listed", status="DRAINING")), [first])
        self.assertEqual(list(self.hosts("listed", status="INACTIVE")), [])
        page = self.driver.ecs.list_container_instances(cluster="listed", maxResults=1)
        self.assertEqual(len(page["containerInstanceArns"]), 1)
        rest = self.driver.ecs.list_container_instances(cluster="listed", nextToken=page["nextToken"])
        self.assertEqual(len(rest["containerInstanceArns"]), 1)
        self.assertNotIn("nextToken", rest)
        unknown = "attribute:a == b"
        self.refused(lambda: self.hosts("listed", filter=unknown), "InvalidParameterException", unknown)
        self.refused(lambda: self.hosts("nowhere"), "ClusterNotFoundException", "Cluster")

    def test_what_ecs_refuses_to_change(self) -> None:
        [instance] = self.cluster("refused", 1)
        arn = self.hosts("refused")[instance]["containerInstanceArn"]

        def change(arns: List[str], status: str = "DRAINING") -> Any:
            return self.driver.ecs.update_container_instances_state(
                cluster="refused", containerInstances=arns, status=status)

        self.refused(lambda: change([arn] * 11), "InvalidParameterException", "between 1 and 10")
        self.refused(lambda: change([arn], "INACTIVE"), "InvalidParameterException", "ACTIVE, DRAINING")
        missing = arn[:-1] + ("0" if arn[-1] != "0" else "1")
        answer = change([arn, missing])
        self.assertEqual([host["status"] for host in answer["containerInstances"]], ["DRAINING"])
        self.assertEqual(answer["failures"], [{"arn": missing, "reason": "MISSING"}])

    def test_the_tasks_of_a_service_leave_an_instance_that_drains(self) -> None:
        first, second = self.cluster("leaves", 2)
        self.service("leaves", 2)
        since = len(self.cloud.events())
        self.drain("leaves", first)
        [event] = self.seen("ECS Container Instance State Change", since)
        self.assertEqual(event["detail"]["status"], "DRAINING")
        self.assertTrue(event["detail"]["clusterArn"].endswith(":cluster/leaves"))
        self.assertNotIn("runningTasksCount", event["detail"])
        running = []
        self.driver.settle(lambda: running.append(
            sum(task["lastStatus"] == "RUNNING" for task in self.driver.tasks("leaves", "web"))))
        self.assertGreaterEqual(min(running), 2)
        self.assertEqual(self.where("leaves"), [second] * 2)
        [stopped] = self.driver.tasks("leaves", "web", "STOPPED")
        self.assertIn("DRAINING", stopped["stoppedReason"])
        self.drain("leaves", second)
        self.driver.settle()
        self.assertEqual(self.where("leaves"), [second] * 2, "there is nowhere to go")
        self.drain("leaves", first, "ACTIVE")
        self.driver.settle()
        self.assertEqual(self.where("leaves"), [first] * 2)

    def test_a_task_that_stops_is_not_counted(self) -> None:
        first, _ = self.cluster("stops", 2)
        self.service("stops", 2)
        self.drain("stops", first)
        arn = self.hosts("stops")[first]["containerInstanceArn"]
        while self.hosts("stops")[first]["runningTasksCount"]:
            self.assertTrue(self.driver.step())
        self.assertEqual(self.driver.ecs.list_tasks(cluster="stops", containerInstance=arn)["taskArns"], [])
        stopping = self.driver.ecs.list_tasks(cluster="stops", containerInstance=arn, desiredStatus="STOPPED")
        [task] = self.driver.ecs.describe_tasks(cluster="stops", tasks=stopping["taskArns"])["tasks"]
        self.assertEqual(task["lastStatus"], "DEACTIVATING")

    def test_a_service_at_100_percent_stays(self) -> None:
        first, _ = self.cluster("stays", 2)
        self.service("stays", 1, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 100})
        self.drain("stays", first)
        self.driver.settle()
        self.assertEqual(self.where("stays"), [first])

    def test_a_silent_agent_takes_no_tasks(self) -> None:
        first, second = self.cluster("silent", 2)
        since = len(self.cloud.events())
        self.cloud.door("POST", "hosts/agent", {"instance": first, "connected": False})
        self.cloud.door("POST", "hosts/agent", {"instance": first, "connected": False})
        told = self.seen("ECS Container Instance State Change", since)
        self.assertEqual([event["detail"]["agentConnected"] for event in told], [False])
        self.service("silent", 2)
        self.assertEqual(self.where("silent"), [second] * 2)
        with self.assertRaisesRegex(CloudError, "no container instance"):
            self.cloud.door("POST", "hosts/agent", {"instance": "i-0", "connected": True})

    def test_a_task_that_finds_no_place_is_told_of_once(self) -> None:
        self.cluster("full", 1)
        self.cloud.door("POST", "room", {"where": "full", "tasks": 1})
        since = len(self.cloud.events())
        self.service("full", 2)
        self.driver.settle()
        [told] = [entry["document"] for entry in self.cloud.events(since)
                  if entry["document"]["detail-type"] == "ECS Service Action"]
        self.assertEqual(("SERVICE_TASK_PLACEMENT_FAILURE", "RESOURCE:MEMORY"),
                         (told["detail"]["eventName"], told["detail"]["reason"]))
        service = self.driver.service("full", "web")
        self.assertEqual(1, service["runningCount"])
        self.assertIn("unable to place a task", service["events"][0]["message"])
        self.cloud.door("POST", "room", {"where": "full", "tasks": None})
        self.driver.settle()
        self.assertEqual(2, self.driver.service("full", "web")["runningCount"])

    def test_spot_has_room_for_so_many(self) -> None:
        self.driver.create_cluster("shop")
        self.cloud.door("POST", "room", {"where": "FARGATE_SPOT", "tasks": 1})
        definition = {"family": "shop", "networkMode": "awsvpc", "containerDefinitions": [
            {"name": "web", "image": "web", "memory": 64}]}
        strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        self.driver.create_service("shop", "web", definition, 2, capacityProviderStrategy=strategy)
        self.driver.settle()
        service = self.driver.service("shop", "web")
        self.assertEqual((1, strategy), (service["runningCount"], [
            {key: item[key] for key in ("capacityProvider", "weight")} for item in service["capacityProviderStrategy"]]))
        self.assertIn("Capacity is unavailable", service["events"][0]["message"])
        self.cloud.door("POST", "room", {"where": "FARGATE_SPOT", "tasks": None})
        self.driver.settle()
        self.assertEqual(2, self.driver.service("shop", "web")["runningCount"])

    def test_a_group_waits_until_its_hook_is_completed(self) -> None:
        first, second = self.cluster("waits", 2)
        self.service("waits", 2)
        since = len(self.cloud.events())
        self.cloud.door("POST", "groups/end", {"instance": first, "ago": 60})
        [event] = self.seen(_TERMINATING, since)
        detail = event["detail"]
        self.assertEqual((detail["EC2InstanceId"], detail["Origin"], detail["Destination"]),
                         (first, "AutoScalingGroup", "EC2"))
        self.driver.settle()
        described = self.groups.describe_auto_scaling_instances(InstanceIds=[first])["AutoScalingInstances"]
        self.assertEqual([one["LifecycleState"] for one in described], ["Terminating:Wait"])
        action = {"AutoScalingGroupName": "waits", "LifecycleHookName": "drain"}
        self.groups.record_lifecycle_action_heartbeat(InstanceId=first, **action)
        token = {"LifecycleActionToken": detail["LifecycleActionToken"], **action}
        self.groups.complete_lifecycle_action(LifecycleActionResult="CONTINUE", **token)
        self.driver.settle()
        self.assertEqual(list(self.members("waits")), [second])
        self.assertEqual(list(self.hosts("waits")), [second])
        self.assertEqual(list(self.hosts("waits", status="INACTIVE")), [first])
        self.assertEqual(self.where("waits"), [second] * 2, "what ran on it is started elsewhere")
        [event] = self.seen("EC2 Instance State-change Notification", since)
        self.assertEqual(event["detail"], {"instance-id": first, "state": "shutting-down"})

    def test_what_auto_scaling_refuses(self) -> None:
        [instance] = self.cluster("over", 1)
        groups, token = self.groups, "0" * 36
        action = {"AutoScalingGroupName": "over", "LifecycleHookName": "drain", "InstanceId": instance}
        complete = {"LifecycleActionResult": "CONTINUE", **action}
        none, desired = {**complete, "AutoScalingGroupName": "none"}, {"AutoScalingGroupName": "over"}
        for call, words in (
            (lambda: groups.record_lifecycle_action_heartbeat(**action),
             f"No active Lifecycle Action found with instance ID {instance}"),
            (lambda: groups.complete_lifecycle_action(LifecycleActionToken=token, **complete),
             f"No active Lifecycle Action found with token {token}"),
            (lambda: groups.complete_lifecycle_action(**none), "AutoScalingGroup name not found"),
            (lambda: groups.set_instance_health(InstanceId="i-0", HealthStatus="Unhealthy"), "Instance Id not found"),
            (lambda: groups.set_desired_capacity(DesiredCapacity=6, **desired), "above max value 5"),
            (lambda: groups.set_desired_capacity(DesiredCapacity=0, **desired), "below min value 1"),
        ):
            self.refused(call, "ValidationError", words)
        self.groups.set_desired_capacity(AutoScalingGroupName="over", DesiredCapacity=3)
        self.assertEqual(len(self.members("over")), 3)

    def test_an_unhealthy_instance_is_ended_by_its_group(self) -> None:
        first, second = self.cluster("sick", 2)
        since = len(self.cloud.events())
        self.groups.set_instance_health(InstanceId=first, HealthStatus="Unhealthy")
        self.assertEqual(self.seen(_TERMINATING, since), [])
        self.driver.settle()
        self.assertEqual(len(self.seen(_TERMINATING, since)), 1)
        self.assertEqual({i: one["LifecycleState"] for i, one in self.members("sick").items()},
                         {first: "Terminating:Wait", second: "InService"})

    def test_an_instance_comes_back(self) -> None:
        [instance] = self.cluster("back", 1)
        action = {"AutoScalingGroupName": "back", "LifecycleHookName": "drain", "InstanceId": instance}
        for end in (lambda: self.cloud.door("POST", "groups/back", {"instance": instance}),
                    lambda: self.groups.complete_lifecycle_action(LifecycleActionResult="CONTINUE", **action)):
            since = len(self.cloud.events())
            self.cloud.door("POST", "groups/end", {"instance": instance, "stays": True})
            [event] = self.seen(_TERMINATING, since)
            self.assertEqual((event["detail"]["Destination"], event["detail"]["Action"]),
                             ("AutoScalingGroup", "ReplaceRootVolume"))
            end()
            self.driver.settle()
            self.assertEqual(self.members("back")[instance]["LifecycleState"], "InService")
            over = lambda: self.groups.record_lifecycle_action_heartbeat(**action)
            self.refused(over, "ValidationError", "No active Lifecycle Action")

    def test_a_group_without_a_hook_does_not_wait(self) -> None:
        first, second = self.cluster("hookless", 2, hook=False)
        self.cloud.door("POST", "groups/end", {"instance": first})
        self.driver.settle()
        self.assertEqual(list(self.members("hookless")), [second])


if __name__ == "__main__":
    unittest.main()
