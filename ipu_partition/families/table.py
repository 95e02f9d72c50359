"""The words of the table: one `FamilyRule` per class that optimum-graphcore pipelines."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from .resolve import ResolvedFamily

Ipu: TypeAlias = int | Literal["last", "next", "layer", "with"]
"""Where a block goes: an IPU; `last`, the replica's last one; `next`, that of the counted layer that runs next;
`layer`, by `layers_per_ipu`; `with`, that of another block."""

CheckpointKind = Literal["every", "all_but_last", "all_but_index", "always", "ignored"]


@dataclass(frozen=True, slots=True)
class BlockRule:
    """One line of the table: a module, or an indexed row of modules, whose call begins a block."""

    modules: tuple[str, ...]
    """Alternative paths, `{i}` and `{j}` standing for indices: the name in transformers 5 first, then that in 4.29."""
    user_id: str
    """Template of the block's id. A repeated id is the same pipeline stage again."""
    ipu: Ipu
    with_module: str | None = None
    """The module of the other block, where `ipu` is `with`."""
    optional: bool = False
    tied_ipu: int | None = None
    """The IPU instead of `ipu` where the host ties this module's weight to the input embedding."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Which modules' outputs stay in memory as recomputation checkpoints.

    `every`, `all_but_last` and `all_but_index` obey `recompute_checkpoint_every_layer`; `always` and `ignored` do not
    look at it. `all_but_index`: the last index of the first row is left out of every row.
    """

    kind: CheckpointKind
    modules: tuple[str, ...]
    """Patterns, one row of layers each; a pattern of another transformers version matches nothing."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What the emitted code must change in the plain model before the plan can hold.

    `weight-as-activation`: `method` of `module` returns `parameter` itself, which layers on several IPUs read; it must
    return `parameter + 0.0` instead, because only an activation can be copied between IPUs.
    """

    kind: Literal["weight-as-activation"]
    module: str
    method: str
    parameter: str


@dataclass(frozen=True, slots=True)
class StaticFunction:
    """A function that the plain class of transformers 4.29 calls and that cannot be compiled for an IPU: it is a
    `torch.autograd.Function`, or looks at values. The emitted code puts one of its own in its place."""

    class_name: str
    """Of the modules that call it."""
    method: str
    """In which they do."""
    name: str
    """The global name under which they find it."""
    function: str
    """That of the emitted code: one of `plan_parts.STATIC_FUNCTIONS`."""


@dataclass(frozen=True, slots=True)
class HostTie:
    """A tie that transformers 4.29 decides by the saved configuration, and transformers 5 makes always."""

    parameter: str
    config_field: str
    default: bool
    """What the host takes where the saved configuration has no `config_field`."""


@dataclass(frozen=True, slots=True)
class MaskedTokens:
    """A head that the optimum class applies to the masked tokens of a sample alone, where it trains on labels.

    It takes the largest labels of each sample (`torch.topk`; -100 marks a token that is not masked) and gathers their
    hidden states by a product with a one-hot matrix, before it calls `module`.
    """

    module: str
    """Its first argument is gathered."""
    config_field: str | None = None
    """The configuration's number of tokens; where it has none, what optimum's data collator sets."""
    share: float | None = None
    """Of the sequence, rounded down, whatever the configuration says."""
    labels: str = "labels"


@dataclass(frozen=True, slots=True)
class Fused:
    """Products of one input with several weights, which the optimum class makes as one product with all of them."""

    modules: tuple[str, ...]
    """Patterns of the modules that make the products."""
    products: tuple[str, ...]
    """The linear modules in them, in the order in which they are called."""


@dataclass(frozen=True, slots=True)
class EmbedsFirst:
    """Embeddings of the encoder's and the decoder's tokens that the optimum class makes at once, before the encoder
    runs. The plain class makes the decoder's after it; parallelize.py has it make both first."""

    encoder: str
    decoder: str
    """Paths of the modules."""


@dataclass(frozen=True, slots=True)
class SinglePrecision:
    """Activations that the optimum class keeps in single precision where weights are in half."""

    begins: tuple[str, ...]
    """Patterns of modules whose output is cast to it; sums with it are in it as well."""
    ends: tuple[str, ...]
    """Patterns of modules whose output is in half precision again."""


@dataclass(frozen=True, slots=True)
class MaskedBias:
    """Attention whose position bias Transformers 4.29 adds the mask to, once, for all layers that share the bias;
    Transformers 5 adds the mask in each layer."""

    modules: tuple[str, ...]
    """Patterns of the attention modules. They take `mask` and `position_bias` by name, and return the bias second."""


@dataclass(frozen=True, slots=True)
class Serialised:
    """The large table that a serialisation factor of the IPU configuration works on in pieces, and how."""

    parameter: str
    kind: Literal["linear", "embedding"]
    """`linear`: `poptorch.serializedMatMul` over the output channels; the weight stays one tensor, and tied.
    `embedding`: a table for each piece, looked up one after the other and summed."""
    pads: bool = False
    """The class pads the table to a multiple of the factor; else the factor must divide its rows."""
    per_mode: bool = False
    """Inference obeys the `inference_` key; else it obeys that of training."""
    splits: Literal["cut", "place"] | None = None
    """What a list of pieces for each IPU does: `cut`, pieces on several neighbouring IPUs; `place`, the one IPU named
    holds all. None: the class fails."""
    if_tied: Literal["allowed", "whole", "refused"] = "allowed"
    """With tied input and output embeddings: `whole`, no pieces on several IPUs; `refused`, no pieces at all."""
    piece: str = ""
    """Path of piece `{i}` on the host; '': `split_embeddings.{i}` in the place of the table's module."""
    block: str = ""
    """Id of the blocks that begin at pieces, before their numbers."""
    ties_to: str | None = None
    """The parameter it is tied to by being serialised."""
    fails: str | None = None
    """Why the class cannot do it after all."""

    def piece_name(self, index: int) -> str:
        """Path of one piece on the host, whose `weight` it is."""
        module = self.parameter.removesuffix(".weight")
        return (self.piece or module + ".split_embeddings.{i}").replace("{i}", str(index))


Layer = Literal["embedding", "projection"]
"""As in `embedding_serialization_factor` and `projection_serialization_factor`."""


@dataclass(frozen=True, slots=True)
class FamilyRule:
    """What optimum-graphcore does with one Transformers class."""

    architecture: str
    optimum_class: str
    model_type: str
    task: str
    layers: tuple[BlockRule, ...]
    """What `layers_per_ipu` counts, in counting order, row after row. Empty: it counts nothing."""
    blocks: tuple[BlockRule, ...]
    """Every other block, in execution order of the plain model."""
    checkpoints: Checkpoints
    source: str
    ipus: int | None = None
    """The only number of IPUs possible, or None."""
    declared_loss: Literal["ctc", "contrastive"] | None = None
    """The loss to add as a declared unit, because it cannot be traced."""
    frozen: tuple[str, ...] = ()
    """Modules whose parameters the optimum class freezes."""
    host_config: tuple[tuple[str, bool], ...] = ()
    """Configuration fields to set so that the traced model has the parameters of the optimum class."""
    host_tie: HostTie | None = None
    adapters: tuple[Adapter, ...] = ()
    static_functions: tuple[StaticFunction, ...] = ()
    plain_limits: Mapping[Literal["training", "inference"], str] = field(default_factory=dict)
    """By mode: why the plain class of transformers 4.29 cannot be compiled whole, and what to do."""
    masked_tokens: MaskedTokens | None = None
    fused: Fused | None = None
    single_precision: SinglePrecision | None = None
    masked_bias: MaskedBias | None = None
    embeds_first: EmbedsFirst | None = None
    serialised: Mapping[Layer, Serialised] = field(default_factory=dict)
    """A factor that is not named does nothing."""
    small_masks: tuple[Literal["optimum", "poptorch"], ...] = ("optimum", "poptorch")
    """Targets for which a mask reaches the layers as small as its input, (batch, 1, 1, length), and is broadcast there;
    Transformers 5 expands it before the first layer."""
    notes: tuple[str, ...] = ()

    def is_frozen(self, parameter: str) -> bool:
        """Whether the optimum class freezes the parameter of that name."""
        return any(parameter.startswith(f"{module}.") for module in self.frozen)

    def resolve(self, module_names: Collection[str], *, tied: bool = False) -> ResolvedFamily:
        """Expand the patterns over the modules that exist.

        `module_names` are all paths of the model, those of a shared module object too
        (`named_modules(remove_duplicate=False)`). `tied` says whether input and output embeddings share one weight on
        the host; only rows with a `tied_ipu` look at it.
        Raises `UsageError` when a module that is not optional is missing.
        """
        from .resolve import resolve

        return resolve(self, module_names, tied)
