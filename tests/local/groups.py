"""Auto Scaling groups inside the ministack process: what becomes of an instance that its group ends.

ministack has groups whose instances are InService for ever, and hooks that do nothing. Here the door has a group end an
instance; from then on each step moves it one state further, and while a lifecycle hook holds it up no step does.
Sources: EC2 Auto Scaling user guide, "Amazon EC2 Auto Scaling instance lifecycle", "Create EventBridge rules to process
lifecycle events"; EC2 Auto Scaling API reference, `CompleteLifecycleAction`, `RecordLifecycleActionHeartbeat`,
`SetInstanceHealth`, `SetDesiredCapacity`.
"""
from __future__ import annotations

import uuid
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import documents
from .hosts import Hosts, Refused
from .lifecycle import Emit, Lifecycle

Answer = Tuple[int, Dict[str, str], bytes]
Group = Dict[str, Any]
Instance = Dict[str, Any]
Parameters = Mapping[str, Any]

_ENDS = "autoscaling:EC2_INSTANCE_TERMINATING"


class Groups:
    """The lifecycle actions that are open, and the steps of the instances that go."""

    def __init__(self, life: Lifecycle, hosts: Hosts, emit: Emit) -> None:
        self._life = life
        self._hosts = hosts
        self._emit = emit
        # By the instance: the hook's name for each token.
        self._open: Dict[str, Dict[str, str]] = {}
        # Those that do not end but come back.
        self._staying: Dict[str, bool] = {}

    def install(self) -> None:
        """Put the calls about them in place."""
        from ministack.services import autoscaling

        plain = autoscaling._set_desired_capacity
        for action, answer in (
            ("CompleteLifecycleAction", self._complete),
            ("RecordLifecycleActionHeartbeat", self._heartbeat),
            ("SetInstanceHealth", self._set_health),
            ("SetDesiredCapacity", lambda p: _set_desired(p, plain)),
        ):
            autoscaling._ACTION_MAP[action] = self._answering(action, answer)

    def end(self, instance: str, ago: float = 0.0, stays: bool = False) -> None:
        """The group of an instance ends it, or, when it `stays`, replaces its root volume; since so many seconds.

        It waits for each terminating hook of the group, and tells of it.
        """
        with self._life.lock:
            group, member = _member(instance)
            self._staying[instance] = stays
            tokens = {str(uuid.uuid4()): name for name in _hooks(group)}
            self._open[instance] = tokens
            member["LifecycleState"] = "Terminating:Wait" if tokens else "Terminating:Proceed"
            for token, hook in tokens.items():
                self._emit(documents.lifecycle_action(
                    group, hook, instance, token, _ENDS, "AutoScalingGroup" if stays else "EC2",
                    account=self._life.account, region=self._life.region, at=self._life.now() - ago))

    def back(self, instance: str) -> None:
        """The group has an instance in service again, whatever it waited for."""
        with self._life.lock:
            self._open.pop(instance, None)
            _member(instance)[1]["LifecycleState"] = "InService"

    def step(self) -> int:
        """Move each instance that goes on one state; answers how many moved."""
        from ministack.services import autoscaling

        moved = 0
        for group in list(autoscaling._asgs.values()):
            for member in list(group["Instances"]):
                moved += self._move(group, member)
        return moved

    def _move(self, group: Group, member: Instance) -> int:
        state, instance = member["LifecycleState"], member["InstanceId"]
        if state == "InService" and member["HealthStatus"] == "Unhealthy":
            self.end(instance)
        elif state == "Terminating:Proceed" and self._staying.get(instance):
            member["LifecycleState"] = "InService"
        elif state == "Terminating:Proceed":
            member["LifecycleState"] = "Terminated"
            self._emit(documents.instance_state(
                instance, "shutting-down",
                account=self._life.account, region=self._life.region, at=self._life.now()))
        elif state == "Terminated":
            group["Instances"].remove(member)
            self._hosts.end(instance)
        else:
            return 0
        return 1

    def _complete(self, parameters: Parameters) -> None:
        instance, token = self._action(parameters)
        del self._open[instance][token]
        if not self._open[instance]:
            _member(instance)[1]["LifecycleState"] = "Terminating:Proceed"

    def _heartbeat(self, parameters: Parameters) -> None:
        self._action(parameters)

    def _action(self, parameters: Parameters) -> Tuple[str, str]:
        """The instance and the token of the open lifecycle action that is meant."""
        _group(parameters["AutoScalingGroupName"])
        hook, token = parameters["LifecycleHookName"], parameters.get("LifecycleActionToken")
        wanted = parameters.get("InstanceId")
        for instance, tokens in self._open.items():
            for known, name in tokens.items():
                if name == hook and (known == token if token else instance == wanted):
                    return instance, known
        raise _invalid("No active Lifecycle Action found with "
                       + (f"token {token}" if token else f"instance ID {wanted}"))

    @staticmethod
    def _set_health(parameters: Parameters) -> None:
        _member(parameters["InstanceId"])[1]["HealthStatus"] = parameters["HealthStatus"]

    def _answering(
        self, action: str, answer: Callable[[Parameters], Optional[Answer]]
    ) -> Callable[[Parameters], Answer]:
        from ministack.services import autoscaling

        def handle(parameters: Parameters) -> Answer:
            try:
                with self._life.lock:
                    done = answer(parameters)
            except Refused as refused:
                return autoscaling._error(refused.code, str(refused))
            return done or autoscaling._xml(200, f"{action}Response", f"<{action}Result/>")

        return handle


def group_of(instance: str) -> str:
    """The ARN of the group that an instance is in; `*` when it is in none."""
    try:
        return str(_member(instance)[0]["AutoScalingGroupARN"])
    except Refused:
        return "*"


def arn_of(name: str) -> str:
    """The ARN of a group; `*` when there is none of this name."""
    try:
        return str(_group(name)["AutoScalingGroupARN"])
    except Refused:
        return "*"


def _invalid(message: str) -> Refused:
    """Auto Scaling has no code of its own for most of what it refuses."""
    return Refused("ValidationError", message)


def _group(name: str) -> Group:
    from ministack.services import autoscaling

    group = autoscaling._asgs.get(name)
    if not group:
        raise _invalid(f"AutoScalingGroup name not found - AutoScalingGroup: {name} not found")
    return group


def _member(instance: str) -> Tuple[Group, Instance]:
    from ministack.services import autoscaling

    for group in autoscaling._asgs.values():
        for member in group["Instances"]:
            if member["InstanceId"] == instance:
                return group, member
    raise _invalid(f"Instance Id not found - No managed instance found for instance ID {instance}")


def _hooks(group: Group) -> List[str]:
    from ministack.services import autoscaling

    return [hook["LifecycleHookName"] for hook in autoscaling._hooks.values()
            if hook["AutoScalingGroupName"] == group["AutoScalingGroupName"] and hook["LifecycleTransition"] == _ENDS]


def _set_desired(parameters: Parameters, plain: Callable[[Parameters], Answer]) -> Answer:
    group, wanted = _group(parameters["AutoScalingGroupName"]), int(parameters["DesiredCapacity"])
    for bound, is_beyond, word in (
        (group["MaxSize"], wanted > group["MaxSize"], "above max"),
        (group["MinSize"], wanted < group["MinSize"], "below min"),
    ):
        if is_beyond:
            raise _invalid(f"New SetDesiredCapacity value {wanted} is {word} value {bound} for the AutoScalingGroup.")
    return plain(parameters)
