"""The models: data that ships, merged with what the API says, and the checks that follow from it.

No check here asks which model it is: what a model takes stands in `models.json` or came from GET /models. Deliberately absent:
aspect ratios, sizes and modes of the result, which no decision of ours needs.
"""

from batchgen.catalogue.check import ParamProblem, check_params, check_prompt, price_params, prompt_units
from batchgen.catalogue.model import DEFAULT_KIND_RULES, Billing, KindRules, Model, Param, ParamType, ReferenceRules
from batchgen.catalogue.shelf import Catalogue
from batchgen.catalogue.words import did_you_mean, shown
from batchgen.catalogue.written import RawValue, Written, meaning

__all__ = [
    "DEFAULT_KIND_RULES",
    "Billing",
    "Catalogue",
    "KindRules",
    "Model",
    "Param",
    "ParamProblem",
    "ParamType",
    "RawValue",
    "ReferenceRules",
    "Written",
    "check_params",
    "check_prompt",
    "did_you_mean",
    "meaning",
    "price_params",
    "prompt_units",
    "shown",
]
