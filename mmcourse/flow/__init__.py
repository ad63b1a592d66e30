"""Flow matching: noise becomes data by following a velocity that a network has learned.

At time 0 there is noise, at time 1 data. A velocity is any function of places (B, …) and times (B,), and gives how fast
each moves, (B, …); nothing here knows what it is made of.
"""

from mmcourse.flow.matching import Line, Velocity, flow_matching_loss, guided, on_line
from mmcourse.flow.mixture import GaussianMixture
from mmcourse.flow.samplers import (
    EVALUATIONS,
    STEPS,
    euler_step,
    midpoint_step,
    runge_kutta_step,
    sample,
    trajectory,
)

__all__ = [
    "EVALUATIONS",
    "STEPS",
    "GaussianMixture",
    "Line",
    "Velocity",
    "euler_step",
    "flow_matching_loss",
    "guided",
    "midpoint_step",
    "on_line",
    "runge_kutta_step",
    "sample",
    "trajectory",
]
