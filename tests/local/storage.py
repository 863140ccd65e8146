"""`make storage`: the volume of a task goes with it, its snapshots stay, and no more of them than are to be kept.

A snapshot is completed when the play says so, and an hour passes when the play lets every snapshot be an hour older.
Exit code 0 when every step came true.
"""
from __future__ import annotations

import datetime
import sys
from typing import List

from . import frame
from .files import TARGET as FILES
from .lineages import IDLE, KEPT, SEVERAL, TARGET, VOLUME, Lineages
from .volumes import details_of

_LINEAGE = f"{TARGET}/{VOLUME}"


class Storage(Lineages):
    """The steps."""

    title = "Volumes go with their tasks, their snapshots stay"

    def steps(self) -> None:
        """What must come true. What takes a minute by the clock begins first, and is looked at last."""
        _has_several(self)
        first = _is_made(self)
        second = _is_lost(self, first)
        _is_kept(self, first, second)
        _fails(self)
        _stumbles(self)
        _rolls_out(self)
        _is_restored(self)
        _is_left_behind(self)
        _is_mounted(self)
        _is_paused(self)
        _is_late(self)

    def numbers(self) -> str:
        """What is told at the end."""
        changes = self.changes()
        return ", ".join([super().numbers(), *(
            f"{changes.count(name)} {name}" for name in sorted(set(changes)) if name != "PutEvents")])


def _has_several(play: Storage) -> None:
    play.must("a service of two tasks: why it has no snapshots is told", lambda: play.said(SEVERAL, "PerTaskState"),
              play.sweep)
    play.now("and none is made", not play.ids(SEVERAL))


def _is_made(play: Storage) -> str:
    play.must("the volume of the running task has a snapshot", lambda: len(play.ids()) == 1, play.sweep)
    [task] = play.driver.tasks(*TARGET.split("/"))
    [made] = play.snapshots()
    snapshot, tags = str(made["SnapshotId"]), {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    at = datetime.datetime.fromisoformat(tags.pop("wharfinger:at").partition(".")[0].removesuffix("Z") + "+00:00")
    volumes = [details_of(one).get("volumeId") for one in task["attachments"]]
    play.now("it names its lineage, the task and the moment, and whose it is", made["VolumeId"] in volumes and tags == {
        "Name": _LINEAGE, "wharfinger:owner": play.owner, "wharfinger:lineage": _LINEAGE, "wharfinger:cluster": "prod",
        "wharfinger:service": "db", "wharfinger:volume": VOLUME, "wharfinger:task": task["taskArn"].rsplit("/", 1)[-1],
    } and abs((made["StartTime"] - at).total_seconds()) < frame.PATIENCE, f"its tags are {made['Tags']}")
    play.age()
    before = play.changes()
    play.sweep()
    play.minute()
    play.now("while its data is copied, no pass makes another", play.changes() == before)
    play.now("`wharfinger status` shows it as pending", play.standing()["pending"] == [snapshot]
             and play.standing()["newest"] is None, f"it shows {play.standing()}")
    # Nothing is due when its event comes.
    play.age(-3601)
    play.end(snapshot)
    play.must("it is completed, and its event tells it", lambda: play.said(TARGET, "SnapshotSucceeded", snapshot))
    play.now("`wharfinger status` shows it as the newest recovery point", play.standing()["newest"]["id"] == snapshot)
    _is_told_twice(play, snapshot)
    return snapshot


def _is_told_twice(play: Storage, snapshot: str) -> None:
    told = play.notified(snapshot)
    explained = play.explained(told)
    play.now("`wharfinger explain` knows of what its event tells", explained["event"]["target"] == TARGET and [
        reason["code"] for reason in explained["reasons"]] == ["SnapshotSucceeded", "SnapshotFresh"],
        f"it says {explained}")
    before = play.changes()
    play.tell(told, told)
    play.now("copies of its event change nothing", play.changes() == before)


def _is_lost(play: Storage, first: str) -> str:
    second = play.next("an hour later the next is made")
    play.cloud.hold(True)
    play.end(second)
    play.cloud.hold(False)
    play.now("the event that tells of its end is lost", play.standing()["newest"]["id"] == first)
    play.must("the next pass finds it", lambda: play.standing()["newest"]["id"] == second, play.sweep)
    return second


def _is_kept(play: Storage, first: str, second: str) -> None:
    others = [play.hand(), play.hand(**{"wharfinger:owner": "another", "wharfinger:lineage": _LINEAGE}),
              play.hand(**{"wharfinger:owner": play.owner, "wharfinger:lineage": "prod/gone/data"})]
    play.use(first)
    [volume] = play.volumes()
    play.now("somebody has the service make its volume of the first", volume["SnapshotId"] == first)
    play.share(second, True)
    made = []
    for number in range(KEPT + 1):
        made.append(play.next(f"an hour later another: {number + 3} of them"))
        play.end(made[-1])
    gone, *kept = made
    play.must(f"`last: {KEPT}` stay, and what a deployment refers to, and what another account may use",
              lambda: play.ids() == [first, second, *kept], play.sweep)
    play.now("one was removed", play.removed() == [gone])
    play.now("the history tells why one went, and why the others did not",
             play.said(TARGET, "SnapshotPruned", gone) and play.said(TARGET, "SnapshotHeld", first)
             and play.said(TARGET, "SnapshotHeld", second))
    play.now("`wharfinger status` tells which goes next", play.standing()["next-prune"] == kept[:1]
             and play.standing()["count"] == KEPT + 2,
             f"it shows {play.standing()}")
    play.share(second, False)
    play.use()
    # What holds a snapshot is looked up again after an hour by the clock, or once it may stay anyway.
    play.keep(2 * KEPT)
    play.keep(KEPT)
    play.must("nobody uses the two any more: they go", lambda: play.ids() == kept, play.sweep)
    play.now("what is not of the lineage, and what others made, stays",
             play.is_there(*others) and play.removed() == sorted([gone, first, second]))


def _fails(play: Storage) -> None:
    failing = play.next("another is asked for")
    kept = play.ids()
    play.end(failing, "The volume could not be read")
    play.must("it comes to nothing: the bus is told", lambda: bool(play.bus.details("Snapshot Failed")))
    [told] = play.bus.details("Snapshot Failed")
    play.now("of which lineage, which snapshot, and why",
             (told["target"], told["lineage"], told["snapshotId"]) == (TARGET, _LINEAGE, failing)
             and "could not be read" in told["reason"], f"it says {told}")
    play.now("and the history", play.said(TARGET, "SnapshotFailed", failing))
    play.tell(play.notified(failing))
    play.sweep()
    play.now("once, and nothing is removed for it", len(play.bus.details("Snapshot Failed")) == 1
             and play.ids() == kept)
    play.end(play.next("an hour later it is tried again"))
    play.age(86_400)
    # The newest of the lineage is a day old, too: one more is made.
    play.must("a day later what failed goes", lambda: failing not in play.ids(), play.sweep)
    play.end(play.ids()[-1])
    play.must(f"and {KEPT} are left", lambda: len(play.ids()) == KEPT, play.sweep)


def _stumbles(play: Storage) -> None:
    def asked() -> int:
        return len(play.made("CreateSnapshot"))

    play.sweep()
    known, calls = play.ids(), asked()
    play.cloud.fault(service="ec2", operation="CreateSnapshot", error={
        "code": "SnapshotCreationPerVolumeRateExceeded", "message": "Wait at least 15 seconds"})
    play.age()
    play.must("EC2 takes no snapshot now: it was asked once", lambda: asked() == calls + 1, play.sweep)
    play.now("nothing is made, and nothing failed", play.ids() == known
             and len(play.bus.details("Snapshot Failed")) == 1)
    play.must("the pass after that makes it", lambda: len(play.ids()) == len(known) + 1, play.sweep)
    play.end(play.ids()[-1])
    play.sweep()
    known, calls = play.ids(), asked()
    play.cloud.fault(service="ec2", operation="CreateSnapshot", when="after", cut=True)
    play.age()
    play.must("the answer of EC2 is lost", lambda: asked() == calls + 1, play.sweep)
    play.sweep()
    play.sweep()
    play.now("the snapshot is found by its tags, and there is no second", asked() == calls + 1
             and len(set(play.ids()) - set(known)) == 1)
    [made] = set(play.ids()) - set(known)
    play.end(made)
    play.must("and it becomes the newest recovery point", lambda: play.standing()["newest"]["id"] == made, play.sweep)


def _rolls_out(play: Storage) -> None:
    newest = play.standing()["newest"]["id"]
    pending = play.next("another is asked for, and its data is copied for long")
    before = play.configured()
    play.push("1.0.0")
    play.must("meanwhile an image is pushed: it is rolled out", lambda: len(play.updated("DeliveryFunction")) == 1)
    [update] = play.updated("DeliveryFunction")
    volume = {**before, "managedEBSVolume": {**before["managedEBSVolume"], "snapshotId": newest}}
    play.now("by one call, which names the newest that is completed and changes nothing else of the volume",
             update["volumeConfigurations"] == [volume] and update["taskDefinition"].endswith(":2"),
             f"it asked for {update}, and before the volume was {before}")
    play.now("so there is one deployment more", len(play.driver.service("prod", "db")["deployments"]) == 2)
    play.roll()
    [made] = play.volumes()
    play.now("the volume of the new task is made of it", made["SnapshotId"] == newest)
    play.now("the history tells the recovery point", play.said(TARGET, "RestoreNewest", newest, "delivery"))
    play.end(pending)
    for _ in range(KEPT):
        play.end(play.next("later snapshots come"))
    play.sweep()
    play.now("and the one that it was made of stays", play.is_there(newest) and newest not in play.ids()[-KEPT:]
             and len(play.updated("DeliveryFunction")) == 1)


def _is_restored(play: Storage) -> None:
    older, before = play.ids()[-2], play.configured()
    play.stack.cli("restore", TARGET, "--snapshot", older)
    play.must("`wharfinger restore prod/db --snapshot` makes a deployment of that one",
              lambda: play.configured()["managedEBSVolume"].get("snapshotId") == older, play.sweep)
    changed = {**before, "managedEBSVolume": {**before["managedEBSVolume"], "snapshotId": older}}
    play.now("and changes nothing else of the volume", play.configured() == changed, f"it is {play.configured()}")
    play.roll()
    play.sweep()
    play.minute()
    [made] = play.volumes()
    play.now("once: the new task has a volume that is made of it",
             made["SnapshotId"] == older and len(play.updated("StorageFunction")) == 1)
    play.now("the history tells it", play.said(TARGET, "RestoreStarts", older))


def _is_left_behind(play: Storage) -> None:
    volume = play.leave()

    def there() -> bool:
        return bool(play.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume]}])["Volumes"])

    play.now("a task that keeps its volume ends: the volume is left behind", there())
    play.must("the next pass sees it", lambda: play.left()["younger"] == 1, play.sweep)
    play.pass_hours(volume, 2)
    play.must("after an hour the bus is told", lambda: [
        told["volumeId"] for told in play.bus.details("Orphan Found")] == [volume], play.sweep)
    [told] = play.left()["volumes"]
    play.now("`wharfinger status prod` lists it, with its size and what becomes of it",
             (told["volume"], told["gib"]) == (volume, 4) and "report" in told["then"], f"it shows {told}")
    play.now("and the history", play.said("prod", "OrphanFound", volume))
    play.remove()

    def made() -> List[str]:
        found = play.ec2.describe_snapshots(OwnerIds=["self"], Filters=[
            {"Name": "tag:wharfinger:orphan", "Values": [volume]}])["Snapshots"]
        return [one["SnapshotId"] for one in found]

    play.must("it is to be removed: a snapshot of it is made first", lambda: len(made()) == 1, play.sweep)
    play.sweep()
    play.now("while that is copied nothing is removed", there() and not play.made("DeleteVolume"))
    play.end(*made())
    play.must("it is completed: the volume is removed", lambda: not there(), play.sweep)
    play.must("and its snapshot stays, and is counted", lambda: play.left()["snapshots"] == 1, play.sweep)
    play.now("one snapshot was made, and one volume was removed", len(made()) == 1
             and [call["input"]["VolumeId"] for call in play.made("DeleteVolume")] == [volume])
    play.now("the history tells it", play.said("prod", "OrphanRemoved", volume))


def _is_mounted(play: Storage) -> None:
    files = play.files
    play.must("the service with a volume on EFS has an access point", lambda: len(files.ids()) == 1, play.sweep)
    [point] = files.points()
    play.now("of its directory, its user and our mark", (
        point["PosixUser"], point["RootDirectory"], {tag["Key"]: tag["Value"] for tag in point["Tags"]}) == (
            {"Uid": 1000, "Gid": 1001},
            {"Path": "/shop", "CreationInfo": {"OwnerUid": 1000, "OwnerGid": 1001, "Permissions": "0750"}},
            {"Name": FILES, "wharfinger:owner": play.owner, "wharfinger:access-point": FILES}), f"it is {point}")
    play.minute()
    play.sweep()
    first, before = point["AccessPointId"], files.mounted()
    play.now("that it is there changes no revision, and makes no second",
             files.ids() == [first] and "accessPointId" not in before.get("authorizationConfig", {}))
    _is_in_the_next(play, first)
    play.mount("/other")
    play.must("another directory is another access point", lambda: len(files.ids()) == 2, play.sweep)
    play.minute()
    [second] = set(files.ids()) - {first}
    play.now("the revision stays as it is", files.mounted()["authorizationConfig"]["accessPointId"] == first)
    [row] = play.stack.cli.json("status", FILES)["targets"]
    play.now("`wharfinger status` tells which is next, and which is left", (
        [one["id"] for one in row["storage"]["access-points"]], [one["id"] for one in row["storage"]["unused"]]) == (
            [second], [first]), f"it tells {row['storage']}")
    play.now("and so does the history", play.said(FILES, "UnusedAccessPoint", first))
    _is_in_the_next(play, second, "1.1.0")
    play.now("nothing removed the first", sorted(files.ids()) == sorted([first, second]))


def _is_in_the_next(play: Storage, point: str, tag: str = "1.0.0") -> None:
    play.driver.push_image(play.files.repository, tag)
    play.deliver()
    play.must(f"{tag} is pushed: the next revision mounts through it, encrypted, and all else stays",
              lambda: play.files.mounted() == {
                  "fileSystemId": play.files.id, "transitEncryption": "ENABLED", "transitEncryptionPort": 2999,
                  "authorizationConfig": {"iam": "ENABLED", "accessPointId": point}}, play.go_on)
    play.roll()


def _is_paused(play: Storage) -> None:
    play.now("all the while nothing is made for what is paused", not play.ids(IDLE))
    play.now("the history tells it", play.said(IDLE, "Paused"))
    play.stack.cli("resume", IDLE)
    play.must("it is resumed: its volume has a snapshot", lambda: len(play.ids(IDLE)) == 1, play.sweep)
    play.end(*play.ids(IDLE))
    play.must("and another a minute later by the clock, by the pass of each minute",
              lambda: len(play.ids(IDLE)) > 1, play.minute)


def _is_late(play: Storage) -> None:
    play.must("a service of two tasks has had no recovery point for a minute: the bus is told",
              lambda: SEVERAL in [told["target"] for told in play.bus.details("Recovery Point Late")], play.sweep)
    told = [one["target"] for one in play.bus.details("Recovery Point Late")]
    play.now("once, and of no other", told == [SEVERAL], f"it was told of {told}")


if __name__ == "__main__":
    sys.exit(frame.run(Storage))
