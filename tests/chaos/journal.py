"""The log of a campaign: what processes under test and the harness wrote, and what it proves about each kill."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BETWEEN = "between training and commit"
_MOMENTS = {
    "begun": "in training",
    "trained": BETWEEN,
    "committed": "after a commit",
    "released": "after a claim was given back",
    None: "at a start",
}


@dataclass
class Journal:
    """Reads what is new at every `read`."""

    folder: Path
    events: list[dict[str, Any]] = field(default_factory=list)
    commits: int = 0
    _read_bytes: int = 0

    def read(self) -> None:
        path = self.folder / "log"
        if not path.exists():
            return
        with path.open("rb") as log:
            log.seek(self._read_bytes)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        new = [json.loads(line) for line in whole.splitlines()]
        self.events += new
        self.commits += sum(event["event"] == "committed" for event in new)

    def kill(self, kind: str, victim: int) -> None:
        """Note a kill by the harness; before it happens, so that nothing can come in between."""
        line = {"time": time.time(), "event": "kill", "identity": None, "pid": os.getpid(), "victim": victim}
        with (self.folder / "log").open("a") as log:
            log.write(json.dumps(line | {"kind": kind}) + "\n")

    def of(self, event: str) -> list[dict[str, Any]]:
        return [found for found in self.events if found["event"] == event]

    def kills(self) -> Counter[tuple[str, str]]:
        """How many, by (kind of victim, moment). The moment is what the victim, or whoever worked on the connection
        that was killed, had logged last."""
        last: dict[int, str] = {}
        found: Counter[tuple[str, str]] = Counter()
        for event in self.events:
            if event["event"] != "kill":
                last[event["pid"]] = event["event"]
                continue
            who = event["pid"] if event["identity"] is not None else event["victim"]
            trains = event["kind"] in ("trainer", "worker", "actor") or who == event["pid"] != event["victim"]
            moment = _MOMENTS[last.get(who)] if trains else "at any time"
            found[event["kind"], moment] += 1
        return found

    def again_after_commit(self) -> set[str]:
        """Evaluations whose training was begun after they had been committed."""
        committed: set[str] = set()
        again: set[str] = set()
        for event in self.events:
            if event["event"] == "committed":
                committed.add(event["identity"])
            elif event["event"] == "begun" and event["identity"] in committed:
                again.add(event["identity"])
        return again

    def committed_by_several(self) -> set[str]:
        """Evaluations that more than one process has brought to their end: the second one's work was wasted."""
        pids: dict[str, set[int]] = {}
        for event in self.of("committed"):
            pids.setdefault(event["identity"], set()).add(event["pid"])
        return {identity for identity, those in pids.items() if len(those) > 1}
