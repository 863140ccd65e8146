"""What happened, as rows that a person reads: what arrived, what was decided and why, what changed."""
from __future__ import annotations

import json
import re
import statistics
import textwrap
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

from .cloud import LocalCloud
from .console import Console

# The calls by which a function changes the world; the others only look or remember.
CHANGES = (
    "RegisterInstance", "DeregisterInstance", "RegisterTargets", "DeregisterTargets",
    "RegisterTaskDefinition", "UpdateService",
)
_TASK_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b")
_REGISTRY = re.compile(r"\b\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/")
_DIGEST = re.compile(r"sha256:([0-9a-f]{8})[0-9a-f]{56}")


@dataclass
class Decision:
    """One line of a function's log."""

    domain: str
    target: str
    subject: str
    outcome: str
    reasons: List[Dict[str, str]]
    calls: List[str]


@dataclass
class Row:
    """One delivery of an event to one function."""

    at: float
    document: Dict[str, Any]
    invocation: Dict[str, Any]
    decisions: List[Decision]
    changes: List[Dict[str, Any]] = field(default_factory=list)


@dataclass
class Mark:
    """A moment: how much was on record then."""

    events: int
    calls: int
    invocations: int


class Timeline:
    """Reads what the cloud has on record and prints it."""

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        self._cloud = cloud
        self._console = console
        self._domains: Dict[str, List[float]] = {}
        self.begin = 0.0
        self.functions: List[str] = []

    def mark(self) -> Mark:
        """Now."""
        return Mark(
            len(self._cloud.events()), len(self._cloud.calls()), len(self._cloud.invocations()))

    def rows(self, since: Mark) -> List[Row]:
        """Every delivery since then, in the order of arrival."""
        calls = [c for c in self._cloud.calls(since.calls) if c["operation"] in CHANGES]
        invocations = self._cloud.invocations(since.invocations)
        rows = []
        for entry in self._cloud.events(since.events):
            if entry["held"] or not entry["matched"]:
                continue
            functions = {m["target"].rsplit(":", 1)[-1] for m in entry["matched"]}
            for invocation in [i for i in invocations if _answers(i, entry, functions)]:
                invocations.remove(invocation)
                rows.append(_row(entry, invocation, calls))
        # What fires by the clock passes no rule of ours.
        for invocation in invocations:
            schedule = {"id": invocation["event_id"], "detail-type": "Scheduled Event", "detail": {}}
            rows.append(_row({"at": invocation["at"], "document": schedule}, invocation, calls))
        return sorted(rows, key=lambda row: row.at)

    def changes(self, since: Mark) -> List[Dict[str, Any]]:
        """The calls of functions that changed something since then."""
        return [
            c for c in self._cloud.calls(since.calls)
            if c["operation"] in CHANGES and c["caller"] in self.functions]

    def show(self, since: Mark, in_full: bool = False) -> List[Row]:
        """Print what happened since then: where nothing changed in one line, unless `in_full`."""
        rows = self.rows(since)
        quiet: List[Row] = []
        for row in rows:
            if in_full or row.changes or row.invocation["error"]:
                self._show_quiet(quiet)
                quiet = []
                self._show_row(row)
            else:
                quiet.append(row)
        self._show_quiet(quiet)
        return rows

    def latencies(self) -> List[str]:
        """Per domain, how long it took from arrival to effect where no fault was injected."""
        return [
            f"{domain}: median {statistics.median(values):.0f} ms, longest {max(values):.0f} ms, "
            f"{len(values)} effects"
            for domain, values in sorted(self._domains.items())
        ]

    def _show_row(self, row: Row) -> None:
        console = self._console
        clock = console.style(f"{row.at - self.begin:7.2f}", "cyan")
        console.line(f"{clock}  {console.style(describe(row.document), 'bold')}")
        acting = [d for d in row.decisions if d.calls] or row.decisions
        for decision in acting:
            for reason in decision.reasons[:3]:
                self._wrapped(f"{decision.domain}: {shorten(reason['message'])}", reason["code"])
        if len(row.decisions) > len(acting):
            left = len(row.decisions) - len(acting)
            self._wrapped(console.style(f"{left} more are as they should be", "dim"), "")
        undisturbed = not any(change["error"] for change in row.changes)
        for change in row.changes:
            took = (change["at"] - row.at) * 1000 + change["duration_ms"]
            domain = row.decisions[0].domain if row.decisions else change["caller"]
            if undisturbed:
                self._domains.setdefault(domain, []).append(took)
            mark = console.style("→", "green" if not change["error"] else "red")
            text = describe_change(change)
            aside = f"{took:.0f} ms after the event" if not change["error"] else change["error"]
            gap = " " * max(2, console.width - 12 - len(text) - len(aside))
            console.line(f"         {mark} {text}{gap}{console.style(aside, 'dim')}")
        if row.invocation["error"]:
            self._wrapped(
                console.style("the invocation failed, Lambda tries again: ", "red")
                + failure(row.invocation), "")

    def _wrapped(self, text: str, aside: str) -> None:
        room = self._console.width - 12 - len(aside) - 2
        lines = textwrap.wrap(text, max(30, room)) or [""]
        gap = " " * max(2, self._console.width - 10 - len(lines[0]) - len(aside))
        first = f"{lines[0]}{gap}{self._console.style(aside, 'yellow')}" if aside else lines[0]
        self._console.line(f"         {first}")
        for line in lines[1:]:
            self._console.line(f"         {line}")

    def _show_quiet(self, rows: List[Row]) -> None:
        if not rows:
            return
        console = self._console
        counts: Dict[str, int] = {}
        for row in rows:
            codes = [r["code"] for d in row.decisions for r in d.reasons] or ["nothing of ours"]
            text = f"{describe(row.document, short=True)}: {', '.join(dict.fromkeys(codes))}"
            counts[text] = counts.get(text, 0) + 1
        clock = console.style(f"{rows[0].at - self.begin:7.2f}", "cyan")
        told = [f"{count} × {text}" if count > 1 else text for text, count in counts.items()]
        first = True
        for line in textwrap.wrap("changed nothing: " + "; ".join(told), console.width - 9):
            console.line(f"{clock if first else ' ' * 7}  {console.style(line, 'dim')}")
            first = False


def _answers(
    invocation: Mapping[str, Any], entry: Mapping[str, Any], functions: "set[str]"
) -> bool:
    return (
        invocation["event_id"] == entry["document"]["id"]
        and invocation["function"] in functions
        and invocation["at"] >= entry["at"]
    )


def _row(
    entry: Mapping[str, Any], invocation: Dict[str, Any], calls: List[Dict[str, Any]]
) -> Row:
    decisions = [d for d in map(parse_decision, invocation["log"]) if d]
    row = Row(entry["at"], entry["document"], invocation, decisions)
    end = invocation["at"] + invocation["duration_ms"] / 1000
    for call in calls:
        within = invocation["at"] <= call["at"] <= end
        if within and call["caller"] == invocation["function"] and _about(call, row):
            row.changes.append(call)
    return row


def _about(call: Mapping[str, Any], row: Row) -> bool:
    """Whether a call belongs to this row, of all that copies of the function made at that time."""
    sent = call["input"] or {}
    task = str(row.document["detail"].get("taskArn", "")).rsplit("/", 1)[-1]
    if task:
        return "InstanceId" not in sent or str(sent["InstanceId"]).startswith(task)
    names = {d.target.rsplit("/", 1)[-1] for d in row.decisions}
    changed = str(sent.get("service") or sent.get("family") or "").rsplit("/", 1)[-1]
    return not names or not changed or changed in names


def parse_decision(line: str) -> Optional[Decision]:
    """The decision that a line of a log tells, if it does."""
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    fields = {**parsed, **parsed.get("fields", {})} if isinstance(parsed.get("fields"), dict) else parsed
    if "outcome" not in fields or "domain" not in fields:
        return None
    reasons = fields.get("reasons") or []
    if isinstance(reasons, str):
        reasons = json.loads(reasons)
    actions = fields.get("actions") or []
    calls = actions.split(",") if isinstance(actions, str) else [a["call"] for a in actions]
    return Decision(
        str(fields["domain"]), str(fields.get("target") or ""), str(fields.get("subject") or ""),
        str(fields["outcome"]), reasons, [c for c in calls if c])


def failure(invocation: Mapping[str, Any]) -> str:
    """Why an invocation failed, in a line."""
    error = invocation["error"]
    if not isinstance(error, dict):
        return str(error)
    return shorten(f"{error.get('errorType')}: {error.get('errorMessage')}")[:300]


def describe(document: Mapping[str, Any], short: bool = False) -> str:
    """An event in a few words."""
    detail, kind = document["detail"], document["detail-type"]
    if kind == "ECS Task State Change":
        where = detail["group"].split(":", 1)[-1]
        who = f"task of {where}" if short else f"task {detail['taskArn'].rsplit('/', 1)[-1][:8]} of {where}"
        return f"{who} is {detail['lastStatus']}" + ("" if short else f" (version {detail['version']})")
    if kind == "ECR Image Action":
        return f"image {detail['repository-name']}:{detail.get('image-tag', '-')} is pushed"
    if kind == "CloudWatch Alarm State Change":
        data = json.loads(detail["state"].get("reasonData") or "{}")
        value = (data.get("recentDatapoints") or ["?"])[-1]
        aside = "" if short else f": {value:g} against {data['threshold']:g}" if data else ""
        return f"alarm {detail['alarmName']} is {detail['state']['value']}{aside}"
    if kind == "ECS Deployment State Change":
        name = document["resources"][0].rsplit("/", 1)[-1]
        return f"deployment of {name}: {detail['eventName'].replace('SERVICE_DEPLOYMENT_', '')}"
    if kind == "Scheduled Event":
        return "the schedule: look at everything"
    return str(kind)


def describe_change(call: Mapping[str, Any]) -> str:
    """A call in a few words, with what matters of its request."""
    operation, sent = call["operation"], call["input"] or {}
    if operation == "RegisterInstance":
        attributes = sent.get("Attributes", {})
        address = f"{attributes.get('AWS_INSTANCE_IPV4')}:{attributes.get('AWS_INSTANCE_PORT')}"
        return f"RegisterInstance {shorten(sent.get('InstanceId', ''))} at {address}"
    if operation == "DeregisterInstance":
        return f"DeregisterInstance {shorten(sent.get('InstanceId', ''))}"
    if operation == "UpdateService":
        changed = [
            f"{key} {str(value).rsplit('/', 1)[-1]}" for key, value in sent.items()
            if key in ("desiredCount", "taskDefinition")]
        return f"UpdateService {str(sent.get('service')).rsplit('/', 1)[-1]}: {', '.join(changed)}"
    if operation == "RegisterTaskDefinition":
        images = [c.get("image", "") for c in sent.get("containerDefinitions", [])]
        return f"RegisterTaskDefinition {sent.get('family')}: {', '.join(map(shorten, images))}"
    return str(operation)


def shorten(text: str) -> str:
    """The text with task ids, digests and registries cut to what tells them apart."""
    return _TASK_ID.sub(r"\1…", _DIGEST.sub(r"sha256:\1…", _REGISTRY.sub("", text)))
