"""What can be said of a sound, and whether it is true of it.

    sentence := "a" noun verb ["once" | "twice" | "three times"] [pitch]
              | ("one" call | ("two" | "three") calls) "of a" noun [pitch]
    verb     := "calls" | "sounds"        call := "call" | "sound"        calls := "calls" | "sounds"
    pitch    := "with" ("rising" | "falling") "pitch"

Animals call and things sound; either word means the same. "a cat calls" claims any number of calls, "twice" and "two"
claim exactly two. The pitch rises if each call is higher than the one before; one call alone neither rises nor falls.
A capital letter at the start and a full stop at the end do no harm.
"""

from __future__ import annotations

from typing import NamedTuple

from mmcourse.datasets.scenes.lexicon import NUMBERS, by_singular
from mmcourse.datasets.scenes.truth import Reader, Truth, UnparseableError, Verdict
from mmcourse.datasets.sounds.voices import VOICES

SOUND_NOUNS: tuple[str, ...] = tuple(VOICES)
SOUND_CAPTION_PARTS = ("noun", "count", "pitch")  # what a sentence can get wrong
PITCHES = ("rising", "falling")
TIMES = {"once": 1, "twice": 2, "three times": 3}
_COUNTS = {NUMBERS[number]: number for number in TIMES.values()}
_ONE, _MORE = ("call", "sound"), ("calls", "sounds")


class SoundFacts(NamedTuple):
    """What is heard, or what is said to be: None is left open, and no pitch is that of one call alone."""

    noun: str
    calls: int | None = None
    pitch: str | None = None


def sound_captions(facts: SoundFacts) -> tuple[str, ...]:
    """Every true sentence in the verb of its noun: three of one call, six of more.

    >>> sound_captions(SoundFacts("hammer", 1))
    ('a hammer sounds', 'a hammer sounds once', 'one sound of a hammer')
    """
    noun, calls, pitch = facts
    word = int(by_singular()[noun].group != "animal")
    often, number = list(TIMES)[calls - 1], NUMBERS[calls]
    who, what = f"a {noun} {_MORE[word]}", f"{number} {(_ONE if calls == 1 else _MORE)[word]} of a {noun}"
    plain = (who, f"{who} {often}", what)
    return plain if pitch is None else plain + tuple(f"{text} with {pitch} pitch" for text in plain)


def decide(facts: SoundFacts, text: str) -> Verdict:
    """Whether a sentence is true of what is heard; `part` is one of `SOUND_CAPTION_PARTS`, the first that is false."""
    try:
        said = parse_sound(text)
    except UnparseableError as error:
        return Verdict(Truth.UNPARSEABLE, str(error))
    if said.noun != facts.noun:
        return Verdict(Truth.FALSE, f"it is no {said.noun}, but a {facts.noun}", "noun")
    if said.calls not in (None, facts.calls):
        return Verdict(Truth.FALSE, f"the {facts.noun} is heard {list(TIMES)[facts.calls - 1]}", "count")
    if said.pitch not in (None, facts.pitch):
        heard = "one call neither rises nor falls" if facts.pitch is None else f"the pitch is {facts.pitch}"
        return Verdict(Truth.FALSE, heard, "pitch")
    return Verdict(Truth.TRUE, "it is so")


def parse_sound(text: str) -> SoundFacts:
    """What a sentence says.

    >>> parse_sound("two calls of a cat with rising pitch")
    SoundFacts(noun='cat', calls=2, pitch='rising')

    Raises:
        UnparseableError: the text is not in the grammar; the message says where it stops being in it.
    """
    reader = Reader(text)
    if reader.take("a"):
        noun = _noun(reader)
        _expect(reader, _MORE)
        often = reader.one_of(tuple(TIMES))
        calls = None if often is None else TIMES[often]
    elif (number := reader.one_of(tuple(_COUNTS))) is not None:
        calls = _COUNTS[number]
        _expect(reader, _ONE if calls == 1 else _MORE)
        _expect(reader, ("of a",))
        noun = _noun(reader)
    else:
        raise UnparseableError(f"'a', 'one', 'two' or 'three' was expected, found {reader.found()}")
    pitch = None
    if reader.take("with"):
        pitch = _expect(reader, PITCHES)
        _expect(reader, ("pitch",))
    return reader.end(SoundFacts(noun, calls, pitch))


def _expect(reader: Reader, choices: tuple[str, ...]) -> str:
    found = reader.one_of(choices)
    if found is None:
        raise UnparseableError(f"{' or '.join(map(repr, choices))} was expected, found {reader.found()}")
    return found


def _noun(reader: Reader) -> str:
    noun = reader.one_of(SOUND_NOUNS)
    if noun is None:
        raise UnparseableError(f"a noun that can be heard was expected, found {reader.found()}")
    return noun
