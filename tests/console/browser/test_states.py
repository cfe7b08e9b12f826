"""States of the desk that a good day does not show: each made through the real doors and looked at."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from billingbot.core.access.powers import Role
from billingbot.core.mode import Mode
from billingbot.flows.books import months
from billingbot.flows.casework.review import approve, deny, note
from billingbot.flows.casework.snooze import snooze
from billingbot.flows.disputes import accepting, sending
from billingbot.flows.replay import replay_runs
from billingbot.store.jobs import FailedFilter
from tests.console.browser.looks import look, see, see_printed
from tests.console.conftest import BrowserPage, Console
from tests.console.failing import failed_payments
from tests.console.work import all_kinds
from tests.flows.shop import in_days
from tests.flows.test_answering import act
from tests.flows.test_breaker import tripped
from tests.flows.test_dispute_deadlines import heard, inquire, pass_time
from tests.flows.test_months import month_at_stripe, refunded_in_one_month, settle
from tests.flows.test_reconcile import agree, forget

# With those of the test itself as many columns as a statement on paper may well need.
FAR = ({"currency": "gbp"}, {"currency": "kwd", "amount": 15_000})


def test_cases(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    work = all_kinds(shop)
    console.session(Role.APPROVER, name="Ben")
    page = browser_page(Role.ADMIN, name="Ann")
    for kind in ("plain", "used", "large", "blind"):
        see(page, f"case-{kind}", f"/cases/{getattr(work, kind)}")
    for kind in ("disputed", "repeated", "ambiguous"):
        look(page, f"case-{kind}", f"/cases/{getattr(work, kind)}")
    look(page, "queue", "/queue")
    note(shop.desk, shop.person(work.blind, "Ben"), "@Ann can you see why the source is silent?")
    look(page, "mentions", "/mentions")
    approve(shop.desk, shop.person(work.large, "Ben"), reason="As advised: unused trial")
    look(page, "case-second-approval", f"/cases/{work.large}")
    snooze(shop.desk, shop.person(work.blind, "Ann"), datetime.now(UTC) + timedelta(hours=1))
    see(page, "case-put-off", f"/cases/{work.blind}")
    see(page, "queue-put-off", "/queue?show=snoozed")

    page.goto(f"/cases/{work.plain}")
    for key, dialog in (("a", "approve"), ("d", "deny"), ("n", "note"), ("s", "snooze"), ("w", "assign")):
        page.keyboard.press(key)
        expect(page.locator(f"dialog#{dialog}")).to_be_visible()
        see(page, f"case-dialog-{dialog}")
        page.locator(f"dialog#{dialog}").get_by_role("button", name="Cancel", exact=True).click()

    page.goto(f"/cases/{work.used}")
    page.keyboard.press("d")
    page.locator("dialog#deny").get_by_label("Why, for the record").fill("It was used on three days.")
    deny(shop.desk, shop.person(work.used, "Ben"), reason="it was used", reply="We saw use, so no refund.")
    page.locator("dialog#deny").get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading", name="It has changed meanwhile")).to_be_visible()
    look(page, "case-somebody-was-faster")
    see(page, "case-denied", f"/cases/{work.used}")
    page.get_by_role("button", name="Keep and preview").click()
    page.get_by_role("heading", name="The reply, as it would be sent").wait_for()
    look(page, "case-reply")

    approve(shop.desk, shop.person(work.plain, "Ann"), reason="As advised")
    see(page, "case-refunding", f"/cases/{work.plain}")
    shop.work()
    see(page, "case-refunded", f"/cases/{work.plain}")
    see_printed(page, "case-refunded", f"/cases/{work.plain}")
    see(page, "queue-closed", "/queue?show=closed")
    look(page, "explanation", f"/cases/{work.plain}/explanation")
    look(page, "charge", f"/charges/{shop.case(work.plain).charge_id}")
    shop.set_mode(Mode.OFF)
    see(page, "case-mode-off", f"/cases/{work.repeated}")


def test_months_and_refunds(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    shop.stripe.settle("eur", "usd", "1.0834")
    *_, failing = refunded_in_one_month(shop, {}, {"currency": "eur"}, {"currency": "jpy", "amount": 6000}, *FAR, {})
    shop.stripe.turn_refund(shop.refunds_at_stripe(failing)[0]["id"], "failed")
    lost = shop.stripe.dispute(shop.last_charge(shop.start_trial(trial_period_days=None)))["id"]
    shop.stripe.move_dispute(lost, "lost")
    settle(shop)
    shop.stripe.post("/refunds", charge=shop.last_charge(shop.start_trial(trial_period_days=None)), amount=1000)
    month = str(month_at_stripe(shop))
    page = browser_page(Role.FINANCE, name="Finn")
    months.close(shop.desk, "default", month, by="Finn")
    see(page, "month-reading", f"/months/{month}")
    shop.work()
    page.get_by_text("1 difference stands between the books").wait_for()  # by itself, as the page asks
    look(page, "month-breaks")
    page.keyboard.press("s")
    look(page, "month-sign-with-breaks")
    settle(shop)
    months.close(shop.desk, "default", month, by="Finn")
    shop.work()
    page.goto(f"/months/{month}")
    page.keyboard.press("s")
    page.get_by_role("button", name="Sign and freeze").click()
    page.get_by_text("is signed and frozen").wait_for()
    see(page, "month-signed")
    see_printed(page, "month-signed", f"/months/{month}")
    months.close(shop.desk, "default", f"{datetime.now(UTC):%Y-%m}", by="Finn")
    shop.work()
    see(page, "month-open", f"/months/{datetime.now(UTC):%Y-%m}")
    look(page, "months", "/months")

    look(page, "refunds", "/refunds?month=")
    see_printed(page, "refunds", "/refunds?month=")
    look(page, "refunds-plots", "/refunds/plots?month=")
    shop.stripe.fault("lost_answer", method="POST", path="/v1/refunds", times=None)
    _, unknown = shop.charged_trial()
    shop.ask(unknown, unused=True)
    shop.work()
    shop.stripe.clear_faults()
    for name, charge in (("failed", failing), ("unknown", unknown)):
        look(page, f"refund-{name}", f"/refunds/{shop.refunds_of(charge)[0].id}")
    look(page, "ledger", "/ledger")
    look(page, "ledger-entry", "/ledger/5")
    page.goto("/ledger")
    page.get_by_role("button", name="Verify every entry").click()
    page.get_by_text("entries are as they were written").wait_for()
    see(page, "ledger-verified")


def test_disputes(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    trials = [shop.start_trial() for _ in range(7)]
    shop.end_trials()
    shop.usage.used_by.update(trial.customer for trial in trials)
    charges = [shop.last_charge(trial) for trial in trials]

    def disputed(reason: str, **how: object) -> str:
        how = {"status": "needs_response", "due_by": in_days(5)} | how
        return str(shop.stripe.dispute(charges.pop(), reason=reason, **how)["id"])

    missed = disputed("fraudulent", due_by=in_days(1))
    others = [disputed(reason) for reason in ("product_not_received", "general", "subscription_canceled", "duplicate")]
    large = disputed("product_unacceptable")
    inquiry = inquire(shop, charges.pop())
    heard(shop)
    pass_time(shop, hours=25)
    open_one, sent, given_up, won = others
    sending.send(shop.desk, act(sent, "Ann", version=1))
    accepting.ask_to_accept(shop.desk, act(given_up, "Ann"))
    shop.allow(second_approval_above={"usd": 1000})
    accepting.ask_to_accept(shop.desk, act(large, "Ben"))
    shop.stripe.move_dispute(won, "won")
    heard(shop)
    page = browser_page(Role.ADMIN, name="Ben")
    look(page, "dispute-answerable", f"/disputes/{open_one}")
    for name, dispute in (
        ("sent", sent),
        ("missed", missed),
        ("second-look", given_up),
        ("second-person", large),
        ("inquiry", inquiry),
        ("won", won),
    ):
        see(page, f"dispute-{name}", f"/disputes/{dispute}")
    see_printed(page, "dispute-answerable", f"/disputes/{open_one}")
    look(page, "disputes", "/disputes")
    see(page, "disputes-all", "/disputes?show=all")
    page.goto(f"/disputes/{open_one}")
    for key, dialog in (("s", "send"), ("x", "accept")):
        page.keyboard.press(key)
        look(page, f"dispute-dialog-{dialog}")
        page.locator(f"dialog#{dialog}").get_by_role("button").last.click()


def test_replays_breaks_and_switches(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    failed_payments(shop, 3)
    page = browser_page(Role.ADMIN, name="Ola")
    replay_runs.start(shop.desk, FailedFilter(), name="tonight", by="Ola", why="Stripe is back")
    see(page, "replay-waits", "/replays/tonight")
    replay_runs.drive(shop.desk, "tonight", pause=lambda _: True)
    see(page, "replay-running", "/replays/tonight")
    page.get_by_role("button", name="Stop before the next job").click()
    page.get_by_text("Stopped by Ola").wait_for()
    see(page, "replay-stopped")
    page.get_by_role("link", name="Go on with the rest").click()
    page.get_by_label("The rest may pay").wait_for()
    see(page, "replay-go-on")
    page.get_by_label("The rest may pay").check()
    page.get_by_role("button", name="Go on with 2 jobs, and pay up to 98.00 USD").click()
    page.get_by_text("The replay goes on.").wait_for()
    shop.work()
    see(page, "replay-done", "/replays/tonight")

    _, gone, other = shop.stripe.get("/refunds")["data"]
    forget(shop, gone["id"])
    shop.write("UPDATE refunds SET amount_minor = 4800 WHERE charge_id = :c", c=other["charge"])
    agree(shop)
    look(page, "reconcile-breaks", "/reconcile")

    tripped(shop)
    look(page, "modes-breaker-open", "/settings/modes")
    see(page, "overview-breaker-open", "/")
    shop.set_mode(Mode.SHADOW)
    see(page, "modes-shadow", "/settings/modes")
    see(page, "overview-shadow", "/")
