"""What every play stands on: the real stack on a local cloud, the passes of its schedules, and steps that must come true.

The story has its own stage around this; each other play is a `Play`.
"""
from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Callable, Dict, List, Tuple, Type, TypeVar

from . import deploy
from .cloud import CloudError, Deadline, LocalCloud
from .console import Console, Progress
from .ecs import Driver

# A play that comes true never waits that long, on whatever machine.
PATIENCE = 600.0
_LAST_INVOCATIONS = 8

T = TypeVar("T")


class StepFailed(Exception):
    """A step of a play did not come true."""


@dataclass
class Stack:
    """What was deployed."""

    cli: deploy.Cli
    # The names of the functions, by logical id.
    functions: Dict[str, str]
    outputs: Dict[str, str]


def set_up(
    console: Console, cloud: LocalCloud, account: str, create: Callable[[], T], executable: Path,
    template: Path = deploy.BUILT,
) -> Tuple[T, Stack]:
    """Start the cloud, make what is in its account, and deploy."""
    with Progress(console, f"ministack, with {account} in its account") as progress:
        cloud.start()
        progress.say(cloud.endpoint)
        created = create()
    outputs = deploy.deploy(console, cloud, template)
    return created, Stack(deploy.Cli(executable, cloud), deploy.functions_of(cloud), outputs)


def wait(
    cloud: LocalCloud, text: str, poll: Callable[[], T], timeout: float, every: float = 0.02
) -> Tuple[T, float]:
    """Poll until it is so; answers the answer and the seconds that it took."""
    started = time.monotonic()
    try:
        answer = cloud.wait(text, poll, timeout, every)
    except Deadline as late:
        within = f" within {timeout:g} s" if timeout else ""
        raise StepFailed(f"not so{within}: {text}") from late
    return answer, time.monotonic() - started


def no_tick() -> None:
    """The event alone does it."""


class Play:
    """One domain's play: what is in the account, and the steps."""

    title = ""
    account = ""
    # The logical id of the function whose schedules fire.
    domain = ""

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        self.cloud = cloud
        self.console = console
        self.driver = Driver(cloud)
        self.stack: Stack

    def create(self) -> None:
        """Make what is in the account before the stack is."""
        raise NotImplementedError

    def configure(self) -> None:
        """Store the first configuration."""
        raise NotImplementedError

    def steps(self) -> None:
        """What must come true."""
        raise NotImplementedError

    def numbers(self) -> str:
        """What is told at the end."""
        return f"{len(self.cloud.invocations())} invocations, {len(self.cloud.calls())} AWS calls"

    @property
    def function(self) -> str:
        """The name of the function whose schedules fire."""
        return self.stack.functions[self.domain]

    def apply(self, document: str, *options: str) -> None:
        """Store a configuration."""
        with TemporaryDirectory() as folder:
            file = Path(folder, "wharfinger.yaml")
            file.write_text(document, encoding="utf-8")
            self.stack.cli("apply", *options, str(file))

    def deliver(self) -> None:
        """Wait until every event under way has been dealt with."""
        self.cloud.settle_deliveries(timeout=PATIENCE)

    def roll(self) -> None:
        """ECS carries out what it was asked for, and tells of it."""
        self.driver.settle(self.deliver)

    def ask(self, detail: Dict[str, Any]) -> None:
        """A Scheduled Event with this `detail`, and wait for what the function answers."""
        event = {"version": "0", "id": "tick", "source": "aws.events", "detail-type": "Scheduled Event",
                 "resources": [], "detail": detail}
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.function, Payload=json.dumps(event).encode())
        if answer.get("FunctionError"):
            raise StepFailed(f"the pass over {detail} failed: {answer['Payload'].read().decode()}")

    def minute(self) -> None:
        """What the schedule of every minute does."""
        self.ask({"only": "active"})

    def sweep(self) -> None:
        """What the schedule of every five minutes does."""
        self.cloud.sweep(self.function)
        self.deliver()

    def tell(self, *events: Dict[str, Any]) -> None:
        """Publish events, and wait until they have been dealt with."""
        self.cloud.publish(*events)
        self.deliver()

    def must(
        self, text: str, so: Callable[[], bool], tick: Callable[[], None] = no_tick, timed: bool = True
    ) -> None:
        """Look and look again until it is so."""
        def poll() -> bool:
            if so():
                return True
            tick()
            return so()

        _, seconds = wait(self.cloud, text, poll, PATIENCE, every=0.5)
        self.console.done(text, f"{seconds:.1f} s" if timed else "")

    def now(self, text: str, so: bool, otherwise: str = "") -> None:
        """It is so already."""
        if not so:
            raise StepFailed(otherwise or f"not so: {text}")
        self.console.done(text)

    def made(self, operation: str, since: int = 0) -> List[Dict[str, Any]]:
        """The calls of an operation that the function made."""
        return [call for call in self.cloud.calls(since)
                if call["operation"] == operation and call["caller"] == self.function]

    def changes(self, since: int = 0) -> List[str]:
        """The calls with which the function has changed anything outside of its tables."""
        reads = ("Describe", "List", "Get", "Query", "BatchGet")
        return sorted(call["operation"] for call in self.cloud.calls(since)
                      if call["caller"] == self.function and call["service"] != "dynamodb"
                      and not call["operation"].startswith(reads))

    def said(self, target: str, code: str, part: str = "", domain: str = "") -> bool:
        """Whether `wharfinger history` has a reason of a domain with this code, and this part of its words.

        The domain is the play's own unless another is given.
        """
        domain = domain or self.domain.removesuffix("Function").lower()
        records = self.stack.cli.json("history", target, "--domain", domain, "-n", "500")["records"]
        reasons = [reason for record in records for reason in record["reasons"]]
        return any(reason["code"] == code and part in reason["message"] for reason in reasons)

    def explain(self, event: Dict[str, Any], *options: str) -> Dict[str, Any]:
        """What `wharfinger explain` says of an event, by the stored configuration."""
        with TemporaryDirectory() as folder:
            file = Path(folder, "event.json")
            file.write_text(json.dumps(event), encoding="utf-8")
            return dict(self.stack.cli.json("explain", *options, str(file)))

    def updates(self, cluster: str, service: str) -> int:
        """How many UpdateService calls the function made for a service."""
        inputs = [call["input"] or {} for call in self.made("UpdateService")]
        return sum((i.get("cluster"), i.get("service")) == (cluster, service) for i in inputs)


def run(kind: Type[Play]) -> int:
    """Play it: 0 when every step came true, 1 when one did not, 2 when it could not be set up."""
    console, started = Console(), time.monotonic()
    console.heading(kind.title)
    console.line()
    cloud = LocalCloud(iam=True)
    try:
        _play(kind, console, cloud)
        return 0
    except (StepFailed, Deadline) as failure:
        console.failed(str(failure))
        _show_invocations(console, cloud)
        return 1
    except (CloudError, deploy.CommandFailed, OSError, RuntimeError) as problem:
        console.failed(str(problem))
        return 2
    finally:
        cloud.stop()
        console.line(f"   {time.monotonic() - started:.0f} s in all")


def _play(kind: Type[Play], console: Console, cloud: LocalCloud) -> None:
    def create() -> Play:
        play = kind(cloud, console)
        play.create()
        return play

    deploy.build_functions(console)
    play, play.stack = set_up(console, cloud, kind.account, create, deploy.build_cli(console))
    play.configure()
    begun = time.monotonic()
    play.steps()
    console.line()
    console.done(play.numbers(), f"{time.monotonic() - begun:.1f} s")


def _show_invocations(console: Console, cloud: LocalCloud) -> None:
    """What the functions said last, as far as the cloud still answers."""
    try:
        last = cloud.invocations()[-_LAST_INVOCATIONS:]
    except (CloudError, OSError):
        return
    for invocation in last:
        console.line(f"   {invocation['detail_type']}: {invocation['error'] or 'done'}")
        for line in invocation["log"][-6:]:
            console.line("     " + line[:400])
