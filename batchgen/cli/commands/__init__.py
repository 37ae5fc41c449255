"""One module per command, loaded only when that command is called (see `cli/group.py`)."""
