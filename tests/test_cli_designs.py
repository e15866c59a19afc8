"""`attnas cost` and `attnas space` as a user types them: what a design is, costs and resembles."""

import json


def test_the_cost_of_a_published_network(attnas):
    """Oracle: 28,071,976 parameters, published for bias-free SE-ResNet-50."""
    words = ["--backbone", "resnet50", "--image-size", 224, "--classes", 1000]
    found = json.loads(attnas("cost", "se", *words, "--json").out)
    assert found["params"] == 28_071_976 and found["added_params"] == 28_071_976 - 25_557_032
    printed = attnas("cost", "se", *words)
    assert "28,071,976" in printed.out and "MACs of convolutions" in printed.out


def test_the_rank_of_a_basis_is_shown(attnas):
    """Oracle: sixteen orthogonal cosines from 7 pixels up; four numbers at most in a 2 x 2 map."""
    done = attnas("cost", "fca-ts", "--backbone", "resnet8", "--image-size", 8)
    assert "rank of its basis, of 16: 8x8: 16, 4x4: 10, 2x2: 4" in done.out


def test_space_counts_and_lists_what_it_was_narrowed_to(attnas, tmp_path):
    """Oracle: avg with three reductions, the adaptive kernel, affine, pfca."""
    gates = ["--axis", "excitation=mlp,conv1d,affine,pfca", "--axis", "kernel=adaptive"]
    listed = attnas("space", "--list", "--axis", "squeeze=avg", *gates)
    assert listed.out.split() == ["avg/mlp-r4", "avg/mlp-r8", "avg/mlp-r16", "avg/conv1d", "avg/affine", "avg/pfca"]
    (tmp_path / "space.toml").write_text(
        'squeeze = ["avg"]\nreduction = [4]\nexcitation = ["mlp", "conv1d", "affine"]\n'
    )
    counted = attnas("space", "--count", "--json", "--space", tmp_path / "space.toml")
    assert json.loads(counted.out)["distinct"] == 1 + 3 + 1
    assert "reduction" in attnas("space").out


def test_the_networks_of_a_backbone_are_counted_and_costed(attnas):
    """Oracle: kernel 3 is ECA's rule at 16, 32 and 64 channels, so adaptive and k3 are one network there."""
    axes = ["--axis", "squeeze=none,avg", "--axis", "excitation=conv1d", "--axis", "kernel=adaptive,k3,k7"]
    counted = json.loads(attnas("space", "--count", *axes, "--backbone", "resnet8", "--json").out)
    assert (counted["distinct"], counted["networks"]) == (4, 3)
    listed = json.loads(attnas("space", "--list", *axes, "--backbone", "resnet8", "--json").out)
    assert [entry["params"] - listed[0]["params"] for entry in listed] == [0, 3 * 3, 3 * 7]


def test_a_preset_is_shown_in_words_with_rank_cost_neighbours_and_aliases(attnas, tmp_path):
    """Oracle: FcaNet's Theorem 1 (low1 is the average); 2 C^2 / 16 parameters a place of C channels."""
    words = ["space", "show", "fca-lf", "--backbone", "resnet8"]
    printed = attnas(*words, "--plot", tmp_path / "basis.png").out
    assert "Qin et al." in printed and "(0,0) (0,1)" in printed and "dct-top2/mlp-r16" in printed
    assert (tmp_path / "basis.png").read_bytes().startswith(b"\x89PNG")
    shown = json.loads(attnas(*words, "--json").out)
    assert [stage["params"] for stage in shown["stages"]] == [2 * C * C // 16 for C in (16, 32, 64)]
    assert [(stage["rank"], stage["rows"]) for stage in shown["stages"]] == [(2, 2)] * 3
    assert shown["neighbours"]["reduction"] == ["dct-low2/mlp-r4", "dct-low2/mlp-r8"]
    assert "dct-low1/mlp-r16" in json.loads(attnas("space", "show", "se", "--json").out)["aliases"]


def test_a_block_is_shown_with_its_equation_place_and_neighbours(attnas):
    printed = attnas("space", "show", "ema", "--backbone", "resnet18-cifar").out
    assert "Ouyang et al." in printed and "ema-g16, ema-g64" in printed and "ema-g32@mid" in printed
    assert "last spatial convolution of the residual branch and its norm" in attnas("space", "show", "simam").out


def test_a_design_for_each_place_is_shown_place_by_place(attnas, tmp_path):
    text = "dct-at01/affine | fca-ts | dct-at10.01/affine"
    printed = attnas("space", "show", text, "--backbone", "resnet8", "--plot", tmp_path / "places.png").out
    assert "rank 2 of 2" in printed and "dct-top16/mlp-r16" in printed
    assert (tmp_path / "places.png").read_bytes().startswith(b"\x89PNG")


def test_a_preset_elsewhere_keeps_its_paper(attnas):
    assert "Qin et al." in attnas("space", "show", "fca-ts@mid").out


def test_the_placement_moves_a_design(attnas):
    """Oracle: a bottleneck's middle has a quarter of its output's channels, so SE has a sixteenth of its weights."""
    words = ["cost", "--backbone", "resnet50", "--json"]
    own, middle = (json.loads(attnas(*words, *design).out) for design in (["se"], ["se", "--placement", "mid"]))
    assert own["added_params"] == 16 * middle["added_params"]
    assert middle["key"] == "avg/mlp-r16@mid" and middle["placement"] == "mid"
    assert json.loads(attnas(*words, "se@mid").out) == middle
    assert json.loads(attnas(*words, "gct").out)["placement"] == "before-conv"


def test_every_convention_is_printed_beside_its_number(attnas):
    """Oracle: fvcore counts 2 MACs a value of batch norm; the squeeze of FcaNet-TS adds one a value of a place."""
    found = json.loads(attnas("cost", "fca-ts", "--backbone", "resnet20", "--convention", "all", "--json").out)
    macs = {name: counted["macs"] for name, counted in found["conventions"].items()}
    assert macs["layers+squeeze"] - macs["layers"] == 86_016  # sum of C H W over the places
    assert macs["layers"] == 40_818_944 + 2_016
    assert all(counted["convention"] for counted in found["conventions"].values())
    printed = attnas("cost", "none", "--convention", "layers").out
    assert "layers: MACs of convolutions and linear layers" in printed


def test_latency_stands_beside_the_network_without_attention(attnas):
    words = ["cost", "se", "--backbone", "resnet8", "--latency", "--batch", 2, "--repeats", 2]
    found = json.loads(attnas(*words, "--json").out)["latency"]
    for phase in ("forward", "forward_backward"):
        assert found[phase]["n"] == 2 and found[phase]["median"] > 0 and found[phase]["plain_median"] > 0
    assert found["hardware"] and found["batch"] == 2
    printed = attnas(*words).out
    assert "without attention" in printed and "n = 2" in printed
