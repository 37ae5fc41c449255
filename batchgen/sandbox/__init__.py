"""A local imitation of Rivya Public API v1, for trials, rehearsals and tests. It never costs anything.

What the documentation of the API states is imitated to the letter; what it leaves open is decided in one plausible way
in each module's header, and where a client's correctness could hang on it, `Faults` switches it.

The rooms inside:

    books      the file on disk, which outlives the process as a real server's data would
    account    what is in it: credits, tasks, files, keys seen, requests counted
    offer      the models on offer
    purchase   what POST /generations decides, in one transaction
    checks     is the request itself right
    signature  what a file is, by its first bytes
    library    which shipped file answers a task, and how it is made the task's own
    faults     what shall go wrong, as a value
    disturbed  what goes wrong, on the wire
    refusal    the error table
    app        the endpoints; `ranged` sends files, whole or in part
    serve      uvicorn, alone or inside another process

Only `app`, `ranged`, `disturbed` and `serve` import starlette and uvicorn, so that naming a fault or opening the books starts fast.
"""

SANDBOX_KEY = "rvya_sk_sandbox_local"
"""A key that the sandbox takes; any other that starts with `rvya_sk_sandbox` is as good."""
