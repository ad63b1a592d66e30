"""What a project is: a question, how its stand-in pictures are drawn, what an error costs, and what is still needed.

A project is data, no code: one file of `topics/` each, and everything else reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["classify", "find"]
NEEDS = ("data", "consent", "error costs", "regulation")


class Look(NamedTuple):
    """How the pictures of one label are drawn, and how a sentence about them begins."""

    label: str
    things: tuple[str, ...]  # names of drawings, one or a few of which are in the picture; none = only what is around
    text: str  # with {thing} or {a_thing} in it, where things are drawn, and perhaps {color}
    words: str  # what the label means, for a model that reads
    count: tuple[int, int] = (1, 1)  # least and most things
    ink: tuple[float, float] = (1.0, 1.0)  # palest and strongest: 0 = invisible, 1 = as the drawing is


class Need(NamedTuple):
    """One thing that is missing before anybody relies on the project, and where that is said."""

    text: str
    source: str  # law or standard with its article, or a paper with its year


class Project(NamedTuple):
    """One project; `find` has no labels, so its only `Look` names the things that are searched."""

    name: str
    title: str
    about: str  # one line, for the list of all
    question: str
    reader: str  # who asks it
    kind: Kind
    unit: str  # pictures of one unit belong together: they share a look, and are never split
    backgrounds: tuple[str, ...]  # colors
    looks: tuple[Look, ...]
    dear: str  # which error is the dear one
    needs: Mapping[str, Need]  # one for each of NEEDS
    around: tuple[str, ...] = ()  # drawings that say nothing about the label
    crowd: tuple[int, int] = (0, 0)  # least and most of them
    prices: Mapping[tuple[str, str], float] = {}  # of (truth, said); every other error costs 1
    ask: float = 0.5  # what it costs to ask a person
