"""What a study knows of its rows: counts that are kept up must be those of the rows themselves."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from test_results_row import a_row

from search.mirror import Mirror

KEYS, SEEDS, EPOCHS = ("n0", "n1"), (0, 1), (1, 3)
ROWS = [
    a_row(network_key=key, seed=seed, epochs=epochs, schedule_epochs=3, status="complete" if epochs == 3 else "stopped")
    for key in KEYS
    for seed in SEEDS
    for epochs in EPOCHS
]


class Table:
    """A store in memory: rows that are running, and the finished in the order of their commits."""

    def __init__(self) -> None:
        self.running, self.finished = {}, []

    def changes(self, since, **_):
        running = [replace(row, status="running", owner="me:1:1", heartbeat=1.0) for row in self.running.values()]
        return self.finished[since + 1 :] + running, len(self.finished) - 1


@given(st.lists(st.tuples(st.sampled_from(["claim", "finish", "release"]), st.sampled_from(ROWS), st.booleans())))
def test_what_is_counted_as_rows_come_and_go_is_what_the_rows_say(events):
    """Oracle: the same questions to the rows that the table holds, after every look; some changes come in one look."""
    table = Table()
    mirror = Mirror(table, {}, lambda row: row, len(SEEDS))
    for act, row, look in [*events, ("release", ROWS[0], True)]:
        ended = row in table.finished
        if act == "claim" and not ended:
            table.running[row.identity] = row
        elif act == "finish" and not ended:
            table.running.pop(row.identity, None)
            table.finished.append(row)
        elif act == "release":
            table.running.pop(row.identity, None)
        if look:
            mirror.sync()
            there = [*table.finished, *table.running.values()]
            trials = {(row.network_key, row.seed) for row in there}
            assert mirror.trials == len(trials)
            assert mirror.begun == {key: {s for k, s in trials if k == key} for key, _ in trials}
            for epochs in EPOCHS:
                assert mirror.begun_at[epochs] == {(r.network_key, r.seed) for r in there if r.epochs == epochs}
