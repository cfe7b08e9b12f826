"""Stripe's error bodies: types, codes and wordings as the real API answers them."""

from typing import Any, Final

from billingbot.sandbox.tables import Obj

INVALID: Final = "invalid_request_error"


class StripeError(Exception):
    """An answer that is not 2xx. `stored` says whether the idempotency layer keeps it: Stripe keeps what happened
    once execution began, and drops failed validation, 401, 409 and 429."""

    def __init__(self, status: int, message: str, *, stored: bool = True, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        self.headers: dict[str, str] = {}
        self.fields: Obj = {"message": message, "type": INVALID, **fields}

    def body(self, request_id: str) -> Obj:
        """The JSON body. The code brings its page, and every answer past authentication its request log."""
        error = dict(self.fields)
        if code := error.get("code"):
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if self.status != 401:
            error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": dict(sorted(error.items()))}


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """A request that failed validation: 400, and not stored under an idempotency key."""
    named = {name: value for name, value in (("param", param), ("code", code)) if value is not None}
    return StripeError(400, message, stored=False, **named)


def refused(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """A request refused after execution began: 400, stored under its idempotency key."""
    error = invalid(message, param, code)
    error.stored = True
    return error


def missing(label: str, object_id: str, param: str = "id", status: int = 404) -> StripeError:
    """`No such customer: 'cus_1'`: 404 for an id in the path, 400 for one in the parameters."""
    message = f"No such {label}: '{object_id}'"
    if label == "PaymentMethod":
        message += (
            "; It's possible this PaymentMethod exists on one of your connected accounts, in which case you should"
            " retry this request on that connected account. Learn more at"
            " https://stripe.com/docs/connect/authentication"
        )
    return StripeError(status, message, code="resource_missing", param=param)


def declined(decline_code: str = "generic_decline", **extra: Any) -> StripeError:
    """A card that said no: 402 with the codes that recorded declines carry."""
    code, message, network, advice = _DECLINES.get(decline_code, _DECLINES["generic_decline"])
    fields: Obj = {"code": code, "decline_code": decline_code, "param": "", "type": "card_error", **extra}
    return StripeError(402, message, network_decline_code=network, advice_code=advice, **fields)


_DECLINES: Final = {
    "generic_decline": ("card_declined", "Your card was declined.", "01", "try_again_later"),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds.", "51", "try_again_later"),
    "lost_card": ("card_declined", "Your card was declined.", "41", "do_not_try_again"),
    "stolen_card": ("card_declined", "Your card was declined.", "43", "do_not_try_again"),
    "expired_card": ("expired_card", "Your card has expired.", "54", "confirm_card_data"),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect.", "N7", "confirm_card_data"),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
        "96",
        "try_again_later",
    ),
}


def unrecognized_url(method: str, path: str) -> StripeError:
    """What Stripe says to an address it does not know."""
    message = (
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at"
        " https://support.stripe.com/."
    )
    return StripeError(404, message, stored=False)


def unauthorized(message: str) -> StripeError:
    """401: no key, or one that the account does not know."""
    return StripeError(401, message, stored=False)


def key_in_use(key: str) -> StripeError:
    """409: the first request with this idempotency key has not been answered yet."""
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted"
        f" twice, and the other request is still going through): {key}. Please try again later."
    )
    return StripeError(409, message, stored=False, code="idempotency_key_in_use")


def key_reused(key: str, first_endpoint: str | None) -> StripeError:
    """400: the key belongs to another request; `first_endpoint` where even the endpoint differs."""
    same = f"for the same endpoint they were first used for ('{first_endpoint}')"
    if first_endpoint is None:
        same = "with the same parameters they were first used with"
    message = (
        f"Keys for idempotent requests can only be used {same}. Try using a key other than '{key}' if you meant to"
        " execute a different request."
    )
    return StripeError(400, message, stored=False, type="idempotency_error")


def rate_limited(code: str = "rate_limit") -> StripeError:
    """429: too many requests, or a lock on one object."""
    message = "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits."
    if code == "lock_timeout":
        message = (
            "This object cannot be accessed right now because another API request or Stripe process is currently"
            " accessing it. If you see this error intermittently, retry the request. If you see this error"
            " frequently and are making multiple concurrent requests to a single object, make your requests serially"
            " or at a lower rate."
        )
    return StripeError(429, message, stored=False, code=code)


def api_error() -> StripeError:
    """500: indeterminate by nature, and stored under the key all the same."""
    return StripeError(500, "An unknown error occurred", type="api_error")
