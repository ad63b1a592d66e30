r"""LaTeX formulas as MathML, which browsers draw by themselves, without a script or a font from elsewhere.

Only what the chapters write: symbols, scripts, fractions, roots, accents, braces, fences and `aligned`. A command that
is not known is an error, so that no formula is shown wrong. The elements are those of MathML Core (W3C); the spaces
around operators follow Knuth, "The TeXbook" (1984), chapter 18.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_VERBATIM = re.compile(r"\\(text|mathrm|operatorname|mathbb|mathcal)(?![A-Za-z])\s*(?:\{([^{}]*)\}|([A-Za-z]))")
_BEGIN = re.compile(r"\\(begin|end)\{(\w+)\}")

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "varepsilon": "ε", "lambda": "λ", "omega": "ω", "sigma": "σ",
    "tau": "τ", "theta": "θ", "mu": "μ", "pi": "π", "rho": "ρ", "phi": "φ", "varphi": "φ", "eta": "η",
}  # fmt: skip
UPRIGHT = {"Pi": "Π", "Delta": "Δ", "Sigma": "Σ", "partial": "∂", "nabla": "∇", "infty": "∞", "top": "⊤", "ell": "ℓ"}
RELATIONS = {
    "cdot": "⋅", "times": "×", "in": "∈", "le": "≤", "ge": "≥", "ne": "≠", "approx": "≈", "propto": "∝", "to": "→",
    "leftarrow": "←", "circ": "∘", "pm": "±", "sim": "∼", "mid": "∣",
}  # fmt: skip
DOTS = {"dots": "…", "cdots": "⋯", "ldots": "…"}
FENCES = {
    "langle": "⟨", "rangle": "⟩", "lfloor": "⌊", "rfloor": "⌋", "lVert": "‖", "rVert": "‖", "|": "‖",
    "{": "{", "}": "}",
}  # fmt: skip
OPENING = frozenset("([{⟨⌊")
BIG = {"sum": "∑", "prod": "∏", "int": "∫"}
FUNCTIONS = frozenset(["log", "exp", "sin", "cos", "tanh"])
LIMITS = frozenset(["max", "min", "lim"])
ACCENTS = {"hat": "^", "tilde": "~", "bar": "¯"}
SPACES = {",": 0.167, ":": 0.222, ";": 0.278, " ": 0.25, "quad": 1.0, "qquad": 2.0}
SIZES = {"big": 1.2, "Big": 1.8}
BOARD, SCRIPT = {"R": "ℝ", "E": "𝔼", "N": "ℕ", "Z": "ℤ"}, {"N": "𝒩", "L": "ℒ"}


class Piece(NamedTuple):
    """A part of a formula: its element, what it is to its neighbors, and whether its scripts go above and below."""

    xml: str
    kind: str = "ordinary"  # or operator, opening, function, space
    limits: bool = False


def mathml(tex: str, *, display: bool = False) -> str:
    """A formula without its dollar signs as one `<math>` element.

    Raises:
        ValueError: a command is not known, or a brace has no partner.

    >>> mathml("x^2")
    '<math><msup><mi>x</mi><mn>2</mn></msup></math>'
    """
    reader = _Reader(tex)
    inner = reader.row()
    if reader.token is not None:
        raise ValueError(f"tex has {reader.token!r} without its partner: {tex!r}")
    return f"<math{' display=' + chr(34) + 'block' + chr(34) if display else ''}>{inner}</math>"


def _operator(sign: str, **attributes: str) -> str:
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<mo{given}>{html.escape(sign, quote=False)}</mo>"


def _fence(sign: str) -> Piece:
    spaces = {"lspace": "0", "rspace": "0"} if sign in "|‖" else {}
    return Piece(_operator(sign, stretchy="false", **spaces), "opening" if sign in OPENING else "ordinary")


def _space(width: float) -> Piece:
    return Piece(f'<mspace width="{width}em"></mspace>', "space")


def _identifier(name: str) -> str:
    return f'<mi mathvariant="normal">{name}</mi>' if len(name) == 1 else f"<mi>{name}</mi>"


class _Reader:
    """Reads a formula from left to right; `token` is the next one, None at the end."""

    def __init__(self, tex: str) -> None:
        self.tex = tex
        self.stored: list[tuple[str, str]] = []  # words whose letters are not symbols: (command, text)
        packed = _VERBATIM.sub(self._store, _BEGIN.sub(self._keep_aligned, tex))
        self.tokens = [token for token in _TOKEN.findall(packed) if not token.isspace()]
        self.place = 0

    def _store(self, match: re.Match) -> str:
        self.stored.append((match[1], match[3] if match[2] is None else match[2]))
        return f"\\stored {{{len(self.stored) - 1}}}"

    def _keep_aligned(self, match: re.Match) -> str:
        if match[2] != "aligned":
            raise ValueError(f"tex holds the environment {match[2]!r}; only aligned is known: {self.tex!r}")
        return f"\\{match[1]} "

    @property
    def token(self) -> str | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def take(self) -> str:
        if self.token is None:
            raise ValueError(f"tex ends too early: {self.tex!r}")
        self.place += 1
        return self.tokens[self.place - 1]

    def row(self) -> str:
        """Everything up to the end of the group, as one element."""
        pieces: list[Piece] = []
        while self.token not in (None, "}", "&", "\\\\", "\\end", "\\right"):
            if self.token == "\\textstyle":
                self.take()
                pieces.append(Piece(f'<mstyle displaystyle="false">{self.row()}</mstyle>'))
                continue
            before = pieces[-1].kind if pieces else "opening"
            piece = self.with_scripts(self.atom(before))
            if piece.kind == "function" and before in ("ordinary", "function"):
                pieces.append(_space(0.167))
            pieces.append(piece)
            if piece.kind == "function":
                pieces.append(Piece("<mo>&#x2061;</mo>", "function"))
                if self.token is not None and self.token not in ("(", "\\big", "\\Big", "\\left", "\\!", "}", "[", "&"):
                    pieces.append(_space(0.167))
        xml = [piece.xml for piece in pieces]
        return xml[0] if len(xml) == 1 else f"<mrow>{''.join(xml)}</mrow>"

    def argument(self) -> str:
        """A group in braces, or the one symbol that stands for it."""
        if self.token != "{":
            return self.atom("opening", single=True).xml
        return self.group()

    def group(self) -> str:
        self.take()
        inner = self.row()
        self.expect("}")
        return inner

    def expect(self, token: str) -> None:
        if self.token != token:
            raise ValueError(f"tex lacks {token!r} before {self.token!r}: {self.tex!r}")
        self.take()

    def with_scripts(self, base: Piece) -> Piece:
        """The piece with what is written below and above it."""
        below, above, primes = "", "", ""
        while self.token in ("_", "^", "'"):
            sign = self.take()
            if sign == "'":
                primes += "′"
            elif sign == "_":
                below = self.argument()
            else:
                above = self.argument()
        if primes:
            above = f"<mrow><mo>{primes}</mo>{above}</mrow>" if above else f"<mo>{primes}</mo>"
        if not below and not above:
            return base
        name = "m" + (("under" if below else "") + ("over" if above else "") if base.limits else
                      ("sub" if below else "") + ("sup" if above else ""))  # fmt: skip
        return Piece(f"<{name}>{base.xml}{below}{above}</{name}>", base.kind)

    def atom(self, before: str, *, single: bool = False) -> Piece:
        """One symbol, number, group or command. `single` takes one digit of a number, as TeX does in an argument."""
        token = self.take()
        if token == "{":
            self.place -= 1
            return Piece(self.group())
        if token.startswith("\\"):
            return self.command(token[1:])
        if token.isdigit():
            while not single and self.token is not None and re.fullmatch(r"\d+(\.\d*)?", token + self.token):
                token += self.take()
            return Piece(f"<mn>{token}</mn>")
        if token.isalpha():
            return Piece(f"<mi>{token}</mi>")
        if token in "()[]|":
            return _fence(token)
        if token in "-−+":
            sign = "−" if token != "+" else "+"
            unary = before in ("opening", "operator")
            return Piece(_operator(sign, **({"form": "prefix"} if unary else {})), "operator")
        if token in "/.!":
            return Piece(_operator(token, lspace="0", rspace="0"))
        return Piece(_operator(token), "operator")

    def command(self, name: str) -> Piece:
        if name in GREEK:
            return Piece(f"<mi>{GREEK[name]}</mi>")
        if name in UPRIGHT:
            return Piece(_identifier(UPRIGHT[name]))
        if name in RELATIONS:
            return Piece(_operator(RELATIONS[name]), "operator")
        if name in DOTS:
            return Piece(_operator(DOTS[name], lspace="0.1em", rspace="0.1em"))
        if name in FENCES:
            return _fence(FENCES[name])
        if name in BIG:
            return Piece(_operator(BIG[name]), "operator", limits=name != "int")
        if name in FUNCTIONS or name in LIMITS:
            xml = (
                f'<mo movablelimits="true" lspace="0" rspace="0">{name}</mo>' if name in LIMITS else f"<mi>{name}</mi>"
            )
            return Piece(xml, "function", limits=name in LIMITS)
        if name in SPACES:
            return _space(SPACES[name])
        if name == "!":
            return Piece("", "space")  # takes away a space that this converter does not put there
        return self.build(name)

    def build(self, name: str) -> Piece:
        """The commands that take arguments."""
        if name == "stored":
            return _word(*self.stored[int("".join(re.findall(r">(\d+)<", self.argument())))])
        if name in ("frac", "tfrac"):
            fraction = f"<mfrac>{self.argument()}{self.argument()}</mfrac>"
            return Piece(fraction if name == "frac" else f'<mstyle displaystyle="false">{fraction}</mstyle>')
        if name == "sqrt":
            return Piece(f"<msqrt>{self.argument()}</msqrt>")
        if name in ACCENTS:
            return Piece(f'<mover accent="true">{self.argument()}{_operator(ACCENTS[name], stretchy="false")}</mover>')
        if name == "boxed":
            return Piece(f'<mrow class="boxed">{self.argument()}</mrow>')
        if name == "underbrace":
            return Piece(f"<munder>{self.argument()}<mo>⏟</mo></munder>", limits=True)
        if name in SIZES:
            size = f"{SIZES[name]}em"
            sign = self.delimiter()
            kind = "opening" if sign in OPENING else "ordinary"
            return Piece(_operator(sign, stretchy="true", minsize=size, maxsize=size, symmetric="true"), kind)
        if name == "left":
            left, inner = self.delimiter(), self.row()
            self.expect("\\right")
            right = self.delimiter()
            fences = [_operator(sign, stretchy="true", form=form) if sign != "." else ""
                      for sign, form in ((left, "prefix"), (right, "postfix"))]  # fmt: skip
            return Piece(f"<mrow>{fences[0]}{inner}{fences[1]}</mrow>")
        if name == "begin":
            return Piece(self.aligned())
        raise ValueError(f"tex holds \\{name}, which is not known here: {self.tex!r}")

    def delimiter(self) -> str:
        token = self.take()
        return FENCES[token[1:]] if token.startswith("\\") and token[1:] in FENCES else token

    def aligned(self) -> str:
        """Rows of cells; the style sheet sets odd ones to the right and even ones to the left."""
        rows, cells = [], [self.row()]
        while self.token in ("&", "\\\\"):
            if self.take() == "\\\\":
                rows.append(cells)
                cells = []
            if self.token != "\\end" or cells:  # the last line break may be followed by nothing
                cells.append(self.row())
        self.expect("\\end")
        lines = ["".join(f"<mtd>{cell}</mtd>" for cell in line) for line in [*rows, cells] if line]
        table = "".join(f"<mtr>{line}</mtr>" for line in lines)
        return f'<mtable class="aligned" displaystyle="true">{table}</mtable>'


def _word(command: str, text: str) -> Piece:
    """Text of a command whose letters are not variables."""
    safe = html.escape(text, quote=False)
    if command == "text":
        return Piece(f"<mtext>{safe.replace(' ', chr(0xA0))}</mtext>")
    if command in ("mathbb", "mathcal"):
        return Piece(_identifier((BOARD if command == "mathbb" else SCRIPT).get(text, text)))
    return Piece(_identifier(safe), "function" if command == "operatorname" else "ordinary")
