"""What the demo prints: headings, steps, progress. Colours and moving lines only on a terminal."""
from __future__ import annotations

import os
import shutil
import sys
import textwrap
import threading
import time
from typing import Optional, TextIO, Type

_STYLES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34",
    "cyan": "36",
}
_TICKS_WITHOUT_TERMINAL = 15.0


class Console:
    """Plain text on a stream."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self._stream = stream or sys.stdout
        self.live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = self.live and "NO_COLOR" not in os.environ
        self.width = max(60, min(118, shutil.get_terminal_size((100, 24)).columns))

    def style(self, text: str, *names: str) -> str:
        """The text in these styles, when the stream is a terminal."""
        if not self._colours or not names:
            return text
        codes = ";".join(_STYLES[name] for name in names)
        return f"\033[{codes}m{text}\033[0m"

    def line(self, text: str = "") -> None:
        """One line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def heading(self, text: str) -> None:
        """The title of an act."""
        self.line()
        self.line(self.style(text, "bold"))

    def prose(self, text: str) -> None:
        """A sentence or two about what comes."""
        for line in textwrap.wrap(" ".join(text.split()), self.width - 3):
            self.line("   " + self.style(line, "dim"))

    def done(self, text: str, aside: str = "") -> None:
        """Something came true."""
        self._result(self.style("✓", "green"), text, aside)

    def failed(self, text: str) -> None:
        """Something did not."""
        self._result(self.style("✗", "red", "bold"), text, "")

    def _result(self, mark: str, text: str, aside: str) -> None:
        gap = " " * max(2, self.width - 5 - len(text) - len(aside))
        self.line(f"   {mark} {text}" + (gap + self.style(aside, "dim") if aside else ""))

    def temporary(self, text: str) -> None:
        """A line that the next one replaces; nothing unless the stream is a terminal."""
        if self.live:
            self._stream.write("\r\033[K" + text[: self.width])
            self._stream.flush()


class Progress:
    """Shows that something long goes on: the time so far and its latest line of output."""

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._what = what
        self._latest = ""
        self._ended = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: object, trace: object
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._console.temporary("")
        if kind is None:
            self._console.done(self._what, f"{self.seconds:.1f} s")
        else:
            self._console.failed(f"{self._what}  ({self.seconds:.1f} s)")

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Take over a line of output."""
        if text.strip():
            self._latest = text.strip()

    def _show(self) -> None:
        told = 0.0
        while not self._ended.wait(0.2):
            if self._console.live:
                clock = self._console.style(f"{self.seconds:5.0f} s", "cyan")
                room = self._console.width - len(self._what) - 16
                self._console.temporary(f"   … {self._what} {clock} {self._latest[:room]}")
            elif self.seconds - told >= _TICKS_WITHOUT_TERMINAL:
                told = self.seconds
                self._console.line(f"   … {self._what}: {told:.0f} s  {self._latest[:80]}")
