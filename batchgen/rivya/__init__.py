"""Rivya Public API v1.

`refusals` and `wire` are pure: bytes in, values out. `client` moves the bytes and decides nothing: there is no retry
here, because a retry of a paid call belongs in the ledger. Nothing outside this package knows a status code.
"""
