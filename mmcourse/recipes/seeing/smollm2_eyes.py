"""SmolLM2 with the captioner's eyes: a real language model that stays as it is, a linear map, and a LoRA adapter.

The map begins aligned, as that of the recipe `vlm`, so that each square of a picture reads like a note about it; then
map and adapter learn together through the frozen language model. Both come with the course; SmolLM2 itself is the extra
`mmcourse[llm]`, see `load_smollm2`.
"""

from __future__ import annotations

import random
from pathlib import Path

from torch import Tensor

from mmcourse.adapters import add_lora
from mmcourse.content import content_dir
from mmcourse.datasets import Scene, make_scenes
from mmcourse.errors import OneSentence
from mmcourse.lm import load_smollm2
from mmcourse.models.vlm import IMAGE, VLM, Eyes, Lesson, VLMConfig, loss
from mmcourse.recipes import captioner
from mmcourse.recipes.data.readings import Shares, exchanges
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.seeing.vlm import MERGE, PATCHES, align
from mmcourse.runtime import seed_everything
from mmcourse.sealed import Sealed
from mmcourse.train import Checkpointing, fit

SIZE, TURNS = 4, 6  # scenes of a step, and exchanges about each
SPREAD = 2  # words of each square: a thing and where it is; every one costs 135 million multiplications, and back
RANK, ALPHA = 4, 8.0  # of the adapter, on every linear layer of SmolLM2
LEARNING_RATE = 1e-3
ASKED = Shares(  # captions about every third time, and for the rest mostly what probes ask
    told=0.0,
    described=0.35,
    kinds={"exists": 5, "what": 2, "where": 1, "color": 0.5, "count": 1, "relation": 1, "size": 1, "comparison": 0},
)


class SeeingFileError(OneSentence, ValueError):
    """A file that is no map and adapter, a damaged one, or one of another model; the text is one sentence."""


FILE = Sealed(
    kind="seeing", format=1, noun="projector with adapter", writer="save_seeing", about="config", error=SeeingFileError
)


def seeing_path() -> Path:
    """The file that comes with the course."""
    return content_dir("data") / "smollm2_eyes.safetensors"


def load_smollm2_with_eyes(*, quiet: bool = False, path: str | Path | None = None) -> VLM:
    """A `VLM` of SmolLM2, in evaluation mode, that was trained on scenes: it describes them and says what is there.

    Args:
        quiet: show no bar while SmolLM2 is converted, which happens once.
        path: of another file than the one that comes with the course.
    Raises:
        SmolLM2MissingError: SmolLM2 is not there; one sentence says how to get it.
        SeeingFileError: the file is missing, damaged, or of another model.
    """
    path = seeing_path() if path is None else Path(path).expanduser()
    _, weights = FILE.read(path)
    model = _joined(quiet=quiet)
    wanted, found = ({name: tuple(value.shape) for name, value in each.items()} for each in (_learned(model), weights))
    if found != wanted:
        name = min(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise SeeingFileError(
            f"the file {path} is of another model: its {name} is {found.get(name)}, this model's {wanted.get(name)}"
        )
    model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    return model.eval()


def save_seeing(model: VLM, path: str | Path) -> None:
    """Writes what learned, with 16 bits a number, and nothing of the language model and the eyes."""
    weights = {name: value.detach().cpu().half() for name, value in _learned(model).items()}
    facts = {"merge": model.config.merge, "spread": model.config.spread, "rank": RANK, "alpha": ALPHA}
    FILE.write(Path(path).expanduser(), facts, weights)


def untrained(seed: int = 0) -> VLM:
    """SmolLM2 and eyes with an aligned map between them and an adapter that does nothing yet; only those can learn."""
    seed_everything(seed)
    return align(_joined(quiet=True))


def train(*, steps: int, seed: int = 0, checkpoint: Checkpointing | None = None) -> VLM:
    """Trains map and adapter on scenes of which none comes twice."""
    model = untrained(seed)
    fit(
        model, loss, Talks(model), steps=steps, learning_rate=LEARNING_RATE, weight_decay=0.0, seed=seed,
        checkpoint=checkpoint, description="SmolLM2 learns to see",
    )  # fmt: skip
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
    return [(f" {turn.request}", f" {turn.answer}") for turn in exchanges(scene, chance, ASKED, count=TURNS)]


def _learned(model: VLM) -> dict[str, Tensor]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def _joined(*, quiet: bool) -> VLM:
    network, tokenizer = load_smollm2(quiet=quiet)
    eyes = Eyes.of(bundled.load(captioner.RECIPE).model)
    size = VLMConfig(
        language="smollm2",
        features=eyes.config.width,
        patches=PATCHES,
        merge=MERGE,
        spread=SPREAD,
        projector="linear",
        eyes=eyes.config,
    )
    add_lora(network, rank=RANK, alpha=ALPHA)
    return VLM(size, tokenizer, language_model=network, eyes=eyes)
