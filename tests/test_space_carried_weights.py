"""Every two designs of one key are one function: weights carried over, first weights reordered and turned, same output.

All keys with more than one spelling, of the default space and of the space of other spellings. Nothing is taken from
`canonical`: order and signs are read off the squeezed numbers, and `carry_over` fails where the excitation has no
weight for them.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import pytest
import torch
from test_space_identities import SPACES
from test_space_oracles import carry_over, order_and_signs, random_maps, trained

from search_space import AttentionDesign, Space

CHANNELS = 34  # no multiple of 4, 7 or 10 entries: uneven groups too; 2 hidden numbers at r16
SIZES = ((7, 9), (8, 8), (3, 4))


def spellings(space: Space) -> dict[str, list[str]]:
    """Key -> its designs, for keys with several."""
    found: dict[str, list[str]] = defaultdict(list)
    for design in space.designs():
        found[design.key].append(str(design))
    return {key: texts for key, texts in found.items() if len(texts) > 1}


@pytest.mark.parametrize("name", SPACES)
def test_all_spellings_of_a_key_give_one_output_with_carried_over_weights(name: str) -> None:
    several = spellings(SPACES[name])
    assert len(several) > 50
    maps = [random_maps(CHANNELS, *size) for size in SIZES]
    for key, texts in several.items():
        canonical = trained(key, CHANNELS)
        expected = [canonical(x) for x in maps]
        for text in texts:
            if text == key:
                continue
            other = trained(text, CHANNELS, seed=1)
            carry_over(canonical, other, random_maps(CHANNELS, 8, 8, images=4))
            for x, y in zip(maps, expected, strict=True):
                torch.testing.assert_close(other(x), y, rtol=0, atol=1e-9, msg=f"{text} is not {key}")


def test_a_key_is_a_spelling_of_itself_in_every_space() -> None:
    for space in SPACES.values():
        for key in {design.key for design in space.designs()}:
            assert AttentionDesign.parse(key).key == key


def weights_of(layer: torch.nn.Module) -> list[torch.Size]:
    return [parameter.shape for parameter in layer.parameters()]


@pytest.mark.parametrize("squeeze", ["l2", "avg+max", "dct-low4-each", "haar-d2-details"])
def test_no_two_gates_with_weights_of_the_same_shapes_are_one_function(squeeze: str) -> None:
    """The same numbers in every weight; 24 channels, where the adaptive kernel is 3 and no reduction like another."""
    layers = {}
    for gate in {str(design).partition("/")[2] for design in Space().designs()} - {"conv1d-k3", "conv1d-k3-bias", ""}:
        try:
            layers[gate] = trained(f"{squeeze}/{gate}", 24)
        except ValueError:  # one number a channel only, or several only
            continue
    x = random_maps(24, 8, 8)
    compared = 0
    for (one, left), (other, right) in combinations(layers.items(), 2):
        if weights_of(left) == weights_of(right):
            assert (left(x) - right(x)).abs().max() > 1e-3, (one, other)
            compared += 1
    assert len(layers) > 15
    assert compared > 1 or squeeze != "l2"  # pfca and gaussian; affine and affine-g64


def test_carrying_over_refuses_what_differs_by_more_than_order_and_sign() -> None:
    """Otherwise the test above could pass by carrying nothing."""
    x = random_maps(CHANNELS, 8, 8)
    for one, other in (
        ("haar-d2-all/fc", "db2-d2-all/fc"),
        ("avg/fc", "max/fc"),
        ("haar-d1-all/pfca", "db2-d1-all/pfca"),
        ("haar-d1-all/gaussian", "db2-d1-all/gaussian"),
        ("haar-d1-all/affine-g2", "db2-d1-all/affine-g2"),
        ("haar-d1-all/conv1d", "db2-d1-all/conv1d"),
        ("haar-d1-all-each/mlp-r2-shared", "db2-d1-all-each/mlp-r2-shared"),
        ("haar-d1-all-each/mlp-r2-mixed", "db2-d1-all-each/mlp-r2-mixed"),
    ):
        with pytest.raises(AssertionError, match=r"differ by more|no weight takes up|same for all channels"):
            carry_over(trained(one, CHANNELS), trained(other, CHANNELS), x)
    found = order_and_signs(torch.eye(3)[None, :, :2], torch.eye(3)[None, :, [1, 0]])
    assert found is not None and found[0] == [1, 0]
