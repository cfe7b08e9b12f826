"""`billingbot conversions`: trials that turned into a charge, as noticed."""

from typing import Annotated

import typer

from billingbot.cli.output import After, AsJson, Limit, money, more, show_page, show_table
from billingbot.cli.session import read

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _conversions() -> None:
    """Trials that turned into a charge. A conversion is never a request."""


@app.command("list")
def list_(
    *,
    account: Annotated[str | None, typer.Option(help="Only this account's.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None,
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
    if as_json:
        show_page(page.items, page.next)
        return
    rows = (
        (
            one.id,
            money(one.amount_minor, one.currency),
            one.customer_id,
            one.subscription_id,
            one.charge_id,
            one.trial_start_at,
            one.trial_end_at,
            one.charged_at,
        )
        for one in page.items
    )
    columns = ("id", "amount", "customer", "subscription", "charge", "trial began", "trial ended", "charged")
    show_table(columns, rows)
    more(page.next)
