"""The process that the launcher starts: ministack with its mends, behind the recorder and the door.

Started by `cloud.LocalCloud`, never by hand: the environment it needs is set there.
"""
from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
from typing import Callable

from . import pins


def main() -> int:
    """Run until killed, until stdin closes (`--parent`), or until `--lifetime` seconds are over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", action="store_true", help="end when stdin closes")
    parser.add_argument("--lifetime", type=float, default=0, help="end after so many seconds")
    parser.add_argument("--retry-seconds", type=float, default=0.5)
    parser.add_argument("--home", required=True, help="working folder, removed at the end")
    options = parser.parse_args()
    if options.parent:
        threading.Thread(target=_watch_parent, args=(options.home,), daemon=True).start()
    if options.lifetime:
        timer = threading.Timer(options.lifetime, _end, args=(options.home,))
        timer.daemon = True
        timer.start()
    try:
        pins.check()
    except pins.Incompatible as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 3
    _serve(options)
    return 0


def _serve(options: argparse.Namespace) -> None:
    import ministack.app

    from . import iam
    from .door import Door
    from .faults import Faults
    from .groups import Groups
    from .hosts import Hosts
    from .lambdas import Lambdas
    from .lifecycle import Lifecycle
    from .mends import install
    from .publisher import Publisher
    from .recorder import Recorder
    from .scheduler import Scheduler
    from .snapshots import Snapshots

    account, region = os.environ["MINISTACK_ACCOUNT_ID"], os.environ["MINISTACK_REGION"]
    lambdas = Lambdas(options.retry_seconds)
    publisher = Publisher(lambdas, account, region)
    life = Lifecycle(publisher.emit, account, region)
    hosts = Hosts(life, publisher.emit)
    groups = Groups(life, hosts, publisher.emit)
    snapshots = Snapshots(life, publisher.emit)
    scheduler = Scheduler(life, hosts, groups, publisher.emit)
    faults = Faults()
    about = {
        "ministack": pins.VERSION, "account": account, "region": region, "pid": os.getpid(),
    }
    door = Door(
        about, publisher, lambdas, faults, life, scheduler, hosts, groups, snapshots,
        start_clocks=_take_clocks(), stop=lambda: _end(options.home))
    recorder = Recorder(ministack.app.app, door, faults)
    door.recorder = recorder
    lambdas.install()
    install(life, hosts, publisher.emit)
    hosts.install()
    groups.install()
    snapshots.install()
    iam.install()
    ministack.app.app = recorder
    sys.argv = sys.argv[:1]
    ministack.app.main()


def _take_clocks() -> Callable[[], None]:
    """Keep schedules from firing by the clock, and answer what starts that after all.

    A test fires schedules itself; one that fires by the clock would come between.
    """
    from ministack.services import eventbridge, scheduler

    starters = (eventbridge.start_scheduler, scheduler.start_scheduler)
    eventbridge.start_scheduler = scheduler.start_scheduler = lambda: None

    def start() -> None:
        for starter in starters:
            starter()

    return start


def _watch_parent(home: str) -> None:
    # Not through sys.stdin: its lock, held by this thread, would abort a normal exit.
    while os.read(0, 1024):
        pass
    _end(home)


def _end(home: str) -> None:
    """Leave nothing behind: not the folder, not this process, not one function's process."""
    shutil.rmtree(home, ignore_errors=True)
    # The launcher made this process the leader of its own group, and functions inherit it.
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
