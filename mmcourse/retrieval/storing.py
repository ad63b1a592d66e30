"""An index as a folder: `index.json`, and a file of plain numbers for each table, mapped into memory and not read.

A map costs no memory until a search looks at it, so an index may be larger than the memory of the machine.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from mmcourse.files import draft_of, expanded, sha256, write_in_one_step
from mmcourse.retrieval.codes import ProductQuantizer
from mmcourse.retrieval.index import Index, IndexConfig
from mmcourse.retrieval.lists import Lists

FORMAT = 1
DESCRIPTION = "index.json"
DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "uint8": torch.uint8}


class IndexFileError(ValueError):
    """A folder that holds no index, or a damaged one; the text is one sentence."""


def save_index(index: Index, folder: str | Path, *, names: list[str] | None = None) -> None:
    """Writes an index into a folder of its own, `index.json` last: until then there is none.

    Args:
        names: of the vectors, such as the files of pictures, in the order of adding.
    """
    folder = expanded(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    tables = {}
    for name, table in _tables(index).items():
        with draft_of(folder / f"{name}.bin") as draft:
            table.detach().cpu().contiguous().numpy().tofile(draft)
            tables[name] = {"shape": list(table.shape), "dtype": str(table.dtype).removeprefix("torch.")}
            tables[name]["sha256"] = sha256(draft)
    facts = {"format": FORMAT, "config": asdict(index.config), "count": len(index), "tables": tables, "names": names}
    write_in_one_step(folder / DESCRIPTION, json.dumps(facts, ensure_ascii=False, indent=1))


def load_index(folder: str | Path, *, verify: bool = True) -> tuple[Index, list[str] | None]:
    """The index of a folder, and the names of its vectors if it has any. Its tables are mapped, not read.

    Args:
        verify: compare the checksums, for which everything is read once.
    Raises:
        IndexFileError: there is none, a file was cut or changed, or another version of the course wrote it.
    """
    folder = expanded(folder)
    again = f"make the index again, or delete {folder}"
    try:
        facts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        form, config = facts["format"], facts["config"]
    except FileNotFoundError:
        raise IndexFileError(f"{folder} holds no index: {DESCRIPTION} is missing; {again}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexFileError(f"{folder / DESCRIPTION} is damaged ({error}); {again}") from None
    if form != FORMAT:
        raise IndexFileError(f"the index in {folder} has format {form}, this version reads {FORMAT}; {again}")
    try:
        tables = {name: _mapped(folder / f"{name}.bin", about, verify) for name, about in facts["tables"].items()}
        index = Index(IndexConfig(**config))
        _fill(index, tables)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise IndexFileError(f"the index in {folder} is damaged ({error}); {again}") from None
    if len(index) != facts["count"]:
        raise IndexFileError(f"the index in {folder} is damaged ({len(index)} vectors of {facts['count']}); {again}")
    return index, facts["names"]


def _tables(index: Index) -> dict[str, Tensor]:
    tables = {"vectors": index.vectors} if index.codes is None else {"codes": index.codes}
    if index.lists is not None:
        tables |= index.lists._asdict()
    if index.quantizer is not None:
        tables["parts"] = index.quantizer.centers
    return tables


def _fill(index: Index, tables: dict[str, Tensor]) -> None:
    index.vectors = tables.get("vectors", index.vectors)
    index.codes = tables.get("codes")
    if "centers" in tables:
        index.lists = Lists(tables["centers"], tables["starts"], tables["order"])
    if "parts" in tables:
        index.quantizer = ProductQuantizer(tables["parts"])


def _mapped(path: Path, about: dict, verify: bool) -> Tensor:
    dtype, shape = DTYPES[about["dtype"]], tuple(about["shape"])
    count = torch.Size(shape).numel()
    size = count * torch.empty((), dtype=dtype).element_size()
    if path.stat().st_size != size:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes and should have {size:,}")
    if verify and sha256(path) != about["sha256"]:
        raise ValueError(f"{path.name} was changed")
    if count == 0:
        return torch.zeros(shape, dtype=dtype)
    return torch.from_file(str(path), shared=False, size=count, dtype=dtype).view(shape)
