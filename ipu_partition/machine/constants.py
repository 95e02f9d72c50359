"""What the models take from measurements. Everything else follows from the graph and from published peaks.

How each constant was obtained and how well it reproduces what was measured: `docs/cost-model.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HEAVY_KINDS = frozenset({"matmul", "conv", "embedding", "softmax", "norm", "loss"})
"""Op kinds that compile to several compute sets with exchange between; other ops are about a quarter of one."""


@dataclass(frozen=True, slots=True)
class CodeBytes:
    """Always-live code memory of the three kinds that grow with the number of ops."""

    vertex_state: int
    exchange_code: int
    control_code: int


@dataclass(frozen=True, slots=True)
class CodeModel:
    """Code memory for one direction of use: inference, or training (forward, backward and weight update)."""

    base_vertex: int
    """Codelets every program has (copies, host exchange; in training also the optimizer)."""
    base: CodeBytes
    """Of the ops outside all layers."""
    quarter_op: CodeBytes
    """Of a light op, and of a quarter of a heavy one."""
    vertex: Mapping[str, int]
    """Codelets by op kind, once per device that has the kind; kinds not named have `other_vertex`."""
    other_vertex: int

    def vertex_bytes(self, kind: str) -> int:
        return self.vertex.get(kind, self.other_vertex)


# graphcore/popliner:tests/test_popart_bert_inf.py, BERT-Large inference: the row "None" of the layers, and 1.05, 1.02
# and 1.354 MB for each further layer, which is 11 heavy and 8 light ops: 52 quarters. Gather: 1,258,490 (same source).
INFERENCE_CODE = CodeModel(
    base_vertex=5_000_000,
    base=CodeBytes(360_728, 681_980, 453_540),
    quarter_op=CodeBytes(20_200, 19_600, 26_000),
    vertex=MappingProxyType(
        {"matmul": 1_600_000, "conv": 1_600_000, "softmax": 400_000, "norm": 500_000, "embedding": 1_258_490}
    ),
    other_vertex=200_000,
)

# graphcore/popliner:tests/test_profile.py, tiny BERT training: the row "None", 24.4 MB of codelets in all, and 3.27,
# 2.18 and 5.11 MB (means of layers 1 and 2) for each further layer of 52 quarters.
TRAINING_CODE = CodeModel(
    base_vertex=12_000_000,
    base=CodeBytes(1_693_012, 2_159_956, 2_872_432),
    quarter_op=CodeBytes(62_900, 41_900, 98_300),
    vertex=MappingProxyType(
        {"matmul": 5_000_000, "conv": 5_000_000, "softmax": 1_200_000, "norm": 1_600_000, "embedding": 2_000_000}
    ),
    other_vertex=650_000,
)


@dataclass(frozen=True, slots=True)
class MemoryModel:
    tile_imbalance_bytes: int = 17_700
    """By how much the fullest tile exceeds the mean. Measured 16,819 and 17,260 on BERT-Large stages
    (graphcore/popliner:tests/test_popart_bert_inf.py) and 18,934 on EfficientNet (tests/test_profile.py): a constant,
    though their means are 320, 274 and 176 kB. A training graph of almost no data has 36,241 (same file)."""
    gaps_permille: int = 20
    """Unused bytes between variables, in thousandths of all others. Measured 44, 22, 6 and 9 on the four IPUs of the
    mT5 report (huggingface/optimum-graphcore:notebooks/images/mt5_oom.png)."""
    outlined_permille: int = 600
    """Share of the code of a repeated layer that further equal layers do not need where they are outlined: between what
    the encoder (more) and the decoder layers (less) of the mT5 report ask for."""
    sharded_min_elements: int = 8192
    """Smaller tensors are not sharded over replicas: `minElementsForReplicatedTensorSharding`
    (graphcore/popart:willow/include/popart/sessionoptions.hpp)."""
    inference_code: CodeModel = INFERENCE_CODE
    training_code: CodeModel = TRAINING_CODE


@dataclass(frozen=True, slots=True)
class TimeModel:
    """Fitted to published rates, then rounded; see `docs/cost-model.md` for which, and how far off the others are."""

    matmul_efficiency: float = 0.65
    """Share of the peak rate in the compute phase of matrix products and convolutions."""
    op_overhead_cycles: int = 4000
    """Synchronisation, control and launch of one op, or of one pass of a product."""
    elementwise_share: float = 0.15
    """Share of the SRAM bandwidth reached by everything that is not a matrix product."""
    loss_share: float = 0.0004
    """Share of the SRAM bandwidth that a loss over a vocabulary appears to reach: an empirical charge."""
    offchip_share: float = 0.6
    """Share of the host link's peak reached by streaming optimizer state."""
    collective_share: float = 0.004
    """Share of the peak of the links between IPUs reached by summing gradients over replicas: 1.3 GB/s per IPU."""


MEMORY = MemoryModel()
TIME = TimeModel()
