"""The API, version 1: one file per noun, every route behind an API key."""

from fastapi import APIRouter

from billingbot.web.api import (
    activity,
    breakers,
    cancellations,
    cases,
    casework,
    conversions,
    dispute_answers,
    dispute_figures,
    disputes,
    events,
    jobs,
    keys,
    ledger,
    links,
    modes,
    months,
    notices,
    policies,
    purchases,
    queue,
    reconcile,
    refund_requests,
    refunds,
    sessions,
    shadow,
)

router = APIRouter(prefix="/api/v1")
for noun in (
    refund_requests,
    casework,  # before the case of that name
    cases,
    links,
    refunds,
    conversions,
    dispute_figures,  # before the dispute of that name
    dispute_answers,
    disputes,
    ledger,
    months,
    modes,
    policies,
    shadow,
    activity,
    purchases,
    jobs,
    events,
    notices,
    breakers,
    cancellations,
    reconcile,
    queue,
    sessions,
    keys,
):
    router.include_router(noun.router)
