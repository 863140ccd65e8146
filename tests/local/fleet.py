"""The account of `make delivery`: what is in it, its configuration, and what is asked of it."""
from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, replace
from typing import Any, Dict, List

from . import frame
from .bus import Bus
from .cloud import LocalCloud
from .console import Console
from .ecs import image

MANY = [f"prod/many-{number:02}" for number in range(50)]
WAVED = [f"prod/wave-{number}" for number in range(10)]
FAMILY = "nightly"
QUEUE = "rollouts-told"
# A function may go by the configuration of 30 seconds ago.
_CACHED_FOR = 31.0
_SERVICES = ["prod/plain", "prod/fails", "staging/web", "prod/web", "prod/frozen", *MANY, *WAVED]


@dataclass(frozen=True)
class Settings:
    """What of the configuration changes while it is played: what a clock is to let through comes when it is asked for."""

    # Whether a window that began ten minutes ago keeps prod/frozen as it is.
    frozen: bool = True
    bake: str = "2h"
    timeout: str = "2h"


def repository_of(target: str) -> str:
    """The repository from which a target takes its images."""
    return f"shop/{target.split('/')[1].split('-')[0]}"


def short(digest: str) -> str:
    """As images are named: with the first 12 digits of the digest."""
    return digest[:len("sha256:") + 12]


def document(settings: Settings) -> str:
    """The configuration."""
    begun = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
    window = f"windows: {{ freeze: [ {{ cron: '{begun.minute} {begun.hour} * * *', for: 3h }} ] }}"
    bake, rollback = f"bake: {settings.bake}", f"rollback: {{ timeout: {settings.timeout} }}"
    more = {
        "prod/fails": [rollback],
        "prod/web": ["after: staging/web", bake, "approval: required"],
        "prod/frozen": [window] if settings.frozen else [],
        **{target: ["waves: 10%, 50%, 100%", bake, rollback] for target in WAVED},
    }
    lines = ["version: 1", "services:"]
    for target in _SERVICES:
        lines += _rule(target, more.get(target, []))
    return "\n".join([*lines, "tasks:", *_rule(f"prod/{FAMILY}", [])]) + "\n"


def _rule(target: str, more: List[str]) -> List[str]:
    return [f"  {target}:", "    delivery:", f"      - repository: {repository_of(target)}",
            '        tags: { semver: ">=1" }', *(f"        {line}" for line in more)]


class Fleet(frame.Play):
    """The account, and what is asked of it."""

    account = f"{len(_SERVICES)} services"
    domain = "DeliveryFunction"

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        super().__init__(cloud, console)
        self._bus = Bus(cloud, QUEUE)
        self._settings = Settings()
        self._set_at = 0.0

    def create(self) -> None:
        """Services that run what no rule wants, a family, and a queue that hears of rollouts."""
        for cluster in ("prod", "staging"):
            self.driver.create_cluster(cluster)
        for repository in sorted({repository_of(f"prod/{FAMILY}"), *map(repository_of, _SERVICES)}):
            self.driver.ecr.create_repository(repositoryName=repository)
            self.driver.push_image(repository, "0.9.0")
        for target in _SERVICES:
            cluster, name = target.split("/")
            self.driver.create_service(cluster, name, _definition(target), desired=1)
        self.driver.ecs.register_task_definition(**_definition(f"prod/{FAMILY}"))
        self._bus.listen()
        self.driver.settle()

    def configure(self) -> None:
        """Nothing goes on by the clock alone."""
        self.set()

    def set(self, **changes: Any) -> None:
        """Store the configuration with other settings."""
        self._settings = replace(self._settings, **changes)
        self.apply(document(self._settings), "--no-sync")
        self._set_at = time.monotonic()

    def until_set(self) -> None:
        """Wait until no function goes by the configuration before."""
        frame.wait(self.cloud, "the configuration to reach every function",
                   lambda: time.monotonic() > self._set_at + _CACHED_FOR, 2 * _CACHED_FOR, every=0.5)

    def push(self, target: str, tag: str) -> str:
        """Push an image for a target, and wait until it was heard; answers its digest."""
        digest = self.driver.push_image(repository_of(target), tag)
        self.deliver()
        return digest

    def look(self, *targets: str) -> None:
        """Have the function look at these, by the configuration as it is now, and ECS after it."""
        for target in targets:
            self.ask({"target": target})
        self.roll()

    def minutes(self) -> None:
        """The pass of a minute, and ECS after it."""
        self.minute()
        self.roll()

    def sweep(self) -> None:
        """What the schedule of every five minutes does, and ECS after it."""
        super().sweep()
        self.roll()

    def break_tasks(self, target: str) -> None:
        """The tasks of the revision that the service is on end before they run."""
        self.driver.step()
        broken = self.service(target)["taskDefinition"]
        for task in self.driver.tasks(*target.split("/")):
            if task["taskDefinitionArn"] == broken:
                self.driver.exit_task(task["taskArn"])

    def image(self, target: str) -> str:
        """What the service is to run: the part behind the repository."""
        definition = self.driver.definition(self.service(target)["taskDefinition"])
        return str(definition["containerDefinitions"][0]["image"]).removeprefix(image(repository_of(target), ""))

    def on(self, digest: str, targets: List[str]) -> List[str]:
        """Those of these services that are to run an image."""
        return [target for target in targets if self.image(target) == f"@{digest}"]

    def service(self, target: str) -> Dict[str, Any]:
        """What DescribeServices tells."""
        return self.driver.service(*target.split("/"))

    def revision(self, target: str) -> int:
        """The number of the revision that the service is on."""
        return int(self.service(target)["taskDefinition"].rsplit(":", 1)[-1])

    def status(self, target: str) -> Dict[str, Any]:
        """What `wharfinger status` tells of a target's delivery."""
        return self.stack.cli.json("status", target)["targets"][0]["delivery"]

    def waiting(self, target: str, digest: str) -> List[str]:
        """For what this image waits."""
        return _waits(self.status(target), digest)

    def all_waiting(self, digest: str) -> Dict[str, List[str]]:
        """The services of which `wharfinger status` tells that this image waits there, and for what."""
        rows = self.stack.cli.json("status")["targets"]
        found = {row["target"]: _waits(row["delivery"], digest) for row in rows if row.get("delivery")}
        return {target: codes for target, codes in found.items() if codes}

    def is_quarantined(self, target: str, digest: str) -> bool:
        """Whether an image is not rolled out again by itself."""
        return digest in [entry["digest"] for entry in self.status(target)["quarantine"]]

    def told(self, step: str, target: str, digest: str) -> bool:
        """Whether an event of this step came out of the queue."""
        return any(
            detail["target"] == target and any(short(digest) in name for name in detail["images"])
            for detail in self._bus.details(f"Rollout {step}"))

    def updated(self, since: int) -> List[str]:
        """The services for which the function has called UpdateService, as often as it has."""
        inputs = [call["input"] or {} for call in self.made("UpdateService", since)]
        return sorted(f"{i['cluster']}/{i['service']}" for i in inputs)


def _waits(delivery: Dict[str, Any], digest: str) -> List[str]:
    waiting = delivery["waiting"] or {"codes": [], "images": []}
    return waiting["codes"] if any(short(digest) in name for name in waiting["images"]) else []


def _definition(target: str) -> Dict[str, Any]:
    cluster, name = target.split("/")
    return {
        "family": name if cluster == "prod" else f"{name}-{cluster}",
        "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "app", "image": image(repository_of(target), ":0.9.0")}]}
