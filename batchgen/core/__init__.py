"""The pure heart: values in, values out.

Nothing here opens, waits, logs, reads a clock or draws a random number: time and jitter are arguments. That is what
lets a whole night of rendering, with faults and crashes, be simulated in milliseconds (tests/simulation).
"""
