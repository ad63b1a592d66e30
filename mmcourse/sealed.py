"""Tensors in a safetensors file that says what it is and notices when it was cut or changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mmcourse.files import write_in_one_step

KEY = "mmcourse"  # one entry of metadata: safetensors writes several in no particular order


class Sealed(NamedTuple):
    """A kind of file.

    kind, format: written into it; another kind or format is refused.
    noun, writer: what an error calls its content, and who writes it.
    about: under which name the facts beside the tensors stand, as JSON.
    error: raised with one sentence.
    """

    kind: str
    format: int
    noun: str
    writer: str
    about: str
    error: type[Exception]

    def write(self, path: Path, facts: Any, tensors: Mapping[str, Tensor]) -> None:
        """Writes tensors, contiguous and on the CPU, in one step; the same ones and facts give the same bytes."""
        sealed = {"format": self.format, "kind": self.kind, self.about: facts, "sha256": _checksum(facts, tensors)}
        write_in_one_step(path, save(dict(tensors), metadata={KEY: json.dumps(sealed)}))

    def read(self, path: Path) -> tuple[Any, dict[str, Tensor]]:
        """The facts and the tensors of a file.

        Raises:
            error: there is no file, it was cut or changed, or it is of another kind.
        """
        try:
            with safe_open(path, framework="pt") as file:
                found = json.loads((file.metadata() or {}).get(KEY, "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        except FileNotFoundError:
            raise self.error(f"there is no file {path}; give one that {self.writer} wrote") from None
        except (OSError, SafetensorError, ValueError) as error:
            raise self.error(f"the file {path} is damaged or no safetensors file ({error}); save it again") from None
        if not isinstance(found, dict) or found.get("kind") != self.kind:
            raise self.error(f"the file {path} holds no {self.noun}; give one that {self.writer} wrote")
        if found.get("format") != self.format:
            formats = f"format {found.get('format')}, this version reads {self.format}"
            raise self.error(f"the {self.noun} {path} has {formats}; save it again")
        if found.get("sha256") != _checksum(found.get(self.about), tensors):
            raise self.error(f"the {self.noun} {path} was changed after it was saved; save it again")
        return found[self.about], tensors


def _checksum(facts: Any, tensors: Mapping[str, Tensor]) -> str:
    """Of everything that counts, so that neither a number nor a fact can change unseen."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
