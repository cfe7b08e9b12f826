"""The calls that answer a dispute: a file uploaded, evidence staged or sent, a dispute closed; each once, under a key.

`POST /v1/disputes/{id}` sends to the bank unless `submit` is false: it is named in every call, and has no default here.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import stripe

from billingbot.core.disputes.answering import Standing
from billingbot.core.disputes.evidence_fields import Field
from billingbot.core.errors import InputError, StripeAnswerError
from billingbot.gateway import translate
from billingbot.gateway.answers import Answered, AnswerOutcome, UnknownOutcome, Uploaded, UploadOutcome
from billingbot.gateway.fields import Fields
from billingbot.gateway.payment import answer_of
from billingbot.gateway.transport import Transport

OUR_ANSWER: Final = "billingbot_answer"
OUR_STAGING: Final = "billingbot_staged"
# Stripe's names for kinds that cost a fee to be answered. https://docs.stripe.com/disputes/compliance-disputes
_WITH_FEE: Final = frozenset({"visa_compliance", "mastercard_compliance"})
_FIELDS: Final = frozenset(field.value for field in Field)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerAsk:
    """Evidence for a dispute, frozen: the same values give the same request, byte for byte.

    `evidence` holds texts and ids of files by Stripe's names; an empty text empties a field. Raises InputError for
    what must never be sent: nothing at all, a field that is none of ours (a fee could be acknowledged by one), no key.
    """

    dispute_id: str
    evidence: Mapping[str, str]
    submit: bool
    answer_id: str
    key: str

    def __post_init__(self) -> None:
        if type(self.submit) is not bool:
            raise InputError("submit", "expected true or false, explicitly: Stripe sends to the bank by default")
        if not self.dispute_id or not self.answer_id or not self.key:
            raise InputError("dispute_id", "expected a dispute, our answer and a key")
        if not any(self.evidence.values()) or not self.evidence.keys() <= _FIELDS:
            raise InputError("evidence", f"expected at least one of {', '.join(sorted(_FIELDS))}, and no other")

    def params(self) -> dict[str, Any]:
        """The body of the request."""
        mark = OUR_ANSWER if self.submit else OUR_STAGING
        return {
            "evidence": dict(sorted(self.evidence.items())),
            "submit": "true" if self.submit else "false",
            "metadata": {mark: self.answer_id},
        }


def standing_of(raw: object) -> Standing:
    """A dispute with all that decides whether an answer may go out. Its fee is not read."""
    it = Fields(raw, "dispute")
    dispute = translate.dispute(raw, ())
    method = it.inside("payment_method_details")
    card = method.inside("card") if method else None
    metadata = it.metadata()
    return Standing(
        dispute=dispute,
        brand=card.optional_text("brand") if card else None,
        wants_fee=dispute.case_type == "compliance" or not _WITH_FEE.isdisjoint(it.words("enhanced_eligibility_types")),
        evidence=_evidence(it.inside("evidence")),
        sent_by=metadata.get(OUR_ANSWER) or None,
        staged_by=metadata.get(OUR_STAGING) or None,
    )


def _evidence(it: Fields | None) -> Mapping[str, str]:
    return {} if it is None else it.texts()


def put_evidence(transport: Transport, ask: AnswerAsk) -> AnswerOutcome:
    """Stages or sends, once. What comes of it is a value, whatever Stripe or the network does."""
    return _asked(transport, f"disputes/{transport.segment(ask.dispute_id)}", ask.params(), ask.dispute_id, ask.key)


def close_dispute(transport: Transport, dispute_id: str, key: str) -> AnswerOutcome:
    """Accepts the dispute, which cannot be undone. https://docs.stripe.com/api/disputes/close"""
    if not dispute_id or not key:
        raise InputError("dispute_id", "expected a dispute and a key")
    return _asked(transport, f"disputes/{transport.segment(dispute_id)}/close", {}, dispute_id, key)


def _asked(transport: Transport, path: str, params: Mapping[str, Any], dispute_id: str, key: str) -> AnswerOutcome:
    try:
        body, _ = transport.post_once(path, params, key)
    except stripe.StripeError as error:
        return answer_of(error, transport)
    except Exception as error:  # noqa: BLE001 - the request may be out already: whatever broke here, it is unknown
        return UnknownOutcome(why=f"the answer could not be taken in ({type(error).__name__})")
    try:
        standing = standing_of(body)
    except StripeAnswerError as error:
        return UnknownOutcome(why=f"Stripe accepted something that cannot be read: {error}")
    if standing.dispute.id != dispute_id:
        return UnknownOutcome(why=f"Stripe answered with {standing.dispute.id}")
    return Answered(standing=standing)


def upload_paper(transport: Transport, *, filename: str, content: bytes, key: str) -> UploadOutcome:
    """Uploads a PDF as evidence, once; under one key twice is once. https://docs.stripe.com/api/files/create"""
    paper = io.BytesIO(content)
    paper.name = filename
    try:
        body, _ = transport.upload_once({"purpose": "dispute_evidence", "file": paper}, key)
        it = Fields(body, "file")
        file_id, purpose, size = it.text("id"), it.text("purpose"), it.amount("size")
    except stripe.StripeError as error:
        return answer_of(error, transport)
    except Exception as error:  # noqa: BLE001 - as above
        return UnknownOutcome(why=f"the answer could not be taken in ({type(error).__name__})")
    if purpose != "dispute_evidence" or size != len(content):
        return UnknownOutcome(why=f"Stripe keeps {file_id} as {purpose} of {size} bytes")
    return Uploaded(file_id=file_id)
