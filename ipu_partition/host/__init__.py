"""What the class on the IPU host computes differently from the plain Transformers model, as the family table says.

`masked` changes what is traced; the other modules change the cost graph.
"""

from __future__ import annotations
