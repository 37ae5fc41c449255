"""`batchgen selftest`: the promises, tried on this machine with the program as it is installed.

    witness   between the client and the sandbox: counts requests, and kills the client at one of them
    victim    a `batchgen` that kills itself at one of its commits
    workshop  a temporary workspace, its own server and account, and the processes that work in it
    proofs    one function for each promise

Real processes, real SIGKILL, a real server on loopback, real files; no fixture, no key, no cost.
"""
