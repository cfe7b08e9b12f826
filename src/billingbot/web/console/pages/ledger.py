"""The ledger: entries by filter, one entry with its proof, the chain verified, and its head to keep elsewhere."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import PlainTextResponse, Response

from billingbot.core.canonical import canonical_bytes
from billingbot.core.errors import NotFoundError
from billingbot.core.ledger import EntryKind, Flaw
from billingbot.store import months, views
from billingbot.store.views.ledger import ledger_before, ledger_entry, verify_stretch
from billingbot.web.api.fields import Word
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute)

# Entries of one look at the chain: a fifth of a second, so that a page shows how far it is.
_STRETCH: Final = 10_000
_MOST_SEQ: Final = 2**63 - 1


class LedgerQuery(Asked):
    """Which entries; `before` is where the page begins."""

    subject: Word | None = None
    kind: Annotated[EntryKind | None, Query()] = None
    account: Word | None = None
    actor: Word | None = None
    before: Annotated[int | None, Field(ge=1, le=_MOST_SEQ)] = None


class StretchQuery(Asked):
    """Behind which entry the chain is walked on, and the flaws so far; `kept` from the entry under a signature on."""

    after: Annotated[int, Field(ge=0, le=_MOST_SEQ)] = 0
    kept: bool = False
    flaws: Annotated[int, Field(ge=0, le=10**9)] = 0


@router.get("/ledger")
def entries(here: Here, query: Annotated[LedgerQuery, Query()]) -> Response:
    """Entries, newest first."""
    filters = views.LedgerFilter(**query.model_dump(exclude={"before"}))
    page = here.read(ledger_before, filters, before=query.before)
    given = {name: value for name, value in query.given.items() if name != "before"}
    seq, head = here.read(months.head_or_none)
    return here.show(
        "ledger/list.html",
        page=page,
        query_=query,
        kinds=[(kind.value, kind.value.replace(".", " ").replace("_", " ")) for kind in EntryKind],
        accounts=[(name, name) for name in sorted(here.desk.accounts)],
        more=f"/ledger?{urlencode({**given, 'before': page.next})}" if page.next else None,
        seq=seq,
        head=head,
        kept=here.read(months.under_signature),
    )


@router.get("/ledger/verification")
def verification(here: Here, query: Annotated[StretchQuery, Query()]) -> Response:
    """One stretch of the chain, and the next: the page asks until the end is reached.

    The whole of it, or from the entry on whose hash stands under the last signed month: that much proves that nothing
    behind the signature was touched, and leaves what lies before to the whole walk.
    """
    kept = here.read(months.under_signature) if query.kept else None
    after, found = query.after, tuple[Flaw, ...]()
    if kept and kept.ledger_seq and not after:
        after = kept.ledger_seq - 1
        entry = here.read(ledger_entry, kept.ledger_seq)
        if entry is None or entry.hash != kept.ledger_hash:
            found = (Flaw(seq=kept.ledger_seq, what=f"has not the hash that was kept when {kept.month} was signed"),)
    stretch = here.read(verify_stretch, after=after, limit=_STRETCH)
    told = (*found, *stretch.flaws)
    seq, _ = here.read(months.head_or_none)
    count = query.flaws + len(told)
    return here.show("ledger/verification.html", found=stretch, told=told, flaws=count, seq=seq, kept=kept)


@router.get("/ledger/head.txt")
def head(here: Here) -> Response:
    """The head as a text to keep elsewhere."""
    seq, found = here.read(months.head_or_none)
    text = f"billingbot ledger\nentry {seq}\nsha256 {found}\nat {here.reader.now:%Y-%m-%dT%H:%M:%SZ}\n"
    name = f'attachment; filename="ledger-head-{seq}.txt"'
    return PlainTextResponse(text, headers={"Content-Disposition": name})


@router.get("/ledger/{seq}")
def entry(here: Here, seq: Annotated[int, Path(ge=1, le=_MOST_SEQ)]) -> Response:
    """One entry, and how to prove it without us."""
    found = here.read(ledger_entry, seq)
    if found is None:
        raise NotFoundError(f"ledger entry {seq}: there is none")
    fields = {name: getattr(found, name) for name in type(found).__slots__ if name != "hash"}
    around = here.read(verify_stretch, after=seq - 1, limit=2)
    return here.show("ledger/entry.html", shown=found, hashed=canonical_bytes(fields).decode(), around=around)
