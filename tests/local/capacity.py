"""`make capacity`: instances go, their tasks leave first, and nobody waits for longer than it may.

A hook began a minute before its event, so that its first heartbeat is due; what waits for a clock waits for hours,
until the configuration says otherwise. Exit code 0 when every step came true.
"""
from __future__ import annotations

import sys
import time

from . import documents, frame
from .cloud import ACCOUNT, REGION
from .frame import StepFailed
from .instances import HOOK, ROOM, SPOT, TWIN, Instances


class Capacity(Instances):
    """The steps."""

    title = "Instances go, and their tasks leave first"

    def steps(self) -> None:
        """What must come true. What takes a minute by the clock begins first, and is looked at last."""
        silent = _falls_silent(self)
        stuck = _cannot_leave(self)
        _leaves(self)
        _comes_back(self)
        _spot(self)
        _spot_stops(self)
        _is_lost(self)
        _grows(self)
        _falls_back(self)
        _only_says(self)
        resumed = _is_paused(self)
        _crashes(self)
        self.must("the hook that waits all the while got another heartbeat",
                  lambda: len(self.asked("RecordLifecycleActionHeartbeat", stuck)) > 1, self.minute)
        self.set(deadline="1m")
        _is_replaced(self, silent)
        _is_resumed(self, resumed)
        _deadline(self, stuck)

    def numbers(self) -> str:
        """What is told at the end."""
        changes = self.changes()
        return ", ".join([super().numbers(), *(
            f"{changes.count(name)} {name}" for name in sorted(set(changes)) if name != "PutEvents")])


def _falls_silent(play: Capacity) -> str:
    instance = play.members("edge")[0]
    play.connect(instance, False)
    play.must("the agent of 1 of 3 is disconnected: it is watched",
              lambda: instance in play.known("edge"), play.minute)
    events = [entry["document"] for entry in play.cloud.events()]
    [told] = [event for event in events if event["detail-type"] == "ECS Container Instance State Change"
              and not event["detail"]["agentConnected"]]
    explained = play.explain(told)
    play.now("`wharfinger explain` tells why it waits",
             [reason["code"] for reason in explained["reasons"]] == ["AgentDisconnected"]
             and explained["event"]["target"] == "edge", f"explain says {explained}")
    return instance


def _cannot_leave(play: Capacity) -> str:
    [instance] = play.tasks("prod", "stuck").values()
    play.end(instance)
    play.must("a service at 100 % and 100 %: its instance drains, and what stands in the way is told",
              lambda: play.said("prod", "DrainBlocked", "prod/stuck"), play.minute)
    play.roll()
    play.now("its task stays, and the hook got a heartbeat",
             list(play.tasks("prod", "stuck").values()) == [instance]
             and bool(play.asked("RecordLifecycleActionHeartbeat", instance))
             and not play.asked("CompleteLifecycleAction", instance))
    return instance


def _leaves(play: Capacity) -> None:
    instance = sorted(play.tasks("prod", "web").values())[0]
    task = play.task_on("prod", "web", instance).rsplit("/", 1)[-1]
    play.must("the endpoints of prod/web are there", lambda: any(task in one for one in play.endpoints()))
    since = len(play.cloud.calls())
    told = play.end(instance)
    arn = play.host("prod", instance)["containerInstanceArn"]
    play.now("the group waits with an instance: it is DRAINING by one call",
             play.status("prod", instance) == ["DRAINING"]
             and play.states(since) == [{"cluster": "prod", "containerInstances": [arn], "status": "DRAINING"}],
             f"the calls were {play.states(since)}")
    play.must("the endpoint of its task has left, before ECS has moved it",
              lambda: not any(task in one for one in play.endpoints()) and bool(play.task_on("prod", "web", instance)))
    play.now("`wharfinger status prod` tells that it goes, and of the heartbeat",
             play.known("prod")[instance]["goes"] and "heartbeat-at" in play.known("prod")[instance]["did"])
    _moves(play, instance)
    play.must("it is empty: the group goes on, once", lambda: bool(play.asked("CompleteLifecycleAction", instance)),
              play.minute)
    play.minute()
    [complete] = play.asked("CompleteLifecycleAction", instance)
    play.now("with its token and CONTINUE", complete["LifecycleActionResult"] == "CONTINUE"
             and complete["LifecycleActionToken"] == told["detail"]["LifecycleActionToken"]
             and complete["LifecycleHookName"] == HOOK)
    play.roll()
    play.must("it leaves the group and the cluster, and nothing is left to be told of it",
              lambda: instance not in play.members("prod") + list(play.known("prod")), play.minute)
    play.now("the history tells why", all(play.said("prod", code, instance) for code in (
        "InstanceDrains", "TasksLeft", "InstanceEmpty")))
    before = play.changes()
    play.tell(told, told)
    play.now("copies of its event change nothing", play.changes() == before)


def _moves(play: Capacity, instance: str) -> None:
    """ECS starts the task elsewhere and stops it here; while it stops, the group still waits."""
    def is_leaving() -> bool:
        play.driver.step()
        return not play.host("prod", instance)["runningTasksCount"]

    play.must("ECS counts no task on it any more, while one is still stopping", is_leaving)
    play.deliver()
    play.minute()
    play.now("the group waits for that one, too", not play.asked("CompleteLifecycleAction", instance))
    play.roll()


def _comes_back(play: Capacity) -> None:
    instance = sorted(play.tasks("prod", "web").values())[0]
    play.end(instance, ago=200, stays=True)
    play.now("an instance whose root volume is replaced drains", play.status("prod", instance) == ["DRAINING"])
    play.back(instance)
    play.must("its group has it in service again: it is ACTIVE", lambda: play.status("prod", instance) == ["ACTIVE"],
              play.minute)
    play.now("the history tells it", play.said("prod", "InstanceReturns", instance))


def _spot(play: Capacity) -> None:
    first, second, third, _ = play.members("spot")
    before = play.changes()
    play.tell(documents.rebalance_recommendation(third, account=ACCOUNT, region=REGION, at=time.time()))
    play.now("a rebalance recommendation does nothing", play.changes() == before)
    warnings = [play.warn(first), play.warn(second)]
    play.tell(*warnings)
    play.must("two Spot warnings at once: both are DRAINING",
              lambda: play.status("spot", first, second) == ["DRAINING"] * 2, play.minute)
    play.now("and no other", play.status("spot", third) == ["ACTIVE"])
    play.roll()
    left = [task for task, host in play.tasks("spot", "batch").items() if host in (first, second)]
    play.now("their tasks run elsewhere", not left and len(play.tasks("spot", "batch")) == 4)
    before = play.changes()
    play.tell(*warnings, *warnings)
    play.minute()
    play.now("copies of the warnings change nothing", play.changes() == before)


def _spot_stops(play: Capacity) -> None:
    instance = play.members("spot")[3]
    play.tell(play.warn(instance, "stop", ago=30))
    play.now("Spot stops an instance: it is DRAINING", play.status("spot", instance) == ["DRAINING"])
    play.tell(documents.instance_state(instance, "running", account=ACCOUNT, region=REGION, at=time.time()))
    play.must("it runs again: it is ACTIVE", lambda: play.status("spot", instance) == ["ACTIVE"], play.minute)
    play.roll()


def _is_lost(play: Capacity) -> None:
    known = play.known("prod")
    instance = [host for host in sorted(play.tasks("prod", "web").values()) if host not in known][0]
    play.cloud.hold(True)
    play.end(instance)
    play.cloud.hold(False)
    play.minute()
    play.now("the event that a group waits is lost: nothing happens", play.status("prod", instance) == ["ACTIVE"])
    play.must("the pass of every five minutes finds it: it is DRAINING",
              lambda: play.status("prod", instance) == ["DRAINING"], play.sweep)
    play.roll()
    play.must("and its group goes on, by the hook's name",
              lambda: bool(play.asked("CompleteLifecycleAction", instance)), play.minute)
    [complete] = play.asked("CompleteLifecycleAction", instance)
    play.now("once, without a token", "LifecycleActionToken" not in complete)
    play.roll()


def _grows(play: Capacity) -> None:
    play.want("full", "web", ROOM + 1)
    play.roll()
    play.must("a task finds no place: its group goes from 1 to 2 instances",
              lambda: len(play.members("full")) == 2, play.minute)
    play.now("by one call",
             len(play.made("SetDesiredCapacity")) == 1 and play.said("full", "CapacityRaised", "full/web"))
    play.join("full")
    play.roll()
    play.now("the new instance takes it", play.counts("full", "web") == (ROOM + 1, ROOM + 1))
    play.want("full", "web", 2 * ROOM + 1)
    play.roll()
    play.must("the next finds none, and the group has grown not long ago: it waits",
              lambda: play.said("full", "Cooldown"), play.minute)
    play.now("and does not grow again", len(play.members("full")) == 2)
    play.want("full", "web", ROOM)
    play.roll()


def _falls_back(play: Capacity) -> None:
    since = len(play.cloud.calls())
    play.limit("FARGATE_SPOT", 1)
    for task in play.driver.tasks("spot", SPOT)[:2]:
        play.driver.exit_task(task["taskArn"], 0)
    play.roll()
    play.must("Spot has no room for 2 of 3 tasks: the twin takes them",
              lambda: play.counts("spot", TWIN)[0] == 2, play.minutes)
    play.roll()
    play.now("and no more than those run there",
             play.counts("spot", TWIN) == (2, 2) and play.counts("spot", SPOT) == (3, 1))
    play.now("the history tells why", play.said(f"spot/{SPOT}", "FallbackStarts", "2 tasks"))
    play.limit("FARGATE_SPOT", None)
    play.roll()
    play.must("Spot has room again, and keeps it: the twin has none",
              lambda: play.counts("spot", TWIN) == (0, 0), play.minutes)
    asked = [call["input"]["desiredCount"] for call in play.made("UpdateService", since)]
    play.now("by one call each", asked == [2, 0], f"it asked for {asked}")
    play.now("every task is back on Spot", play.counts("spot", SPOT) == (3, 3)
             and play.said(f"spot/{SPOT}", "FallbackReturns"))


def _only_says(play: Capacity) -> None:
    [instance] = play.members("trial")
    before = play.changes()
    play.end(instance)
    play.must("a dry run says what it would do", lambda: play.said("trial", "DryRun", "UpdateContainerInstancesState"),
              play.minute)
    play.sweep()
    play.now("and does nothing", play.changes() == before and play.status("trial", instance) == ["ACTIVE"])


def _is_paused(play: Capacity) -> str:
    [instance] = play.tasks("idle", "web").values()
    before = play.changes()
    play.end(instance)
    play.minute()
    play.now("a paused cluster: nothing is done",
             play.changes() == before and play.status("idle", instance) == ["ACTIVE"])
    play.now("the history tells it", play.said("idle", "Paused"))
    play.stack.cli("resume", "idle")
    return instance


def _crashes(play: Capacity) -> None:
    for count in range(3):
        task = sorted(play.tasks("prod", "web"))[0]
        if play.impaired():
            raise StepFailed(f"a crash loop is told of after {count} tasks")
        play.driver.exit_task(task, 3)
        play.roll()
    play.must("three tasks of prod/web exit: one `Tasks Impaired` on the bus", lambda: len(play.impaired()) == 1)
    [told] = play.impaired()
    play.now("it names the class, the container and the code",
             (told["target"], told["state"], told["class"], told["container"], told["exitCode"])
             == ("prod/web", "began", "Exited", "app", 3), f"it says {told}")
    [row] = play.stack.cli.json("status", "prod/web")["targets"]
    play.now("`wharfinger status prod/web` shows the crash loop and the tasks",
             [one["class"] for one in row["capacity"]["crash-loops"]] == ["Exited"]
             and len(row["capacity"]["failures"]) == 3)


def _is_replaced(play: Capacity, instance: str) -> None:
    play.must("a minute later the silent one is drained, and its group told to replace it",
              lambda: bool(play.asked("SetInstanceHealth", instance)), play.minute)
    play.now("one of three, and no other", play.status("edge", *play.members("edge")).count("DRAINING") == 1
             and len(play.made("SetInstanceHealth")) == 1)
    play.roll()
    play.must("its group ends it: the hook goes on, and it is gone",
              lambda: instance not in play.members("edge"), play.minutes)
    play.now("the history tells why", play.said("edge", "InstanceReplaced", instance))


def _is_resumed(play: Capacity, instance: str) -> None:
    play.must("the cluster that was resumed: its instance is DRAINING",
              lambda: play.status("idle", instance) != ["ACTIVE"], play.minute)
    play.roll()
    play.must("and its group goes on", lambda: bool(play.asked("CompleteLifecycleAction", instance)), play.minute)


def _deadline(play: Capacity, stuck: str) -> None:
    play.must("a shorter deadline is reached: the group goes on with what is left",
              lambda: bool(play.asked("CompleteLifecycleAction", stuck)), play.minute)
    play.now("the history tells how many tasks were left", play.said("prod", "DeadlineReached", "1 task is left"))
    play.must("the instance ends, and ECS starts the task elsewhere",
              lambda: bool(play.tasks("prod", "stuck")) and stuck not in play.tasks("prod", "stuck").values(),
              play.roll)


if __name__ == "__main__":
    sys.exit(frame.run(Capacity))
