"""What AWS authorises of calls about access points of EFS, where ministack's IAM knows less.

Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic File System"; EFS user
guide, "Grant permissions to tag resources during creation".
"""
from __future__ import annotations

from typing import Any, List, Mapping

from .iam_volumes import Check


def checks(method: str, request: Mapping[str, Any], query: Mapping[str, Any], region: str, account: str) -> List[Check]:
    """Everything that the caller of `DescribeAccessPoints` (GET) or `CreateAccessPoint` (POST) must be allowed."""
    prefix = f"arn:aws:elasticfilesystem:{region}:{account}"
    if method == "GET":
        of = query.get("FileSystemId")
        resource = f"file-system/{of}" if of else f"access-point/{query.get('AccessPointId', '*')}"
        return [Check("elasticfilesystem:DescribeAccessPoints", f"{prefix}:{resource}", {})]
    given = {f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in request.get("Tags") or []}
    found = [Check("elasticfilesystem:CreateAccessPoint", f"{prefix}:file-system/{request.get('FileSystemId', '*')}", given)]
    if given:
        found.append(Check("elasticfilesystem:TagResource", f"{prefix}:access-point/*", {
            **given, "elasticfilesystem:CreateAction": "CreateAccessPoint"}))
    return found
