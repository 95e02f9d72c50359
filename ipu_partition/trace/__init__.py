"""From a module and example inputs to an operation graph that knows which module call made each operation."""

from .export import quiet, trace
from .model import Call, Parameter, TracedModel

__all__ = ["Call", "Parameter", "TracedModel", "quiet", "trace"]
