"""Runs notebooks the way nbval sees them, so that what is stored is what strict `pytest --nbval` compares with.

nbval ignores widget messages, `clear_output` and updates of a display. Executed the same way, cells with sliders,
`Output` widgets and progress bars keep their first static picture and pass. What is stored is small and the same every
time: no timing, no random widget ids, no software names inside pictures.
"""

from __future__ import annotations

import base64
import copy
import os
import re
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from mmcourse.content import PACKAGE
from mmcourse.course.author.source import BuildError

WIDGET = "application/vnd.jupyter.widget-view+json"
THREADS = 2  # fixed, so that every build computes the same numbers
TIMEOUT = 600  # seconds for one cell
DROPPED = ("MPLBACKEND", "PYTEST_CURRENT_TEST")  # the second makes kernels deaf to stderr that compiled code writes
_UNSTABLE = re.compile(
    r"(?<![\w.])(?:0x[0-9a-f]{6,}|/(?:home|root|tmp|Users)/[^\s'\"<>]+)|[A-Z]:\\Users\\[^\s'\"<>]+"
    rf"|{re.escape(str(PACKAGE.parent))}/[^\s'\"<>]+"
)


class _Client(NotebookClient):
    """Says to the kernel and hears from it what nbval does."""

    async def async_execute_cell(self, cell, cell_index, execution_count=None, store_history=True):
        # nbval stores no history, and then a trailing `;` hides nothing
        return await super().async_execute_cell(cell, cell_index, execution_count, store_history=False)

    def handle_comm_msg(self, outs, msg, cell_index):
        return None

    def clear_output(self, outs, msg, cell_index):
        return None

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "update_display_data":
            return None
        return super().process_message(msg, cell, cell_index)


def execute(
    notebook: NotebookNode,
    *,
    name: str,
    budget: str = "standard",
    threads: int = THREADS,
    go_on: bool = False,
    timeout: int = TIMEOUT,
    where: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> NotebookNode:
    """An executed copy of a notebook, run by this Python, on the CPU, without network use.

    Args:
        name: what to call the notebook in errors.
        go_on: whether an error in a cell tagged `raises-exception` is let pass, as in Run All.
        where: the folder that it runs in; None = an empty temporary one.
        variables: more of the environment of its kernel.
    Raises:
        BuildError: a cell raised, wrote to stderr, took longer than `timeout` seconds or killed its kernel.
    """
    done = copy.deepcopy(notebook)
    running = ""

    def begins(cell: NotebookNode, cell_index: int) -> None:
        nonlocal running
        running = f"{name}, cell {cell.id} ({cell.source.strip().splitlines()[0][:60]!r})"

    with tempfile.TemporaryDirectory(prefix="mmcourse-") as folder:
        here = Path(folder, "here")
        here.mkdir()
        client = _Client(
            done,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            store_widget_state=False,
            force_raise_errors=not go_on,
            on_cell_execute=begins,
            extra_arguments=["--IPKernelApp.log_level=40"],  # it warns of TCP without encryption on every start
            resources={"metadata": {"path": str(here if where is None else where)}},
        )
        try:
            client.execute(env={**_environment(folder, budget, threads), **(variables or {})})
        except CellExecutionError as error:
            raise BuildError(f"{running}: {error.ename}: {error.evalue}") from error
        except CellTimeoutError as error:
            raise BuildError(f"{running}: no result within {timeout} seconds; make it smaller") from error
        except DeadKernelError as error:
            raise BuildError(f"{running}: the kernel died, perhaps for lack of memory") from error
    for count, cell in enumerate((cell for cell in done.cells if cell.cell_type == "code"), 1):
        _number(cell, count, name)
    done.metadata = copy.deepcopy(notebook.metadata)  # without widget state and the version of this Python
    return done


def _environment(folder: str, budget: str, threads: int) -> dict[str, str]:
    """The variables of the kernel; what it keeps for itself goes into `folder`."""
    return {
        **{key: value for key, value in os.environ.items() if key not in DROPPED},
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)),
        "MMCOURSE_BUDGET": budget,
        "MMCOURSE_DEVICE": "cpu",
        "MMCOURSE_WORK": "",  # the progress of whoever builds is left alone
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "IPYTHONDIR": str(Path(folder, ".ipython")),
    }


def _number(cell: NotebookNode, count: int, name: str) -> None:
    """Numbers an executed cell as the notebook has it from top to bottom, and settles its outputs."""
    cell.execution_count = count
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            raise BuildError(f"{name}, cell {cell.id}: wrote to stderr, which a notebook must not: {output.text!r}")
        if output.output_type == "execute_result":
            output.execution_count = count
        _settle(output)
    cell.metadata.pop("execution", None)


def _settle(output: NotebookNode) -> None:
    """Takes out of one output what differs from run to run: widget ids, and the software named inside pictures."""
    data = output.get("data", {})
    data.pop(WIDGET, None)
    if "image/png" in data:
        data["image/png"] = base64.b64encode(plain_png(base64.b64decode(data["image/png"]))).decode() + "\n"


def plain_png(png: bytes) -> bytes:
    """The same picture without its text and time chunks."""
    signature, position = png[:8], 8
    if signature != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"png must be a PNG file, got bytes that begin with {png[:8]!r}")
    kept = [signature]
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        end = position + 12 + length
        if png[position + 4 : position + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"tIME"):
            kept.append(png[position:end])
        position = end
    return b"".join(kept)


def unstable_text(cell: NotebookNode) -> list[str]:
    """What the outputs of a cell show that another machine would not: object addresses and places of files."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        texts += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return [match.group() for text in texts for match in _UNSTABLE.finditer("".join(text))]
