"""Frames: a traceback as Python writes it, read back, so that a page can fold what is not ours and group by what is."""

import re
from dataclasses import dataclass
from typing import Final

_FRAME: Final = re.compile(r'  File "(?P<path>[^"\n]+)", line (?P<line>\d+), in (?P<function>[^\n]+)\n')
_PACKAGE: Final = "billingbot/"
# What Python writes between an exception and the one that came of it.
_CHAINS: Final = (
    "\nThe above exception was the direct cause of the following exception:\n",
    "\nDuring handling of the above exception, another exception occurred:\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One call on the stack. `path` is shortened to the package where the code is ours; `code` is what stood there."""

    path: str
    line: int
    function: str
    code: str
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One exception of a chain: the calls down to it, outermost first, and what it said, as Python wrote it."""

    frames: tuple[Frame, ...]
    said: str


def own_frame(traceback: str) -> str:
    """Where in our code it broke, without the line, so that it stays the same over releases; empty where nowhere.

    Of a chain the last exception counts: `flows/submit.py in submit`. The gateway is where every refusal of Stripe
    comes out: of it counts who called it.
    """
    own = [frame for raised in chain(traceback)[-1:] for frame in raised.frames if frame.is_own]
    own = own or [frame for raised in chain(traceback) for frame in raised.frames if frame.is_own]
    own = [frame for frame in own if not frame.path.startswith("gateway/")] or own
    return f"{own[-1].path} in {own[-1].function}" if own else ""


def chain(traceback: str) -> tuple[Raised, ...]:
    """The exceptions of a traceback in the order in which they were raised; whatever is in no shape is only said."""
    parts = [traceback]
    for between in _CHAINS:
        parts = [piece for part in parts for piece in part.split(between)]
    return tuple(_raised(part) for part in parts if part.strip())


def _raised(text: str) -> Raised:
    found = list(_FRAME.finditer(text))
    if not found:
        return Raised(frames=(), said=text.strip())
    frames, said = [], ""
    for match, following in zip(found, [*found[1:], None], strict=True):
        below = text[match.end() : following.start() if following else len(text)]
        code, said = _code(below)
        frames.append(_frame(match, code))
    return Raised(frames=tuple(frames), said=said.strip())


def _frame(match: re.Match[str], code: str) -> Frame:
    path = match["path"].replace("\\", "/")
    # A dependency that lies below a folder of our name, such as this repository's own environment, is not ours.
    is_own = _PACKAGE in path and "site-packages/" not in path.rpartition(_PACKAGE)[2] and "/.venv/" not in path
    shown = path.rpartition(_PACKAGE)[2] if is_own else path.rpartition("site-packages/")[2] or path
    return Frame(path=shown, line=int(match["line"]), function=match["function"], code=code, is_own=is_own)


def _code(below: str) -> tuple[str, str]:
    """What stood at the frame (indented by Python), and what comes behind it: the exception's own words."""
    lines = below.splitlines()
    kept = 0
    while kept < len(lines) and lines[kept].startswith("    "):
        kept += 1
    code = [line.strip() for line in lines[:kept] if line.strip(" ^~")]
    return "\n".join(code), "\n".join(lines[kept:])
