"""Proxy trainings with rungs, for the tests of them. 180 images in batches of 16: 11 steps an epoch; with a cooldown of
a quarter the trunks of 2, 4 and 8 epochs are 16, 33 and 66 steps: inside an epoch (16) and at the end of one (33)."""

from search_space import PRESETS
from trainers import PROXY, train

RECIPE = PROXY.changed(epochs=8, batch_size=16, crop_padding=1, schedule="constant")


def run(data, design=PRESETS["se"], **options):
    return train(design, data, **{"backbone": "resnet8", "recipe": RECIPE, "precision": "float32"} | options)


def facts(outcome):
    """What must repeat to the bit."""
    assert outcome.status != "failed", outcome.error
    curves = [{name: value for name, value in record.items() if name != "seconds"} for record in outcome.curves]
    return outcome.accuracy, outcome.loss, outcome.settled, curves
