"""Shadow: a candidate decides beside the live policy, from the same stored facts, after the fact, and pays nothing."""

from typing import Final

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.backtest import Side
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.policy import Policy, decide
from billingbot.core.policy.checks import Severity, check_policy
from billingbot.core.restore import restore_facts
from billingbot.core.shadow import Shadow
from billingbot.core.wording import MOST_WHY, line_of
from billingbot.flows.desk import Desk, step
from billingbot.store import decisions, policies, shadows
from billingbot.store.database import transaction
from billingbot.store.shadows import ShadowVerdict

# Half a millisecond each: a batch is a tenth of a second, so that the schedule is not held up by it.
BATCH: Final = 200


def start_shadow(desk: Desk, candidate: Policy, *, by: str, why: str) -> Shadow:
    """Lets the candidate run beside the live policy from now on. ConflictError where another one does.

    Raises InputError where the candidate's own checks find an error: it could not be published either.
    """
    desk.require(Power.PUBLISH)
    person(by)
    line_of("why", why, MOST_WHY)
    errors = [flaw.what for flaw in check_policy(candidate) if flaw.severity is Severity.ERROR]
    if errors:
        raise InputError("policy", f"expected one that could be published; {errors[0]}")
    with step(desk) as this:
        decisions.remember_policy(
            this.db,
            policy_digest=candidate.digest,
            policy_id=candidate.id,
            version=candidate.version,
            source=candidate.source,
        )
        shadow_id = this.new_id(Kind.SHADOW)
        if not shadows.start(this.db, shadow_id, digest=candidate.digest, by=by, why=why):
            raise ConflictError("a shadow runs already; `billingbot policy shadow stop` ends it")
        body = {"policy": candidate.id, "version": candidate.version, "policy_digest": candidate.digest, "why": why}
        this.record(Draft(kind=EntryKind.SHADOW_STARTED, account="", subject=shadow_id, actor=by, body=body))
        started = shadows.running(this.db)
    if started is None:
        raise AssertionError(f"shadow {shadow_id}: is not there")  # written in the transaction above
    return started


def stop_shadow(desk: Desk, *, by: str) -> Shadow:
    """Ends the shadow that runs; what it said stays. ConflictError where none runs."""
    desk.require(Power.PUBLISH)
    person(by)
    with step(desk) as this:
        running = shadows.running(this.db, lock=True)
        if running is None:
            raise ConflictError("no shadow runs")
        shadows.stop(this.db, running.id, by=by)
        body = {"version": running.version, "policy_digest": running.digest}
        this.record(Draft(kind=EntryKind.SHADOW_STOPPED, account="", subject=running.id, actor=by, body=body))
    return running


def follow(desk: Desk) -> int:
    """Has the running shadow decide what was decided since; how many. The live path never waits for it."""
    with transaction(desk.db) as connection:
        shadow = shadows.running(connection)
        if shadow is None:
            return 0
        candidate = policies.loaded(connection, shadow.digest)
        waiting = shadows.undecided(connection, shadow, limit=BATCH)
    verdicts = [_verdict(one.id, one.facts, candidate) for one in waiting]
    with transaction(desk.db) as connection:
        followed_to = max((one.decided_at for one in waiting), default=None)
        shadows.write(connection, shadow.id, verdicts, followed_to=followed_to)
    return len(verdicts)


def _verdict(decision_id: str, content: bytes, candidate: Policy) -> ShadowVerdict:
    try:
        facts = restore_facts(content)
    except (ValueError, KeyError):  # not the facts that we store: nothing can be said, and that is counted
        return ShadowVerdict(decision_id, None, None, None)
    decision = decide(facts, candidate)
    amount, currency = facts.known("charge.refundable_minor"), facts.known("charge.currency")
    return ShadowVerdict(
        decision_id,
        Side(decision.outcome.value, decision.rule, decision.reason, decision.recommendation.value),
        amount if isinstance(amount, int) and 0 <= amount < 2**63 else None,
        currency if isinstance(currency, str) else None,
    )
