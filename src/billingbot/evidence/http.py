"""Asks a JSON endpoint about one customer, within hard bounds of time, size and place."""

import asyncio
import json
import ssl
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeVar

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from billingbot.core.evidence.usage import Subject
from billingbot.evidence.config import SupportHttp, UsageHttp
from billingbot.evidence.reading import (
    NotThereError,
    SupportReading,
    UnansweredError,
    UnreachableError,
    UsageReading,
    always,
    read_support,
    read_usage,
)
from billingbot.evidence.template import UrlTemplate

# An answer about one customer is a few hundred bytes; one MiB is room for any wrapping and no burden.
_MAX_BYTES: Final = 1024 * 1024
# A trailing slash and a login-free canonical address make two; more is a loop.
_MAX_REDIRECTS: Final = 3
# 0.2 s, 0.4 s, ...: a restart behind a load balancer takes about that long, and the deadline is seconds away.
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 2.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpQuestion:
    """One endpoint and the bounds within which it is asked.

    `timeout_seconds` is for one attempt as a whole; `headers` may hold a secret and are never shown.
    """

    url: UrlTemplate
    headers: Mapping[str, str] = field(repr=False)
    timeout_seconds: float
    attempts: int
    tls: ssl.SSLContext = field(repr=False)

    def fetch(self, subject: Subject) -> object:
        """The JSON answer about the customer. NotThereError for a 404.

        UnreachableError where the endpoint cannot be reached, is overloaded or refuses our credentials;
        UnansweredError for any other answer that is not 200 with JSON. Runs its own event loop: call it from a
        thread that has none.
        """
        return _decode(_run(self._with_retries(self.url.fill(subject))))

    async def _with_retries(self, url: str) -> bytes:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
            retry=retry_if_exception_type(_BusyError),
            reraise=True,
        )
        # The environment's proxies and netrc are not ours to read: credentials come from the configuration alone.
        client = httpx.AsyncClient(
            # No compression: the limit counts bytes as they arrive, and a bomb should have nowhere to unfold.
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **self.headers},
            timeout=self.timeout_seconds,
            trust_env=False,
            verify=self.tls,
        )
        async with client:
            return await retrying(self._attempt, client, url)

    async def _attempt(self, web: httpx.AsyncClient, url: str) -> bytes:
        try:
            # Around everything, since a timeout per socket operation never fires on an answer that drips.
            async with asyncio.timeout(self.timeout_seconds):
                return await _get(web, url)
        except (TimeoutError, httpx.TimeoutException):
            raise _BusyError(f"no answer within {self.timeout_seconds:g} s") from None
        except httpx.TransportError as fault:
            raise _BusyError(f"connection failed ({type(fault).__name__})") from None
        except httpx.InvalidURL:
            raise UnansweredError("the address with this customer's values is no valid address") from None


class _BusyError(UnreachableError):
    """A fault that another attempt may get past: network, timeout, 5xx, 429."""


async def _get(web: httpx.AsyncClient, url: str) -> bytes:
    request = web.build_request("GET", url)
    for _ in range(_MAX_REDIRECTS + 1):
        response = await web.send(request, stream=True)
        try:
            if response.next_request is None:
                return await _body(response)
            if _origin(response.next_request.url) != _origin(request.url):
                raise UnansweredError("redirects to another scheme, host or port; expected an answer in place")
            request = response.next_request
        finally:
            await response.aclose()
    raise UnansweredError(f"redirects more than {_MAX_REDIRECTS} times")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


async def _body(response: httpx.Response) -> bytes:
    _check_status(response.status_code)
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
        raise UnansweredError("sent a compressed answer although none was asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise UnansweredError(f"sent more than {_MAX_BYTES} bytes")
    return bytes(body)


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status == 404:
        raise NotThereError("does not know this customer (HTTP 404)")
    if status == 429 or status >= 500:
        raise _BusyError(f"answered HTTP {status}")
    if status in {401, 403}:
        raise UnreachableError(f"refused our credentials (HTTP {status})")
    raise UnansweredError(f"answered HTTP {status}; expected 200")


def usage_over_http(section: UsageHttp, question: HttpQuestion, subject: Subject, now: datetime) -> UsageReading:
    """What the endpoint says about the customer's usage. UnansweredError where it says nothing usable."""
    fields = _fields(section, question, subject)
    if fields is None:
        return UsageReading(coverage=always(now))
    reading = read_usage(fields, now=now)
    return replace(reading, coverage=always(now)) if section.covers else reading


def support_over_http(section: SupportHttp, question: HttpQuestion, subject: Subject, now: datetime) -> SupportReading:
    """What the endpoint says about a wish to cancel. UnansweredError where it says nothing usable."""
    fields = _fields(section, question, subject)
    if fields is None:
        return SupportReading(coverage=always(now))
    reading = read_support(fields, now=now)
    return replace(reading, coverage=always(now)) if section.covers else reading


def _fields(section: UsageHttp | SupportHttp, question: HttpQuestion, subject: Subject) -> Mapping[str, object] | None:
    """The fields of the answer; None where the customer is not there and that means that there is nothing."""
    try:
        answer = question.fetch(subject)
    except NotThereError:
        if section.not_found == "unknown":
            raise
        return None
    return pick(answer, section.map.paths(), may_be_absent=section.map.may_be_absent)


def _decode(body: bytes) -> object:
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of thousands of digits, nested too deep
        raise UnansweredError("the answer is not JSON") from None
    return answer


def pick(answer: object, paths: Mapping[str, str], *, may_be_absent: tuple[str, ...] = ()) -> dict[str, object]:
    """The mapped fields of a JSON answer by dotted path (`a.0.b`) or JSON pointer (`/a/0/b`).

    UnansweredError names the first field whose path leads nowhere, unless it may be absent (then None).
    """
    fields: dict[str, object] = {}
    for name, path in paths.items():
        found = _follow(answer, _steps(path))
        if found is _ABSENT and name not in may_be_absent:
            raise UnansweredError(f"{name}: nothing at {path} in the answer")
        fields[name] = None if found is _ABSENT else found
    return fields


_ABSENT: Final = object()


def _steps(path: str) -> list[str]:
    if not path.startswith("/"):
        return path.split(".")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _follow(value: Any, steps: list[str]) -> object:  # Any: JSON as it came
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _ABSENT
    return value


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Like asyncio.run, but without waiting for a name lookup that hangs in the loop's own thread pool."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
