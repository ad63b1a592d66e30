"""How a recipe is followed to its end, and how what came out joins the files that come with the course."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

import torch

import mmcourse
from mmcourse import distributed
from mmcourse.files import sha256, write_in_one_step
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import (
    Quality,
    Recipe,
    RecipeError,
    check_options,
    choose_data,
    file_name,
    read_trained,
    run_name,
    write_trained,
)
from mmcourse.recipes.engine.parts import reached
from mmcourse.runtime import device


class Finished(NamedTuple):
    """A recipe that was followed to its end; `changes` names what was not as the recipe has it, such as "data"."""

    recipe: Recipe
    path: Path
    steps: int
    seconds: float
    quality: Quality
    notes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def unfinished(name: str, folder: Path) -> Path:
    """Where a run that is not finished keeps everything it needs to go on."""
    return folder / f"{name}.unfinished.pt"


def follow(
    recipe: Recipe,
    folder: Path,
    *,
    steps: int | None = None,
    restart: bool = False,
    data: str | Path | None = None,
    **options: Any,
) -> Finished:
    """Trains a model and writes its file into `folder`; goes on where an interrupted run stopped.

    What is measured is the file as it was written, with its weights rounded to half precision. Where torchrun started
    several processes, each calls this, and process 0 writes and measures.

    Args:
        steps: how long; as long as the bundled file by default.
        restart: delete an interrupted run and a file that is there already.
        data: one of the recipe's worlds, or a folder of pictures with texts; the recipe's own by default. Every other
            choice has files of its own, named after it.
        **options: those of the recipe: `batch_size`, `mixed_precision`, `chunk`.
    Raises:
        RecipeError: the file is there already, the folder is that of the bundled files, the recipe has no such data
            or option or does not train in several processes, or Ctrl-C or the end of another process stopped the run;
            the message says how to go on.
        CheckpointError: an interrupted run had other settings, or its file is damaged.
    """
    steps = recipe.steps if steps is None else steps
    if steps < 1:
        raise RecipeError(f"steps must be at least 1, got {steps}")
    check_options(recipe, options)
    if not recipe.processes and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        alone = "its network normalises by statistics of the whole batch"
        raise RecipeError(f"{recipe.name} trains in one process, as {alone}: start it without torchrun")
    data = choose_data(recipe, data)
    name = run_name(recipe, data)
    path, kept = folder / file_name(name), unfinished(name, folder)
    where = {"data": data} if recipe.worlds else {}

    def finish() -> Quality:
        write_trained(path, recipe, made, steps=steps)
        quality = recipe.evaluate(read_trained(path, recipe), **where)
        kept.unlink(missing_ok=True)
        return quality

    try:
        with distributed.start():
            distributed.on_main(lambda: _make_room(path, kept, restart=restart))
            made = recipe.train(steps=steps, checkpoint=kept, **where, **options)
            quality = distributed.on_main(finish)
            alone = distributed.world_size() == 1
    except (KeyboardInterrupt, distributed.LostProcessError) as error:
        why = str(error) or "stopped"
        raise RecipeError(f"{why}; the same command (without --restart) goes on from step {reached(kept)}") from None
    changes = ("data",) * (name != recipe.name) + tuple(options) + ("processes",) * (not alone)
    return Finished(recipe, path, steps, made.seconds, quality, made.notes, changes)


def _make_room(path: Path, kept: Path, *, restart: bool) -> None:
    """Sees to it that the folder is there, and nothing in it that a run would overwrite."""
    if path.parent.resolve() == bundled.bundled_dir().resolve():
        raise RecipeError(f"{path.parent} holds the files that come with the course; name another folder")
    if restart:
        for old in (kept, path):
            old.unlink(missing_ok=True)
    elif path.exists() and not kept.exists():
        raise RecipeError(f"{path} is there already; --restart replaces it, --out names another folder")
    path.parent.mkdir(parents=True, exist_ok=True)


def bundle(finished: Finished) -> Path:
    """For authors: puts a trained file among those that come with the course, and writes its line in the manifest.

    Raises:
        RecipeError: it was trained otherwise than the recipe says, or is not good enough.
    """
    recipe, quality = finished.recipe, finished.quality
    if finished.changes:
        changed = ", ".join(finished.changes)
        raise RecipeError(f"{finished.path} is not bundled: its run has its own {changed}; the file stays where it is")
    if finished.steps != recipe.steps or not quality.met:
        wanted = f"{recipe.steps} steps and {quality.measure} at most {quality.at_most:g}"
        raise RecipeError(f"{finished.path} is not bundled: {recipe.name} needs {wanted}; the file stays where it is")
    path, manifest = bundled.bundled_dir() / file_name(recipe.name), bundled.read_manifest()
    write_in_one_step(path, finished.path.read_bytes())
    threads = "one thread" if torch.get_num_threads() == 1 else f"{torch.get_num_threads()} threads"
    where = f"{os.cpu_count()} CPU cores, {threads}" if device().type == "cpu" else f"one {device().type} device"
    manifest[recipe.name] = {
        "file": path.name,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "command": f"mmcourse train {recipe.name}",
        "seconds": round(finished.seconds),
        "machine": where,
        "quality": quality._asdict(),
        "versions": {"mmcourse": mmcourse.__version__, "python": platform.python_version(), "torch": torch.__version__},
    }
    text = json.dumps(dict(sorted(manifest.items())), indent=2, ensure_ascii=False)
    write_in_one_step(bundled.bundled_dir() / "manifest.json", f"{text}\n")
    return path
