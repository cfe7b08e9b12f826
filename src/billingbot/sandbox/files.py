"""Files uploaded as evidence: name, kind and size are kept, the bytes are not."""

import hashlib
from email.message import Message
from email.parser import BytesParser
from typing import Final
from urllib.parse import urlencode

from billingbot.sandbox import forms
from billingbot.sandbox.errors import invalid
from billingbot.sandbox.router import Call, endpoint, retrievable
from billingbot.sandbox.tables import Obj

# Stripe's limit for a file of evidence: https://docs.stripe.com/file-upload
MOST_BYTES: Final = 5_000_000
MOST_BYTES_TOGETHER: Final = 4_500_000  # of one dispute: https://docs.stripe.com/disputes/best-practices
_KINDS: Final = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}

retrievable("/v1/files", "file", "file")


def as_form(content_type: str, body: bytes) -> str:
    """A multipart body as the form encoding of its fields; a file is told by its name, kind, size and digest."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser().parsebytes(head + body)
    return urlencode([pair for part in message.walk() if not part.is_multipart() for pair in _pairs(part)])


def _pairs(part: Message) -> list[tuple[str, str]]:
    name = str(part.get_param("name", "", "content-disposition"))
    held = part.get_payload(decode=True)
    held = held if isinstance(held, bytes) else b""
    filename = part.get_filename()
    if filename is None:
        return [(name, held.decode("utf-8", "replace"))]
    told = {
        "filename": filename,
        "type": part.get_content_type(),
        "size": str(len(held)),
        "digest": hashlib.sha256(held).hexdigest(),
    }
    return [(f"{name}[{field}]", value) for field, value in told.items()]


_FILE: Final = forms.nested(
    ("filename", "size"), filename=forms.text, type=forms.text, size=forms.integer(), digest=forms.text
)


@endpoint("POST", "/v1/files", {"purpose": forms.one_of("dispute_evidence"), "file": _FILE}, ("purpose", "file"))
def upload(call: Call) -> Obj:
    """A PDF or an image, for a field of evidence that wants a file."""
    given = call.params["file"]
    kind = _KINDS.get(given.get("type") or "") or str(given["filename"]).rpartition(".")[2].lower()
    if kind not in _KINDS.values():
        raise invalid("The file must be a PDF, a JPEG or a PNG.", "file")
    if not 0 < given["size"] <= MOST_BYTES:
        raise invalid(f"The file must have between 1 and {MOST_BYTES} bytes.", "file")
    made = {
        "id": call.box.new_id("file"),
        "object": "file",
        "created": call.box.now(),
        "expires_at": None,
        "filename": given["filename"],
        "links": {"object": "list", "data": [], "has_more": False, "url": "/v1/file_links"},
        "purpose": call.params["purpose"],
        "size": given["size"],
        "title": None,
        "type": kind,
        "url": None,
    }
    call.box.tables["file"].add(made)
    return made
