"""`/api/v1/ledger`: what happened, entry by entry, and the proof that nobody touched one."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.ledger import Entry, Flaw
from billingbot.store import views
from billingbot.web.api.fields import Body, Rows, Word
from billingbot.web.api.shown import Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/ledger", tags=["ledger"], route_class=SignedInRoute, dependencies=[bearer])


class LedgerQuery(Body):
    """Which entries: all that are given must hold."""

    subject: Word | None = None
    kind: Word | None = None
    account: Word | None = None
    actor: Word | None = None
    after: Annotated[int, Field(ge=0, le=2**63 - 1, description="Only entries behind this number")] = 0
    limit: Rows = views.PAGE_ROWS


class ProofShown(BaseModel):
    """What walking the chain found. Keep `head_seq` and `head_hash` elsewhere: they show a cut-off end."""

    holds: bool
    entries: int
    head_seq: int
    head_hash: str
    head_at: datetime | None
    flaws: list[Flaw]


@router.get("", summary="List ledger entries")
def list_entries(query: Annotated[LedgerQuery, Query()], desk: TheDesk) -> Listed[Entry]:
    """In the order they were written."""
    filters = views.LedgerFilter(subject=query.subject, kind=query.kind, account=query.account, actor=query.actor)
    page = read(desk, views.ledger_page, filters, after=query.after, limit=query.limit)
    return Listed(items=list(page.items), next=page.next)


@router.get("/verification", summary="Prove the ledger")
def verify(desk: TheDesk) -> ProofShown:
    """Walks the whole chain; some seconds for a million entries."""
    proof = read(desk, views.verify_ledger)
    return ProofShown(
        holds=proof.holds,
        entries=proof.entries,
        head_seq=proof.head_seq,
        head_hash=proof.head_hash,
        head_at=proof.head_at,
        flaws=list(proof.flaws),
    )
