"""The door: the extra HTTP paths under `/_door/` by which a test reaches into the local cloud.

GET    /_door/ready                         what runs here
POST   /_door/events                        publish one event document, or a list of them
GET    /_door/events?since=N                what was published or held
POST   /_door/hold        {"on": true}      keep back what the cloud itself emits
POST   /_door/sweeps      {"function": F}   fire the schedule of a function
GET    /_door/calls?since=N                 the AWS calls so far
GET    /_door/invocations?since=N           the invocations of functions so far
GET    /_door/pending                       deliveries under way
GET    /_door/faults, POST, DELETE          faults (see `faults`)
POST   /_door/ecs/step                      one step of the task life cycle
POST   /_door/ecs/exit    {"task", "exitCode"}  a task ends by itself
POST   /_door/ecs/auto    {"every": 1.0}    step by the clock, for play; 0 stops it
POST   /_door/hosts       {"cluster", "instance"}  an EC2 instance registers in a cluster
POST   /_door/hosts/agent {"instance", "connected"}  its agent is connected, or not
POST   /_door/room        {"where", "tasks"}  so many tasks fit on each instance of a cluster, or on a capacity provider
POST   /_door/groups/end  {"instance", "ago", "stays"}  its Auto Scaling group ends it, since `ago` seconds
POST   /_door/groups/back {"instance"}      its group has it in service again
POST   /_door/schedules                     from now on fire schedules by the clock, too
POST   /_door/stop                          end the cloud
"""
from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, Callable, Dict, Mapping, Tuple
from urllib.parse import parse_qs

from .faults import Faults
from .groups import Groups
from .hosts import Hosts, Refused
from .lambdas import Lambdas
from .lifecycle import Lifecycle
from .publisher import Publisher
from .recorder import Receive, Recorder, Scope, Send, read_body
from .scheduler import Scheduler

Arguments = Dict[str, Any]


class Door:
    """The ASGI application behind `/_door/`."""

    def __init__(
        self, about: Mapping[str, Any], publisher: Publisher, lambdas: Lambdas, faults: Faults,
        life: Lifecycle, scheduler: Scheduler, hosts: Hosts, groups: Groups,
        start_clocks: Callable[[], None], stop: Callable[[], None],
    ) -> None:
        self._about = dict(about)
        self._publisher = publisher
        self._lambdas = lambdas
        self._faults = faults
        self._life = life
        self._scheduler = scheduler
        self._auto = threading.Event()
        self.recorder: Recorder
        self._routes: Dict[Tuple[str, str], Callable[[Arguments], Any]] = {
            ("GET", "ready"): lambda _: self._about,
            ("POST", "events"): self._post_events,
            ("GET", "events"): lambda a: publisher.entries(_since(a)),
            ("POST", "hold"): lambda a: publisher.hold(bool(a["on"])),
            ("POST", "sweeps"): lambda a: publisher.sweep(a["function"]),
            ("GET", "calls"): lambda a: self.recorder.calls(_since(a)),
            ("GET", "invocations"): lambda a: lambdas.invocations(_since(a)),
            ("GET", "pending"): lambda _: {"pending": lambdas.pending()},
            ("GET", "faults"): lambda _: faults.all(),
            ("POST", "faults"): faults.add,
            ("DELETE", "faults"): lambda _: faults.clear(),
            ("POST", "ecs/step"): lambda _: {"changes": self._step()},
            ("POST", "ecs/exit"): self._exit_task,
            ("POST", "ecs/auto"): self._set_auto,
            ("POST", "hosts"): self._scoped(
                lambda a: {"containerInstanceArn": hosts.register(a["cluster"], a["instance"])}),
            ("POST", "hosts/agent"): self._scoped(lambda a: hosts.connect(a["instance"], bool(a["connected"]))),
            ("POST", "room"): lambda a: hosts.limit(a["where"], a["tasks"]),
            ("POST", "groups/end"): self._scoped(
                lambda a: groups.end(a["instance"], float(a.get("ago", 0)), bool(a.get("stays")))),
            ("POST", "groups/back"): self._scoped(lambda a: groups.back(a["instance"])),
            ("POST", "schedules"): lambda _: start_clocks(),
            ("POST", "stop"): lambda _: threading.Timer(0.2, stop).start(),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        path = scope["path"][len("/_door/"):].strip("/")
        status, answer = await asyncio.to_thread(
            self._answer, scope["method"], path, scope.get("query_string", b""), body)
        payload = json.dumps(answer, default=str).encode()
        headers = [(b"content-type", b"application/json"),
                   (b"content-length", str(len(payload)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    def _answer(self, method: str, path: str, query: bytes, body: bytes) -> Tuple[int, Any]:
        route = self._routes.get((method, path))
        if route is None:
            return 404, {"error": f"the door has no {method} {path}"}
        try:
            arguments = json.loads(body) if body else {
                k: v[-1] for k, v in parse_qs(query.decode()).items()}
            return 200, route(arguments)
        except (ValueError, KeyError, TypeError, LookupError, Refused) as problem:
            return 400, {"error": f"{type(problem).__name__}: {problem}"}

    def _post_events(self, given: Any) -> Any:
        documents = given if isinstance(given, list) else [given]
        return [self._publisher.publish(document) for document in documents]

    def _scoped(self, order: Callable[[Arguments], Any]) -> Callable[[Arguments], Any]:
        """An order that reaches into the tables of the account."""
        def carry_out(arguments: Arguments) -> Any:
            from ministack.core.responses import request_scope

            with request_scope(self._life.account, self._life.region):
                return order(arguments)

        return carry_out

    def _step(self) -> int:
        from ministack.core.responses import request_scope

        with request_scope(self._life.account, self._life.region):
            return self._scheduler.step()

    def _exit_task(self, arguments: Arguments) -> None:
        from ministack.core.responses import request_scope
        from ministack.services import ecs

        with request_scope(self._life.account, self._life.region):
            self._life.exit(ecs._tasks[arguments["task"]], int(arguments.get("exitCode", 0)))

    def _set_auto(self, arguments: Arguments) -> None:
        self._auto.set()
        every = float(arguments["every"])
        if every > 0:
            self._auto = threading.Event()
            threading.Thread(
                target=self._run_auto, args=(self._auto, every), daemon=True, name="ecs-auto"
            ).start()

    def _run_auto(self, ended: threading.Event, every: float) -> None:
        while not ended.wait(every):
            self._step()


def _since(arguments: Arguments) -> int:
    return int(arguments.get("since", 0))
