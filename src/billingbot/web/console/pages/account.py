"""Account: one's own way in: password, second factor, sessions; and how one reads."""

from http import HTTPStatus
from typing import Annotated, Final
from zoneinfo import available_timezones

import segno
from babel import Locale
from fastapi import APIRouter, Form
from markupsafe import Markup
from starlette.responses import Response

from billingbot.core.access.password import SHORTEST
from billingbot.core.access.person import Theme
from billingbot.core.errors import ForbiddenError, InputError
from billingbot.flows.access import account
from billingbot.flows.access.account import Offer
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute, prefix="/account")

Text = Annotated[str, Form(max_length=1000)]
# Of Babel's eight hundred, those that read English with their own dates and amounts, and the large languages.
_LOCALES: Final = (
    "en", "en_GB", "en_IE", "en_CA", "en_AU", "en_IN", "de", "de_AT", "de_CH", "fr", "fr_CH", "es", "it", "nl", "pl",
    "pt", "pt_BR", "sv", "da", "nb", "fi", "cs", "ja", "ko", "zh",
)  # fmt: skip


@router.get("")
def page(here: Here) -> Response:
    """Everything of one's own."""
    return here.show(
        "account/page.html",
        sessions=account.my_sessions(here.desk, here.person),
        locales=[(name, f"{Locale.parse(name).english_name} ({name})") for name in _names(here.person.locale)],
        zones=[(zone, zone.replace("_", " ")) for zone in sorted(available_timezones())],
        themes=[(theme.value, "as the system" if theme is Theme.SYSTEM else theme.value) for theme in Theme],
    )


@router.post("/reading")
def change_reading(here: Here, locale: Text, zone: Text, theme: Text) -> Response:
    """Dates, amounts, zone and theme, from the next page on."""
    if theme not in set(Theme):
        raise InputError("theme", f"expected one of {', '.join(Theme)}")
    account.set_reading(here.desk, here.person, locale=locale, zone=zone, theme=Theme(theme))
    return here.go("/account", said="Kept.")


@router.get("/password")
def password_page(here: Here) -> Response:
    """The first password, or another one."""
    return _password_page(here)


@router.post("/password")
def change_password(here: Here, new: Text = "", again: Text = "", current: Text = "") -> Response:
    """Every other session of theirs ends."""
    try:
        if new != again:
            raise InputError("again", "expected the same as above")
        account.set_password(here.desk, here.person, here.session, current=current, new=new)
    except (InputError, ForbiddenError) as fault:
        return _password_page(here, told=str(fault), status=HTTPStatus.UNPROCESSABLE_ENTITY)
    return here.go("/account", said="The password is set. Every other session of yours has ended.")


@router.post("/second-factor")
def offer_second_factor(here: Here) -> Response:
    """A secret for the authenticator, as a picture and as text."""
    return _offer_page(here, account.offer_second_factor(here.desk, here.person))


@router.post("/second-factor/confirm")
def confirm_second_factor(here: Here, step: Text = "", code: Text = "") -> Response:
    """The first code sets it up; then the recovery codes, this once."""
    try:
        codes = account.confirm_second_factor(here.desk, here.person, here.session, step, code)
    except ForbiddenError as fault:
        offer = account.offered(here.desk, here.person, step)
        if offer is None:
            raise
        return _offer_page(here, offer, told=str(fault), status=HTTPStatus.UNPROCESSABLE_ENTITY)
    return here.show("account/recovery.html", codes=codes)


@router.post("/second-factor/drop")
def drop_second_factor(here: Here, code: Text = "") -> Response:
    """By a code of it."""
    account.drop_second_factor(here.desk, here.person, code)
    return here.go("/account", said="The second factor is gone: the password alone lets you in.")


@router.post("/sessions/{session_id}/end")
def end_session(here: Here, session_id: str) -> Response:
    """Ends one of one's own."""
    account.end_session(here.desk, here.person, session_id)
    return here.go("/account", said="That session has ended.")


def _names(own: str) -> tuple[str, ...]:
    return _LOCALES if own in _LOCALES else (own, *_LOCALES)


def _password_page(here: Here, *, told: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    return here.show("account/password.html", status=status, told=told, shortest=SHORTEST)


def _offer_page(here: Here, offer: Offer, *, told: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    # Black on white in the dark as well: that is what a camera reads.
    drawn = segno.make(offer.uri, micro=False).svg_inline(scale=4, border=4, dark="#000", light="#fff")
    return here.show("account/second_factor.html", status=status, offer=offer, picture=Markup(drawn), told=told)  # noqa: S704 # segno's own drawing of what we made
