"""Assets: style sheets and scripts from the package, under names that change with their bytes."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_HERE: Final = Path(__file__).parent / "static"
_SERVED: Final = frozenset({".css", ".js", ".svg", ".png", ".ico"})
# The name changes with the bytes, so a copy never grows stale.
_FOR_EVER: Final = "public, max-age=31536000, immutable"

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file as it is served."""

    url: str
    media_type: str
    plain: bytes
    zipped: bytes


@cache
def _assets() -> dict[str, Asset]:
    found = {}
    for path in sorted(_HERE.rglob("*")):
        if path.suffix in _SERVED:
            plain = path.read_bytes()
            name = path.relative_to(_HERE).as_posix()
            mark = hashlib.sha256(plain).hexdigest()[:12]
            found[name] = Asset(
                url=f"/static/{mark}/{name}",
                media_type=mimetypes.types_map.get(path.suffix, "application/octet-stream"),
                plain=plain,
                zipped=gzip.compress(plain, mtime=0),
            )
    return found


def asset(name: str) -> str:
    """The address of an asset, by its path below `static/`. KeyError for one that is not there: a broken template."""
    return _assets()[name].url


@router.get("/static/{mark}/{name:path}", include_in_schema=False)
def serve(mark: str, name: str, request: Request) -> Response:
    """The bytes, packed where the browser takes that."""
    found = _assets().get(name)
    if found is None or found.url != f"/static/{mark}/{name}":
        raise HTTPException(HTTPStatus.NOT_FOUND)
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, media_type=found.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(found.plain, media_type=found.media_type, headers=headers)
