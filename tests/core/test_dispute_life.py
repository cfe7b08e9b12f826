"""What one dispute is: its kind, how it ended, and where the answer stands."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_dispute, an_inquiry

from billingbot.core.disputes.life import Answering, DisputeKind, DisputeOutcome, answering, kind_of, outcome_of
from billingbot.core.evidence.dossier import DISPUTE_STATUSES

DUE = a_dispute().due_by
assert DUE is not None
BEFORE, AFTER = DUE - timedelta(seconds=1), DUE

KINDS: list[tuple[dict[str, Any], DisputeKind, DisputeOutcome | None]] = [
    ({"status": "needs_response"}, DisputeKind.CHARGEBACK, None),
    ({"status": "needs_response", "case_type": None}, DisputeKind.CHARGEBACK, None),
    ({"status": "needs_response", "case_type": "inquiry"}, DisputeKind.CHARGEBACK, None),
    ({"status": "warning_needs_response", "case_type": "chargeback"}, DisputeKind.INQUIRY, None),
    ({"status": "warning_closed"}, DisputeKind.INQUIRY, DisputeOutcome.INQUIRY_CLOSED),
    ({"status": "needs_response", "case_type": "compliance"}, DisputeKind.COMPLIANCE, None),
    ({"status": "won"}, DisputeKind.CHARGEBACK, DisputeOutcome.WON),
    ({"status": "lost"}, DisputeKind.CHARGEBACK, DisputeOutcome.LOST),
    ({"status": "lost", "fee_minor": 0}, DisputeKind.RESOLUTION, DisputeOutcome.RESOLVED),
    ({"status": "lost", "fee_minor": None}, DisputeKind.CHARGEBACK, DisputeOutcome.LOST),
    ({"status": "needs_response", "case_type": "resolution"}, DisputeKind.RESOLUTION, DisputeOutcome.RESOLVED),
    ({"status": "prevented"}, DisputeKind.BLOCK, DisputeOutcome.PREVENTED),
    ({"status": "brand_new"}, DisputeKind.CHARGEBACK, None),
]


@pytest.mark.parametrize(("how", "kind", "outcome"), KINDS, ids=str)
def test_kind_and_outcome_follow_from_status_case_type_and_fee(
    how: dict[str, Any], kind: DisputeKind, outcome: DisputeOutcome | None
) -> None:
    dispute = a_dispute(**how)
    assert (kind_of(dispute), outcome_of(dispute)) == (kind, outcome)


ANSWERS: list[tuple[dict[str, Any], Answering, Answering]] = [
    ({"status": "needs_response"}, Answering.AWAITED, Answering.MISSED),
    ({"status": "warning_needs_response"}, Answering.AWAITED, Answering.MISSED),
    ({"status": "needs_response", "due_by": None}, Answering.IMPOSSIBLE, Answering.IMPOSSIBLE),
    ({"status": "warning_needs_response", "submission_count": 1}, Answering.WITH_BANK, Answering.WITH_BANK),
    # An answered inquiry that has become a chargeback: the bank waits anew, whoever answered it.
    ({"status": "needs_response", "submission_count": 1}, Answering.AWAITED, Answering.MISSED),
    ({"status": "needs_response", "submission_method": "smart_disputes"}, Answering.AWAITED, Answering.MISSED),
    ({"status": "under_review", "submission_method": "smart_disputes"}, Answering.WITH_BANK, Answering.WITH_BANK),
    ({"status": "appeal_needs_response", "submission_count": 1}, Answering.AWAITED, Answering.MISSED),
    ({"status": "under_review", "submission_count": 1}, Answering.WITH_BANK, Answering.WITH_BANK),
    ({"status": "brand_new"}, Answering.AWAITED, Answering.MISSED),
    ({"status": "lost"}, Answering.OVER, Answering.OVER),
]


@pytest.mark.parametrize(("how", "before", "after"), ANSWERS, ids=str)
def test_the_answer_is_awaited_until_its_due_time_unless_it_was_sent_or_none_is_possible(
    how: dict[str, Any], before: Answering, after: Answering
) -> None:
    dispute = a_dispute(**how)
    assert (answering(dispute, BEFORE), answering(dispute, AFTER)) == (before, after)


@given(
    status=st.sampled_from([*sorted(DISPUTE_STATUSES), "brand_new"]),
    case_type=st.sampled_from([None, "inquiry", "chargeback", "compliance", "block", "resolution", "brand_new"]),
    fee=st.sampled_from([None, 0, 1500]),
    sent=st.integers(0, 2),
    due=st.booleans(),
)
def test_every_dispute_has_a_kind_and_is_either_open_or_over(
    status: str, case_type: str | None, fee: int | None, sent: int, *, due: bool
) -> None:
    dispute = an_inquiry(
        status=status, case_type=case_type, fee_minor=fee, submission_count=sent, due_by=DUE if due else None
    )
    assert kind_of(dispute) in DisputeKind
    assert (answering(dispute, BEFORE) is Answering.OVER) == (outcome_of(dispute) is not None)
