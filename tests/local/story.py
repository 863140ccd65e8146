"""`make demo`: the real stack on the local cloud, and a story that must come true.

Exit code 0 when every step came true, 1 when one did not, 2 when it could not be set up.
"""
from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

from . import acts, deploy
from .cloud import PACKAGE, CloudError, LocalCloud, credentials
from .console import Console, Progress
from .ecs import Driver
from .frame import StepFailed, set_up
from .stage import Stage
from .timeline import Timeline, failure
from .world import CLUSTER, World

_EXAMPLE = "examples/shop.yaml"
_KEPT_HOURS = 4
_SUGGESTIONS = {
    "Ask Wharfinger:": [
        "wharfinger history prod/web",
        "wharfinger diff examples/shop.yaml",
    ],
    "Watch what it decides, in a second shell with the same lines:": [
        "play watch",
    ],
    "Give it something to do. After a change the count rests for a minute, and older readings do not count:": [
        "play alarm web-requests 900",
        "play scale prod/api 3",
        "play fail prod/web",
    ],
    "Deliver an image, see it go, and take it back. What was taken back goes out again when you agree to it:": [
        "wharfinger tags examples/shop.yaml prod/web 1.3.0 1.4.0 2.0.0 latest",
        "play push shop/web 1.4.0",
        "wharfinger status prod/web",
        "wharfinger rollback prod/web",
        "wharfinger approve prod/web",
    ],
}


def main() -> int:
    """Play the story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", default=bool(os.environ.get("KEEP")),
                        help="leave the cloud up at the end (or KEEP=1)")
    parser.add_argument("--template", type=Path, help="a built template, instead of building it")
    parser.add_argument("--cli", type=Path, help="the wharfinger command, instead of building it")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    console = Console()
    lifetime = _KEPT_HOURS * 3600 if options.keep else 0
    cloud = LocalCloud(keep=options.keep, lifetime=lifetime, iam=True)
    try:
        executable = _play(console, cloud, options)
        if options.keep:
            _keep(console, cloud, executable)
        return 0
    except StepFailed as failure:
        console.line()
        console.failed(f"The story did not come true: {failure}")
        _show_errors(console, cloud)
        return 1
    except (CloudError, deploy.CommandFailed, OSError) as problem:
        console.line()
        console.failed(str(problem))
        return 2
    except KeyboardInterrupt:
        console.temporary("")
        console.line("interrupted: cleaning up")
        return 130
    finally:
        cloud.stop()


def _play(console: Console, cloud: LocalCloud, options: argparse.Namespace) -> Path:
    console.heading("Wharfinger on a local cloud")
    console.prose("ministack plays AWS on loopback: no Docker, no account, no network. The functions, "
                  "the template, sam deploy and the command line tool are the real ones, and each function "
                  "has the rights of its role and no other.")
    console.line()
    if not options.template:
        deploy.build_functions(console)
    executable = options.cli or deploy.build_cli(console)
    stage = _set_up(console, cloud, options.template or deploy.BUILT, executable)
    stage.timeline.begin = time.time()
    for act in (acts.tasks_start, acts.image_is_pushed, acts.alarm_doubles,
                acts.events_misbehave, acts.events_get_lost, acts.aws_stumbles):
        act(stage)
    _finish(stage)
    return executable


def _set_up(console: Console, cloud: LocalCloud, template: Path, executable: Path) -> Stage:
    def create() -> World:
        world = World(cloud, Driver(cloud))
        world.create()
        return world

    world, stack = set_up(console, cloud, "a shop", create, executable, template)
    cli = stack.cli
    with Progress(console, f"wharfinger check, diff and apply {_EXAMPLE}") as progress:
        cli("check", _EXAMPLE)
        cli("diff", _EXAMPLE, expect=1)
        cli("apply", _EXAMPLE)
        cli("diff", _EXAMPLE)
    timeline = Timeline(cloud, console)
    return Stage(
        console, cloud, world.driver, world, timeline, cli, stack.functions, stack.outputs)


def _finish(stage: Stage) -> None:
    console, cloud = stage.console, stage.cloud
    console.heading("The state of the world")
    console.line()
    for name, port in (("web", 8080), ("api", 9090)):
        service = stage.driver.service(CLUSTER, name)
        definition = stage.driver.definition(service["taskDefinition"])
        console.line(f"   prod/{name}: {service['runningCount']} of {service['desiredCount']} tasks "
                     f"run revision {definition['revision']}")
        console.line("     " + console.style(definition["containerDefinitions"][0]["image"], "dim"))
        console.line("     " + console.style(" ".join(stage.world.addresses(name)), "dim"))
    queues = cloud.client("sqs")
    waiting = [_length(queues, url) for url in queues.list_queues().get("QueueUrls", [])]
    invocations = cloud.invocations()
    names = set(stage.functions.values())
    calls = [c for c in cloud.calls() if c["caller"] in names]
    console.line()
    console.line(f"   {len(cloud.events())} events, {len(invocations)} invocations, "
                 f"{len(calls)} AWS calls by the functions; {sum(waiting)} dead letters")
    console.line("   from an event's arrival to its effect, where nothing was made to fail:")
    for line in stage.timeline.latencies():
        console.line(f"     {line}")
    if sum(waiting):
        raise StepFailed("the dead-letter queue is not empty")
    console.line()
    console.done("Every step came true.", f"{time.time() - stage.timeline.begin:.1f} s of story")


def _length(queues: Any, url: str) -> int:
    attributes = queues.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def _keep(console: Console, cloud: LocalCloud, executable: Path) -> None:
    Driver(cloud).alarm("web-requests", "OK", [480.0])
    cloud.door("POST", "schedules")
    cloud.door("POST", "ecs/auto", {"every": 1.0})
    variables = {**credentials(), **cloud.exports()}
    console.heading("The cloud stays up")
    console.prose("ECS moves one step a second now, and the schedules fire by the clock. Paste this "
                  "into a shell in the repository:")
    console.line()
    for name, value in variables.items():
        console.line(f"   export {name}={shlex.quote(value)}")
    console.line(f"   wharfinger() {{ {shlex.quote(str(executable))} \"$@\"; }}")
    console.line(f"   play() {{ {shlex.quote(sys.executable)} -m {PACKAGE}.play \"$@\"; }}")
    for title, commands in _SUGGESTIONS.items():
        console.line()
        console.prose(title)
        for command in commands:
            console.line(f"   {command}")
    console.line()
    console.prose(f"It ends after {_KEPT_HOURS} hours, or with:")
    console.line("   play stop")
    cloud.leave()


def _show_errors(console: Console, cloud: LocalCloud) -> None:
    """What the functions said when they failed, as far as the cloud still answers."""
    try:
        broken = [i for i in cloud.invocations() if i["error"]]
    except (CloudError, OSError):
        return
    told = set()
    for invocation in reversed(broken):
        text = f"{invocation['function']} on {invocation['detail_type']}: {failure(invocation)}"
        if text not in told:
            told.add(text)
            console.line("   " + text)
            for line in invocation["log"][-12:]:
                console.line("     " + line[:400])


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
