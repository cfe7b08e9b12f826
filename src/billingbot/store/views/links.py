"""Reading links: who looks like the customer of a case, as it is known now, and what people said is no link."""

from dataclasses import dataclass

from sqlalchemy import Connection

from billingbot.core.evidence.links import Neighbourhood
from billingbot.store import cases, links
from billingbot.store.links import Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLinks:
    """The picture around a case's customer; None where the case names no customer. What was known when the case was
    decided stands in its exhibits.
    """

    case_id: str
    around: Neighbourhood | None
    marks: tuple[Mark, ...]


def case_links(connection: Connection, case_id: str) -> CaseLinks:
    """The links of a case's customer. Raises NotFoundError."""
    case = cases.get(connection, case_id)
    if case.customer_id is None:
        return CaseLinks(case_id=case.id, around=None, marks=())
    return CaseLinks(
        case_id=case.id,
        around=links.around(connection, case.account, case.customer_id),
        marks=links.marks_of(connection, case.account, case.customer_id),
    )
