"""The error table of the API: code, HTTP status, and the shape of an error's body.

Documented: the shape, and the status of every code but `insufficient_credits`, for which 402 is the usual one.
"""

from __future__ import annotations

import uuid
from types import MappingProxyType

STATUS = MappingProxyType(
    {
        "public_api_disabled": 503,
        "api_key_missing": 401,
        "api_key_invalid": 401,
        "api_key_revoked": 401,
        "api_key_expired": 401,
        "api_scope_denied": 403,
        "rate_limited": 429,
        "validation_failed": 400,
        "not_found": 404,
        "idempotency_conflict": 409,
        "insufficient_credits": 402,
        "method_not_allowed": 405,  # not in the table: what any web framework says
        "internal_error": 500,  # not in the table: the books on disk cannot be used
    }
)


class Refusal(Exception):
    """The request is answered with an error; `app` turns every one into a response."""

    def __init__(self, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        """Keep the code and words; `code` must be in the table."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code]
        self.headers = headers or {}

    def body(self) -> dict[str, object]:
        """Make the documented body, with a `requestId` of its own."""
        return {"error": {"code": self.code, "message": self.message, "requestId": f"req_{uuid.uuid4().hex[:24]}"}}


def invalid(message: str) -> Refusal:
    """Make the refusal of a request that is wrong in itself."""
    return Refusal("validation_failed", message)
