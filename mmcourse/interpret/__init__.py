"""Interpret: why did the model say that? Maps of what a score depends on, and how far such a map is to be believed.

Most functions take a `score`, any function of a batch that gives the number to explain for each sample, so that every
model will do. They expect it to be in evaluation mode, where samples do not depend on each other:

    score = lambda images: classifier(images, None)[:, label]  # floats that are ready for the image encoder
    score = lambda images: vqa.classify(vqa.memory(images), question)[:, answer]  # colors as floats from 0 to 255

Pictures are float (B, C, H, W), texts ids (B, T) or embeddings (B, T, C); maps are (B, H, W) and (B, T). A baseline is
what stands for nothing there: a number, or a tensor that broadcasts to the input.
"""

from mmcourse.interpret.asking import Score
from mmcourse.interpret.controls import center_map, random_map
from mmcourse.interpret.gradients import Attribution, integrated_gradients, saliency, token_gradients
from mmcourse.interpret.layers import enlarge, grad_cam, rollout, rollout_map, square_grid
from mmcourse.interpret.removing import leave_one_out, occlusion
from mmcourse.interpret.score import (
    Causal,
    Curve,
    causal,
    deletion,
    effects,
    insertion,
    mass_inside,
    object_mass,
    pointing,
)

__all__ = [
    "Attribution",
    "Causal",
    "Curve",
    "Score",
    "causal",
    "center_map",
    "deletion",
    "effects",
    "enlarge",
    "grad_cam",
    "insertion",
    "integrated_gradients",
    "leave_one_out",
    "mass_inside",
    "object_mass",
    "occlusion",
    "pointing",
    "random_map",
    "rollout",
    "rollout_map",
    "saliency",
    "square_grid",
    "token_gradients",
]
