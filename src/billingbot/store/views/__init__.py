"""Read models: what lists, pages and gauges show, typed, in few statements, for every door alike."""

from billingbot.store.views.cases import (
    WAITING,
    CaseFilter,
    CasePage,
    DecisionLine,
    case_page,
    queue,
    timeline,
)
from billingbot.store.views.explanation import Explanation, Redecided, explanation
from billingbot.store.views.jobs import EventLine, Failure, JobFilter, JobLine, JobPage, job_list, job_page
from billingbot.store.views.ledger import LedgerFilter, LedgerProof, entry_of, ledger_page, verify_ledger
from billingbot.store.views.notices import DeliveryLine, NoticeFilter, NoticeLine, notice_list
from billingbot.store.views.overview import Counts, counts, oldest_due_job_seconds
from billingbot.store.views.paging import PAGE_ROWS, Page
from billingbot.store.views.refunds import (
    AttemptLine,
    ConversionFilter,
    ConversionLine,
    RefundFilter,
    RefundLine,
    conversion_list,
    refund_log,
    refunds_of_case,
)
from billingbot.store.views.shadow import RuleWord, ShadowReport, live_against_people, shadow_report

__all__ = [
    "PAGE_ROWS",
    "WAITING",
    "AttemptLine",
    "CaseFilter",
    "CasePage",
    "ConversionFilter",
    "ConversionLine",
    "Counts",
    "DecisionLine",
    "DeliveryLine",
    "EventLine",
    "Explanation",
    "Failure",
    "JobFilter",
    "JobLine",
    "JobPage",
    "LedgerFilter",
    "LedgerProof",
    "NoticeFilter",
    "NoticeLine",
    "Page",
    "Redecided",
    "RefundFilter",
    "RefundLine",
    "RuleWord",
    "ShadowReport",
    "case_page",
    "conversion_list",
    "counts",
    "entry_of",
    "explanation",
    "job_list",
    "job_page",
    "ledger_page",
    "live_against_people",
    "notice_list",
    "oldest_due_job_seconds",
    "queue",
    "refund_log",
    "refunds_of_case",
    "shadow_report",
    "timeline",
    "verify_ledger",
]
