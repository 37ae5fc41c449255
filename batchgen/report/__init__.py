"""What people and programs read: texts, tables, CSV, JSON lines and JSON documents, out of facts.

Everything here is a pure function of facts that the ledger told, or writes rows to a stream that it was handed. No
colours: a text says what it says with words, so that a log, a pipe and a terminal show the same.
"""
