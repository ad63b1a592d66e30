"""Answers that attack the grader, or break: none gains, none survives, none takes long, and the next one is graded."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from mmcourse.content import PACKAGE, content_dir

RIGHT = "torch.ones(length, length, dtype=torch.bool).tril()"
NOISE = "torch.zeros(length, length, dtype=torch.bool)"
ENDED, SLOW, WRONG, ERROR, NONE = "ended", "time", "wrong", "error", None
REPOSITORY = str(PACKAGE.parent)


def answer(*lines, before=()):
    body = "\n".join(f"    {line}" for line in lines)
    return "\n".join([*before, "def build_causal_mask(length):", body])


def attack(name, *lines, before=(), expected, limit="", named=""):
    return pytest.param(answer(*lines, before=before), expected, limit, named, id=name)


PEEK = (
    "import sys",
    "frame = sys._getframe()",
    "while frame is not None:",
    "    for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):",
    "        if hasattr(value, 'reference'):",
    "            return value.reference(length)",
    "    frame = frame.f_back",
    f"return {NOISE}",
)
COLLECT = (
    "import gc",
    "for thing in gc.get_objects():",
    "    if type(thing).__name__ == 'Exercise' and thing.id == '01-causal-mask':",
    "        return thing.reference(length)",
    f"return {NOISE}",
)
SOLVED = (
    "import json",
    f"text = open({str(content_dir('chapters') / 'solutions' / '01_attention.ipynb')!r}).read()",
    "for cell in json.loads(text)['cells']:",
    "    if cell['id'] == '01-causal-mask':",
    "        space = {'torch': torch}",
    "        exec(''.join(cell['source']), space)",
    "        return space['build_causal_mask'](length)",
)
EVERYWHERE = (
    "import os",
    f"for place, folders, files in os.walk({REPOSITORY!r}):",
    "    folders[:] = [name for name in folders if name not in ('.venv', 'site-packages')]",
    "    found = [name for name in files if name.startswith('ch01') or name.endswith('.ipynb')]",
    "    if found: raise RuntimeError(f'found {place}/{found[0]}')",
    f"return {NOISE}",
)
FORGE = (
    "import os, json, struct",
    "text = json.dumps({'value': {'$': 'tuple', 'v': [True, None]}, 'sizes': []}).encode()",
    "os.write(3, struct.pack('>IQ', len(text), 0) + text)",
    f"return {NOISE}",
)
YES = (
    "class Yes:",
    "    def __eq__(self, other):",
    "        return True",
    "    def __getattr__(self, name):",
    "        return self",
    "    def __call__(self, *inputs):",
    "        return self",
)

ATTACKS = [
    # --- loops and ends
    attack("loop", "while True: pass", expected="stopped", limit=SLOW),
    attack(
        "loop that ignores signals",
        "while True:",
        "    try: time.sleep(0.01)",
        "    except BaseException: pass",
        before=(
            "import signal, time",
            "for n in range(1, 64):",
            "    try: signal.signal(n, signal.SIG_IGN)",
            "    except (OSError, ValueError): pass",
        ),
        expected="stopped",
        limit=SLOW,
    ),
    attack(
        "loop outside of the answer", f"return {RIGHT}", before=("while True: pass",), expected="stopped", limit=SLOW
    ),
    attack("loop in compiled code", "return 10 ** 10 ** 9", expected="stopped", limit=SLOW),
    attack("exit", "import os; os._exit(0)", expected="stopped", limit=ENDED, named="ends processes"),
    attack("exit outside", "return 1", before=("import os", "os._exit(0)"), expected="stopped", limit=ENDED),
    attack("sys.exit", "import sys; sys.exit(0)", expected=ERROR),
    attack("interrupt", "raise KeyboardInterrupt", expected=ERROR),
    attack("crash", "import ctypes; ctypes.string_at(0)", expected="stopped", limit=ENDED, named="compiled code"),
    attack("abort", "import os; os.abort()", expected="stopped", limit=ENDED),
    attack("endless recursion", "return build_causal_mask(length)", expected=ERROR),
    attack("closes everything", "import os; os.closerange(0, 200)", "return 1", expected="stopped", limit=ENDED),
    # --- resources
    attack("memory in Python", "return bytearray(1 << 40)", expected=ERROR, limit="memory"),
    attack("memory bit by bit", "x = []", "while True: x.append(bytearray(1 << 24))", expected="any"),
    attack("memory in torch", "return torch.zeros(1 << 38)", expected=ERROR, limit="memory"),
    attack("a result of gigabytes", "return torch.zeros(1).expand(1 << 33)", expected=ERROR),
    attack("fork bomb", "import os", "while True: os.fork()", expected=ERROR, named="processes"),
    attack(
        "threads without end",
        "import threading, time",
        "while True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        expected=ERROR,
    ),
    attack(
        "threads that stay",
        f"return {NOISE}",
        before=(
            "import threading, time",
            "def stay():",
            "    while True: time.sleep(0.1)",
            "threading.Thread(target=stay).start()",
        ),
        expected=WRONG,
    ),
    attack("output without end", "while True: print('x' * 100_000)", expected="stopped", limit="output"),
    attack(
        "a file without end",
        "with open('/tmp/x', 'wb') as file:",
        "    while True: file.write(bytes(1 << 20))",
        expected=ERROR,
        limit="files",
    ),
    # no room for more files ends it, or the clock of a busy machine
    attack("files without end", "for n in range(10**6): open(f'/tmp/{n}', 'w').write('x' * 1000)", expected="any"),
    attack("open files without end", "x = [open('/dev/null') for n in range(10**5)]", expected=ERROR),
    attack("nested without end", "x = []", "for n in range(10**5): x = [x]", "return x", expected=ERROR),
    attack("holds itself", "x = []", "x.append(x)", "return x", expected=ERROR),
    attack("a generator without end", "import itertools; return itertools.count()", expected=WRONG),
    # --- forged results
    attack("equal to everything", "return Yes()", before=YES, expected=WRONG, named="equal to everything"),
    attack("is equal to everything", "return 1", before=(*YES, "build = Yes()"), expected=WRONG),
    attack(
        "a tensor that is equal to everything",
        f"return {NOISE}.as_subclass(Same)",
        before=("class Same(torch.Tensor):", "    def __eq__(self, other):", "        return True"),
        expected=WRONG,
        named="equal to everything",
    ),
    attack(
        "an object that unpickles into a command",
        "return numpy.array([Bomb()], dtype=object)",
        before=("import numpy, os", "class Bomb:", "    def __reduce__(self):", "        return os._exit, (0,)"),
        expected=WRONG,
    ),
    attack(
        "patched torch",
        f"return {NOISE}",
        before=(
            "torch.allclose = torch.equal = lambda *a, **k: True",
            "torch.isclose = lambda a, *r, **k: torch.ones_like(a).bool()",
        ),
        expected=WRONG,
        named="replaces a function of a library (torch.",
    ),
    attack(
        "patched builtins",
        f"return {NOISE}",
        before=("import builtins", "builtins.isinstance = lambda *a: True"),
        expected="any",
        named="replaces a function of a library",
    ),
    attack(
        "patched in the call",
        "torch.Tensor.__eq__ = lambda *a: True",
        f"return {NOISE}",
        expected=WRONG,
        named="torch.Tensor",
    ),
    attack("forged message", *FORGE, expected="any"),
    attack("noise in place of a message", "import os; os.write(3, b'x' * 1000)", f"return {NOISE}", expected="stopped"),
    attack(
        "a message without end",
        "import os, struct; os.write(3, struct.pack('>IQ', 9, 1 << 62))",
        "return 1",
        expected="stopped",
    ),
    attack(
        "patched grader",
        f"return {NOISE}",
        before=(
            "import mmcourse.course.grading.answer.worker as g",
            "g.Worker.say = lambda self, *a, **k: self.channel.send({'value': True}, [])",
        ),
        expected="any",
        named="looks for the checks",
    ),
    attack("prints a verdict", "print('14')", f"return {NOISE}", expected=WRONG),
    # --- looks where it should not
    attack("frames", *PEEK, expected=WRONG, named="frames"),
    attack("objects", *COLLECT, expected=WRONG, named="frames"),
    attack(
        "imports the exercises",
        "from mmcourse.course.exercises.ch01.causal_mask import causal_mask as c",
        "return c(length)",
        expected=ERROR,
        named="looks for the checks",
    ),
    attack(
        "imports the exercises by another name",
        "import importlib",
        "m = importlib.import_module('mmcourse.course.exer' + 'cises.ch01.causal_mask')",
        "return m.causal_mask(length)",
        expected=ERROR,
        named="looks for the checks",
    ),
    attack("reads the solutions", *SOLVED, expected=ERROR, named="looks for the checks"),
    attack("searches the disk", *EVERYWHERE, expected=WRONG),
    attack(
        "the ready-made function",
        "from mmcourse.attention import causal_mask",
        "return causal_mask(length)",
        expected="forbidden",
        named="ready-made",
    ),
    # --- reaches out
    attack("kills whoever started it", "import os", "os.kill(os.getppid(), 0)", expected=ERROR, named="process"),
    attack("kills everybody", "import os", "os.kill(-1, 0)", expected=ERROR, named="process"),
    attack("a program", "import subprocess", "subprocess.run(['touch', '/tmp/x'])", expected=ERROR, named="process"),
    attack(
        "mounts",
        "import ctypes",
        "x = ctypes.CDLL(None).mount(b'none', b'/', None, 4128, None)",
        "assert x == 0, x",
        expected=ERROR,
    ),
    attack(
        "takes its limits off",
        "import resource",
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "return bytearray(1 << 40)",
        expected=ERROR,
    ),
    # --- no Python
    attack("half a line", "return (", expected=ERROR),
    attack("a zero byte", "return '\0'", expected=ERROR),
    attack("brackets without end", f"return {'(' * 5000}1{')' * 5000}", expected=ERROR),
    attack("signs without end", f"return {'-' * 100_000}1", expected="any"),
    attack("asks the keyboard", "return input()", expected=ERROR),
    attack("another name and nothing else", "x = 1", expected=WRONG),
]


@pytest.fixture(autouse=True)
def isolated(the_judge):
    """What follows is let loose only where it is held."""
    if the_judge.lacking:
        pytest.skip(f"this system lacks {the_judge.lacking}")


def test_there_are_enough():
    assert len(ATTACKS) >= 50


@pytest.mark.parametrize(("text", "expected", "limit", "named"), ATTACKS)
def test_it_gains_nothing(verdict, text, expected, limit, named):
    began = time.monotonic()
    found = verdict(text)
    assert found.points == 0, found
    assert expected in ("any", found.status), found
    assert limit in ("", found.limit), found
    assert named in " ".join(found.tampering), found
    assert time.monotonic() - began < 100  # it ends; a busy machine may take long
    assert len(found.output) < 30_000


def test_right_answers_are_graded_after_all_that(verdict):
    found = verdict(answer(f"return {RIGHT}"))
    assert (found.status, found.points, found.tampering) == ("done", 1, ())


def test_nothing_reaches_a_server(verdict):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        port = server.getsockname()[1]
        lines = ("import socket", f"socket.create_connection(('127.0.0.1', {port}), 1).send(b'x')")
        found = verdict(answer(*lines, f"return {RIGHT}"))
        with pytest.raises(TimeoutError):
            server.accept()
    assert (found.status, found.points) == ("error", 0)
    assert "network" in " ".join(found.tampering)


def test_no_process_is_left_behind(verdict, the_judge):
    number = the_judge.nursery.number
    children = Path(f"/proc/{number}/task/{number}/children")
    if not children.exists():
        pytest.skip("this system does not list the children of a process")
    before = children.read_text()
    lines = ("import os", "if os.fork() == 0:", "    os.setsid()", "    import time; time.sleep(60)", f"return {RIGHT}")
    assert verdict(answer(*lines)).points == 0
    assert verdict(answer("import time; time.sleep(60)")).limit == "time"
    assert children.read_text() == before


WRITING = {
    "remove": "import os; os.remove({0!r})",
    "rename": "import os; os.rename({0!r}, {0!r} + 'x')",
    "overwrite": "open({0!r}, 'w').write('x')",
    "tree": "import shutil; shutil.rmtree(os.path.dirname({0!r}))",
    "mode": "import os; os.chmod({0!r}, 0)",
}


@pytest.mark.parametrize("line", WRITING.values(), ids=WRITING)
def test_files_outside_stay_as_they_are(verdict, tmp_path, line):
    kept = tmp_path / "kept.txt"
    kept.write_text("kept")
    found = verdict(answer(line.format(str(kept)), f"return {RIGHT}", before=("import os",)))
    assert (found.status, found.points) == ("error", 0)
    assert kept.read_text() == "kept"


def test_the_library_cannot_be_written(verdict, tmp_path):
    place = str(PACKAGE / "hello.py")
    found = verdict(answer(f"open({place!r}, 'w').write('x')", f"return {RIGHT}"))
    assert "Read-only" in found.message
    assert "files" in " ".join(found.tampering)
    assert not Path(place).exists()


def test_nothing_passes_from_one_answer_to_the_next(verdict):
    leave = answer("open('/tmp/left', 'w').write('x')", f"return {RIGHT}", before=("torch.left = 1",))
    assert verdict(leave).points == 1
    look = answer(
        "import os", f"return {RIGHT} if not os.path.exists('/tmp/left') and not hasattr(torch, 'left') else 1"
    )
    assert verdict(look).points == 1


def test_another_user_sees_nothing_of_this_one(verdict):
    found = verdict(answer("import os", f"return {RIGHT} if {os.environ.get('USER', 'nobody')!r} else 0"))
    assert found.points == 1


# --- the source of the library, read to be copied

MODULE = "__import__('sys').modules['mmcourse.attention.functions']"
EXEC = ("space = {'torch': torch}", "exec(text[text.index('def causal_mask'):].split('\\n\\n\\n')[0], space)")
READ = {
    "inspect, of the module": f"import inspect; text = inspect.getsource({MODULE})",
    "inspect by another way": f"text = __import__('inspect').getsource({MODULE})",
    "importlib": f"import importlib; text = importlib.import_module('ins' + 'pect').getsource({MODULE})",
    "open": f"text = open({MODULE}.__file__).read()",
    "os.open": f"import os; text = os.read(os.open({MODULE}.__file__, 0), 1 << 20).decode()",
    "pathlib": f"import pathlib; text = pathlib.Path({MODULE}.__file__).read_text()",
    "its loader": f"text = {MODULE}.__loader__.get_source('mmcourse.attention.functions')",
    "the bytes of its loader": f"text = {MODULE}.__loader__.get_data({MODULE}.__file__).decode()",
    "pkgutil": "import pkgutil; text = pkgutil.get_data('mmcourse', 'attention/functions.py').decode()",
    "importlib.resources": "import importlib.resources as r\n"
    "text = r.files('mmcourse').joinpath('attention/functions.py').read_text()",
    "linecache": f"import linecache; text = ''.join(linecache.getlines({MODULE}.__file__))",
    "a link": f"import os; os.path.exists('/tmp/x') or os.symlink({MODULE}.__file__, '/tmp/x')\n"
    "text = open('/tmp/x').read()",
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_copied_source_is_noted_and_earns_nothing(verdict, read):
    lines = [line.strip() for line in read.split("\n")]
    in_the_call = answer(*lines, *EXEC, "return space['causal_mask'](length)")
    in_the_cell = answer("return space['causal_mask'](length)", before=("import torch", *lines, *EXEC))
    for text in (in_the_call, in_the_cell):
        found = verdict(text)
        assert (found.status, found.points) == ("forbidden", 0), found
        assert "attention/functions.py" in " ".join(found.tampering), found


AGAIN = {
    "loaded again": ("import importlib, mmcourse.attention.functions as m", "own = importlib.reload(m).causal_mask"),
    "imported again": (
        "import sys; del sys.modules['mmcourse.attention.functions']",
        "from mmcourse.attention.functions import causal_mask as own",
    ),
    "its compiled code": (
        "import mmcourse.attention.functions as m",
        "space = dict(vars(m))",
        "exec(m.__loader__.get_code('mmcourse.attention.functions'), space)",
        "own = space['causal_mask']",
    ),
}


@pytest.mark.parametrize("lines", AGAIN.values(), ids=AGAIN)
def test_a_second_copy_of_the_library_earns_nothing(verdict, lines):
    found = verdict(answer("return own(length)", before=lines))
    assert (found.status, found.points) == ("forbidden", 0), found


HARMLESS = {
    "reads how it is done, and does it otherwise": "import inspect, mmcourse.attention\n"
    "print(len(inspect.getsource(mmcourse.attention)))",
    "has a traceback quote a line": "import traceback, mmcourse.attention\ntry:\n"
    "    mmcourse.attention.attention(1, 2, 3)\nexcept Exception:\n    traceback.print_exc()",
    "imports a part that nobody had": "import mmcourse.recipes, mmcourse.pictures",
    "reads its own": "import inspect\ndef mine():\n    return 1\ninspect.getsource(mine)",
}


@pytest.mark.parametrize("lines", HARMLESS.values(), ids=HARMLESS)
def test_who_reads_and_writes_an_own_answer_keeps_the_points(verdict, lines):
    found = verdict(answer(f"return {RIGHT}", before=(lines,)))
    assert (found.status, found.points) == ("done", 1), found
    copied = [said for said in found.tampering if "source of the library" in said]
    assert bool(copied) == lines.startswith("import inspect, mmcourse"), found
