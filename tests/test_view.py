"""What a search says while it runs: lines for a file, a picture for a terminal."""

import io
import re
import threading
import time
from dataclasses import replace

import pytest
from pretended import pretend, quality, run
from rich.console import Console
from searches import SPACE

from results.lease import this_owner
from search.snapshot import ranking
from search.view import Lines, Screen
from search_space import PRESETS, AttentionDesign


def plain(width=200):
    return Console(file=io.StringIO(), width=width, highlight=False)


def terminal(width=120):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=50, highlight=False)


def test_off_a_terminal_every_row_is_one_line_with_its_trial_its_rung_and_whether_it_is_best(store, blobs, monkeypatch):
    pretend(monkeypatch)
    console = plain()
    with Lines(console) as view:
        rows = run(store, blobs, report=view)
    lines = console.file.getvalue().splitlines()
    assert "0 of 9 trials already in the storage" in lines[0] and "\x1b" not in console.file.getvalue()
    assert len(lines) == len(rows) + 1
    first = rows[0]
    measured = f"{first.accuracy:.2%}  {first.macs / 1e6:.3f} M MACs  2.0 s"
    assert lines[1] == f"trial 1/9  {first.design}  {measured}  [1 of 9 epochs]  best so far"
    numbers = {}
    best = {}
    for row, line in zip(rows, lines[1:], strict=True):
        number = numbers.setdefault(row.network_key, len(numbers) + 1)  # a promoted trial keeps its number
        name = r" \(eca\)" if row.design == "avg/conv1d" else r"( \([a-z-]+\))?"  # it was published under
        assert re.match(f"trial {number}/9  {re.escape(row.design)}{name}  ", line)
        assert f"[{row.epochs} of 9 epochs]" in line
        assert line.endswith("best so far") == (row.accuracy > best.get(row.epochs, 0))
        best[row.epochs] = max(row.accuracy, best.get(row.epochs, 0))


def test_a_search_that_goes_on_counts_on_from_the_rows_there_are(store, blobs, monkeypatch):
    pretend(monkeypatch)
    run(store, blobs, trials=3)
    console = plain()
    with Lines(console) as view:
        run(store, blobs, trials=4, report=view)
    lines = console.file.getvalue().splitlines()
    assert "3 of 4 trials already in the storage" in lines[0] and lines[1].startswith("trial 4/4")


def test_a_failed_training_is_said_with_its_class_and_its_cause(store, blobs, monkeypatch):
    pretend(monkeypatch, fails=lambda design: design == PRESETS["none"])
    console = plain()
    with Lines(console) as view:
        run(store, blobs, trials=3, report=view)
    assert "none  failed (nan): NotFiniteError: a cause" in console.file.getvalue()


def test_off_a_terminal_silence_is_broken_with_what_is_at_work(store, blobs, monkeypatch):
    pretend(monkeypatch)
    console = plain()
    with Lines(console, quiet_seconds=0.05) as view:
        run(store, blobs, trials=3, report=view)
        row = replace(next(iter(view.study.mirror.finished.values())), status="running", owner=this_owner())
        view.study.mirror.add_running(replace(row, heartbeat=time.time(), started=time.time() - 62, progress=4.0))
        view.changed(view.study)
        deadline = time.monotonic() + 10
        while "at work: " not in console.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
    last = console.file.getvalue().splitlines()[-1]
    assert "3 of 3 trials begun" in last and f"{row.design} epoch 4/1 since 62 s" in last


def test_the_ranking_is_of_the_highest_rung_and_its_front_is_what_no_other_beats(store, blobs, monkeypatch):
    """Oracle: the accuracy that `pretend` gives, and every pair compared by hand."""
    pretend(monkeypatch)
    with Lines(plain()) as view:
        rows = run(store, blobs, trials=27, report=view)
    found = ranking(view.study)
    top = [row for row in rows if row.epochs == 9]
    assert found.epochs == 9 and found.measured == len(top)
    assert found.best.values["accuracy"] == max(quality(AttentionDesign.parse(row.design), 9) for row in top)

    def beaten(row):
        return any(
            other.accuracy >= row.accuracy
            and other.macs <= row.macs
            and (other.accuracy, other.macs) != (row.accuracy, row.macs)
            for other in top
        )

    assert {standing.design for standing in found.front} == {row.design for row in top if not beaten(row)}
    assert found.best == found.front[0]


def test_replicates_are_ranked_by_their_mean_and_one_seed_of_luck_is_no_best(store, blobs, monkeypatch):
    pretend(monkeypatch)
    with Lines(plain()) as view:
        run(store, blobs, trials=6, replicates=2, halving=False, report=view)
    assert {standing.n for standing in ranking(view.study).front} == {2}


def test_on_a_terminal_the_picture_shows_progress_workers_best_front_rungs_and_failures(store, blobs, monkeypatch):
    pretend(monkeypatch, fails=lambda design: design == PRESETS["none"])
    console = terminal()
    with Screen(console) as view:
        run(store, blobs, trials=9, report=view)
        row = replace(
            next(iter(view.study.mirror.finished.values())), status="running", failure=None, owner="host/1:42:7"
        )
        view.study.mirror.add_running(replace(row, epochs=9, heartbeat=time.time(), started=time.time(), progress=2.0))
        view.changed(view.study)
        drawn = Console(file=io.StringIO(), width=120)
        drawn.print(view._picture())
    text = drawn.file.getvalue()
    assert view.name in text and "of 9 trials" in text and "nearly done" in text
    assert "host:42" in text and "2/9" in text
    assert "9 at 1 > " in text and "promoted" in text and "failed: nan 1" in text
    best = view.snapshot.ranking.best
    assert best.design in text and f"{best.values['accuracy']:.2%}" in text and "M MACs" in text and "front: " in text
    assert "failed (nan): NotFiniteError: a cause" in console.file.getvalue(), "a failure is said above the picture"


def test_the_epoch_of_a_training_in_this_process_is_newer_than_its_row(store, blobs, monkeypatch):
    pretend(monkeypatch)
    seen = []

    class Looking(Screen):
        def epoch(self, row, record):
            super().epoch(row, record)
            self.changed(self.study)
            drawn = Console(file=io.StringIO(), width=120)
            drawn.print(self._picture())
            seen.append(f"{record['epoch']}/{row.epochs}" in drawn.file.getvalue())

    with Looking(terminal()) as view:
        run(store, blobs, SPACE, trials=2, report=view, halving=False)
    assert len(seen) == 18 and all(seen)


@pytest.mark.parametrize("kind", [Lines, Screen])
def test_nothing_is_left_behind_when_a_search_is_refused(kind):
    """The threads of both views end with their block."""
    before = threading.active_count()
    with pytest.raises(ValueError), kind(terminal()):
        raise ValueError
    deadline = time.monotonic() + 5  # rich's thread looks up four times a second
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_study_says_which_other_asks_the_same_so_that_a_mistyped_name_is_seen(store, blobs, monkeypatch):
    pretend(monkeypatch)
    run(store, blobs, trials=2, study="cifar")
    console = plain()
    with Lines(console) as view:
        run(store, blobs, trials=2, study="cifra", report=view)
    assert "study cifra (asks the same as cifar, and shares its rows)" in console.file.getvalue()
