"""Drives ECS, ECR and CloudWatch of the local cloud: what happens by itself on AWS happens here
when a test says so, one step at a time and never by the clock.
"""
from __future__ import annotations

import hashlib
import json
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from . import documents
from .cloud import ACCOUNT, REGION, LocalCloud

REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
_MOST_STEPS = 200


class Driver:
    """The hand that moves tasks, pushes images and trips alarms."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.ecs = cloud.client("ecs")
        self.ecr = cloud.client("ecr")
        self.cloudwatch = cloud.client("cloudwatch")

    def step(self) -> int:
        """One turn of the service scheduler and one state for every moving task; 0 when all rest.

        A new task passes PROVISIONING, PENDING, ACTIVATING, RUNNING; one that leaves passes
        DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED; each step emits the events of its changes.
        """
        return int(self.cloud.door("POST", "ecs/step")["changes"])

    def settle(self, after_step: Optional[Callable[[], None]] = None) -> int:
        """Step until nothing moves; `after_step` runs between. Answers the number of steps."""
        for count in range(_MOST_STEPS):
            changes = self.step()
            if after_step:
                after_step()
            if not changes:
                return count
        raise RuntimeError(f"ECS does not come to rest in {_MOST_STEPS} steps")

    def exit_task(self, task_arn: str, exit_code: int = 1) -> None:
        """The essential container of a task ends by itself."""
        self.cloud.door("POST", "ecs/exit", {"task": task_arn, "exitCode": exit_code})

    def create_cluster(self, name: str) -> None:
        """An empty cluster."""
        self.ecs.create_cluster(clusterName=name)

    def create_service(
        self, cluster: str, name: str, definition: Dict[str, Any], desired: int, **more: Any
    ) -> str:
        """Register `definition` and create a service that runs it, on Fargate unless told; answers its ARN."""
        registered = self.ecs.register_task_definition(**definition)["taskDefinition"]
        return self.run_service(cluster, name, registered["taskDefinitionArn"], desired, **more)

    def run_service(
        self, cluster: str, name: str, task_definition: str, desired: int, launch_type: str = "FARGATE",
        **more: Any
    ) -> str:
        """Create a service in two subnets, on Fargate unless told; answers its ARN."""
        if "capacityProviderStrategy" not in more:
            more["launchType"] = launch_type
        service = self.ecs.create_service(
            cluster=cluster, serviceName=name, desiredCount=desired, taskDefinition=task_definition,
            networkConfiguration={"awsvpcConfiguration": {
                "subnets": ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"]}},
            **more,
        )["service"]
        return str(service["serviceArn"])

    def service(self, cluster: str, name: str) -> Dict[str, Any]:
        """What DescribeServices tells."""
        answer = self.ecs.describe_services(cluster=cluster, services=[name])
        return answer["services"][0]

    def definition(self, reference: str) -> Dict[str, Any]:
        """What DescribeTaskDefinition tells."""
        return self.ecs.describe_task_definition(taskDefinition=reference)["taskDefinition"]

    def tasks(self, cluster: str, service: str, desired: str = "RUNNING") -> List[Dict[str, Any]]:
        """The tasks of a service with this desired status, as DescribeTasks tells them."""
        arns = self.ecs.list_tasks(
            cluster=cluster, serviceName=service, desiredStatus=desired)["taskArns"]
        if not arns:
            return []
        return self.ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]

    def push_image(self, repository: str, tag: str, content: str = "") -> str:
        """Push an image whose manifest depends on `content` (or the tag); answers its digest."""
        return self._put_image(repository, tag, _manifest(repository, content or tag))

    def tag_image(self, repository: str, tag: str, other: str) -> str:
        """Let another tag name the image of `tag`, wherever it was before; answers its digest."""
        found = self.ecr.batch_get_image(
            repositoryName=repository, imageIds=[{"imageTag": tag}])["images"]
        if not found:
            raise LookupError(f"{repository} has no image with the tag {tag}")
        return self._put_image(repository, other, found[0]["imageManifest"])

    def _put_image(self, repository: str, tag: str, manifest: str) -> str:
        image = self.ecr.put_image(
            repositoryName=repository, imageTag=tag, imageManifest=manifest,
            imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
        )["image"]
        digest = str(image["imageId"]["imageDigest"])
        expected = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        if digest != expected:
            raise RuntimeError(f"ECR answered {digest} for a manifest with {expected}")
        return digest

    def alarm(self, name: str, state: str, datapoints: Sequence[float], reason: str = "") -> None:
        """Put a metric alarm into a state, as if CloudWatch had seen these datapoints."""
        alarm = self.describe_alarm(name)
        self.cloudwatch.set_alarm_state(
            AlarmName=name, StateValue=state,
            StateReason=reason or _reason(alarm, state, datapoints),
            StateReasonData=documents.reason_data(alarm, datapoints, time.time()),
        )

    def describe_alarm(self, name: str) -> Dict[str, Any]:
        """What DescribeAlarms tells about a metric alarm."""
        found = self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        if not found:
            raise LookupError(f"no alarm {name}")
        return found[0]


def image(repository: str, reference: str) -> str:
    """The image of this account's registry: `reference` is `:tag` or `@digest`."""
    return f"{REGISTRY}/{repository}{reference}"


def _manifest(repository: str, content: str) -> str:
    layer = hashlib.sha256(f"{repository}:{content}".encode()).hexdigest()
    return json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
            "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 32,
            "digest": f"sha256:{layer}",
        }],
    })


def _reason(alarm: Dict[str, Any], state: str, datapoints: Sequence[float]) -> str:
    values = ", ".join(str(float(v)) for v in datapoints)
    verb = "was" if state == "ALARM" else "was not"
    words = {
        "GreaterThanThreshold": "greater than",
        "GreaterThanOrEqualToThreshold": "greater than or equal to",
        "LessThanThreshold": "less than",
        "LessThanOrEqualToThreshold": "less than or equal to",
    }
    comparison = words.get(alarm["ComparisonOperator"], alarm["ComparisonOperator"])
    count = len(datapoints)
    return (
        f"Threshold Crossed: {count} out of the last {count} datapoints [{values}] {verb} "
        f"{comparison} the threshold ({float(alarm['Threshold'])})."
    )
