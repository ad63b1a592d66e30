"""A model as an ONNX file, the open form that programs without PyTorch run, checked before it is written.

The graph comes from `torch.onnx.export`, which follows the model once with tensors that have no values. The file runs
with any number of samples; everything else, such as the length of a text, is that of the example.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmcourse.deploy.layers import Method, refuse_meta
from mmcourse.deploy.runner import OnnxMissingError, OnnxModel, sealed
from mmcourse.files import draft_of, expanded
from mmcourse.runtime import evaluating

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class Exported(NamedTuple):
    """The names of what goes in and comes out, and how far the file was from the model at most when it was checked."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float


class OnnxExportError(ValueError):
    """A model that cannot be exported, or comes out different; the text is one sentence."""


def export_onnx(
    model: nn.Module,
    example: Sequence[Tensor],
    path: str | Path,
    *,
    method: str = "forward",
    names: Sequence[str] | None = None,
    tolerance: float = 1e-4,
) -> Exported:
    """Writes what a method of the model computes, in evaluation mode, as an ONNX file, in one step.

    Before the file takes its place onnxruntime runs it on one sample more than the example has, and on one alone.

    Args:
        example: the inputs, each a tensor with at least two samples along its first dimension; the batch of the file is
            free, all other sizes are these.
        method: of the model; it takes the inputs by their places and gives a tensor or several.
        names: of the inputs; "input_0", "input_1" and so on by default.
        tolerance: how far a number may be from the model's, absolutely, and as a share of it.
    Raises:
        OnnxMissingError: packages are missing; the message says what to type.
        OnnxExportError: the model cannot be followed, or the file gives other numbers; nothing is written then.
        ValueError: the examples have no batch in common, there is not one name for each, there is no such method, or
            the model is on the meta device.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise OnnxMissingError(package)
    path, call = expanded(path), Method(model, method)
    refuse_meta(model)
    example = tuple(value.detach() for value in example)
    names = [f"input_{place}" for place in range(len(example))] if names is None else list(names)
    _check_example(example, names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path) as draft, evaluating(call):
        draft.write_bytes(sealed(_graph(call, example, names)))
        run = OnnxModel(draft)
        outputs = tuple(output.name for output in run.session.get_outputs())
        largest = 0.0
        for count in (example[0].shape[0] + 1, 1):
            inputs = tuple(value.repeat(2, *[1] * (value.dim() - 1))[:count] for value in example)
            largest = max(largest, _difference(call, run, inputs, tolerance))
    return Exported(tuple(names), outputs, largest)


def _check_example(example: Sequence[Tensor], names: Sequence[str]) -> None:
    shapes = [tuple(value.shape) for value in example]
    counts = {shape[0] if shape else 0 for shape in shapes}
    if len(counts) != 1 or min(counts) < 2:
        raise ValueError(f"example must be tensors with the same batch of at least 2 in front, got shapes {shapes}")
    if len(names) != len(example) or len(set(names)) != len(names):
        raise ValueError(f"names must be {len(example)} different ones, one an input, got {list(names)}")


def _graph(call: Method, example: tuple[Tensor, ...], names: list[str]) -> bytes:
    """The ONNX model that the exporter makes, its batch left open."""
    batch = tuple({0: torch.export.Dim("batch")} for _ in example)
    written = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)  # which several inputs share on purpose
            program = torch.onnx.export(
                call, example, dynamo=True, dynamic_shapes=(batch,), input_names=names, verbose=False
            )
        program.save(written)
    except Exception as error:  # the exporter raises kinds of its own, with a page of advice for its developers
        cause = error.__cause__ or error
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise OnnxExportError(f"{call.about} cannot be exported ({type(cause).__name__}: {reason})") from error
    return written.getvalue()


def _difference(call: Method, run: OnnxModel, inputs: tuple[Tensor, ...], tolerance: float) -> float:
    """The largest absolute difference between the model and the file; too large a one is an error."""
    expected = _tensors(call(*inputs))
    try:
        found = run(*[value.cpu().numpy() for value in inputs])
    except Exception as error:  # onnxruntime has no kind of its own, and ours speaks of inputs
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        said = f"the export of {call.about} does not run with {len(inputs[0])} samples"
        raise OnnxExportError(f"{said} ({reason})") from error
    largest = 0.0
    for number, (theirs, ours) in enumerate(zip(found, expected, strict=True)):
        ours = ours.cpu().numpy()
        if theirs.shape != ours.shape or not np.allclose(theirs, ours, rtol=tolerance, atol=tolerance, equal_nan=True):
            raise OnnxExportError(
                f"the export of {call.about} gives other numbers in output {number} with {len(inputs[0])} samples; "
                "does the model depend on values or sizes in its Python code?"
            )
        if ours.size:
            largest = max(largest, float(np.abs(theirs.astype("float64") - ours.astype("float64")).max()))
    return largest


def _tensors(given: Any) -> list[Tensor]:
    """A tensor or a tuple of tensors, nested or not, as a list; None, which ONNX has not, is left out."""
    if given is None:
        return []
    return [given] if isinstance(given, Tensor) else [tensor for part in given for tensor in _tensors(part)]
