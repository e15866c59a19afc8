"""Speed benchmarks measure what they say. What they find is in benchmarks/, not here."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from timm.models.resnet import BasicBlock

from benchmarks.speed import attention, cuda, loop, plain, profile, squeezes
from benchmarks.speed.clock import alternated
from benchmarks.speed.levels import level_by_level
from benchmarks.speed.scale import Scale
from benchmarks.tables import middle_half, spread, write_section
from search_space import AttentionDesign, build
from trainers import cifar_resnet
from trainers.augment import normalise
from trainers.data import Split
from trainers.fused_kernels import plainly
from trainers.recipe import PROXY
from trainers.synthetic import load_synthetic
from trainers.way import Way

SE = AttentionDesign.parse("avg/mlp-r4")


@pytest.fixture(scope="module")
def data():
    whole = load_synthetic(image_size=16)
    few = Split(whole.train.images[::60].contiguous(), whole.train.labels[::60])
    held_out = Split(whole.validation.images[:20], whole.validation.labels[:20])
    return replace(whole, train=few, validation=held_out, flip=True)


@pytest.fixture(scope="module")
def task(data):
    return loop.Task(data, "resnet8", SE, PROXY.changed(epochs=2, batch_size=16), seed=3)


# -- how numbers are found and written -----------------------------------------------------------------------------


def test_the_middle_half_is_numpys_quartiles():
    values = [3.0, 1.0, 10.0, 4.0, 7.0, 2.0]
    low, middle, high = np.percentile(values, [25, 50, 75])
    assert middle_half(values) == f"{middle:.3g} ({low:.3g} to {high:.3g})"
    assert spread(values) == "3.5 (1 to 10)" and middle_half([2.0]) == "2" and middle_half([]) == ""


def test_steps_take_turns_and_the_first_of_each_is_not_counted():
    done = []
    times = alternated({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 3)
    assert "".join(done[4:]) == "abbaab" and len(done) == 10  # before them one to warm up and one to see how long
    assert len(times["a"].wall) == len(times["b"].cpu) == 3


def test_a_section_replaces_its_own_and_keeps_the_others_and_the_notes(tmp_path):
    path, order = tmp_path / "speed.md", ["One", "Two", "Three"]
    write_section(path, "# Speed", "## Three\n\nold\n\n### part\n\nof three\n", order)
    write_section(path, "# Speed", "## One\n\nfirst\n", order)
    path.write_text(path.read_text() + "\n## Notes (written by hand; a new run keeps them)\n\nMine.\n")
    write_section(path, "# Speed!", "## Three\n\nnew\n", order)
    notes = "## Notes (written by hand; a new run keeps them)\n\nMine.\n"
    assert path.read_text() == f"# Speed!\n\n## One\n\nfirst\n\n## Three\n\nnew\n\n{notes}"


# -- trials --------------------------------------------------------------------------------------------------------


def test_plain_trials_learn_at_the_recipes_rates(task):
    optimiser = plain.optimiser_of(task.network(), PROXY)
    schedule = plain.schedule_of(optimiser, PROXY, PROXY.epochs * 7)
    for step in range(PROXY.epochs * 7):
        rates = [group["lr"] for group in optimiser.param_groups]
        assert rates == pytest.approx([PROXY.rate(step, 7)] * 2, rel=1e-12)
        optimiser.step()
        schedule.step()


def test_plain_trials_see_the_pixels_that_attnas_sees(data):
    images = np.ascontiguousarray(data.train.images.permute(0, 2, 3, 1).numpy())
    part, numbers = (images, data.train.labels.numpy()), (data.mean.tolist(), data.std.tolist())
    _, batches = plain.loaders(plain.Arrays(part, part, 16, *numbers, True), PROXY, workers=0)
    seen, labels = next(iter(batches))
    torch.testing.assert_close(seen, normalise(data.train.images, data.mean, data.std), rtol=1e-4, atol=1e-5)
    assert torch.equal(labels, data.train.labels)


def test_a_plain_trial_is_a_record_an_epoch(data):
    arrays = plain.arrays_of(data)
    options = {"backbone": "resnet8", "recipe": PROXY.changed(epochs=2, batch_size=32), "workers": 0}
    records = list(plain.train(SE, 0, arrays, form=plain.FORMS[0], **options))
    assert [record["epoch"] for record in records] == [1, 2] and 0 <= records[-1]["accuracy"] <= 1
    assert 1 < records[-1]["train_loss"] < 5  # log 16 is 2.8


# -- the loop ------------------------------------------------------------------------------------------------------


def test_the_bare_loop_gets_the_batches_that_the_trainers_network_sees(task):
    run = task.run(Way("float32", "contiguous"))
    seen = []
    run.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]) if run.net.training else None)
    steps = run.steps_an_epoch + 2  # into the second epoch
    list(run.train_to(steps))
    for ours, (theirs, _) in zip(seen, task.batches(), strict=False):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert len(seen) == steps


def test_the_trainers_losses_are_those_of_the_bare_loop(task):
    way = Way("float32", "contiguous")
    ours, theirs = loop.run_losses(task, way, 3), loop.bare_losses(task, way, 3)
    assert loop.distances(ours, theirs)[0] < 1e-5 and len(set(theirs)) == 3


def test_weights_rounded_otherwise_are_off_by_the_unit_roundoff_at_most(task):
    exact, rounded = task.network(), task.network()
    loop.round_otherwise(rounded, "bfloat16", 1)
    off = [
        ((one - other) / one).abs().max()
        for one, other in zip(rounded.parameters(), exact.parameters(), strict=True)
        if other.all()
    ]
    assert 2**-9 < max(off) <= 2**-8 * 1.01  # half a unit of the last of 8 significant bits


def test_a_way_agrees_that_is_no_farther_than_rounding_takes_a_curve(task, monkeypatch):
    way = Way("float32", "channels_last")
    (row,) = loop.agreement(task, [way], 3)
    assert row[-1] == "agrees" and 0 < float(row[2]) <= 3 * float(row[3])
    monkeypatch.setattr(loop, "run_losses", lambda *_: loop.bare_losses(replace(task, seed=4), way, 3))
    assert loop.agreement(task, [way], 3)[0][-1] == "DIFFERS"


def test_a_curve_that_departs_is_seen():
    assert loop.distances([1.0, 2.0, 3.5, 4.0], [1.0, 2.0, 3.0, 5.0]) == (1.0, -1.0)


def test_what_the_loop_costs_is_a_ratio_for_each_way(task):
    cells = loop.cost(task, Way("float32", "contiguous"), Scale(1, small=True))
    assert len(cells) == 4 and all("to" in cell for cell in cells)


# -- a CUDA device -------------------------------------------------------------------------------------------------


def test_lines_of_a_device_that_is_not_there_are_unmeasured(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = [line for line in cuda.section(Scale(1)).splitlines() if line.startswith("| resnet")]
    assert len(rows) == len(cuda.LINES) and all(row.count("unmeasured") == 5 for row in rows)


def test_images_a_second_are_those_of_all_epochs_but_the_first(task, data):
    records = [{"seconds": 10.0}, {"seconds": 12.0}, {"seconds": 14.0}]
    assert cuda.rate_of(task, records) == 2 * len(data.train.labels) / 4
    device = torch.device("cpu")
    assert cuda.own_rate(task, Way("float32", "contiguous"), device) > 0 < cuda.plain_rate(task, device)


# -- attention and squeezes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["se", "eca"])
def test_blocks_have_the_layer_of_timm_that_their_attn_layer_names(task, name):
    net = task.network()
    attention.put_timm_layers(net, name)
    blocks = [block for block in net.modules() if isinstance(block, cifar_resnet.BasicBlock)]
    own = [BasicBlock(channels, channels, attn_layer=name).se for channels in (16, 32, 64)]
    assert list(map(repr, (block.se for block in blocks))) == list(map(repr, own))


def test_steps_with_attention_are_compared_with_the_same_network_without():
    text = attention._table("resnet8", plain.FORMS[0], Scale(1, small=True))
    lines = [line.split("|")[1:4] for line in text.splitlines()[4:]]
    assert [line[0].strip() for line in lines] == ["none", "SE (`avg/mlp-r4`)", *list(attention.TIMM)[1:]]
    assert lines[0][2].strip() == "1 (1)"


def test_level_by_level_gives_every_squeeze_up_to_a_factor():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 16, 16, 16, generator=generator, dtype=torch.float64)
    every = squeezes.squeezes()
    assert len(every) > 80
    for squeeze, design in every.items():
        ours, theirs = build(design, 16, dtype=torch.float64).pooling(x), level_by_level(squeeze, x)(x)
        factors = theirs / ours
        torch.testing.assert_close(factors, factors[:1].expand_as(factors), rtol=1e-6, atol=1e-6, msg=str(squeeze))


@pytest.mark.parametrize("text", ["sym4-d3-all-each/fc", "bior2.2-d3-coarse4/fc", "recursive-each/fc"])
def test_levels_go_down_on_maps_smaller_than_their_filters(text):
    x = torch.randn(2, 8, 7, 7)
    squeeze = next(squeeze for squeeze in squeezes.squeezes() if str(squeeze) == text)
    assert level_by_level(squeeze, x)(x).shape == (2, 8, squeeze.numbers)


def test_a_row_is_the_middle_and_the_worst_of_its_designs_and_sizes():
    squeeze, design = next(pair for pair in squeezes.squeezes().items() if str(pair[0]) == "dct-low2-each/fc")
    found = squeezes.measure(squeeze, design, squeezes.SMALL[0], plain.FORMS[1], Scale(1, small=True), run=plainly)
    assert [one.passes for one in found] == ["forward", "both"] and found[0].heard_ms > 0
    known = [replace(found[0], side=8, module_to_pool=1.5), replace(found[0], side=16, module_to_pool=1.25)]
    (row,) = squeezes.rows(known)
    assert row[:5] == ["DCT", "2", "1", "1.38 (1.5)", ""]


# -- the profile ---------------------------------------------------------------------------------------------------


def test_time_is_given_to_what_it_was_spent_on():
    """The backward operator of an attention's product, known by autograd's number, among those of others."""
    clock = iter(range(100))

    def event(name, seconds, above=None, number=-1):
        start = SimpleNamespace(start=next(clock))
        fields = {"cpu_parent": above, "sequence_nr": number, "time_range": start}
        return SimpleNamespace(name=name, self_cpu_time_total=seconds * 1e6, **fields)

    step = event(profile.STEP, 1)
    network = event(profile.NETWORK, 1, step)
    gate = event(profile.ATTENTION, 1, network)
    node = f"{profile._NODE}: MulBackward0"
    nodes = [event(node, 0, step, 7), event(node, 0, step, 8)]
    events = [
        *(step, network, gate, *nodes),
        event("aten::gather", 2, step),
        event("aten::mkldnn_convolution", 4, event("aten::conv2d", 0, network), 6),
        event("aten::mul", 8, gate, 7),
        event("aten::mean", 0, gate, 8),  # makes no node: the next has its number
        event("aten::native_batch_norm", 16, network, 8),
        event("aten::sum", 32, event("MulBackward0", 0, nodes[0], 7)),
        event("aten::native_batch_norm_backward", 64, nodes[1]),
        event("aten::_fused_sgd_", 128, step),
        event("aten::mkldnn_convolution", 256, event(profile.EVALUATION, 0)),
    ]
    for late in nodes:
        late.time_range.start = 50
    for late in events[-4:-2]:
        late.time_range.start = 60
    wanted = {"convolution": 4, "batch norm, ReLU, addition": 80, "fused passes": 0, "attention": 40, "optimiser": 128}
    assert profile.grouped(events) == wanted | {"data, augmentation": 2, "evaluation": 256, "rest": 3}


def test_a_profiled_trial_spends_time_on_everything(task):
    found = profile.shares(task, Way("float32", "contiguous"))
    assert found.pop("fused passes") == 0 and all(seconds > 0 for seconds in found.values())
