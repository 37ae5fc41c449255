"""Answer with bytes, whole or in part: what a download needs to be resumed.

One range is served; several at once are answered with the whole, which HTTP allows (RFC 9110, 14.2).
"""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def respond(request: Request, data: bytes, media_type: str) -> Response:
    """Answer GET or HEAD with `data`: 200, 206 for a range, 416 for one that lies outside, 304 if the client has it."""
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if request.headers.get("if-range", etag) != etag:
        return Response(data, media_type=media_type, headers=headers)
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or not any(match.groups()):
        return Response(data, media_type=media_type, headers=headers)
    start, end = _span(match, len(data))
    if start >= end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], status_code=206, media_type=media_type, headers=headers)


def _span(match: re.Match[str], length: int) -> tuple[int, int]:
    """Read a range as [start, end); empty if it lies outside."""
    first, last = match.groups()
    if not first:
        return max(0, length - int(last)), length
    return int(first), min(length, int(last) + 1) if last else length
