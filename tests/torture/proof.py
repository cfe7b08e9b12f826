"""The proof that the harness can fail: one safety at a time is taken out, and each time it has to turn red."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.torture.mutations import MUTATIONS
from tests.torture.run import Plan, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a run without this safety came to."""

    safety: str
    says: str
    red: bool
    """Whether the check that has to notice did."""
    seconds: float
    violations: int
    first: str


def prove(safety: str, *, seed: int) -> Proof:
    """Runs without this safety."""
    mutation = MUTATIONS[safety]
    result = run(Plan(seed=seed, seconds=0, without=safety, tell=False))
    noticed = [one for one in result.violations if one.check == mutation.red]
    return Proof(
        safety=safety,
        says=mutation.says,
        red=bool(noticed),
        seconds=result.seconds,
        violations=len(result.violations),
        first=noticed[0].says if noticed else "; ".join(one.says for one in result.violations[:3]),
    )


def prove_all(safeties: Sequence[str], *, seed: int) -> list[Proof]:
    """One after the other, each told as soon as it is there."""
    proofs = []
    for safety in safeties:
        proof = prove(safety, seed=seed)
        print(told(proof), file=sys.stderr, flush=True)
        proofs.append(proof)
    return proofs


def told(proof: Proof) -> str:
    """One line."""
    colour = "red" if proof.red else "GREEN, WHICH IT MUST NOT BE"
    return f"{proof.safety} ({proof.says}): {colour} after {proof.seconds:.0f} s: {proof.first or 'nothing noticed'}"


def as_json(proofs: Sequence[Proof]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(proof) for proof in proofs]
