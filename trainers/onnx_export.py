"""A network as a graph that runs without this code: torch.export's, and ONNX made from it. Fixed size, free batch."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_space import UserError

if TYPE_CHECKING:
    import onnxruntime

OPSET = 18
"""What torch's exporter writes without converting; ONNX Runtime reads it from 1.14 (2023) on."""
INPUT, OUTPUT = "images", "logits"


def require_onnx(*packages: str) -> None:
    """Raises `UserError` with the line to type where a package is missing."""
    missing = [name for name in packages or ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX needs {', '.join(missing)}: pip install 'attnas[export]', or pip install {' '.join(missing)}; "
            "`attnas export --no-onnx` does without."
        )


def check_opset(opset: int) -> None:
    """Raises `UserError`."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not OPSET <= opset <= newest:
        raise UserError(f"opset: {opset} given; allowed: {OPSET} to {newest}, the newest of onnx {onnx.__version__}.")


def traced(net: nn.Module, image_size: int) -> torch.export.ExportedProgram:
    """The network in evaluation mode, float32 [B, 3, S, S] -> [B, classes], for any B."""
    example = torch.zeros(2, 3, image_size, image_size)
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(net.eval(), (example,), dynamic_shapes=({0: batch},))


def write_onnx(program: torch.export.ExportedProgram, path: Path, opset: int, about: Mapping[str, str]) -> None:
    """One file, weights inside; `about` becomes its metadata. Raises `UserError` for an opset that can't be had."""
    import onnx

    logging.getLogger("onnxscript").setLevel(logging.CRITICAL)  # it tells of every opset that it can't convert to
    try:
        with redirect_stdout(io.StringIO()):  # the exporter reports its steps
            made = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),  # the name of that axis
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"opset {opset}: torch {torch.__version__} can't write this network: {why}") from error
    assert made is not None
    written = made.model.opset_imports[""]
    if written != opset:
        raise UserError(f"opset: {opset} given, and torch {torch.__version__} wrote {written}; try {OPSET}.")
    made.model.metadata_props.update(about)
    made.save(path, external_data=False)
    onnx.checker.check_model(onnx.load(path), full_check=True)


def session(path: Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """The model in ONNX Runtime on the CPU. Raises `UserError` for what is no model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has an exception class for each of its codes
        why = str(error).partition("\n")[0]
        raise UserError(f"{path} can't be loaded by ONNX Runtime {onnxruntime.__version__}: {why}") from error


def runner(opened: onnxruntime.InferenceSession) -> Callable[[Tensor], Tensor]:
    """Images -> logits, both on the CPU."""
    name = opened.get_inputs()[0].name
    return lambda images: torch.from_numpy(opened.run(None, {name: images.numpy()})[0])
