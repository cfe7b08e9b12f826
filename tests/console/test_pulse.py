"""The pulse: news arrives, nothing else does, and a stream ends with the session and with the server."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from billingbot.core.access.powers import Role
from billingbot.core.case import Doing
from billingbot.core.mode import Mode
from billingbot.flows.casework.review import claim, note
from billingbot.store import visits
from billingbot.web.app import make_app
from billingbot.web.console.pulse import MOST_STREAMS, Pulse, Stream
from billingbot.web.console.visit import COOKIE
from tests.calls import visitor
from tests.console.conftest import Client, Console, SignedIn
from tests.flows.shop import Shop
from tests.web.street import endpoints, served


class Listener:
    """A page that listens: each `next` gives the name of an event and the topic that it tells of."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def next(self) -> tuple[str, str]:
        name = ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            if field == "data":
                return name, value.partition(" ")[0]
        raise EOFError


@contextmanager
def listening(client: httpx.Client, topics: str) -> Iterator[Listener]:
    with client.stream("GET", f"/pulse?topics={topics}", timeout=15) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listener(answer)


def a_case(shop: Shop) -> str:
    shop.set_mode(Mode.ASSIST)
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    return case_id


def test_what_a_page_listens_to_is_told_at_once_and_then_when_there_is_news(
    console: Console, signed_in: SignedIn
) -> None:
    shop = console.shop
    case_id = a_case(shop)
    with listening(signed_in(Role.SUPPORT), f"queue,case:{case_id}") as page:
        assert {page.next(), page.next()} == {("queue", "queue"), ("case", f"case:{case_id}")}
        claim(shop.desk, shop.person(case_id))
        assert {page.next(), page.next()} == {("queue", "queue"), ("case", f"case:{case_id}")}
        with shop.desk.db.begin() as connection:
            visits.here(connection, case_id, "lou", Doing.WRITING)
        assert {page.next(), page.next()} == {("queue", "queue"), ("case", f"case:{case_id}")}


def test_a_page_hears_nothing_of_what_it_did_not_ask_for(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    first, second = a_case(shop), a_case(shop)
    with listening(signed_in(Role.SUPPORT), f"case:{first}") as page:
        page.next()
        note(shop.desk, shop.person(second), "about the other one")
        note(shop.desk, shop.person(first), "about this one")
        assert page.next() == ("case", f"case:{first}")


def test_a_stream_ends_with_the_session_and_tells_nothing_to_strangers(signed_in: SignedIn, stranger: Client) -> None:
    somebody = signed_in(Role.FINANCE)
    with listening(somebody, "ledger,jobs,events,overview,refunds") as page:
        assert sorted(page.next()[0] for _ in range(5)) == ["events", "jobs", "ledger", "overview", "refunds"]
        somebody.act("/sign-out")
        with pytest.raises(EOFError):
            page.next()
    assert stranger.get("/pulse?topics=ledger").status_code == 303


@pytest.mark.parametrize(
    "topics", ["", "weather", "queue,case:", "money:rfd_1", ",".join(f"case:{n}" for n in range(21))]
)
def test_only_topics_that_there_are_can_be_listened_to(signed_in: SignedIn, topics: str) -> None:
    assert signed_in(Role.OPS).get("/pulse", params={"topics": topics}).status_code == 422


def test_the_server_ends_while_pages_listen_and_no_connection_is_held_meanwhile(shop: Shop) -> None:
    app = make_app(shop.desk, endpoints())
    with ExitStack() as stack:
        with served(app) as url:
            secret = Console(shop=shop, url=url, app=app).session(Role.OPS, name="Max")
            client = stack.enter_context(visitor(url, cookies={COOKIE: secret}))
            page = stack.enter_context(listening(client, "queue"))
            page.next()
            assert app.state.pulse.listening == 1
            held = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            assert shop.rows(held) == []
        # A stream that the server had to cut off would be a broken answer, not an end.
        with pytest.raises(EOFError):
            page.next()
    assert app.state.pulse.listening == 0


def test_one_session_takes_no_more_connections_than_anybody_looks_at(shop: Shop) -> None:
    async def open_all() -> None:
        pulse = Pulse(shop.desk)
        streams = [Stream(topics=frozenset({"queue"}), session_id="ses_1") for _ in range(MOST_STREAMS + 2)]
        following = [pulse.follow(stream) for stream in streams]
        for one in following:
            await anext(one)
        ended = [stream for stream in streams if stream.is_over]
        for one in following:
            await one.aclose()  # type: ignore[attr-defined] # a generator
        assert pulse.listening == 0
        assert ended == streams[:2]

    asyncio.run(open_all())
