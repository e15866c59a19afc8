"""Recipes as values."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.recipe import FULL, PROXY, RECIPES, SMOKE, RecipeError


@given(steps=st.integers(1, 5000), warmup=st.floats(0, 0.9))
def test_the_rate_rises_to_its_peak_once_and_falls_towards_zero(steps, warmup):
    recipe = PROXY.changed(warmup=warmup)
    rates = [recipe.rate(step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert all(0 < rate <= recipe.learning_rate for rate in rates)
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    # one more step would be at zero: the last is one of (1 - warmup) * (steps + 1) equal steps down
    assert rates[-1] <= recipe.learning_rate / max(1, (1 - warmup) * (steps + 1)) * 1.000001


def test_the_hash_changes_with_every_field_but_name_and_epochs():
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
    }
    assert {field.name for field in fields(PROXY)} == {"name", "epochs", *other}
    hashes = {PROXY.hash, *(PROXY.changed(**{name: value}).hash for name, value in other.items())}
    assert len(hashes) == 1 + len(other)
    assert PROXY.changed(epochs=3, name="mine").hash == PROXY.hash


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
