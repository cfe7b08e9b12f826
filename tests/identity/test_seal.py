"""The seal: what it closes nobody reads without a key of ours, and keys are changed without a gap."""

from dataclasses import replace

import pyotp
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from billingbot.core.access.powers import Role
from billingbot.flows.access import people, sign_in
from billingbot.flows.access.account import confirm_second_factor, offer_second_factor
from billingbot.flows.access.sealing import Sealed, seal_again
from billingbot.flows.access.sign_in import Halfway
from billingbot.flows.access.sign_in_local import WrongError, by_code
from billingbot.flows.desk import Desk
from billingbot.identity.seal import Seal, SealedError
from billingbot.store.database import now, transaction
from tests.cli.conftest import settings as settings  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.cli.terminal import typed
from tests.desks import a_desk
from tests.engines.shared import Database

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_is_closed_opens_by_any_key_of_ours_and_by_no_other() -> None:
    kept = Seal([OLD]).close("JBSWY3DP")
    assert "JBSWY3DP" not in kept
    assert {Seal(keys).open(kept) for keys in ([OLD], [NEW, OLD])} == {"JBSWY3DP"}
    assert [Seal(keys).is_as_wanted(kept) for keys in ([OLD], [OLD, NEW], [NEW, OLD], [NEW], [])] == [
        True,
        True,
        False,
        False,
        False,
    ]
    for stranger in (Seal([NEW]), Seal()):
        with pytest.raises(SealedError):
            stranger.open(kept)
    with pytest.raises(SealedError):
        Seal([OLD]).open(kept[:-4] + "AAA=")
    assert Seal().open(Seal().close("as it is")) == Seal([OLD]).open("as it is") == "as it is"
    with pytest.raises(ValueError, match="32"):
        Seal(["a password"])


def _kept(desk: Desk) -> str:
    with transaction(desk.db) as connection:
        return str(connection.execute(sa.text("SELECT totp_secret FROM people")).scalar_one())


def test_codes_are_checked_through_a_change_of_keys(database: Database, settings: dict[str, str]) -> None:
    with a_desk(database) as desk:
        people.add(desk, name="Ada", email=None, roles=[Role.ADMIN], by="tests")
        entered = sign_in.by_link(desk, sign_in.make_link(desk, "Ada", by="tests"))
        assert isinstance(entered, sign_in.SignedIn)
        offer = offer_second_factor(desk, entered.person)

        def code(steps: int) -> str:
            with transaction(desk.db) as connection:
                return pyotp.TOTP(offer.secret).at(int(now(connection).timestamp()) + 30 * steps)

        def comes_in(seal: Seal, typed: str) -> None:
            halfway = sign_in.by_link(desk, sign_in.make_link(desk, "Ada", by="tests"))
            assert isinstance(halfway, Halfway)
            by_code(replace(desk, seal=seal), halfway.secret, typed, user_agent="")

        recovery = confirm_second_factor(desk, entered.person, entered.session, offer.step_secret, code(-1))
        assert _kept(desk) == offer.secret
        doctor = typed(settings, "doctor").out
        assert "1 stand readable in the database" in doctor
        assert seal_again(replace(desk, seal=Seal([OLD])), by="tests") == Sealed(secrets=1, to_seal=1)
        assert offer.secret not in _kept(desk)
        comes_in(Seal([NEW, OLD]), code(0))
        with pytest.raises(WrongError):
            comes_in(Seal([NEW]), code(1))
        comes_in(Seal([NEW]), recovery[0])  # a lost key keeps nobody out who has these
        assert seal_again(desk, by="tests").lost == 1
        done = typed({**settings, "BILLINGBOT_SECRETS_KEY": f"{NEW},{OLD}"}, "users", "seal")
        assert done.out == "Sealed 1 of 1 authenticators' secrets.\n"
        assert "1 of 1 are sealed by a key that" in typed(settings, "doctor").out
        comes_in(Seal([NEW]), code(1))
    assert typed({**settings, "BILLINGBOT_SECRETS_KEY": "a password"}, "users", "seal").code == 2
