"""Language models: what comes next, by counting (unigram, bigram) and by a small GPT; and SmolLM2, a real one.

All of them map tokens (B, T) to logits (B, T, V) of the token after each, so the same loss, the same decoding and the
same training serve them all. V is the size of the vocabulary; other letters as in `mmcourse.attention`.
"""

from mmcourse.lm.counting import Bigram, Unigram
from mmcourse.lm.gpt import GPT, GPTConfig, Stepper
from mmcourse.lm.hub import from_hf_gpt2
from mmcourse.lm.smollm import SmolLM2, SmolLM2MissingError, load_smollm2, smollm2_installed
from mmcourse.lm.targets import Shifted, mean_loss, shift
from mmcourse.losses import IGNORED

__all__ = [
    "GPT",
    "IGNORED",
    "Bigram",
    "GPTConfig",
    "Shifted",
    "SmolLM2",
    "SmolLM2MissingError",
    "Stepper",
    "Unigram",
    "from_hf_gpt2",
    "load_smollm2",
    "mean_loss",
    "shift",
    "smollm2_installed",
]
