"""A model as a folder that people and programs can read: `config.json`, `model.safetensors`, `tokenizer.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmcourse.files import draft_of, expanded
from mmcourse.tokenizer import Tokenizer

FORMAT = 1


def save_folder(
    folder: str | Path, kind: str, config: Mapping[str, Any], weights: Mapping[str, Tensor], tokenizer: Tokenizer | None
) -> None:
    """Writes the files, each in one step; `kind` is the name of the model's class.

    Raises:
        ValueError: a weight is on the meta device, where it has no values.
    """
    if any(value.is_meta for value in weights.values()):
        raise ValueError("the model is on the meta device, where weights have no values; there is nothing to save")
    folder = expanded(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, "model": kind, **config}, ensure_ascii=False, indent=1)
    writers = {
        "model.safetensors": lambda file: save_file(
            {n: w.detach().cpu().contiguous() for n, w in weights.items()}, file
        ),
        "config.json": lambda file: file.write_text(text + "\n", encoding="utf-8"),
    }
    if tokenizer is None:
        (folder / "tokenizer.json").unlink(missing_ok=True)  # of another model that was here
    else:
        writers["tokenizer.json"] = tokenizer.save
    for name, write in writers.items():
        with draft_of(folder / name) as draft:
            write(draft)
            draft.chmod(0o644)  # safetensors writes for the owner alone


def read_folder(folder: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor], Tokenizer | None]:
    """Configuration, weights (on the CPU) and tokenizer of a folder that `save_folder` wrote.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or the folder holds another kind of model.
    """
    folder = expanded(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"folder {str(folder)!r} holds no {name}; give one that save wrote")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "model.safetensors")
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ValueError(f"folder {str(folder)!r} is damaged ({error}); save the model again") from error
    found = config.pop("model", None), config.pop("format", None)
    if found != (kind, FORMAT):
        raise ValueError(f"folder {str(folder)!r} holds {found[0]} in format {found[1]}, wanted {kind} in {FORMAT}")
    file = folder / "tokenizer.json"
    return config, weights, Tokenizer.load(file) if file.is_file() else None


def fill(model: nn.Module, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Puts the weights into the model, which asks for those of `wanted`, names with tensors of the right shape.

    Raises:
        ValueError: names or shapes differ; the first difference is named.
    """
    for name in sorted(weights.keys() | wanted.keys()):
        shapes = [tuple(side[name].shape) if name in side else "nothing" for side in (weights, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"weights hold {shapes[0]} for {name}, config.json asks for {shapes[1]}; save both again")
    model.load_state_dict(weights, strict=False)  # strict would ask for what is pretrained as well
