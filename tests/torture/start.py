"""Starts a process of billingbot's with its clock put wrong, or with one safety taken out; else as it ships."""

import argparse
import datetime as datetime_module
import importlib
import pkgutil
import sys
import time
from datetime import timedelta, tzinfo
from typing import Any

import billingbot
from tests.torture.mutations import MUTATIONS

_Plain = datetime_module.datetime


def shift_clock(by: timedelta) -> None:
    """From now on this process believes that it is so much later, in `time` and in all modules of billingbot."""
    seconds, before, before_ns = by.total_seconds(), time.time, time.time_ns
    time.time = lambda: before() + seconds
    time.time_ns = lambda: before_ns() + int(seconds * 1e9)

    class Same(type):
        """A time is a time, whoever made it."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, _Plain)

    class Shifted(_Plain, metaclass=Same):
        """datetime, but for what time it is."""

        def __new__(cls, *args: Any, **how: Any) -> Any:
            return _Plain(*args, **how)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return _Plain.now(tz) + by

    for name, module in list(sys.modules.items()):
        if name.startswith("billingbot") and getattr(module, "datetime", None) is _Plain:
            module.datetime = Shifted  # type: ignore[attr-defined] # the module has it, as was just asked


def import_all() -> None:
    """Imports every module of billingbot, so that none comes later with an unshifted clock."""
    for found in pkgutil.walk_packages(billingbot.__path__, "billingbot."):
        if not found.name.endswith("__main__") and ".migrations" not in found.name:
            importlib.import_module(found.name)


def main() -> None:
    """`--shift-seconds N`, `--without SAFETY`, and behind them the words for `billingbot`."""
    parser = argparse.ArgumentParser(prog="tests.torture.start")
    parser.add_argument("--shift-seconds", type=float, default=0)
    parser.add_argument("--without", choices=[name for name, one in MUTATIONS.items() if one.patch])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    import_all()
    if asked.without and (patch := MUTATIONS[asked.without].patch):
        patch()
    if asked.shift_seconds:
        shift_clock(timedelta(seconds=asked.shift_seconds))
    sys.argv = ["billingbot", *asked.words]
    importlib.import_module("billingbot.cli").main()


if __name__ == "__main__":
    main()
