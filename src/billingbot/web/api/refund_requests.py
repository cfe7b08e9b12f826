"""`/api/v1/refund-requests`: somebody asks for money back; the answer is the case, at once."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field

from billingbot.core.errors import InputError
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.flows.request import Ask, ask
from billingbot.web.api.fields import Body, Instant, Prose, Word, YesNo
from billingbot.web.api.shown import CaseShown
from billingbot.web.auth import Caller, SignedInRoute, TheDesk, bearer

router = APIRouter(tags=["refund requests"], route_class=SignedInRoute, dependencies=[bearer])


class ClaimsAsked(Body):
    """What the customer says. Nothing of it is evidence; it only decides which rules look."""

    unused: YesNo = False
    cancelled: YesNo = False
    cancelled_at: Annotated[Instant | None, Field(description="When it was cancelled; only with `cancelled`")] = None
    text: Prose | None = None


class RefundRequest(Body):
    """A request: exactly one of charge, invoice, subscription, customer and email names what it is about."""

    account: Word = "default"
    charge: Annotated[Word | None, Field(examples=["ch_3Example"])] = None
    invoice: Word | None = None
    subscription: Word | None = None
    customer: Word | None = None
    email: Word | None = None
    claims: ClaimsAsked = ClaimsAsked()
    external_ref: Annotated[Word | None, Field(description="Your ticket, for you to find it again")] = None


class RequestAnswer(BaseModel):
    """The case that the request belongs to."""

    request_id: str
    repeated: Annotated[bool, Field(description="This very request was answered before")]
    joined: Annotated[bool, Field(description="The charge had an open case already, and the request joined it")]
    case: CaseShown


@router.post(
    "/refund-requests",
    status_code=HTTPStatus.ACCEPTED,
    responses={200: {"model": RequestAnswer, "description": "Repeated: the same answer as before."}},
    summary="Ask for a refund",
)
def ask_for_refund(
    wanted: RefundRequest,
    desk: TheDesk,
    caller: Caller,
    response: Response,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> RequestAnswer:
    """Stores the request and answers with its case; the assessment follows by itself.

    Send an `Idempotency-Key` of your own, and repeat it when in doubt: the same request is answered the same, another
    one under the same key with 409.
    """
    wish = _ask(wanted, asked_by=f"key:{caller.name}")
    try:
        answer = ask(desk, replace(wish, idempotency_key=idempotency_key))
    except InputError as fault:
        raise _in_place(fault) from None
    if answer.repeated:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/cases/{answer.case.id}"
    return RequestAnswer(
        request_id=answer.request_id,
        repeated=answer.repeated,
        joined=answer.joined,
        case=CaseShown.of(answer.case),
    )


def _ask(wanted: RefundRequest, *, asked_by: str) -> Ask:
    # `key:` in front, so that no key's name can pass for another asker, such as the bank's.
    named = {name: value for name in NamedBy if (value := getattr(wanted, name.value)) is not None}
    if len(named) != 1:
        raise InputError("body", f"expected exactly one of {', '.join(NamedBy)}")
    [(named_by, value)] = named.items()
    claims = wanted.claims
    return Ask(
        account=wanted.account,
        named_by=named_by,
        named=value,
        claims=Claims(
            unused=claims.unused, cancelled=claims.cancelled, cancelled_at=claims.cancelled_at, text=claims.text
        ),
        channel=Channel.API,
        asked_by=asked_by,
        external_ref=wanted.external_ref,
    )


def _in_place(fault: InputError) -> InputError:
    """The same fault under the name that the field has in the body."""
    within = fault.field in ClaimsAsked.model_fields
    return InputError(f"claims.{fault.field}" if within else fault.field, fault.expected)
