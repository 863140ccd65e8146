"""What every act of the story stands on: the deployed stack, the shop, checks with a deadline."""
from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List

from . import frame
from .cloud import LocalCloud
from .console import Console
from .deploy import Cli
from .ecs import Driver
from .frame import StepFailed
from .timeline import Mark, Row, Timeline, failure
from .world import World

PATIENCE = 15.0


@dataclass
class Stage:
    """The cast of the story."""

    console: Console
    cloud: LocalCloud
    driver: Driver
    world: World
    timeline: Timeline
    cli: Cli
    functions: Dict[str, str]
    outputs: Dict[str, str]

    def __post_init__(self) -> None:
        self._truths: List[Any] = []
        self.timeline.functions = list(self.functions.values())

    @contextlib.contextmanager
    def act(
        self, title: str, prose: str, in_full: bool = False, may_fail: bool = False
    ) -> Iterator[Mark]:
        """One act: its timeline and what came true are printed at its end, whatever happened.

        With `in_full`, decisions to do nothing are told one by one; with `may_fail`, an invocation
        may end with an error.
        """
        self.console.heading(title)
        self.console.prose(prose)
        self.console.line()
        self._truths = []
        mark = self.timeline.mark()
        rows: List[Row] = []
        try:
            yield mark
            self.cloud.settle_deliveries()
        finally:
            rows = self.timeline.show(mark, in_full)
            for show, text, aside in self._truths:
                show(text, aside) if aside else show(text)
        failed = [r.invocation for r in rows if r.invocation["error"]]
        if failed and not may_fail:
            raise StepFailed(f"{len(failed)} invocations failed: {failure(failed[0])}")

    def must(
        self, text: str, poll: Callable[[], Any], timeout: float = PATIENCE, timed: bool = False
    ) -> Any:
        """Wait until it is true and say so, or fail the story."""
        try:
            answer, seconds = frame.wait(self.cloud, text, poll, timeout)
        except StepFailed:
            self._truths.append((self.console.failed, text, ""))
            raise
        aside = f"{seconds * 1000:.0f} ms" if timed else ""
        self._truths.append((self.console.done, text, aside))
        return answer

    def deliver(self) -> None:
        """Wait until every event under way has been dealt with."""
        self.cloud.settle_deliveries()

    def find(self, detail_type: str, **wanted: Any) -> Dict[str, Any]:
        """The last published or held event of this type whose detail has these values."""
        for entry in reversed(self.cloud.events()):
            document = entry["document"]
            if document["detail-type"] == detail_type and all(
                document["detail"].get(k) == v for k, v in wanted.items()
            ):
                return document
        raise StepFailed(f"no event {detail_type} with {wanted} was ever emitted")
