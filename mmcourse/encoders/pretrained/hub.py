"""Where networks that others trained lie on this machine, and fetching them when they do not.

The disk is always asked first. Only what is missing there is looked for in the network, after a quick question whether
the server answers at all: without a network that takes seconds, where the hubs' own clients try again for minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from mmcourse.files import expanded
from mmcourse.runtime import silence

PROBE_SECONDS = 4.0
OFFLINE = {"image": "load_image_encoder('efficientnet-lite0')", "text": "load_text_encoder('minilm')"}
SMALL_FILES = ["*.json", "*.txt", "*.model"]  # configuration and tokenizer
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")  # the second only where a repository has not the first


class EncoderUnavailableError(FileNotFoundError):
    """A network is neither on this machine nor to be had now; the message names the one that always works."""

    def __init__(self, kind: str, name: str, reason: str):
        super().__init__(f"{kind} encoder {name!r} {reason}; the choice that works offline is {OFFLINE[kind]}")


def hub_folder(place: str, name: str | None = None, *, kind: str) -> Path:
    """The folder of a network: `place` itself if it is one, else its snapshot in the Hugging Face cache, or fetched.

    Args:
        place: a folder with a `config.json`, or a name of huggingface.co such as `openai/clip-vit-base-patch32`.
        name, kind: for the message: what the learner called it, if not by its place, and "image" or "text".
    Raises:
        EncoderUnavailableError: it is not on this machine, and cannot be fetched within a few seconds or at all.
    """
    name = place if name is None else name
    folder = expanded(place)
    if is_network(folder):
        return folder
    if folder.is_dir():
        raise EncoderUnavailableError(kind, name, "is a folder without a config.json and a file of weights")
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        cached = _cached(place)
    except HFValidationError as error:
        raise EncoderUnavailableError(kind, name, "is no folder here and no name of huggingface.co") from error
    if cached is not None and is_network(cached):  # and not what a stopped download left
        return cached
    require_server(constants.ENDPOINT, name, kind=kind)
    try:
        for weights in WEIGHT_FILES:
            folder = Path(snapshot_download(place, allow_patterns=[*SMALL_FILES, weights]))
            if is_network(folder):
                return folder
    except Exception as error:  # those of the client, of its transport and of the disk
        raise _not_fetched(kind, name, error) from error
    raise EncoderUnavailableError(kind, name, "has no weights that PyTorch can read")


def _cached(place: str) -> Path | None:
    """The folder of a snapshot that was fetched before."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(place, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def is_network(folder: Path) -> bool:
    """Whether a folder holds a configuration and weights."""
    return (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in WEIGHT_FILES)


def checkpoint(url: str, name: str, *, kind: str) -> Path:
    """The file of a checkpoint in torch hub's folder, fetched if it is not there.

    Raises:
        EncoderUnavailableError: it is not on this machine, and cannot be fetched.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not path.is_file():
        require_server(url, name, kind=kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        stated = re.search(r"-([0-9a-f]{8,})\.", path.name)  # the start of its sha256
        try:
            torch.hub.download_url_to_file(url, str(path), stated and stated.group(1))
        except (OSError, RuntimeError) as error:  # the second: the file is not the one that was published
            raise _not_fetched(kind, name, error) from error
    return path


def _not_fetched(kind: str, name: str, error: Exception) -> EncoderUnavailableError:
    reason = re.split(r"[.:]?\s*\n|\. |\.$", str(error).strip())[0]
    return EncoderUnavailableError(kind, name, f"cannot be fetched ({type(error).__name__}: {reason})")


def require_server(url: str, name: str, *, kind: str) -> None:
    """Returns if the server answers.

    Raises:
        EncoderUnavailableError: it does not, or `HF_HUB_OFFLINE` asks to leave the network alone.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise EncoderUnavailableError(kind, name, "is not on this machine and HF_HUB_OFFLINE forbids to fetch it")
    if not answers(url):
        server = url.split("/")[2]
        raise EncoderUnavailableError(kind, name, f"is not on this machine and {server} does not answer")


def answers(url: str) -> bool:
    """Whether a server says anything; asked in a thread of its own, as looking up a name knows no time limit."""
    heard: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError as error:  # a refusal is an answer
            error.close()
        except (OSError, ValueError) as error:
            if not isinstance(getattr(error, "reason", error), ssl.SSLError):  # clients bring certificates of their own
                return
        heard.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(heard)


@contextmanager
def weights_only() -> Iterator[None]:
    """No file of weights may run code in here, however the library that opens it asks for it."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """One sentence for whatever libraries raise over files that arrived in part or hold something else.

    Raises:
        ValueError: a file of weights is damaged or does not fit; named, with what to do.
    """
    files = [place] if place.is_file() else [file for pattern in WEIGHT_FILES for file in sorted(place.glob(pattern))]
    for file in files:
        if (fault := _fault(file)) is not None:
            raise ValueError(f"the file {file} {fault}")
    try:
        yield
    except Exception as error:  # those of transformers, timm, safetensors, torch and pickle
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        where = "file" if place.is_file() else "files in"
        raise ValueError(f"the {where} {place} cannot be used ({reason}); fetch the network again") from error


def _fault(file: Path) -> str | None:
    """What is wrong with a file of weights that can be seen without building the network."""
    with file.open("rb") as opened:
        begin = opened.read(64)
    if begin.startswith(b"version https://git-lfs"):
        return "is a pointer of git-lfs and holds no weights; run `git lfs pull` in its folder, or fetch it again"
    again = "is damaged or was fetched in part; delete it and fetch it again"
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, framework="pt"):
                return None
        except SafetensorError:
            return again
    return again if not begin or (begin.startswith(b"PK") and not zipfile.is_zipfile(file)) else None


def from_folder(network_class: Any, folder: Path, **options: Any) -> nn.Module:
    """A network of transformers from a folder, in float32.

    Raises:
        ValueError: a file is damaged or does not fit, or some of the weights are missing (they would be random).
    """
    with reading(folder), weights_only(), silence():
        network, found = network_class.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    if getattr(network, "pooler", None) is not None:  # nobody reads it, and many checkpoints lack it
        network.pooler = None
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ValueError(f"the weights in {folder.name} lack {len(missing)} of this network's, such as {missing[0]}")
    return network


def clip_tower(network_class: Any, side: str, folder: Path) -> nn.Module:
    """One side of a CLIP: `side` is the name of its part of the configuration."""
    from transformers import CLIPConfig

    whole = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if side not in whole:  # the side was saved alone
        return from_folder(network_class, folder)
    config = getattr(CLIPConfig.from_dict(whole), side)
    config.projection_dim = whole.get("projection_dim", config.projection_dim)  # the side may state another, never used
    return from_folder(network_class, folder, config=config)


def fingerprint(network: nn.Module, *facts: Any) -> str:
    """A digest of everything that a network computes with: its layers, its weights, and further facts as JSON."""
    config = getattr(network, "config", None)
    options = {} if config is None or not hasattr(config, "to_dict") else config.to_dict()
    told = {key: value for key, value in options.items() if key not in ("_name_or_path", "transformers_version")}
    layers = re.sub(r" at 0x[0-9a-f]+", "", repr(network))
    digest = hashlib.sha256(json.dumps([layers, told, facts], sort_keys=True, default=str).encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
