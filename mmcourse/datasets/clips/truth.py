"""Is a sentence true of a clip? The grammar of scenes without places and sizes, and with what happens.

    sentence  := "a" color "background" | (subject | event [link other]) ["on a" color "background"]
    subject   := phrase {"and" phrase}                     up to three, each with another noun
    phrase    := "a" noun | ("two" | "three") nouns
    event     := "a" noun verb                             some thing of that noun does it
    other     := ("a" | "another") noun verb               "another" repeats the noun of the first event
    verb      := "moves" [direction] | "enters" | "leaves" | "grows" | "shrinks" | "turns" | "stands still"
    link      := "before" | "after" | "while"              between two different things, of which none stands still

"a cat" claims at least one cat in the clip, "two cats" exactly two. Directions: left, right, up, down. What enters or
leaves also moves. One event is before another if it has ended when the other begins, and happens while another does if
both begin and end together.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from mmcourse.datasets.clips.grammar import DIRECTIONS, MOTIONS, TRAVELS, Clip, Thing
from mmcourse.datasets.scenes.lexicon import BACKGROUNDS, NUMBERS
from mmcourse.datasets.scenes.truth import Phrase, Reader, Sentence, Truth, UnparseableError, Verdict, parse

VERBS = ("moves", *(motion for motion in MOTIONS if motion != "moves"))
LINKS = ("before", "after", "while")
# What a sentence about a clip can get wrong.
CLIP_PARTS = ("noun", "count", "motion", "direction", "order", "background")


class Event(NamedTuple):
    """`a cat moves left`."""

    noun: str
    verb: str
    direction: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, ("a", self.noun, self.verb, self.direction)))


class Happening(NamedTuple):
    """A parsed sentence with a verb; what was not said is None."""

    event: Event
    link: str | None = None
    other: Event | None = None
    background: str | None = None


def does(thing: Thing, verb: str, direction: str | None = None) -> bool:
    """Whether a thing does what one of `VERBS` says; what enters or leaves also moves."""
    fits = thing.motion in TRAVELS if verb == "moves" else thing.motion == verb
    return fits and direction in (None, thing.direction)


def follows(thing: Thing, earlier: Thing) -> bool:
    """Whether the one begins only when the other has ended."""
    return earlier.end <= thing.start and "stands still" not in (thing.motion, earlier.motion)


def together(first: Thing, second: Thing) -> bool:
    """Whether both do something at the same time."""
    same = (first.start, first.end) == (second.start, second.end)
    return same and "stands still" not in (first.motion, second.motion)


def clip_caption_is_true(clip: Clip, text: str) -> Verdict:
    """Decides a sentence of the grammar (see the module); any other text is UNPARSEABLE, with the reason.

    The part that a false sentence gets wrong is one of `CLIP_PARTS`: the one that is read first.
    """
    try:
        sentence = parse_happening(text)
    except UnparseableError as error:
        return Verdict(Truth.UNPARSEABLE, str(error))
    denial = _miscounted(clip, sentence) if isinstance(sentence, Sentence) else _denial(clip, sentence)
    if denial is None and sentence.background not in (None, clip.background):
        denial = "background", f"the background is {clip.background}"
    return Verdict(Truth.TRUE, "it is so") if denial is None else Verdict(Truth.FALSE, denial[1], denial[0])


def parse_happening(text: str) -> Happening | Sentence:
    """The parts of a sentence: a `Happening` if it has a verb, else a `Sentence` of the grammar of scenes.

    >>> parse_happening("a cat enters before a dog moves left").other
    Event(noun='dog', verb='moves', direction='left')

    Raises:
        UnparseableError: the text is not in the grammar.
    """
    reader = Reader(text)
    if reader.word(1) in BACKGROUNDS:
        return parse(text)
    subject = reader.phrase()
    if not _verb_begins(reader):
        return _lasting(parse(text))
    event, link, other, background = _event(subject, reader), reader.one_of(LINKS), None, None
    if link is not None:
        other = _event(reader.other(subject), reader)
        if "stands still" in (event.verb, other.verb):
            raise UnparseableError(f"what stands still does so all the time, there is no {link!r}")
    if reader.take("on"):
        background = reader.background()
    return reader.end(Happening(event, link, other, background))


def _verb_begins(reader: Reader) -> bool:
    """Asked behind a noun only, as "two leaves" has no verb."""
    return reader.word() in {verb.split()[0] for verb in VERBS}


def _lasting(sentence: Sentence) -> Sentence:
    """The same sentence, if it says only what holds for a whole clip."""
    if sentence.position or sentence.link or any(phrase.size for phrase in sentence.phrases):
        raise UnparseableError("places and sizes change in a clip; say what there is or what it does")
    return sentence


def _event(phrase: Phrase, reader: Reader) -> Event:
    """What a phrase that was read does."""
    if phrase.size is not None or phrase.count > 1:
        raise UnparseableError(f"before a verb 'a' and a noun were expected, found {str(phrase)!r}")
    verb = reader.one_of(VERBS)
    if verb is None:
        raise UnparseableError(f"a verb was expected ({', '.join(VERBS)}), found {reader.found()}")
    return Event(phrase.noun, verb, reader.one_of(DIRECTIONS) if verb == "moves" else None)


Denial = tuple[str, str]  # the part that is false, and why


def _miscounted(clip: Clip, sentence: Sentence) -> Denial | None:
    for phrase in sentence.phrases:
        number = clip.count(phrase.noun)
        if number == 0:
            return "noun", f"there is no {phrase.noun}"
        if number != phrase.count > 1:
            return "count", f"there are not {phrase}, but {NUMBERS[number]}"
    return None


def _denial(clip: Clip, sentence: Happening) -> Denial | None:
    """The first false part of a sentence with a verb, its background apart, and why it is false."""
    events = [event for event in (sentence.event, sentence.other) if event is not None]
    doers = []
    for event in events:
        if clip.count(event.noun) == 0:
            return "noun", f"there is no {event.noun}"
        busy = [thing for thing in clip.things if thing.noun == event.noun and does(thing, event.verb)]
        if not busy:
            return "motion", f"no {event.noun} {event.verb}"
        doers.append([thing for thing in busy if does(thing, *event[1:])])
        if not doers[-1]:
            return "direction", f"no {event.noun} {event.verb} {event.direction}"
    if sentence.link is None:
        return None
    pairs = [pair for pair in itertools.product(*doers) if pair[0] is not pair[1]]
    if not pairs:
        return "count", f"{events[0]}, and no other {events[1].noun} does so"
    if not any(_in_order(first, sentence.link, second) for first, second in pairs):
        return "order", f"{events[0]}, but not {sentence.link} {events[1]}"
    return None


def _in_order(first: Thing, link: str, second: Thing) -> bool:
    if link == "while":
        return together(first, second)
    return follows(second, first) if link == "before" else follows(first, second)
