"""What a recipe hash stands for is written down once, by everything that trains.

Oracles: `dataclasses.asdict` for the values, hashlib over the text that trainers/recipe.py describes for the hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retrain_tree import carried_out, make_tree

from results import Store, open_store
from results.recipes import KeptRecipe, RecipeConflictError
from search import search
from search.kept_recipe import recipe_of_hash
from search.objective import Setting
from search.replicate import replicate
from search.retraining import retrain
from search_space import Space, find_design
from search_space.errors import UserError
from trainers import PROXY, Recipe
from trainers.image_data import ImageData
from trainers.image_set import image_set
from trainers.imagenet import RetrainRecipe

ONE = KeptRecipe(hash="8773e6ad0932", kind="Recipe", name="proxy", content={"momentum": 0.9, "mirror": True, "x": None})


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    with open_store(storage_url) as store:
        yield store


def test_a_kept_recipe_is_found_by_its_hash_and_the_first_stays(store: Store) -> None:
    assert store.recipes.get(ONE.hash) is None
    other = dataclasses.replace(ONE, hash="0")
    for recipe in (ONE, dataclasses.replace(ONE, name="mine"), other):
        store.recipes.keep(recipe)
    assert store.recipes.get(ONE.hash) == ONE and store.recipes.list() == [other, ONE]


def test_a_known_recipe_is_kept_again_without_a_write(store: Store) -> None:
    store.recipes.keep(ONE)
    with open_store(store.url, read_only=True) as reader:
        reader.recipes.keep(ONE)  # a write would be an assertion


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"content": ONE.content | {"momentum": 0.8}}, "momentum: given 0.8, stored 0.9"),
        ({"content": ONE.content | {"x": 0}}, "x: given 0, stored None"),
        ({"kind": "RetrainRecipe"}, "kind: given RetrainRecipe, stored Recipe"),
    ],
)
def test_a_hash_with_other_values_is_refused_with_both(store: Store, change: dict[str, Any], told: str) -> None:
    store.recipes.keep(ONE)
    with pytest.raises(RecipeConflictError) as caught:
        store.recipes.keep(dataclasses.replace(ONE, **change))
    assert told in str(caught.value) and "another storage" in str(caught.value) and isinstance(caught.value, UserError)
    assert store.recipes.list() == [ONE]


def test_a_field_that_came_later_is_no_conflict(store: Store) -> None:
    """Its default means what was before, so that the hash is the old one."""
    store.recipes.keep(ONE)
    later = dataclasses.replace(ONE, content={**ONE.content, "cutout": 0})
    store.recipes.keep(later)
    store.recipes.keep(ONE)
    assert store.recipes.list() == [later]


def test_content_that_makes_no_recipe_is_none(store: Store) -> None:
    for number, content in enumerate([{"batch_size": "x"}, {"batch_size": 1}, {"momentum": None}]):
        store.recipes.keep(dataclasses.replace(ONE, hash=f"h{number}", content=content))
        with pytest.raises(UserError, match="none that can be trained by from here; the storage keeps: h0"):
            recipe_of_hash(f"h{number}", 3, store)


def hash_of(content: dict[str, Any], kind: type, defaults: dict[str, Any]) -> str:
    """12 digits over kind, drawing, and the fields that differ from their defaults."""
    changed = {name: value for name, value in content.items() if name == "drawn" or value != defaults[name]}
    return hashlib.sha256(json.dumps({"kind": kind.__name__, **changed}, sort_keys=True).encode()).hexdigest()[:12]


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "batch_size": st.sampled_from([2, 64]),
        "learning_rate": st.sampled_from([1, 1.0, 0.1]),
        "momentum": st.sampled_from([0, 0.0, 0.9]),
        "crop_padding": st.sampled_from([4, 4.0, 0]),
        "mirror": st.sampled_from([True, 1, False]),
        "cooldown": st.sampled_from([0.25, 0.5]),
        "schedule": st.sampled_from(["linear", "constant"]),
        "epochs": st.sampled_from([3, 10]),
        "name": st.sampled_from(["proxy", "mine"]),
    },
)


@given(one=CHANGES, other=CHANGES)
def test_recipes_of_one_hash_and_no_others_have_one_content(one: dict[str, Any], other: dict[str, Any]) -> None:
    recipes = [PROXY.changed(**changes) for changes in (one, other)]
    texts = {json.dumps(recipe.content, sort_keys=True) for recipe in recipes}
    assert len(texts) == len({recipe.hash for recipe in recipes})


@given(changes=CHANGES)
def test_the_content_has_every_value_that_the_hash_covers(changes: dict[str, Any]) -> None:
    recipe = PROXY.changed(**changes)
    values = dataclasses.asdict(recipe)
    idle = {"name", "epochs"} | (set() if recipe.schedule == "constant" else {"cooldown"})
    assert recipe.content == {"drawn": "network first"} | {n: v for n, v in values.items() if n not in idle}
    defaults = {field.name: field.default for field in dataclasses.fields(Recipe)}
    assert hash_of(recipe.content, Recipe, defaults) == recipe.hash


@pytest.mark.parametrize("changes", [{}, {"batch_size": 512}, {"learning_rate": 0.25}, {"gate_start": "identity"}])
def test_the_content_of_a_retraining_says_the_rate_that_its_batch_comes_to(changes: dict[str, Any]) -> None:
    recipe = RetrainRecipe(**changes)
    rate = changes.get("learning_rate", 0.1 * recipe.batch_size / 256)
    values = dataclasses.asdict(recipe) | {"drawn": "network first", "learning_rate": rate}
    by_rule = ("name", "epochs", "base_rate", "base_batch", "rate_rule")
    assert recipe.content == {name: value for name, value in values.items() if name not in by_rule}
    defaults = {field.name: field.default for field in dataclasses.fields(RetrainRecipe)}
    hashed = recipe.content | ({} if "learning_rate" in changes else {"learning_rate": None})
    assert hash_of(hashed, RetrainRecipe, defaults) == recipe.hash


TINY = PROXY.changed(epochs=1, batch_size=32)


def kept_of_rows(store: Store) -> list[KeptRecipe]:
    assert {row.recipe_hash for row in store.rows()} == {recipe.hash for recipe in store.recipes.list()}
    return store.recipes.list()


def test_training_by_name_keeps_its_recipe(store: Store, blobs: ImageData) -> None:
    replicate([find_design("none")], [0], Setting(blobs, "resnet8", TINY, device="cpu", precision="float32"), store)
    assert kept_of_rows(store) == [KeptRecipe(hash=TINY.hash, kind="Recipe", name="proxy", content=TINY.content)]


def test_a_search_keeps_the_recipe_that_it_trains_by(tmp_path: Path, blobs: ImageData) -> None:
    """With rungs that is the one under the constant rate."""
    recipe = TINY.changed(epochs=3)
    options: dict[str, Any] = {"data": blobs, "backbone": "resnet8", "recipe": recipe, "warm_start_from": "none"}
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        search(Space(squeeze=("avg",)), store=store, trials=1, device="cpu", precision="float32", **options)
        assert [kept.content for kept in kept_of_rows(store)] == [recipe.held().content]


def test_a_retraining_keeps_its_recipe(store: Store, tmp_path: Path) -> None:
    recipe = RetrainRecipe(epochs=1, batch_size=8)
    tree = make_tree(tmp_path / "tree", train=2, val=1)
    options: dict[str, Any] = {"backbone": "resnet8", "image_size": 16, "recipe": recipe}
    retrain(find_design("none"), image_set(tree), store=store, output=tmp_path / "out", **carried_out(options))
    assert [(kept.kind, kept.name, kept.content) for kept in kept_of_rows(store)] == [
        ("RetrainRecipe", "imagenet", recipe.content)
    ]
