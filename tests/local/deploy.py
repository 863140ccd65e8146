"""Builds and deploys the real stack into the local cloud, and runs the real command line tool."""
from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from .cloud import REGION, LocalCloud, clean_environment
from .console import Console, Progress

ROOT = Path(__file__).resolve().parent.parent.parent
BUILT = ROOT / ".aws-sam/build/template.yaml"
STACK = "wharfinger"
_LAST_LINES = 60


class CommandFailed(Exception):
    """A command ended with another exit code than it should."""


def architecture() -> str:
    """Lambda's name for this machine's processor: its functions run here."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


def build_functions(console: Console) -> None:
    """`sam build`; Cargo does nothing when nothing has changed."""
    command = [tool("sam"), "build", "--parameter-overrides", f"Architecture={architecture()}"]
    with Progress(console, "sam build: the functions, as they go to AWS") as progress:
        run(command, _tool_environment(), progress)


def build_cli(console: Console) -> Path:
    """Builds the `wharfinger` command with the functions' flags, so that it shares the SDKs built for them."""
    environment = _tool_environment()
    build = ["cargo", "lambda", "build", "--release", "--package", "wharfinger"]
    with Progress(console, "cargo lambda build: the wharfinger command") as progress:
        run(build, environment, progress)
    built = Path(environment["CARGO_TARGET_DIR"], "lambda", "wharfinger", "bootstrap")
    # The command calls itself what it was called.
    command = built.with_name("wharfinger")
    command.unlink(missing_ok=True)
    command.symlink_to(built.name)
    return command


def deploy(console: Console, cloud: LocalCloud, template: Path) -> Dict[str, str]:
    """`sam deploy` of what was built; answers the stack's outputs."""
    command = [
        tool("sam"), "deploy", "--template-file", str(template),
        "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM",
        "--region", REGION, "--no-confirm-changeset", "--no-fail-on-empty-changeset",
        "--no-progressbar", "--parameter-overrides",
        f"Architecture={architecture()}", f"AwsEndpointUrl={cloud.endpoint}",
    ]
    environment = {**_tool_environment(), **cloud.environment(), "PATH": _path()}
    with Progress(console, "sam deploy: template.yaml, as it goes to AWS") as progress:
        run(command, environment, progress)
    stack = cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}


def functions_of(cloud: LocalCloud) -> Dict[str, str]:
    """The deployed functions' names by logical id."""
    pages = cloud.client("cloudformation").describe_stack_resources(StackName=STACK)
    return {
        r["LogicalResourceId"]: r["PhysicalResourceId"] for r in pages["StackResources"]
        if r["ResourceType"] == "AWS::Lambda::Function"
    }


class Cli:
    """The `wharfinger` command, talking to a local cloud."""

    def __init__(self, executable: Path, cloud: LocalCloud) -> None:
        self.executable = executable
        self._environment = cloud.environment()

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        """Run it; answers what it printed. `CommandFailed` when the exit code is not `expect`."""
        ended = subprocess.run(
            [str(self.executable), *arguments], env=self._environment, cwd=ROOT,
            capture_output=True, text=True, timeout=60, check=False,
        )
        if ended.returncode != expect:
            raise CommandFailed(
                f"wharfinger {' '.join(arguments)} ended with {ended.returncode}, not {expect}:\n"
                f"{ended.stdout}{ended.stderr}"
            )
        return ended.stdout

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """Run it with `--output json`; answers what it printed, parsed."""
        return json.loads(self(*arguments, "--output", "json", expect=expect))


def tool(name: str) -> str:
    """A tool of the virtual environment that this Python belongs to, or of the path."""
    found = shutil.which(name, path=_path())
    if not found:
        raise CommandFailed(f"`{name}` is not installed: run tests/local/setup.sh, or `make demo`")
    return found


def run(
    command: List[str], environment: Mapping[str, str], progress: Optional[Progress] = None,
) -> None:
    """Run a command in the repository's root, showing its output as progress."""
    lines: List[str] = []
    process = subprocess.Popen(
        command, env=dict(environment), cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        # A group of its own, so that an interrupt ends the compilers below it, too.
        start_new_session=True,
    )
    try:
        for line in process.stdout or []:
            lines.append(line.rstrip("\n"))
            if progress:
                progress.say(line)
        code = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    if code != 0:
        raise CommandFailed(
            f"{' '.join(command)}\nended with exit code {code}:\n" + "\n".join(lines[-_LAST_LINES:]))


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _tool_environment() -> Dict[str, str]:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return {
        # As the Makefile has everything built: there, and without the minutes of link-time optimisation.
        "CARGO_TARGET_DIR": os.path.join(cache, "wharfinger", "target"),
        "CARGO_PROFILE_RELEASE_LTO": "off",
        **clean_environment(), "PATH": _path(), "SAM_CLI_TELEMETRY": "0",
    }
