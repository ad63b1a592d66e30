"""What comes back from an answer has limits, and the limit of its time is fair on a busy machine."""

from __future__ import annotations

import gc
import json
import socket
import struct
import time

import pytest

from mmcourse.course.exercise import Case
from mmcourse.course.grading.channel import Channel
from mmcourse.course.grading.codec import BorderError, Decoder, Encoder
from mmcourse.course.grading.judge import judge
from mmcourse.course.grading.judge.patience import TooLongError, at_most
from mmcourse.course.grading.run import grade

RIGHT = "torch.ones(length, length, dtype=torch.bool).tril()"
FORGED_ERROR = """import json, os, struct
def build_causal_mask(length):
    text = "x" * {0}
    error = {{"failed": [text], "kind": "ValueError" * 999, "text": text, "described": text, "sizes": []}}
    data = json.dumps(error).encode()
    data = struct.pack(">IQ", len(data), 0) + data
    while data:
        data = data[os.write(3, data):]
"""


def test_a_message_that_is_too_long_is_refused_before_it_is_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack(">IQ", 1 << 25, 0))
        with pytest.raises(BorderError, match="too long"):
            Channel(ours).receive(time.monotonic() + 1)
        with pytest.raises(BorderError, match="too large to be judged"):
            Channel(ours).send({"value": "x" * (1 << 25)}, [])


def test_what_is_nested_or_hashed_without_end_is_refused():
    deep = []
    for _ in range(500):
        deep = [deep]
    many = {"$": "set", "v": [n * (2**61 - 1) for n in range(60_000)]}  # each number has the hash 0
    for value, words in ((deep, "nested"), (many, "too large")):
        with pytest.raises(BorderError, match=words):
            Decoder([], lambda number, name: None, trusted=False).decode(value)
    with pytest.raises(BorderError, match="too large"):
        Encoder(lambda value: 0, trusted=False).encode(dict.fromkeys(range(60_000)))
    assert Decoder([], lambda number, name: None, trusted=False).decode({"$": "set", "v": [1, 2]}) == {1, 2}


@pytest.mark.parametrize("size", [1_000_000, 30_000_000])
def test_a_forged_error_fills_no_table(verdict, the_judge, size):
    if the_judge.lacking:
        pytest.skip(f"this system lacks {the_judge.lacking}")
    found = verdict(FORGED_ERROR.format(size))
    assert found.points == 0
    assert len(json.dumps(found.cases)) + len(found.message) < 20_000


TANGLE = f"""def build_causal_mask(length):
    part = torch.nn.Linear(1, 1)
    for n in range(7):  # two million parts: far beyond the limit, and not beyond the memory
        part = torch.nn.Sequential(*[part] * 8)
    return part if length == 2 else {RIGHT}
"""


def test_a_comparison_has_a_limit(verdict, the_judge, monkeypatch):
    walks = Case(name="walks", probe=lambda answer: answer(2).state_dict() if hasattr(answer, "_link") else {})
    monkeypatch.setattr(the_judge, "hidden", {"01-causal-mask": (walks,)})
    monkeypatch.setattr(judge, "OWN_SECONDS", 2.0)
    began = time.monotonic()
    found = verdict(TANGLE)
    assert (found.status, found.points) == ("stopped", 0)
    assert "too long to compare" in found.message
    assert time.monotonic() - began < 100


def test_the_judges_own_time_is_that_of_its_processor():
    with at_most(0.2, lambda: None):
        time.sleep(0.5)
    said = []

    def work():
        with at_most(0.2, lambda: said.append("over")):
            while True:
                pass

    with pytest.raises(TooLongError):
        work()
    assert said == ["over"]


def test_who_swallows_the_end_of_the_time_is_told_again():
    """As a finalizer does, in which an exception goes nowhere."""
    swallowed = 0
    with pytest.raises(TooLongError), at_most(0.2, lambda: None):  # noqa: PT012
        while True:
            try:
                while True:
                    pass
            except TooLongError:
                swallowed += 1
                if swallowed == 2:
                    raise
    assert swallowed == 2


def test_the_end_of_the_time_waits_for_the_collector_and_for_finalizers():
    """An exception there would be a warning, which fails this test, and nobody would hear of the end."""
    heard = []

    def compute(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    def callback(phase, info):
        if phase == "start":
            compute(0.3)
            heard.append("collected")

    class Ends:
        def __del__(self):
            compute(0.3)
            heard.append("finalized")

    def collect():
        gc.collect()
        while True:
            pass

    def finalize():
        one = Ends()
        del one
        while True:
            pass

    for work in (collect, finalize):
        gc.callbacks.extend([callback] if work is collect else [])
        try:
            with pytest.raises(TooLongError), at_most(0.1, lambda: heard.append("over")):
                work()
        finally:
            gc.callbacks[:] = [one for one in gc.callbacks if one is not callback]
    assert heard[:2] == ["collected", "over"]
    assert heard[2:] == ["finalized", "over"]


def test_who_waits_for_the_processor_has_more_time(verdict):
    found = verdict(f"import time\ntime.sleep(3)\ndef build_causal_mask(length):\n    return {RIGHT}")
    assert (found.status, found.points) == ("done", 1)  # three seconds by the clock, of two
    found = verdict("import time\ndef build_causal_mask(length):\n    time.sleep(99)")
    assert (found.status, found.limit) == ("stopped", "time")
    assert found.wall < 30


def test_the_processor_time_is_over_once(verdict):
    began = time.monotonic()
    found = verdict("def build_causal_mask(length):\n    while True: pass")
    assert (found.status, found.limit) == ("stopped", "time")
    assert found.cpu > 0.8 * 2 or time.monotonic() - began > 8  # judged again only where the machine was busy


def test_what_the_clock_ended_is_judged_again_by_the_next_run(tmp_path):
    part = tmp_path / "x.json"
    assert not grade._settled(part, 10)
    for limit, cpu, settled in (("time", 1.0, False), ("time", 9.9, True), ("", 1.0, True), ("ended", 0.1, True)):
        part.write_text(json.dumps({"verdicts": [{"limit": limit, "cpu": cpu}]}))
        assert grade._settled(part, 10) is settled
