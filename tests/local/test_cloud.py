"""The guarantees that the story and the end-to-end tests build on."""
from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

from botocore.exceptions import ClientError, HTTPClientError

from . import pins
from .cloud import ACCOUNT, IMPORT_ROOT, PACKAGE, REGION, CloudError, LocalCloud
from .ecs import Driver, image
from .world import raw_ecs, register_raw

_ROLE = f"arn:aws:iam::{ACCOUNT}:role/stand-in"

# A function in Python that speaks the Lambda Runtime API and uses a real SDK.
_BOOTSTRAP = f"""#!{sys.executable}
import json, os, urllib.request
import boto3
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
dynamodb = boto3.client("dynamodb")
while True:
    with urllib.request.urlopen(base + "next") as answer:
        request = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.loads(answer.read())
    print(json.dumps({{"saw": event["id"]}}), flush=True)
    kind, body = "response", event
    if event["detail"].get("fail"):
        kind, body = "error", {{"errorType": "Wanted", "errorMessage": "asked to fail"}}
    else:
        dynamodb.list_tables()
    url = base + request + "/" + kind
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())).read()
"""

_EVENT = {
    "version": "0", "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "detail-type": "Stand-in",
    "source": "aws.ecs", "account": "999988887777", "time": "2019-10-02T17:04:40Z",
    "region": "us-west-2", "resources": ["arn:aws:ecs:us-west-2:999988887777:task/a/b"],
    "detail": {"number": 1.5, "nested": {"empty": [], "none": None}},
}

_DEFINITION: Dict[str, Any] = {
    "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
    "cpu": "256", "memory": "512",
    "containerDefinitions": [
        {"name": "web", "image": image("shop/web", ":1.0.0"),
         "portMappings": [{"containerPort": 8080}]},
    ],
}


class PinsTest(unittest.TestCase):
    """The launcher refuses a ministack that it was not written for."""

    def test_another_version_ends_the_process_with_a_message(self) -> None:
        program = (
            "from importlib import metadata; metadata.version = lambda name: '9.9.9'\n"
            f"import sys; from {PACKAGE} import server; sys.exit(server.main())"
        )
        with tempfile.TemporaryDirectory() as home:
            ended = subprocess.run(
                [sys.executable, "-c", program, "--home", home],
                env={**os.environ, "PYTHONPATH": str(IMPORT_ROOT), "TMPDIR": home},
                capture_output=True, text=True, timeout=60, check=False,
            )
        self.assertEqual(ended.returncode, 3, ended.stderr)
        self.assertIn(f"version {pins.VERSION} is needed, found 9.9.9", ended.stderr)

    def test_every_missing_or_changed_function_is_named(self) -> None:
        from ministack.services import ecs, eventbridge

        with mock.patch.object(ecs, "_primary_deployment", None), \
                mock.patch.object(eventbridge, "_dispatch_event", lambda other: None):
            with self.assertRaises(pins.Incompatible) as refused:
                pins.check()
        self.assertIn("ministack.services.ecs._primary_deployment is gone", str(refused.exception))
        self.assertIn("_dispatch_event takes (other)", str(refused.exception))

    def test_the_pinned_version_fits(self) -> None:
        pins.check()


class CloudCase(unittest.TestCase):
    """A cloud per class, among settings of a user's machine that must not matter."""

    cloud: LocalCloud
    driver: Driver

    @classmethod
    def setUpClass(cls) -> None:
        hostile = {
            "AWS_PROFILE": "production", "AWS_ENDPOINT_URL": "https://example.invalid",
            "AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_REGION": "ap-south-1",
            "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
        }
        patched = mock.patch.dict(os.environ, hostile)
        patched.start()
        cls.addClassCleanup(patched.stop)
        cls.cloud = LocalCloud()
        cls.cloud.start()
        cls.addClassCleanup(cls.cloud.stop)
        cls.driver = Driver(cls.cloud)

    @classmethod
    def tearDownClass(cls) -> None:
        log = Path(cls.cloud.log).read_text()
        if "Traceback" in log:
            raise AssertionError(f"something broke inside the cloud:\n{log}")
        super().tearDownClass()

    def tearDown(self) -> None:
        self.cloud.clear_faults()
        self.cloud.hold(False)

    def seen(self, detail_type: str, since: int = 0) -> List[Dict[str, Any]]:
        entries = [e["document"] for e in self.cloud.events(since)]
        return [d for d in entries if d["detail-type"] == detail_type]

    def refused(self, call: Any, code: str, words: str) -> None:
        with self.assertRaises(ClientError) as refused:
            call()
        error = refused.exception.response["Error"]
        self.assertEqual(error["Code"], code)
        self.assertIn(words, error["Message"])


class FunctionsTest(CloudCase):
    """Events, functions, retries, faults."""

    sqs: Any
    queue: str

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as code:
            code.writestr("bootstrap", _BOOTSTRAP)
        functions = cls.cloud.client("lambda")
        arn = functions.create_function(
            FunctionName="stand-in", Runtime="provided.al2023", Handler="bootstrap", Role=_ROLE,
            Code={"ZipFile": archive.getvalue()}, Timeout=20)["FunctionArn"]
        cls.sqs = cls.cloud.client("sqs")
        cls.queue = cls.sqs.create_queue(QueueName="dead")["QueueUrl"]
        functions.put_function_event_invoke_config(
            FunctionName="stand-in", MaximumRetryAttempts=1,
            DestinationConfig={"OnFailure": {"Destination": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"}})
        events = cls.cloud.client("events")
        part = {"Input": json.dumps({"source": "a part of the work"})}
        for name, how, what in (
            ("by-type", {"EventPattern": json.dumps({"detail-type": ["Stand-in"]})}, {}),
            ("a-part-by-clock", {"ScheduleExpression": "rate(1 minute)"}, part),
            ("by-clock", {"ScheduleExpression": "rate(1 minute)"}, {}),
        ):
            events.put_rule(Name=name, **how)
            events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn, **what}])

    def deliver(self, document: Dict[str, Any]) -> List[Dict[str, Any]]:
        since = len(self.cloud.invocations())
        self.cloud.publish(document)
        self.cloud.settle_deliveries()
        return self.cloud.invocations(since)

    def test_an_event_keeps_every_field(self) -> None:
        [invocation] = self.deliver(_EVENT)
        self.assertEqual(invocation["result"], _EVENT)
        self.assertEqual(invocation["function"], "stand-in")
        self.assertEqual([json.loads(line) for line in invocation["log"]], [{"saw": _EVENT["id"]}])

    def test_an_event_that_no_rule_wants_starts_nothing(self) -> None:
        [entry] = self.cloud.publish({**_EVENT, "detail-type": "Other"})
        self.assertEqual(entry["matched"], [])

    def test_calls_name_the_function(self) -> None:
        since = len(self.cloud.calls())
        self.deliver(_EVENT)
        calls = [c for c in self.cloud.calls(since) if c["caller"] == "stand-in"]
        self.assertEqual([(c["service"], c["operation"], c["status"]) for c in calls],
                         [("dynamodb", "ListTables", 200)])
        self.assertGreater(calls[0]["duration_ms"], 0)

    def test_a_failure_is_retried_and_then_goes_to_the_destination(self) -> None:
        invocations = self.deliver({**_EVENT, "detail": {"fail": True}})
        self.assertEqual([i["error"]["errorType"] for i in invocations], ["Wanted", "Wanted"])
        [message] = self.sqs.receive_message(QueueUrl=self.queue)["Messages"]
        self.assertTrue(json.loads(message["Body"])["requestPayload"]["detail"]["fail"])

    def test_a_sweep_is_a_scheduled_event(self) -> None:
        since = len(self.cloud.invocations())
        self.cloud.sweep("stand-in")
        self.cloud.settle_deliveries()
        [invocation] = self.cloud.invocations(since)
        self.assertEqual(invocation["detail_type"], "Scheduled Event")
        self.assertEqual(invocation["result"]["source"], "aws.events")
        with self.assertRaisesRegex(CloudError, "no enabled scheduled rule"):
            self.cloud.sweep("nobody")

    def test_faults_hit_the_caller_they_name(self) -> None:
        self.cloud.fault(service="dynamodb", caller="stand-in", count=1, cut=True)
        self.cloud.client("dynamodb").list_tables()
        self.assertEqual(self.cloud.faults()[0]["hits"], 0)
        [invocation] = self.deliver(_EVENT)
        self.assertIsNone(invocation["error"], "the SDK retries one cut connection")
        self.assertEqual(self.cloud.faults()[0]["hits"], 1)


class FaultsTest(CloudCase):
    """Errors before and after the effect, latency and cut connections, in each protocol."""

    def create(self, name: str) -> None:
        self.cloud.client("dynamodb").create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])

    def tables(self) -> List[str]:
        return self.cloud.client("dynamodb").list_tables()["TableNames"]

    def test_an_error_before_the_effect(self) -> None:
        self.cloud.fault(operation="CreateTable", error={"code": "ThrottlingException"})
        with self.assertRaises(ClientError) as refused:
            self.create("before")
        self.assertEqual(refused.exception.response["Error"]["Code"], "ThrottlingException")
        self.assertNotIn("before", self.tables())
        self.create("before")
        self.assertIn("before", self.tables())

    def test_an_error_after_the_effect(self) -> None:
        self.cloud.fault(
            operation="CreateTable", when="after", error={"code": "InternalServerError", "status": 500})
        with self.assertRaises(ClientError) as refused:
            self.create("after")
        self.assertEqual(refused.exception.response["ResponseMetadata"]["HTTPStatusCode"], 500)
        self.assertIn("after", self.tables())

    def test_a_cut_connection_before_and_after_the_effect(self) -> None:
        for when, there in (("before", False), ("after", True)):
            self.cloud.fault(operation="CreateTable", when=when, cut=True)
            with self.assertRaises(HTTPClientError):
                self.create(f"cut-{when}")
            self.assertEqual(f"cut-{when}" in self.tables(), there)
            self.assertEqual(self.cloud.calls()[-2]["error"], "connection cut")

    def test_skip_and_latency(self) -> None:
        self.cloud.fault(operation="ListTables", skip=1, latency=0.2)
        self.tables()
        self.tables()
        quick, slow = [c["duration_ms"] for c in self.cloud.calls()[-2:]]
        self.assertLess(quick, 200)
        self.assertGreaterEqual(slow, 200)

    def test_other_protocols_understand_the_error(self) -> None:
        for service, call in (
            ("sqs", lambda: self.cloud.client("sqs").list_queues()),
            ("monitoring", lambda: self.cloud.client("cloudwatch").describe_alarms()),
            ("iam", lambda: self.cloud.client("iam").list_roles()),
            ("ec2", lambda: self.cloud.client("ec2").describe_snapshots()),
            ("s3", lambda: self.cloud.client("s3").list_buckets()),
        ):
            self.cloud.fault(service=service, error={"code": "AccessDenied", "status": 403})
            with self.subTest(service), self.assertRaises(ClientError) as refused:
                call()
            self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDenied", service)

    def test_dynamodb_refuses_a_placeholder_that_is_no_word(self) -> None:
        self.create("words")
        change = {"TableName": "words", "Key": {"pk": {"S": "a"}},
                  "ExpressionAttributeValues": {":v": {"S": "b"}}}
        dynamodb = self.cloud.client("dynamodb")
        with self.assertRaisesRegex(ClientError, "ValidationException.*#a-b"):
            dynamodb.update_item(UpdateExpression="SET #a-b = :v",
                                 ExpressionAttributeNames={"#a-b": "a-b"}, **change)
        dynamodb.update_item(UpdateExpression="SET #n0 = :v",
                             ExpressionAttributeNames={"#n0": "a-b"}, **change)

    def test_a_wrong_order_is_refused(self) -> None:
        for order in ({"kount": 1}, {"service": "ecs"}, {"cut": True, "when": "never"}):
            with self.assertRaises(CloudError):
                self.cloud.fault(**order)


class LifeCycleTest(CloudCase):
    """Tasks, rollouts, images and alarms."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.driver.create_cluster("prod")
        cls.driver.ecr.create_repository(repositoryName="shop/web")

    def service(self, name: str, desired: int = 2) -> str:
        self.driver.create_service("prod", name, {**_DEFINITION, "family": name}, desired)
        return name

    def states(self, service: str, since: int = 0) -> Dict[str, List[str]]:
        found: Dict[str, List[str]] = {}
        for event in self.seen("ECS Task State Change", since):
            detail = event["detail"]
            if detail["group"] == f"service:{service}":
                self.assertEqual(detail["version"], len(found.get(detail["taskArn"], [])) + 1)
                found.setdefault(detail["taskArn"], []).append(detail["lastStatus"])
        return found

    def test_a_task_passes_all_states_and_events_agree_with_describe(self) -> None:
        name = self.service("life")
        self.driver.settle()
        self.driver.ecs.update_service(cluster="prod", service=name, desiredCount=0)
        seen = len(self.cloud.events())
        while self.driver.step():
            tasks = {t["taskArn"]: t for t in self.driver.tasks("prod", name, "STOPPED")}
            for event in self.seen("ECS Task State Change", seen):
                task = tasks.get(event["detail"]["taskArn"])
                if task:
                    self.assertEqual(task["lastStatus"], event["detail"]["lastStatus"])
                    self.assertEqual(task["version"], event["detail"]["version"])
            seen = len(self.cloud.events())
        for states in self.states(name).values():
            self.assertEqual(states, [
                "PROVISIONING", "PENDING", "ACTIVATING", "RUNNING",
                "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"])

    def test_network_interfaces_in_events_and_describe(self) -> None:
        name = self.service("net", 3)
        self.driver.settle()
        tasks = self.driver.tasks("prod", name)
        addresses = [_detail(t["attachments"][0], "privateIPv4Address") for t in tasks]
        self.assertEqual(len(set(addresses)), 3)
        for task, address in zip(tasks, addresses):
            self.assertRegex(task["taskArn"], r"task/prod/[0-9a-f]{32}$")
            self.assertEqual(task["attachments"][0]["type"], "ElasticNetworkInterface")
            interface = task["containers"][0]["networkInterfaces"][0]
            self.assertEqual(interface["privateIpv4Address"], address)
            self.assertEqual(interface["attachmentId"], task["attachments"][0]["id"])
            [last] = [e for e in self.seen("ECS Task State Change")
                      if e["detail"]["taskArn"] == task["taskArn"]
                      and e["detail"]["version"] == task["version"]]
            self.assertEqual(last["detail"]["attachments"][0]["type"], "eni")
            self.assertEqual(_detail(last["detail"]["attachments"][0], "privateIPv4Address"), address)
            self.assertRegex(last["detail"]["startedAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$")
            self.assertNotIn("healthStatus", json.dumps(last))

    def test_a_rollout_keeps_the_service_up_and_completes(self) -> None:
        name = self.service("roll")
        self.driver.settle()
        old = self.driver.service("prod", name)["deployments"][0]["id"]
        revision = self.driver.ecs.register_task_definition(**{**_DEFINITION, "family": name})
        since = len(self.cloud.events())
        updated = self.driver.ecs.update_service(
            cluster="prod", service=name,
            taskDefinition=revision["taskDefinition"]["taskDefinitionArn"])["service"]
        self.assertEqual([(d["status"], d["rolloutState"]) for d in updated["deployments"]],
                         [("PRIMARY", "IN_PROGRESS"), ("ACTIVE", "COMPLETED")])
        running = []
        self.driver.settle(lambda: running.append(
            len([t for t in self.driver.tasks("prod", name) if t["lastStatus"] == "RUNNING"])))
        self.assertGreaterEqual(min(running), 2)
        [done] = self.driver.service("prod", name)["deployments"]
        self.assertEqual((done["rolloutState"], done["runningCount"]), ("COMPLETED", 2))
        events = self.seen("ECS Deployment State Change", since)
        self.assertEqual([e["detail"]["eventName"] for e in events],
                         ["SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED"])
        self.assertEqual({e["detail"]["deploymentId"] for e in events}, {done["id"]})
        self.assertNotIn("clusterArn", events[0]["detail"])
        self.assertRegex(done["id"], r"^ecs-svc/\d{19}$")
        self.assertNotEqual(done["id"], old)
        self.assertEqual({t["startedBy"] for t in self.driver.tasks("prod", name)}, {done["id"]})

    def test_held_events_are_not_delivered(self) -> None:
        name = self.service("held", 1)
        since = len(self.cloud.events())
        self.cloud.hold(True)
        self.driver.settle()
        entries = self.cloud.events(since)
        self.assertTrue(entries and all(e["held"] for e in entries))
        [task] = self.driver.tasks("prod", name)
        self.assertEqual(task["lastStatus"], "RUNNING")

    def test_standalone_tasks_exit(self) -> None:
        self.driver.ecs.register_task_definition(**{**_DEFINITION, "family": "nightly"})
        [task] = self.driver.ecs.run_task(cluster="prod", taskDefinition="nightly")["tasks"]
        self.assertEqual((task["lastStatus"], task["group"]), ("PROVISIONING", "family:nightly"))
        self.driver.settle()
        self.driver.exit_task(task["taskArn"], 3)
        self.driver.settle()
        [ended] = self.driver.ecs.describe_tasks(cluster="prod", tasks=[task["taskArn"]])["tasks"]
        self.assertEqual((ended["lastStatus"], ended["stopCode"]), ("STOPPED", "EssentialContainerExited"))
        self.assertEqual(ended["containers"][0]["exitCode"], 3)

    def test_registering_a_task_definition_is_lossless(self) -> None:
        given = {
            **_DEFINITION, "family": "lossless", "enableFaultInjection": True,
            "fieldOfTheFuture": {"deep": [1, {"x": None}]},
            "volumes": [{"name": "data", "fieldOfTheFuture": True}],
        }
        register_raw(self.cloud, given)
        stored = raw_ecs(
            self.cloud, "DescribeTaskDefinition", {"taskDefinition": "lossless"})["taskDefinition"]
        for key, value in given.items():
            if key != "containerDefinitions":
                self.assertEqual(stored[key], value, key)
        for invented in ("pidMode", "taskRoleArn", "proxyConfiguration"):
            self.assertNotIn(invented, stored)

    def test_a_push_tells_the_digest_and_moves_the_tag(self) -> None:
        first = self.driver.push_image("shop/web", "1.0.0", "a")
        second = self.driver.push_image("shop/web", "1.0.0", "b")
        self.assertNotEqual(first, second)
        event = self.seen("ECR Image Action")[-1]
        self.assertEqual(event["detail"], {
            "result": "SUCCESS", "repository-name": "shop/web", "image-digest": second,
            "action-type": "PUSH", "image-tag": "1.0.0"})
        self.assertEqual(event["resources"], [])
        with self.assertRaisesRegex(ClientError, "ImageAlreadyExists"):
            self.driver.push_image("shop/web", "1.0.0", "b")

    def test_a_tag_moves_to_an_image_that_is_there(self) -> None:
        first = self.driver.push_image("shop/web", "3.0.0", "d")
        self.driver.push_image("shop/web", "stable", "e")
        self.assertEqual(self.driver.tag_image("shop/web", "3.0.0", "stable"), first)
        event = self.seen("ECR Image Action")[-1]["detail"]
        self.assertEqual((event["image-tag"], event["image-digest"]), ("stable", first))
        self.assertEqual(self.driver.tag_image("shop/web", "stable", "4.0.0"), first)
        with self.assertRaises(LookupError):
            self.driver.tag_image("shop/web", "nothing", "stable")

    def test_an_alarm_tells_the_same_as_describe(self) -> None:
        self.driver.cloudwatch.put_metric_alarm(
            AlarmName="busy", Namespace="Shop", MetricName="Requests", Statistic="Average",
            Dimensions=[{"Name": "Service", "Value": "web"}], Period=60, EvaluationPeriods=1,
            Threshold=500, ComparisonOperator="GreaterThanThreshold")
        since = len(self.cloud.events())
        for state, value in (("ALARM", 1000.0), ("ALARM", 1200.0), ("OK", 10.0)):
            self.driver.alarm("busy", state, [value])
        alarm, okay = self.seen("CloudWatch Alarm State Change", since)
        self.assertEqual(okay["detail"]["previousState"], alarm["detail"]["state"])
        self.assertEqual(alarm["detail"]["previousState"]["value"], "INSUFFICIENT_DATA")
        self.assertEqual(json.loads(alarm["detail"]["state"]["reasonData"])["recentDatapoints"], [1000.0])
        described = self.driver.describe_alarm("busy")
        self.assertEqual(described["StateReasonData"], okay["detail"]["state"]["reasonData"])
        stamp = described["StateUpdatedTimestamp"].astimezone(tz=None).timestamp()
        text = okay["detail"]["state"]["timestamp"]
        self.assertRegex(text, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$")
        self.assertAlmostEqual(stamp, _epoch(text), places=3)

    def test_refusals_of_ecs(self) -> None:
        for call in (
            lambda: self.driver.ecs.list_tasks(cluster="nowhere"),
            lambda: self.driver.ecs.describe_services(cluster="prod", services=["s"] * 11),
            lambda: self.driver.ecs.describe_tasks(cluster="prod", tasks=["t"] * 101),
        ):
            with self.assertRaises(ClientError):
                call()


class EndTest(unittest.TestCase):
    """Nothing stays behind."""

    def test_stop_ends_the_process_and_removes_its_folder(self) -> None:
        cloud = LocalCloud()
        cloud.start()
        home, pid = cloud.home, cloud.door("GET", "ready")["pid"]
        cloud.stop()
        self.assertFalse(os.path.exists(home))
        with self.assertRaises(ProcessLookupError):
            os.killpg(pid, 0)

    def test_a_dead_parent_ends_the_cloud(self) -> None:
        program = (
            f"import os; from {PACKAGE}.cloud import LocalCloud; cloud = LocalCloud(); cloud.start();"
            "print(cloud.door('GET', 'ready')['pid'], cloud.home, flush=True); os._exit(1)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "PYTHONPATH": str(IMPORT_ROOT)})
        pid, home = re.match(r"(\d+) (\S+)", ended.stdout).groups()  # type: ignore[union-attr]
        watcher = LocalCloud()
        watcher.wait("the orphan to end", lambda: not _alive(int(pid)) and not os.path.exists(home))


def _alive(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
        return True
    except ProcessLookupError:
        return False


def _detail(attachment: Dict[str, Any], name: str) -> str:
    return next(d["value"] for d in attachment["details"] if d["name"] == name)


def _epoch(text: str) -> float:
    import datetime

    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


if __name__ == "__main__":
    unittest.main()
