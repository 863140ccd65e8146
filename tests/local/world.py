"""The account around `examples/shop.yaml`: a cluster, services, repositories, registries, alarms."""
from __future__ import annotations

import json
import urllib.request
from typing import Any, Dict, List

from .cloud import ACCOUNT, LocalCloud, open_url
from .ecs import Driver, image

CLUSTER = "prod"
NAMESPACE = "shop.local"
REGISTRIES = ("web", "api", "reports")
# A field that no released SDK knows: what rewrites a task definition must not lose it.
FUTURE_FIELD = {"enabledSince": 2031, "modes": ["a", "b"]}
# What RegisterTaskDefinition computes: it differs between revisions.
COMPUTED = (
    "taskDefinitionArn", "revision", "status", "registeredAt", "registeredBy",
    "compatibilities", "requiresAttributes",
)

_EXECUTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop-execution"
_ALARMS: List[Dict[str, Any]] = [
    {"AlarmName": "web-requests", "MetricName": "RequestsPerTask", "Threshold": 500.0,
     "ComparisonOperator": "GreaterThanThreshold"},
    {"AlarmName": "web-idle", "MetricName": "RequestsPerTask", "Threshold": 50.0,
     "ComparisonOperator": "LessThanThreshold"},
    {"AlarmName": "api-slow", "MetricName": "ResponseTime", "Threshold": 300.0,
     "ComparisonOperator": "GreaterThanThreshold"},
]


class World:
    """Makes the shop, and looks at it."""

    def __init__(self, cloud: LocalCloud, driver: Driver) -> None:
        self._cloud = cloud
        self.driver = driver
        self._discovery = cloud.client("servicediscovery")
        self._registries: Dict[str, str] = {}

    def create(self) -> None:
        """Everything that a team has before it installs Wharfinger; no task runs yet."""
        self.driver.create_cluster(CLUSTER)
        self._create_role()
        self._create_registries()
        for alarm in _ALARMS:
            self.driver.cloudwatch.put_metric_alarm(
                Namespace="Shop", Statistic="Average", Period=60, EvaluationPeriods=1,
                Dimensions=[{"Name": "Service", "Value": alarm["AlarmName"].split("-")[0]}],
                **alarm)
        self.driver.alarm("web-idle", "OK", [320.0])
        self.driver.alarm("api-slow", "OK", [120.0])
        self._create_service("web", "shop/web", "1.2.0", 8080, desired=2)
        self._create_service("api", "shop/api", "release-7", 9090, desired=1)
        self.driver.ecr.create_repository(repositoryName="shop/reports")
        self.driver.push_image("shop/reports", "latest")
        self.driver.ecs.register_task_definition(
            **_definition("nightly-report", "shop/reports", "latest", 7070))

    def endpoints(self, registry: str) -> Dict[str, Dict[str, str]]:
        """The instances of a Cloud Map service: attributes by instance id."""
        answer = self._discovery.list_instances(ServiceId=self._registries[registry])
        return {i["Id"]: i.get("Attributes", {}) for i in answer["Instances"]}

    def addresses(self, registry: str) -> List[str]:
        """`address:port` of each endpoint, sorted."""
        return sorted(
            f"{a.get('AWS_INSTANCE_IPV4')}:{a.get('AWS_INSTANCE_PORT')}"
            for a in self.endpoints(registry).values())

    def serving(self, service: str, port: int) -> List[str]:
        """`address:port` of each task that runs and is wanted, sorted: what should be found."""
        return sorted(
            f"{address_of(t)}:{port}" for t in self.driver.tasks(CLUSTER, service)
            if t["lastStatus"] == "RUNNING")

    def picture(self) -> Dict[str, Any]:
        """All that Wharfinger may change, to be compared."""
        services = {}
        for name in ("web", "api"):
            service = self.driver.service(CLUSTER, name)
            services[name] = {
                "desired": service["desiredCount"],
                "definition": service["taskDefinition"].rsplit("/", 1)[-1],
                "deployments": len(service["deployments"]),
            }
        return {
            "services": services,
            "endpoints": {r: self.endpoints(r) for r in REGISTRIES},
            "revisions": len(self.driver.ecs.list_task_definitions()["taskDefinitionArns"]),
        }

    def _create_role(self) -> None:
        self._cloud.client("iam").create_role(
            RoleName="shop-execution", AssumeRolePolicyDocument=json.dumps({
                "Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow", "Action": "sts:AssumeRole",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}))

    def _create_registries(self) -> None:
        operation = self._discovery.create_private_dns_namespace(
            Name=NAMESPACE, Vpc="vpc-0a1b2c3d")["OperationId"]
        found = self._discovery.get_operation(OperationId=operation)["Operation"]
        namespace = found["Targets"]["NAMESPACE"]
        for name in REGISTRIES:
            self._registries[name] = self._discovery.create_service(
                Name=name, NamespaceId=namespace,
                DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 10}]})["Service"]["Id"]

    def _create_service(
        self, name: str, repository: str, tag: str, port: int, desired: int
    ) -> None:
        self.driver.ecr.create_repository(repositoryName=repository)
        self.driver.push_image(repository, tag)
        definition = _definition(name, repository, tag, port)
        definition["fieldOfTheFuture"] = FUTURE_FIELD
        register_raw(self._cloud, definition)
        self.driver.run_service(CLUSTER, name, f"{name}:1", desired)


def _definition(family: str, repository: str, tag: str, port: int) -> Dict[str, Any]:
    return {
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "cpu": "256", "memory": "512", "executionRoleArn": _EXECUTION_ROLE,
        "containerDefinitions": [{
            "name": family.split("-")[0], "image": image(repository, f":{tag}"),
            "portMappings": [{"containerPort": port}],
            "environment": [{"name": "STAGE", "value": "prod"}],
        }],
        "tags": [{"key": "team", "value": "shop"}],
    }


def address_of(task: Dict[str, Any]) -> str:
    """The private address of a task's network interface."""
    details = {d["name"]: d["value"] for a in task["attachments"] for d in a["details"]}
    return details.get("privateIPv4Address", "")


def task_id(task: Dict[str, Any]) -> str:
    """The last part of a task's ARN."""
    return task["taskArn"].rsplit("/", 1)[-1]


def register_raw(cloud: LocalCloud, definition: Dict[str, Any]) -> Dict[str, Any]:
    """RegisterTaskDefinition of a document that the SDK would trim to the fields it knows."""
    return raw_ecs(cloud, "RegisterTaskDefinition", definition)["taskDefinition"]


def raw_ecs(cloud: LocalCloud, operation: str, request: Dict[str, Any]) -> Dict[str, Any]:
    """An ECS call whose answer is not trimmed either."""
    scope = "test/20260101/eu-west-1/ecs/aws4_request"
    message = urllib.request.Request(cloud.endpoint, json.dumps(request).encode(), headers={
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    })
    with open_url(message) as answer:
        return json.loads(answer.read())
