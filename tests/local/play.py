"""A hand in a local cloud that was left up: push and tag images, trip alarms, scale, fail tasks, watch."""
from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Tuple

from botocore.exceptions import BotoCoreError, ClientError

from .cloud import CloudError, LocalCloud
from .console import Console
from .deploy import functions_of
from .ecs import Driver
from .timeline import Timeline


def main() -> int:
    """Exit code 0, or 2 when the cloud cannot do it."""
    parser = argparse.ArgumentParser(prog="play", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    push = commands.add_parser("push", help="push a new image")
    push.add_argument("repository", help="such as shop/web")
    push.add_argument("tag", help="such as 1.4.0")
    tag = commands.add_parser("tag", help="let another tag name an image that is there")
    tag.add_argument("repository", help="such as shop/web")
    tag.add_argument("tag", help="a tag that the image has, such as 1.3.0")
    tag.add_argument("other", help="the tag that moves to it, such as 1.4.0")
    alarm = commands.add_parser("alarm", help="let a metric alarm see a value")
    alarm.add_argument("name", help="such as web-requests, web-idle, api-slow")
    alarm.add_argument("value", type=float, help="the alarm compares it with its threshold")
    scale = commands.add_parser("scale", help="set a desired count by hand")
    scale.add_argument("service", help="cluster/service")
    scale.add_argument("count", type=_count)
    fail = commands.add_parser("fail", help="end a task of a service with exit code 1")
    fail.add_argument("service", help="cluster/service")
    commands.add_parser("watch", help="show what the functions decide, until Ctrl-C")
    commands.add_parser("stop", help="end the cloud")
    options = parser.parse_args()
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if not endpoint.startswith("http://127.0.0.1:"):
        print("AWS_ENDPOINT_URL is not that of a local cloud: see `make demo KEEP=1`", file=sys.stderr)
        return 2
    try:
        _do(options, LocalCloud.attach(endpoint))
    except (CloudError, LookupError, ClientError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except (BotoCoreError, OSError) as problem:
        print(f"error: no cloud runs at {endpoint}: `make demo KEEP=1` leaves one up ({problem})",
              file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError("a count is 0 or more")
    return count


def _target(text: str) -> Tuple[str, str]:
    cluster, _, service = text.partition("/")
    if not service:
        raise LookupError(f"`{text}` is not cluster/service, such as prod/web")
    return cluster, service


def _do(options: argparse.Namespace, cloud: LocalCloud) -> None:
    driver = Driver(cloud)
    if options.command == "push":
        print(driver.push_image(options.repository, options.tag, f"{options.tag} {time.time()}"))
    elif options.command == "tag":
        print(driver.tag_image(options.repository, options.tag, options.other))
    elif options.command == "alarm":
        described = driver.describe_alarm(options.name)
        above = options.value > described["Threshold"]
        beyond = above == described["ComparisonOperator"].startswith("GreaterThan")
        state = "ALARM" if beyond else "OK"
        driver.alarm(options.name, state, [options.value])
        print(state)
    elif options.command == "scale":
        cluster, service = _target(options.service)
        driver.ecs.update_service(cluster=cluster, service=service, desiredCount=options.count)
        print(f"{options.service} wants {options.count} tasks")
    elif options.command == "fail":
        tasks = driver.tasks(*_target(options.service))
        if not tasks:
            raise LookupError(f"no task of {options.service} is there")
        newest = max(tasks, key=lambda task: task["createdAt"])
        driver.exit_task(newest["taskArn"])
        print(f"{newest['taskArn']} of {newest['taskDefinitionArn'].rsplit('/', 1)[-1]} ends")
    elif options.command == "watch":
        _watch(cloud)
    else:
        cloud.door("POST", "stop")
        print("stopped; the variables that were pasted still point at it: close this shell, or unset them")


def _watch(cloud: LocalCloud) -> None:
    timeline = Timeline(cloud, Console())
    timeline.functions = list(functions_of(cloud).values())
    timeline.begin = time.time()
    mark = timeline.mark()
    while True:
        time.sleep(1)
        cloud.settle_deliveries()
        now = timeline.mark()
        timeline.show(mark, in_full=True)
        mark = now


if __name__ == "__main__":
    sys.exit(main())
