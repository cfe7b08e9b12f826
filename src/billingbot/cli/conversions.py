"""`billingbot conversions`: trials that turned into a charge, as noticed."""

from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, OfCustomer, show_list
from billingbot.cli.output import After, AsJson, Limit, money
from billingbot.cli.session import read

if TYPE_CHECKING:
    from billingbot.store.views import ConversionLine

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _conversions() -> None:
    """Trials that turned into a charge. A conversion is never a request."""


@app.command("list")
def list_(
    *,
    account: OfAccount = None,
    customer: OfCustomer = None,
    subscription: Annotated[str | None, typer.Option(help="Only of this subscription.")] = None,
    charge: Annotated[str | None, typer.Option(help="Only this charge.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Conversions, newest first."""
    from billingbot.store import views

    wanted = views.ConversionFilter(
        account=account, customer_id=customer, subscription_id=subscription, charge_id=charge
    )
    page = read(lambda connection: views.conversion_list(connection, wanted, after=after, limit=limit))
    columns = ("id", "amount", "customer", "subscription", "charge", "trial began", "trial ended", "charged")
    show_list(columns, _row, page.items, following=page.next, as_json=as_json)


def _row(one: "ConversionLine") -> tuple[object, ...]:
    ids = one.customer_id, one.subscription_id, one.charge_id
    return one.id, money(one.amount_minor, one.currency), *ids, one.trial_start_at, one.trial_end_at, one.charged_at
