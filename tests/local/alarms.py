"""CloudWatch alarms inside the ministack process: their events, and whole answers to queries."""
from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Tuple
from xml.sax.saxutils import escape

from . import documents
from .lifecycle import Emit, Lifecycle

Answer = Tuple[int, Dict[str, str], bytes]
Data = Dict[str, Any]

_NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"
_LIST_PARAMETER = re.compile(r"^(AlarmNames|AlarmTypes)\.member\.(\d+)$")
_PLAIN_PARAMETERS = ("AlarmNamePrefix", "StateValue", "MaxRecords", "NextToken")


def install(life: Lifecycle, emit: Emit) -> None:
    """Emit an event at each change of state, and answer DescribeAlarms as a whole."""
    from ministack.services import cloudwatch

    plain_actions = cloudwatch._dispatch_alarm_actions
    plain_describe = cloudwatch._describe_alarms
    last: Dict[str, Data] = {}

    def changed(alarm: Data, old_state: str, new_state: str, reason: str) -> None:
        plain_actions(alarm, old_state, new_state, reason)
        if not alarm.get("MetricName"):
            return
        now = life.now()
        previous = last.get(alarm["AlarmArn"]) or documents.alarm_state(
            old_state, "Unchecked: Initial alarm creation", None,
            alarm["AlarmConfigurationUpdatedTimestamp"])
        alarm["StateUpdatedTimestamp"] = alarm["StateTransitionedTimestamp"] = now
        state = documents.alarm_state(new_state, reason, alarm.get("StateReasonData"), now)
        last[alarm["AlarmArn"]] = state
        emit(documents.alarm_state_change(
            alarm, state, previous, account=life.account, region=life.region, at=now))

    def describe(params: Data, cbor_data: Data, is_cbor: bool, is_json: bool = False) -> Answer:
        if is_cbor or is_json:
            return plain_describe(params, cbor_data, is_cbor, is_json)
        # ministack's own XML leaves out the state's time and data.
        answer = plain_describe({}, _structured(params), False, True)
        if answer[0] != 200:
            return plain_describe(params, cbor_data, is_cbor, is_json)
        return 200, {"Content-Type": "text/xml"}, _xml(json.loads(answer[2])).encode()

    cloudwatch._dispatch_alarm_actions = changed
    cloudwatch._describe_alarms = describe


def _structured(params: Mapping[str, Any]) -> Data:
    """The fields of a request in the query protocol."""
    lists: Dict[str, List[Tuple[int, str]]] = {}
    data: Data = {}
    for key, values in params.items():
        value = values[0] if isinstance(values, list) else values
        member = _LIST_PARAMETER.match(key)
        if member:
            lists.setdefault(member.group(1), []).append((int(member.group(2)), value))
        elif key in _PLAIN_PARAMETERS:
            data[key] = value
    for key, entries in lists.items():
        data[key] = [value for _, value in sorted(entries)]
    return data


def _xml(result: Mapping[str, Any]) -> str:
    return (
        f'<DescribeAlarmsResponse xmlns="{_NAMESPACE}"><DescribeAlarmsResult>{_inner(result)}'
        "</DescribeAlarmsResult><ResponseMetadata><RequestId>local</RequestId></ResponseMetadata>"
        "</DescribeAlarmsResponse>"
    )


def _inner(value: Any, key: str = "") -> str:
    if isinstance(value, dict):
        return "".join(f"<{k}>{_inner(v, k)}</{k}>" for k, v in value.items() if v is not None)
    if isinstance(value, list):
        return "".join(f"<member>{_inner(v)}</member>" for v in value)
    if isinstance(value, bool):
        return str(value).lower()
    if key.endswith("Timestamp"):
        return documents.iso_millis(float(value))
    return escape(str(value))
