"""The line to Stripe: one SDK client per process, reads that retry, faults told apart by what to do about them."""

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import stripe
import tenacity

from billingbot.core.errors import (
    InputError,
    StripeAnswerError,
    StripeFaultError,
    StripeForbiddenError,
    StripeNotFoundError,
    StripeUnavailableError,
)
from billingbot.gateway.deadline import DEADLINE_SECONDS, DeadlinedClient

# The version whose shapes `translate` reads; the one that stripe 16.1 is generated for.
API_VERSION: Final = "2026-10-28.endive"
# Connect: just above one lost SYN and its repeat (3 s). Read: Stripe answers in seconds; its SDK's 80 s would
# outlive a job's patience.
TIMEOUT_SECONDS: Final = (3.05, 20.0)
# Reads may be repeated at will: two more attempts ride out a blip, a longer fault is the job's business.
_READ_RETRIES: Final = 2
_PAGE: Final = 100  # the most Stripe gives at once
_MOST_PAGES: Final = 1000  # a hundred thousand objects: no charge has so many; a list that never ends stops here
_LONGEST_ID: Final = 255  # https://docs.stripe.com/upgrades
_KEYS: Final = re.compile(r"\b((?:sk|rk|pk)_(?:live|test)|whsec)_[^\s'\",)]+")
_THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST_MESSAGE: Final = 500  # enough for Stripe's longest sentence, too little for an HTML page


def _is_worth_repeating(error: BaseException) -> bool:
    """What the SDK leaves alone though a read may be repeated: 429, and an answer that broke off in its body."""
    if isinstance(error, stripe.RateLimitError):
        return (error.headers or {}).get("stripe-should-retry") is None
    broken = {"ChunkedEncodingError", "ContentDecodingError"}
    return isinstance(error, stripe.APIConnectionError) and type(error.__cause__).__name__ in broken


class Transport:
    """Reads objects and lists of one account, and makes the one call that pays. Safe to share among threads.

    The SDK's client is built at first use in each process, so that no socket is ever shared over a fork.
    """

    def __init__(
        self,
        api_key: str,
        *,
        livemode: bool,
        api_base: str | None = None,
        stripe_account: str | None = None,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        _check_key(api_key, livemode=livemode)
        self.livemode = livemode
        self._api_key = api_key
        self._api_base = _base(api_base, livemode=livemode)
        self._stripe_account = stripe_account
        self._timeout_seconds = timeout_seconds
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()
        self._client: stripe.StripeClient | None = None
        self._pid = 0

    def get(self, path: str, object_id: str, /, **params: Any) -> dict[str, Any]:
        """One object, as Stripe's JSON. Raises StripeNotFoundError where there is none."""
        item = self._checked(self._read(f"/v1/{path}/{_segment(path, object_id)}", params), path)
        if item.get("id") != object_id:
            raise StripeAnswerError(f"{path}: id: expected the object {object_id} that was asked for")
        return item

    def listed(self, path: str, /, **params: Any) -> Iterator[dict[str, Any]]:
        """All objects of a list, page after page."""
        after: str | None = None
        for _ in range(_MOST_PAGES):
            page, following = self.page(path, after=after, **params)
            yield from page
            if following is None:
                return
            if following == after:
                raise StripeAnswerError(f"{path}: has_more: the list repeats itself after {after}")
            after = following
        raise StripeAnswerError(f"{path}: has_more: the list did not end within {_MOST_PAGES} pages")

    def page(
        self, path: str, /, *, after: str | None = None, limit: int = _PAGE, **params: Any
    ) -> tuple[list[dict[str, Any]], str | None]:
        """One page of a list, newest first, and after which id the next one starts: None at the end, and only there.

        A page that says there is more and does not tell after what raises StripeAnswerError: it is no end.
        """
        cursor = {"starting_after": after} if after else {}
        answer = self._read(f"/v1/{path}", {**params, "limit": limit, **cursor})
        items, more = answer.get("data"), answer.get("has_more")
        if answer.get("object") != "list" or not isinstance(items, list) or not isinstance(more, bool):
            raise StripeAnswerError(f"{path}: expected a list with data and has_more")
        page = [self._checked(item, path) for item in items]
        return page, _last_id(page, path) if more else None

    def post_once(self, path: str, params: Mapping[str, Any], key: str) -> tuple[Any, Mapping[str, str]]:
        """POST under an idempotency key, in one attempt: body and headers. Raises whatever the SDK raises."""
        answer = self.sdk().raw_request("post", f"/v1/{path}", **params, idempotency_key=key, max_network_retries=0)
        return answer.data, answer.headers

    def upload_once(self, params: Mapping[str, Any], key: str) -> tuple[Any, Mapping[str, str]]:
        """POST a file under an idempotency key, in one attempt: body and headers. Raises whatever the SDK raises."""
        answer = self.sdk().raw_request(
            "post",
            "/v1/files",
            **params,
            base="files",  # files.stripe.com takes them, api.stripe.com does not
            content_type="multipart/form-data",
            idempotency_key=key,
            max_network_retries=0,
        )
        return answer.data, answer.headers

    def delete_once(self, path: str, object_id: str, params: Mapping[str, Any]) -> Any:
        """DELETE in one attempt, its parameters in the query: the body. Raises whatever the SDK raises."""
        url = f"/v1/{path}/{_segment(path, object_id)}"
        return self.sdk().raw_request("delete", url, **params, max_network_retries=0).data

    def segment(self, object_id: str) -> str:
        """An id as a part of a path. StripeNotFoundError where no object can have it."""
        return _segment("id", object_id)

    def sdk(self) -> stripe.StripeClient:
        """The client of this process."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = self._build()
                self._pid = os.getpid()
            return self._client

    def redact(self, text: str) -> str:
        """`text` on one line, without keys and short enough for a log."""
        plain = _KEYS.sub(r"\1_***", text.replace(self._api_key, "***"))
        return " ".join(plain.split())[:_LONGEST_MESSAGE]

    def _build(self) -> stripe.StripeClient:
        # The SDK logs bodies at DEBUG and urllib3 logs queries: both would carry e-mail addresses.
        for name in ("stripe", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        stripe.enable_telemetry = False  # it writes a file to the home directory and times our calls for Stripe
        return stripe.StripeClient(
            self._api_key,
            stripe_account=self._stripe_account,
            stripe_version=API_VERSION,
            base_addresses={"api": self._api_base, "files": self._api_base} if self._api_base else None,
            max_network_retries=_READ_RETRIES,
            http_client=DeadlinedClient(timeout_seconds=self._timeout_seconds, deadline_seconds=self._deadline_seconds),
        )

    def _read(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        # The SDK leaves None out and sends "" as no filter at all: either way the whole account would be listed.
        if any(value is None or value == "" for value in params.values()):
            raise StripeNotFoundError(f"{path}: nothing can be found by an empty name")
        try:
            answer = self._retried(path, params)
        except stripe.StripeError as error:
            raise self.fault(error, path) from None  # the SDK's own message may carry the query, with an e-mail
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise StripeAnswerError(f"{path}: an error that the SDK cannot read ({type(error).__name__})") from None
        if not isinstance(answer, dict):
            raise StripeAnswerError(f"{path}: expected a JSON object, got {type(answer).__name__}")
        return answer

    @tenacity.retry(
        retry=tenacity.retry_if_exception(_is_worth_repeating),
        stop=tenacity.stop_after_attempt(_READ_RETRIES + 1),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=4),  # as the SDK waits, where it retries itself
        reraise=True,
    )
    def _retried(self, path: str, params: Mapping[str, Any]) -> Any:
        # The raw call: its JSON is what we translate, and unlike the typed one it cannot raise on a Stripe-Notice.
        return self.sdk().raw_request("get", path, **params).data

    def _checked(self, item: object, path: str) -> dict[str, Any]:
        if not isinstance(item, dict):
            raise StripeAnswerError(f"{path}: expected an object, got {type(item).__name__}")
        if item.get("livemode") not in (None, self.livemode):
            raise StripeAnswerError(f"{path}: livemode: expected {self.livemode}, got {item['livemode']!r}")
        return item

    def fault(self, error: stripe.StripeError, path: str) -> StripeFaultError:
        """The fault that a failed read means, with a message fit for a log."""
        status, code = error.http_status, code_of(error)
        said = self.redact(f"{path}: {describe(error)}")
        if isinstance(error, stripe.APIConnectionError) or status in (409, 424, 429) or code == "lock_timeout":
            return StripeUnavailableError(said)
        if isinstance(error, stripe.RateLimitError) or (status is not None and status >= 500):
            return StripeUnavailableError(said)
        if status in (401, 403) or isinstance(error, stripe.AuthenticationError):
            return StripeForbiddenError(said)
        if status == 404 or code == "resource_missing":
            return StripeNotFoundError(said)
        return StripeAnswerError(said)


def is_stripes_own(error: stripe.StripeError) -> bool:
    """True where the body is an error as the API words it: not a proxy's page, and not one of OAuth's."""
    return type(error.error) is stripe.ErrorObject


def code_of(error: stripe.StripeError) -> str | None:
    """Stripe's code. `error.code` is None for most classes, so it is read from the body."""
    code = getattr(error.error, "code", None) if is_stripes_own(error) else None
    return code if isinstance(code, str) else None


def describe(error: stripe.StripeError) -> str:
    """What happened, in a few words: for a network fault its kind only, since its text carries the URL."""
    if isinstance(error, stripe.APIConnectionError):
        return f"no answer ({type(error.__cause__).__name__})"
    if not is_stripes_own(error):
        return f"HTTP {error.http_status} with a body that is not Stripe's"
    code = code_of(error)
    return f"HTTP {error.http_status}{f' {code}' if code else ''}: {said_by(error)}"


def said_by(error: stripe.StripeError) -> str:
    """Stripe's own sentence, where there is one."""
    return str(error.user_message or "no message")


def _check_key(api_key: str, *, livemode: bool) -> None:
    if not api_key.strip() or not api_key.isascii():
        raise InputError("api_key", "expected a Stripe API key")
    other = "_test_" if livemode else "_live_"
    if api_key[2:8] == other:
        raise InputError("api_key", f"expected a {'live' if livemode else 'test'}-mode key")


def _base(api_base: str | None, *, livemode: bool) -> str | None:
    if api_base is None:
        return None
    parts = urlsplit(api_base)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise InputError("api_base", "expected an http or https URL such as https://api.stripe.com")
    if livemode and parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        raise InputError("api_base", "expected https: a live-mode key does not travel in the clear")
    return api_base.rstrip("/")


def _segment(path: str, object_id: str) -> str:
    """An id as a part of a path. An empty one would list the whole account, a dotted one climb out of it."""
    if not 1 <= len(object_id) <= _LONGEST_ID or not object_id.isascii() or not object_id.isprintable():
        raise StripeNotFoundError(f"{path}: no object can have such an id")
    if object_id.strip(".") == "":
        raise StripeNotFoundError(f"{path}: no object can have such an id")
    return quote(object_id, safe="")


def _last_id(page: list[dict[str, Any]], path: str) -> str:
    last = page[-1].get("id") if page else None
    if not isinstance(last, str) or not last:
        raise StripeAnswerError(f"{path}: has_more: expected a last object with an id to go on from")
    return last
