"""What it costs to keep to the order of the program, and plans in a better one.

Program order is one of many orders in which a model can run. Read ``legal`` (what must come before what), ``pieces``
(what changes places), ``problems`` (one order exactly, all orders at once) and ``price``. Importing this package
imports neither torch nor transformers.
"""

from __future__ import annotations

from .price import Priced, priced
from .problems import GRANULARITIES, Subject, chain_of, graph_of
from .reordered import reordered

__all__ = ["GRANULARITIES", "Priced", "Subject", "chain_of", "graph_of", "priced", "reordered"]
