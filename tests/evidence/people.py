"""The subject and the instants that the evidence tests share."""

from datetime import UTC, datetime, timedelta

from billingbot.core.evidence.usage import Subject

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
SINCE = NOW - timedelta(days=14)
EMAIL = "dana@example.com"


def subject(
    *,
    customer_id: str = "cus_dana",
    email: str | None = EMAIL,
    subscription_id: str | None = "sub_1",
    metadata: dict[str, str] | None = None,
    account: str = "main",
) -> Subject:
    """A customer two weeks after the start of a trial."""
    return Subject(
        account=account,
        livemode=False,
        customer_id=customer_id,
        email=email,
        subscription_id=subscription_id,
        metadata=tuple((metadata or {}).items()),
        since=SINCE,
    )
