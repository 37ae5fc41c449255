"""batchgen renders long lists of prompts through the Rivya API and never pays for one twice."""

__version__ = "0.1.0"
