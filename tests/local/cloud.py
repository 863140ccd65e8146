"""Starts, reaches and ends the local cloud.

    with LocalCloud() as cloud:
        ecs = cloud.client("ecs")
        cloud.publish(document)

Nothing of it touches AWS, Docker or the user's own AWS settings: the process listens on loopback
only, and both it and whatever `environment` is given to see test credentials and no profile.
"""
from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar

ACCOUNT = "111122223333"
REGION = "eu-west-1"
# The name under which this package was imported, and the folder from which it can be again.
PACKAGE = __name__.rpartition(".")[0]
IMPORT_ROOT = Path(__file__).resolve().parents[PACKAGE.count(".") + 1]
_ATTEMPTS = 5

T = TypeVar("T")


class CloudError(Exception):
    """The local cloud could not be started or refused an order."""


class Deadline(Exception):
    """What was waited for did not come true in time."""


def clean_environment() -> Dict[str, str]:
    """This process's environment without anything that steers an AWS SDK or a proxy for loopback."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAM_", "WHARFINGER_"))}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name), "127.0.0.1", "localhost"]))
    return kept


def credentials() -> Dict[str, str]:
    """Test credentials, and no profile, no container and no instance to take others from."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def open_url(request: urllib.request.Request, timeout: float = 60) -> Any:
    """`urlopen` that goes past every proxy: all that is asked here listens on loopback."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=timeout)


class LocalCloud:
    """One ministack process with its door; a context manager that leaves nothing behind."""

    def __init__(self, keep: bool = False, lifetime: float = 0, iam: bool = False) -> None:
        """`keep` lets it outlive this process, for `lifetime` seconds at most.

        With `iam`, each function may do only what its role allows; other callers may do all.
        """
        self._iam = iam
        self._keep = keep
        self._lifetime = lifetime
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._clients: Dict[str, Any] = {}
        self.home = ""
        self.port = 0

    @classmethod
    def attach(cls, endpoint: str) -> "LocalCloud":
        """A cloud that runs already, such as one that `make demo KEEP=1` left up."""
        cloud = cls()
        cloud.port = int(endpoint.rstrip("/").rsplit(":", 1)[-1])
        return cloud

    def __enter__(self) -> "LocalCloud":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """The URL of every AWS service here."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """The file with everything that ministack printed."""
        return os.path.join(self.home, "ministack.log")

    def start(self, timeout: float = 60) -> None:
        """Start and wait until it answers; `CloudError` tells why it did not."""
        deadline = time.monotonic() + timeout
        for _ in range(_ATTEMPTS):
            self._launch()
            try:
                if self._wait_ready(deadline):
                    return
            except BaseException:
                self.stop()
                raise
            # Somebody took the port between its choice and its use: choose another one.
            self.stop()
        raise CloudError(f"no free port after {_ATTEMPTS} attempts")

    def stop(self) -> None:
        """End the process with every function that it runs, and remove its folder."""
        process, self._process = self._process, None
        if process is not None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            if process.stdin:
                process.stdin.close()
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)

    def leave(self) -> None:
        """Give up the process without ending it (only with `keep`)."""
        self._process = None
        self.home = ""

    def environment(self) -> Dict[str, str]:
        """A whole environment for a command that is to talk to this cloud."""
        return {**clean_environment(), **credentials(), **self.exports()}

    def exports(self) -> Dict[str, str]:
        """What such a command needs besides credentials."""
        return {"AWS_ENDPOINT_URL": self.endpoint}

    def client(self, service: str) -> Any:
        """A boto3 client that may do all, made once."""
        if service not in self._clients:
            root = {"AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": None}
            self._clients[service] = self.client_as(service, root)
        return self._clients[service]

    def client_as(self, service: str, session: Mapping[str, Any]) -> Any:
        """A boto3 client with the credentials that AssumeRole answered."""
        from botocore.config import Config

        config = Config(
            retries={"total_max_attempts": 1}, proxies={}, user_agent_appid="wharfinger-tests")
        return _boto_session().client(
            service, endpoint_url=self.endpoint, config=config,
            aws_access_key_id=session["AccessKeyId"],
            aws_secret_access_key=session["SecretAccessKey"],
            aws_session_token=session["SessionToken"])

    # The door.

    def publish(self, *documents: Mapping[str, Any]) -> List[Dict[str, Any]]:
        """Publish events as they are; answers `matched` rules per event."""
        return self.door("POST", "events", list(documents))

    def events(self, since: int = 0) -> List[Dict[str, Any]]:
        """What was published or held from number `since` on."""
        return self.door("GET", f"events?since={since}")

    def hold(self, on: bool) -> None:
        """Keep back what the cloud emits by itself, or stop doing so."""
        self.door("POST", "hold", {"on": on})

    def sweep(self, function: str) -> Dict[str, Any]:
        """Send a function its Scheduled Event."""
        return self.door("POST", "sweeps", {"function": function})

    def calls(self, since: int = 0) -> List[Dict[str, Any]]:
        """The AWS calls from number `since` on."""
        return self.door("GET", f"calls?since={since}")

    def invocations(self, since: int = 0) -> List[Dict[str, Any]]:
        """The finished invocations from number `since` on."""
        return self.door("GET", f"invocations?since={since}")

    def fault(self, **order: Any) -> Dict[str, Any]:
        """Order a fault, see `faults.Faults`."""
        return self.door("POST", "faults", order)

    def faults(self) -> List[Dict[str, Any]]:
        """The faults with their hits."""
        return self.door("GET", "faults")

    def clear_faults(self) -> None:
        """Forget all faults."""
        self.door("DELETE", "faults")

    def settle_deliveries(self, timeout: float = 30) -> None:
        """Wait until no event is on its way to a function."""
        self.wait("deliveries to end", lambda: not self.door("GET", "pending")["pending"], timeout)

    def wait(
        self, what: str, poll: Callable[[], T], timeout: float = 15, every: float = 0.02
    ) -> T:
        """Poll until the answer is true and return it; `Deadline` names `what` otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            answer = poll()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise Deadline(f"waited {timeout:g} s for {what}")
            time.sleep(every)

    def door(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the door."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_door/{path}", data, method=method)
        try:
            with open_url(request) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as refused:
            raise CloudError(f"{method} {path}: {refused.read().decode()}") from refused

    def _launch(self) -> None:
        self.home = tempfile.mkdtemp(prefix="wharfinger-cloud-")
        self.port = _free_port()
        command = [sys.executable, "-m", f"{PACKAGE}.server", "--home", self.home]
        command += [] if self._keep else ["--parent"]
        command += ["--lifetime", str(self._lifetime)] if self._lifetime else []
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command, env=self._server_environment(), cwd=self.home, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL if self._keep else subprocess.PIPE,
                start_new_session=True,
            )

    def _server_environment(self) -> Dict[str, str]:
        return {
            **{k: v for k, v in clean_environment().items() if k in _PASSED_ON},
            **credentials(),
            "AWS_ENDPOINT_URL": self.endpoint,
            "PYTHONPATH": str(IMPORT_ROOT),
            "PYTHONUNBUFFERED": "1",
            "HOME": self.home,
            "TMPDIR": self.home,
            "STATE_DIR": os.path.join(self.home, "state"),
            "S3_DATA_DIR": os.path.join(self.home, "s3"),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": "unix:///nonexistent",
            "AUTH": "true" if self._iam else "false",
        }

    def _wait_ready(self, deadline: float) -> bool:
        while True:
            code = self._process.poll() if self._process else 1
            if code is not None:
                output = Path(self.log).read_text(errors="replace").strip()
                if "already in use" in output.lower():
                    return False
                raise CloudError(f"the local cloud ended with exit code {code}:\n{output[-4000:]}")
            try:
                self.door("GET", "ready")
                return True
            except (OSError, CloudError):
                pass
            if time.monotonic() > deadline:
                output = Path(self.log).read_text(errors="replace").strip()
                raise CloudError(f"the local cloud does not answer:\n{output[-4000:]}")
            time.sleep(0.05)


@functools.lru_cache(maxsize=None)
def _boto_session() -> Any:
    """A session deaf to the user's environment and files: no profile is even looked up."""
    import boto3
    import botocore.session

    return boto3.Session(region_name=REGION, botocore_session=botocore.session.Session({
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }))


_PASSED_ON = {
    "PATH", "LANG", "LC_ALL", "TZ", "NO_PROXY", "no_proxy", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
    "RUST_BACKTRACE",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
