"""Recipes as values."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.recipe import FULL, PROXY, RECIPES, SMOKE, RecipeError


@given(steps=st.integers(1, 5000), warmup=st.floats(0, 0.9))
def test_the_rate_rises_to_its_peak_once_and_falls_towards_zero(steps, warmup):
    recipe = PROXY.changed(warmup=warmup, epochs=1)
    rates = [recipe.rate(step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert all(0 < rate <= recipe.learning_rate for rate in rates)
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    # one more step would be at zero: the last is one of (1 - warmup) * (steps + 1) equal steps down
    assert rates[-1] <= recipe.learning_rate / max(1, (1 - warmup) * (steps + 1)) * 1.000001


def test_the_hash_changes_with_every_field_but_name_and_epochs():
    recipe = PROXY.changed(schedule="constant")
    other = {
        "batch_size": 7,
        "learning_rate": 0.5,
        "momentum": 0.5,
        "weight_decay": 0.5,
        "warmup": 0.5,
        "label_smoothing": 0.5,
        "crop_padding": 9,
        "mirror": False,
        "gate_start": "paper",
        "scale": "paper",
        "schedule": "linear",
        "cooldown": 0.5,
    }
    assert {field.name for field in fields(recipe)} == {"name", "epochs", *other}
    hashes = {recipe.hash, *(recipe.changed(**{name: value}).hash for name, value in other.items())}
    assert len(hashes) == 1 + len(other)
    assert recipe.changed(epochs=3, name="mine").hash == recipe.hash


def test_rows_of_before_there_were_schedules_keep_their_recipe():
    """Oracle: the hashes of commit 34ef7a2, whose recipes had neither `schedule` nor `cooldown`."""
    assert (SMOKE.hash, PROXY.hash, FULL.hash) == ("52527cb43749", "8773e6ad0932", "ca24962a95f9")
    assert PROXY.changed(learning_rate=0.2, warmup=0.1, gate_start="paper").hash == "bef161123e75"
    assert PROXY.changed(cooldown=0.5).hash == PROXY.hash  # means nothing to the schedule `linear`


LENGTHS = {"epochs": st.integers(1, 30), "a_epoch": st.integers(1, 400)}
SHAPES = {"cooldown": st.floats(0.01, 0.9), "warmup": st.floats(0, 0.1)}


@given(**LENGTHS, **SHAPES)
def test_a_constant_rate_rises_evenly_stays_at_its_peak_and_falls_evenly_to_zero(epochs, a_epoch, cooldown, warmup):
    """Oracle: a trapezium by its corners (numpy's interpolation), zero one step before the first and after the last."""
    recipe = PROXY.changed(schedule="constant", epochs=epochs, cooldown=cooldown, warmup=warmup, learning_rate=0.5)
    steps, trunk = epochs * a_epoch, recipe.trunk_steps(a_epoch)
    assert abs(trunk - (1 - cooldown) * steps) <= 0.5
    rates = [recipe.rate(step, a_epoch) for step in range(steps)]
    done = np.arange(1, steps + 1)  # steps taken after each
    rising = np.minimum(done / (warmup * a_epoch), 1) if warmup * a_epoch > 1 else np.ones(steps)
    falling = np.interp(done, [trunk, steps + 1], [1, 0])
    assert np.allclose(rates, 0.5 * np.minimum(rising, falling))


@given(longer=st.integers(0, 30), **LENGTHS, **SHAPES)
def test_under_a_constant_rate_a_longer_training_begins_with_the_trunk_of_a_shorter(
    longer, epochs, a_epoch, cooldown, warmup
):
    short = PROXY.changed(schedule="constant", epochs=epochs, cooldown=cooldown, warmup=warmup)
    long = short.changed(epochs=epochs + longer)
    trunk = short.trunk_steps(a_epoch)
    assert trunk <= long.trunk_steps(a_epoch)
    assert [short.rate(step, a_epoch) for step in range(trunk)] == [long.rate(step, a_epoch) for step in range(trunk)]


def test_under_a_constant_rate_the_warm_up_is_in_epochs_and_ends_before_the_cooldown():
    recipe = PROXY.changed(schedule="constant", epochs=4, warmup=2.5)
    assert recipe.rate(0, 100) == pytest.approx(recipe.learning_rate / 250)
    assert recipe.rate(248, 100) < recipe.rate(249, 100) == recipe.learning_rate
    with pytest.raises(RecipeError, match=r"warmup: 2.5 given; allowed: 0 to 2.25 epochs.*cooldown of 0.25"):
        recipe.changed(epochs=3)
    with pytest.raises(RecipeError, match="warmup: nan"):
        recipe.changed(warmup=float("nan"))


def test_a_number_is_the_same_recipe_however_it_is_written():
    assert PROXY.changed(learning_rate=1).hash == PROXY.changed(learning_rate=1.0).hash != PROXY.hash


def test_proxy_recipes_start_every_gate_at_the_identity():
    assert {recipe.gate_start for recipe in (SMOKE, PROXY, FULL)} == {"identity"}
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epochs=0", "epochs"),
        ("batch_size=1", "batch norm"),
        ("learning_rate=nan", "learning_rate"),
        ("learning_rate=fast", "not a float"),
        ("warmup=1", "warmup"),
        ("momentum=1", "momentum"),
        ("momentum=nan", "momentum"),
        ("weight_decay=-1", "weight_decay"),
        ("label_smoothing=2", "label_smoothing"),
        ("crop_padding=-1", "crop_padding"),
        ("gate_start=open", "identity, paper"),
        ("schedule=cosine", "linear, constant"),
        ("cooldown=0", "cooldown"),
        ("cooldown=1", "cooldown"),
        ("cooldown=nan", "cooldown"),
        ("mirror=maybe", "not a bool"),
        ("colour=red", "FIELD=VALUE"),
        ("name=x", "FIELD=VALUE"),
        ("hash=x", "FIELD=VALUE"),
        ("gate_start", "FIELD=VALUE"),
    ],
)
def test_a_wrong_setting_is_refused_by_field_value_and_what_is_allowed(setting, words):
    with pytest.raises(RecipeError, match=words):
        PROXY.changed_text([setting])


def test_settings_are_read_as_the_type_of_their_field():
    changed = PROXY.changed_text(["gate_start=paper", "mirror=false", "batch_size=32", "learning_rate=5e-2"], epochs=4)
    assert changed == PROXY.changed(gate_start="paper", mirror=False, batch_size=32, learning_rate=0.05, epochs=4)
