"""What this package relies on inside ministack, and the check that it is all still there.

Functions of ministack's own modules are private. Patching one that was renamed or takes other
parameters would leave a cloud that looks fine and behaves otherwise, so the launcher refuses to
start instead.
"""
from __future__ import annotations

import importlib
import inspect
from importlib import metadata
from typing import Dict, List, Tuple

VERSION = "1.5.33"

# (module, function) -> its parameters. Everything here is replaced, wrapped or called.
FUNCTIONS: Dict[Tuple[str, str], str] = {
    ("ministack.app", "app"): "scope, receive, send",
    ("ministack.app", "main"): "",
    ("ministack.core.responses", "request_scope"): "account_id, region",
    ("ministack.core.iam_actions", "extract_resource_arn"):
        "service, method, path, headers, body, query_params, region, account_id",
    ("ministack.core.iam_evaluator", "enforce"):
        "access_key_id, iam_action, service, region, resource_arn, service_context",
    ("ministack.services.eventbridge", "_dispatch_event"): "event, view",
    ("ministack.services.eventbridge", "_pattern_event_view"): "event",
    ("ministack.services.eventbridge", "_event_from_test_payload"): "event_obj",
    ("ministack.services.eventbridge", "_invoke_target"): "target, event, rule, view",
    ("ministack.services.eventbridge", "_dispatch_to_lambda"): "arn, payload",
    ("ministack.services.eventbridge", "start_scheduler"): "",
    ("ministack.services.scheduler", "start_scheduler"): "",
    ("ministack.services.lambda_svc", "_provided_worker_env"): "config, code_dir, port",
    ("ministack.services.lambda_svc", "_execute_function_dispatch"):
        "func, config, event, request_id, started",
    ("ministack.services.lambda_svc", "_execute_function_with_config_scope"): "func, event",
    ("ministack.services.lambda_svc", "_get_func_record_for_ref"): "function_ref",
    ("ministack.services.lambda_svc", "_execution_record_for_config"): "func, config",
    ("ministack.services.lambda_svc", "_route_async_failure"):
        "target_arn, func_name, event, result",
    ("ministack.services.ecs", "_register_task_definition"): "data",
    ("ministack.services.ecs", "_resolve_td_key"): "ref",
    ("ministack.services.ecs", "_resolve_cluster_name"): "ref",
    ("ministack.services.ecs", "_resolve_task"): "ref, cluster_name",
    ("ministack.services.ecs", "_make_deployment"): "task_definition, desired_count, status",
    ("ministack.services.ecs", "_primary_deployment"): "svc",
    ("ministack.services.ecs", "_reconcile_service_tasks"): "cluster_name, svc_key",
    ("ministack.services.ecs", "_recount_cluster"): "cluster_name",
    ("ministack.services.ecs", "_dispatch_action"): "action, data",
    ("ministack.services.ecs", "_launch_choice"): "data, cluster",
    ("ministack.services.ecs", "_task_capacity"): "launch_type, strategy",
    ("ministack.services.ecs", "_run_task"): "data",
    ("ministack.services.ecs", "_stop_task"): "data",
    ("ministack.services.ecs", "_list_tasks"): "data",
    ("ministack.services.ecs", "_sanitize"): "obj",
    ("ministack.services.ecs", "_create_service"): "data",
    ("ministack.services.ecs", "_update_service"): "data",
    ("ministack.services.ecs", "_resolve_service_ref"): "ref",
    ("ministack.services.ec2", "_create_snapshot"): "p",
    ("ministack.services.ec2", "_create_volume"): "p",
    ("ministack.services.ec2", "_p"): "params, key, default",
    ("ministack.services.ec2", "_parse_filters"): "params",
    ("ministack.services.ec2", "_parse_member_list"): "params, prefix",
    ("ministack.services.ec2", "_resource_matches_tag_filters"): "resource_id, filters",
    ("ministack.services.ec2", "_snapshot_matches_filters"): "snap, filters",
    ("ministack.services.ec2", "_volume_matches_filters"): "vol, filters",
    ("ministack.services.ec2", "_snapshot_inner_xml"): "snap",
    ("ministack.services.ec2", "_volume_inner_xml"): "vol",
    ("ministack.services.ec2", "_xml"): "status, root_tag, inner",
    ("ministack.services.ec2", "_error"): "code, message, status",
    ("ministack.services.efs", "_create_access_point"): "body",
    ("ministack.services.efs", "_error"): "status, code, message",
    ("ministack.services.autoscaling", "_set_desired_capacity"): "p",
    ("ministack.services.autoscaling", "_xml"): "status, root_tag, inner",
    ("ministack.services.autoscaling", "_error"): "code, message, status",
    ("ministack.services.dynamodb", "handle_request"):
        "method, path, headers, body, query_params",
    ("ministack.services.ecr", "_put_image"): "data",
    ("ministack.services.ecr", "_find_image"): "repo_name, image_id",
    ("ministack.services.cloudwatch", "_dispatch_alarm_actions"):
        "alarm, old_state, new_state, reason",
    ("ministack.services.cloudwatch", "_describe_alarms"): "params, cbor_data, is_cbor, is_json",
}

# (module, name) of the tables that are read or written.
TABLES: List[Tuple[str, str]] = [
    ("ministack.services.ecs", "_ACTION_MAP"),
    ("ministack.services.ecs", "_clusters"),
    ("ministack.services.ecs", "_services"),
    ("ministack.services.ecs", "_tasks"),
    ("ministack.services.ecs", "_task_defs"),
    ("ministack.services.ecs", "_tags"),
    ("ministack.services.ec2", "_ACTION_MAP"),
    ("ministack.services.ec2", "_snapshots"),
    ("ministack.services.ec2", "_volumes"),
    ("ministack.services.ec2", "_tags"),
    ("ministack.services.efs", "_access_points"),
    ("ministack.services.autoscaling", "_ACTION_MAP"),
    ("ministack.services.autoscaling", "_asgs"),
    ("ministack.services.autoscaling", "_hooks"),
    ("ministack.services.ecr", "_repositories"),
    ("ministack.services.eventbridge", "_rules"),
    ("ministack.services.eventbridge", "_targets"),
]


class Incompatible(Exception):
    """The installed ministack is not the one that this package was written against."""


def check() -> None:
    """Raise `Incompatible`, naming every difference at once, unless ministack is the pinned one."""
    problems: List[str] = []
    installed = _installed_version()
    if installed != VERSION:
        problems.append(f"version {VERSION} is needed, found {installed or 'none'}")
    if installed:
        problems += _missing_functions() + _missing_tables()
    if problems:
        raise Incompatible(
            "ministack does not fit this local cloud:\n  - "
            + "\n  - ".join(problems)
            + f"\nInstall ministack[full]=={VERSION}, or port tests/local to the new version."
        )


def _installed_version() -> str:
    try:
        return metadata.version("ministack")
    except metadata.PackageNotFoundError:
        return ""


def _missing_functions() -> List[str]:
    problems = []
    for (module, name), wanted in FUNCTIONS.items():
        found = _lookup(module, name)
        if not callable(found):
            problems.append(f"{module}.{name} is gone")
            continue
        parameters = ", ".join(inspect.signature(found).parameters)
        if parameters != wanted:
            problems.append(f"{module}.{name} takes ({parameters}), not ({wanted})")
    return problems


def _missing_tables() -> List[str]:
    return [f"{module}.{name} is gone" for module, name in TABLES if _lookup(module, name) is None]


def _lookup(module: str, name: str) -> object:
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
