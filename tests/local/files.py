"""A service with a volume on EFS, and what is there of its access points."""
from __future__ import annotations

from typing import Any, Dict, List

from .cloud import LocalCloud
from .ecs import Driver, image

TARGET, VOLUME, REPOSITORY = "prod/files", "shared", "shop/files"


class Files:
    """The file system, the service, and its access points."""

    def __init__(self, cloud: LocalCloud, driver: Driver) -> None:
        self.driver = driver
        self.efs = cloud.client("efs")
        self.id, self.repository = "", REPOSITORY

    def create(self) -> None:
        """The file system, and the service that mounts all of it."""
        self.id = self.efs.create_file_system(CreationToken="files")["FileSystemId"]
        self.driver.ecr.create_repository(repositoryName=REPOSITORY)
        self.driver.push_image(REPOSITORY, "0.9.0")
        self.driver.create_service("prod", TARGET.split("/")[1], {
            "family": "files", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
            "memory": "512",
            "volumes": [{"name": VOLUME, "efsVolumeConfiguration": {
                "fileSystemId": self.id, "rootDirectory": "/all", "transitEncryptionPort": 2999,
                "authorizationConfig": {"iam": "ENABLED"}}}],
            "containerDefinitions": [{
                "name": "app", "image": image(REPOSITORY, ":0.9.0"),
                "mountPoints": [{"sourceVolume": VOLUME, "containerPath": "/data"}]}]}, 1)

    def entry(self, path: str) -> str:
        """What is configured."""
        return f"""\
  {TARGET}:
    storage:
      - volume: {VOLUME}
        access-point: {{ file-system: {self.id}, path: {path}, uid: 1000, gid: 1001, permissions: "0750" }}
    delivery: [ {{ repository: {REPOSITORY}, tags: {{ semver: ">=1" }} }} ]
"""

    def points(self) -> List[Dict[str, Any]]:
        """The access points that there are."""
        return list(self.efs.describe_access_points(FileSystemId=self.id)["AccessPoints"])

    def ids(self) -> List[str]:
        """Their ids."""
        return [point["AccessPointId"] for point in self.points()]

    def mounted(self) -> Dict[str, Any]:
        """How the revision to which the service was sent has the volume."""
        service = self.driver.service(*TARGET.split("/"))
        described = self.driver.ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
        [volume] = described["taskDefinition"]["volumes"]
        return dict(volume["efsVolumeConfiguration"])
