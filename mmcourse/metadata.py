"""The table beside a folder of pictures, row by row, however it was written; what is wrong is named by its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # that spreadsheets of some countries write for commas
Rows = Iterator[tuple[int, dict[str, Any]]]


def rows(metadata: Path) -> Rows:
    """The rows of a file as dicts, each with its line in the file, counted from 1; empty lines are left out.

    Raises:
        ValueError: the file is not what its ending says; one sentence, with the line.
    """
    if metadata.suffix == ".parquet":
        return _parquet_rows(metadata)
    try:
        content = metadata.read_text(encoding="utf-8-sig")  # spreadsheets put a mark at the start
    except UnicodeDecodeError as error:
        line = metadata.read_bytes()[: error.start].count(b"\n") + 1
        raise ValueError(f"{metadata.name} line {line} is not UTF-8 text; save the file as UTF-8") from None
    return _csv_rows(metadata.name, content) if metadata.suffix == ".csv" else _json_rows(metadata.name, content)


def _json_rows(name: str, content: str) -> Rows:
    for number, line in enumerate(content.split("\n"), start=1):  # not splitlines: JSON text may hold other line ends
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                reason = f"{error.msg} at character {error.pos + 1}"
                raise ValueError(f"{name} line {number} is not JSON: {reason}") from None
            except RecursionError:
                raise ValueError(f"{name} line {number} is not JSON that anyone reads: it is nested too deep") from None
            if not isinstance(row, dict):
                raise ValueError(f"{name} line {number} must be an object {{...}}, got {line.strip()[:40]}")
            yield number, row


def _csv_rows(name: str, content: str) -> Rows:
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    header: list[str] = []
    number = 1
    try:
        for cells in reader:
            if cells and not header:
                header = _header(f"{name} line {number}", cells)
            elif cells:
                if not any(cell.strip() for cell in cells):
                    raise ValueError(f"{name} line {number} is a row of commas and nothing else; remove it")
                if len(cells) > len(header):
                    message = f"has {len(cells)} cells for {len(header)} columns; put text with commas in quotes"
                    raise ValueError(f"{name} line {number} {message}")
                yield number, dict(zip(header, cells, strict=False))
            number = reader.line_num + 1  # a cell in quotes may hold line ends
    except csv.Error as error:
        begun = (
            "; a quote that begins in it is not closed" if reader.line_num > number or "end of" in str(error) else ""
        )
        raise ValueError(f"{name} line {number} is not CSV: {error}{begun}") from None


def _header(where: str, cells: list[str]) -> list[str]:
    """The names of the columns, each once."""
    sign = next((sign for sign in SEPARATORS if len(cells) == 1 and sign in cells[0]), None)
    if sign is not None:
        raise ValueError(f"{where} has {SEPARATORS[sign]} between the columns; save the file with commas")
    twice = next((cell for cell in cells if cell and cells.count(cell) > 1), None)
    if twice is not None:
        raise ValueError(f"{where} names the column {twice!r} twice; rename or remove one")
    return cells


def _parquet_rows(metadata: Path) -> Rows:
    """A row is counted as a line."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        advice = "install pyarrow, or write the table as metadata.jsonl, one JSON object a line"
        raise ValueError(f"{metadata.name} is read with the package pyarrow, which is not here; {advice}") from None
    try:
        table = parquet.read_table(metadata).to_pylist()
    except (ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{metadata.name} is no whole parquet file ({reason}); write or fetch it again") from None
    return enumerate(table, start=1)
