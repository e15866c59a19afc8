"""The options that several commands share, each said once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

DESIGN = Annotated[str, typer.Argument(help="A preset (se, eca, fca-ts...) or a design text (haar-d2-all/mlp-r16).")]
DATA = Annotated[str, typer.Option(help="cifar100 | folder:PATH (PATH/train/<class>/*.jpg) | synthetic.")]
DATA_DIR = Annotated[Path | None, typer.Option(help="Where cifar-100-python.tar.gz lies, or is downloaded to.")]
BACKBONE = Annotated[
    str,
    typer.Option(
        help="resnet8 resnet20 resnet32 resnet56 resnet110, resnet18-cifar...; timm's ResNets, EfficientNets...; "
        "or a function of yours, package.module:factory."
    ),
]
PLACEMENT = Annotated[
    str | None,
    typer.Option(help="after-norm | before-norm | before-conv | mid; the design's published place unless given."),
]
IMAGE_SIZE = Annotated[int, typer.Option(min=1, max=2048, help="Side of the images in pixels.")]
NETWORK_SIZE = Annotated[
    int | None,
    typer.Option("--image-size", min=1, max=2048, help="Side of the images; 32 for CIFAR's networks, else 224."),
]
RECIPE = Annotated[
    str,
    typer.Option(help="smoke (3 epochs) | proxy (10) | full (200) | the hash of one that rows of the storage have."),
]
EPOCHS = Annotated[int | None, typer.Option(help="Epochs instead of the recipe's own.")]
SETTINGS = Annotated[
    list[str] | None, typer.Option("--set", help="FIELD=VALUE of the recipe, as gate_start=paper; repeatable.")
]
DEVICE = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1...; the accelerator if there is one.")]
PRECISION = Annotated[str, typer.Option(help="auto (measured once a machine and network) | float32 | bfloat16.")]
FUSE = Annotated[
    bool | None,
    typer.Option("--fuse/--no-fuse", help="Blocks that read their maps less often; by default where measured faster."),
]
SKIP_CORRUPT = Annotated[bool, typer.Option("--skip-corrupt", help="Leave out images that can't be decoded.")]
THREADS = Annotated[
    int,
    typer.Option(min=1, help="CPU threads. Rather than raise it, start the same command again: they share the work."),
]
AXES = Annotated[
    list[str] | None, typer.Option("--axis", help="Narrow the space: AXIS=VALUE[,VALUE...], as depth=1,2; repeatable.")
]
CORES = os.cpu_count() or 1
SPACE_FILE = Annotated[Path | None, typer.Option("--space", help="TOML file of axis = [values] lines.")]
JSON = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
