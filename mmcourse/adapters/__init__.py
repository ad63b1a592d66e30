"""Adapters: a large frozen model learns something new by a few weights beside its own.

LoRA by hand: `add_lora` wraps linear layers, `merge` and `unmerge` put the corrections into the weights and take them
out again, `remove_lora` gives a plain model, `save_adapter` and `load_adapter` keep the few new weights in a file.
I and O are the channels in and out of a layer, R is the rank.
"""

from mmcourse.adapters.lora import LoRALinear, low_rank_update, merged_weight
from mmcourse.adapters.saving import AdapterFileError, load_adapter, save_adapter
from mmcourse.adapters.wrapping import Learning, add_lora, lora_layers, merge, remove_lora, unmerge

__all__ = [
    "AdapterFileError",
    "Learning",
    "LoRALinear",
    "add_lora",
    "load_adapter",
    "lora_layers",
    "low_rank_update",
    "merge",
    "merged_weight",
    "remove_lora",
    "save_adapter",
    "unmerge",
]
