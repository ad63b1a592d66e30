"""SmolLM2 with the captioner's eyes: a real language model, which stays as it is to the bit, and one linear map.

The map begins aligned, as that of the recipe `vlm`, and then learns through the frozen language model (Frozen:
Tsimpoukelli et al., 2021). It comes with the course; SmolLM2 is the extra `mmcourse[llm]`, see `load_smollm2`.
"""

from __future__ import annotations

import random
from pathlib import Path

from mmcourse.content import content_dir
from mmcourse.datasets import Scene, make_scenes
from mmcourse.lm import load_smollm2
from mmcourse.models.vlm import IMAGE, VLM, Eyes, Lesson, VLMConfig, loss
from mmcourse.recipes import captioner
from mmcourse.recipes.data.readings import NOTE, Shares, exchange
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.seeing.vlm import MERGE, PATCHES, align
from mmcourse.runtime import seed_everything
from mmcourse.sealed import Sealed
from mmcourse.train import fit

SIZE, TURNS = 4, 6  # scenes of a step, and exchanges about each
LEARNING_RATE = 1e-3
ASKED = Shares(  # a sentence about every other time, and for the rest mostly what probes ask
    told=0.0,
    described=0.5,
    kinds={"exists": 6, "what": 1, "where": 1, "color": 1, "count": 1, "relation": 0, "size": 0, "comparison": 0},
)


class ProjectorFileError(ValueError):
    """A file that is no projector, a damaged one, or one of another model; the text is one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [f"ProjectorFileError: {self}"]


FILE = Sealed(
    kind="projector", format=1, noun="projector", writer="save_projector", about="config", error=ProjectorFileError
)


def projector_path() -> Path:
    """The file that comes with the course."""
    return content_dir("data") / "smollm2_eyes.safetensors"


def load_smollm2_with_eyes(*, quiet: bool = False, path: str | Path | None = None) -> VLM:
    """A `VLM` of SmolLM2, in evaluation mode, that was trained on scenes: it describes them and says what is there.

    Args:
        quiet: show no bar while SmolLM2 is converted, which happens once.
        path: of another projector than the one that comes with the course.
    Raises:
        SmolLM2MissingError: SmolLM2 is not there; one sentence says how to get it.
        ProjectorFileError: the file is missing, damaged, or of another model.
    """
    path = projector_path() if path is None else Path(path).expanduser()
    _, weights = FILE.read(path)
    model = _joined(quiet=quiet)
    wanted = {name: tuple(value.shape) for name, value in model.projector.state_dict().items()}
    if (found := {name: tuple(value.shape) for name, value in weights.items()}) != wanted:
        raise ProjectorFileError(f"the projector {path} is of another model: it has {found}, this one needs {wanted}")
    model.projector.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval()


def save_projector(model: VLM, path: str | Path) -> None:
    """Writes the projector of a model with 16 bits a number, and nothing of the language model and the eyes."""
    weights = {name: value.detach().cpu().half() for name, value in model.projector.state_dict().items()}
    FILE.write(Path(path).expanduser(), {"merge": model.config.merge, "spread": model.config.spread}, weights)


def untrained(seed: int = 0) -> VLM:
    """SmolLM2 and eyes with an aligned projector between them, which alone can learn."""
    seed_everything(seed)
    return align(_joined(quiet=True))


def train(*, steps: int, seed: int = 0) -> VLM:
    """Trains the projector on scenes of which none comes twice."""
    model = untrained(seed)
    description = "SmolLM2 learns to see"
    fit(model, loss, Talks(model), steps=steps, learning_rate=LEARNING_RATE, seed=seed, description=description)
    return model.eval()


class Talks:
    """`batches(step)`: pictures of scenes with some exchanges about each, blanks before whatever is said."""

    def __init__(self, model: VLM, *, size: int = SIZE) -> None:
        self.model, self.size = model, size

    def __call__(self, step: int) -> Lesson:
        chance, batch = random.Random(step), make_scenes(self.size, start=step * self.size)
        turns = [_talk(scene, chance) for scene in batch.scenes]
        return Lesson(self.model.see(batch.images), self.model.pack_turns([IMAGE] * self.size, turns))


def _talk(scene: Scene, chance: random.Random) -> list[tuple[str, str]]:
    turns = [exchange(scene, chance, ASKED) for _ in range(TURNS)]
    return [(f" {turn.request}", f" {turn.answer}") for turn in turns]


def _joined(*, quiet: bool) -> VLM:
    network, tokenizer = load_smollm2(quiet=quiet)
    eyes = Eyes.of(bundled.load(captioner.RECIPE).model)
    size = VLMConfig(
        language="smollm2",
        features=eyes.config.width,
        patches=PATCHES,
        merge=MERGE,
        spread=NOTE,
        projector="linear",
        eyes=eyes.config,
    )
    return VLM(size, tokenizer, language_model=network.requires_grad_(False), eyes=eyes)
