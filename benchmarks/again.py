"""`python -m benchmarks.again WAY POLICY [STRETCHES]`: past cases decided again in other ways than the shipped one.

The ways read the same stretches in as many processes as the shipped backtest does; what they do with a case differs.
The database is that of BILLINGBOT_DATABASE_URL; prints how many cases there were, by rule, as JSON.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.plain_rules import plain_rules
from billingbot.core.policy import Policy, decide, load_policy
from billingbot.core.restore import restore_facts
from billingbot.store.database import make_engine, transaction
from billingbot.store.views.past import Stretch, Wanted, past_cases, stretches

ALL: Final = Wanted()
Way = Callable[[bytes], str]


def main() -> None:
    """Goes through all stretches, or every n-th so that about STRETCHES of them are left."""
    way, policy, most = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None
    url = os.environ["BILLINGBOT_DATABASE_URL"]
    engine = make_engine(url, pool_size=1)
    with transaction(engine) as connection:
        cut = list(stretches(connection, ALL))
    engine.dispose()
    cut = cut[:: max(1, len(cut) // most)] if most else cut
    found: Counter[str] = Counter()
    with ProcessPoolExecutor(
        len(os.sched_getaffinity(0)), mp_context=get_context("spawn"), initializer=_begin, initargs=(url, way, policy)
    ) as pool:
        for counts in pool.map(_stretch, cut):
            found += counts
    print(json.dumps(found))


def _reading(_policy: Policy) -> Way:
    return lambda _content: "read"


def _plain(policy: Policy) -> Way:
    """As one would write it by hand: the facts parsed, the known ones handed to expressions in plain Python."""
    rules = plain_rules(policy)

    def rule_of(content: bytes) -> str:
        facts = json.loads(content)["facts"]
        try:
            return rules.first_match({name: fact["value"] for name, fact in facts.items() if "value" in fact})
        except KeyError:
            return "unknown"

    return rule_of


def _decide(policy: Policy) -> Way:
    """By the function that decides live cases, each one anew."""
    return lambda content: decide(restore_facts(content), policy).rule


WAYS: Final = {"reading": _reading, "plain": _plain, "decide": _decide}
_process: list[tuple[object, Way]] = []


def _begin(url: str, way: str, policy: str) -> None:
    loaded = load_policy(Path(policy).read_bytes(), filename=policy)
    _process.append((make_engine(url, pool_size=1), WAYS[way](loaded)))


def _stretch(stretch: Stretch) -> Counter[str]:
    engine, way = _process[0]
    with transaction(engine) as connection:
        return Counter((case.rule, way(case.facts))[1] for case in past_cases(connection, ALL, stretch))


if __name__ == "__main__":
    main()
