"""Runs a network that `export_onnx` wrote, with numpy and onnxruntime alone.

Nothing else of the course is needed, nor is PyTorch: copy this file and the network to where it shall run.

    run = OnnxModel("captioner.onnx")
    (logits,) = run(images, tokens)
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

KEY = b"mmcourse.sha256"
DIGITS = 64  # of a checksum, in hexadecimal
TYPES = {"float": "float32", "double": "float64"}  # names of ONNX for types that numpy calls otherwise


class OnnxMissingError(ImportError):
    """A package is not installed; the message says what to type."""

    def __init__(self, package: str) -> None:
        super().__init__(f'the package {package} is not on this machine; type `pip install "mmcourse[onnx]"`')


class OnnxFileError(ValueError):
    """A file that holds no network of `export_onnx`, or a damaged one; the text is one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [f"OnnxFileError: {self}"]


def sealed(content: bytes) -> bytes:
    """The bytes of an ONNX model with their checksum behind them, which are an ONNX model again.

    Protocol buffers that stand one behind another are read as one; what comes last here is the field metadata_props
    (number 14) with one entry, a key (1) and a value (2). Each field begins with 8 · number + 2 and its length.

    >>> sealed(b"")[:4]
    b'rS\\n\\x0f'
    """
    value = hashlib.sha256(content).hexdigest().encode()
    entry = bytes([8 * 1 + 2, len(KEY)]) + KEY + bytes([8 * 2 + 2, len(value)]) + value
    return content + bytes([8 * 14 + 2, len(entry)]) + entry


SEAL = len(sealed(b""))


class OnnxModel:
    """A network in a file, called with arrays.

    Args:
        path: a file that `export_onnx` wrote.
        threads: how many work on one call; as many as the machine has cores by default.
    Raises:
        OnnxMissingError: onnxruntime is not installed.
        OnnxFileError: there is no file, it was cut or changed, or something else wrote it.
    """

    def __init__(self, path: str | Path, *, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise OnnxMissingError("onnxruntime") from None
        content = _read(Path(os.path.expanduser(path)))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: (_dtype(each.type), tuple(each.shape)) for each in self.session.get_inputs()}

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """The outputs for these inputs, in the order of the method that was exported.

        Raises:
            ValueError: there are more or fewer than `inputs`, or one has another type or shape.
        """
        if len(arrays) != len(self.inputs):
            raise ValueError(f"inputs must be {len(self.inputs)}: {', '.join(self.inputs)}; got {len(arrays)}")
        for (name, (dtype, shape)), array in zip(self.inputs.items(), arrays, strict=True):
            fits = len(shape) == array.ndim and all(
                isinstance(wanted, str) or size == wanted for size, wanted in zip(array.shape, shape, strict=True)
            )
            if array.dtype != dtype or not fits:
                wanted = f"{dtype} ({', '.join(map(str, shape))})"
                raise ValueError(f"{name} must be {wanted}, got {array.dtype} {array.shape}")
        return self.session.run(None, dict(zip(self.inputs, arrays, strict=True)))


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise OnnxFileError(f"the file {path} cannot be read ({reason}); give one that export_onnx wrote") from None
    if KEY not in content[-SEAL:]:
        raise OnnxFileError(f"the file {path} is not of export_onnx, or its end is missing; export the model again")
    if sealed(content[:-SEAL]) != content:
        raise OnnxFileError(f"the file {path} was cut or changed after it was written; export the model again")
    return content


def _dtype(name: str) -> Any:
    """tensor(float) -> float32, as numpy calls it."""
    name = name.removeprefix("tensor(").removesuffix(")")
    return np.dtype(TYPES.get(name, name))
