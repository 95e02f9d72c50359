"""One op, one small rule: what it costs and what its backward pass needs.

Four honest sets: counted (has a rule with a kind), ignored (has a reason), unknown (no rule: costed by its traffic
and reported), never called. FLOPs are those of matrix products and convolutions, a multiply-add counting as 2, as
`torch.utils.flop_counter` counts; everything else is costed by the bytes it reads and writes.
"""

from __future__ import annotations

from dataclasses import dataclass

VIEW = "a view or a layout change: no arithmetic"
CHECK = "a check made while tracing"
IDLE = "drops nothing: passes its input on"
CONSTANT = "depends on no input and no weight: folded by the compiler"


@dataclass(frozen=True, slots=True)
class Rule:
    kind: str
    """Cost class (see :class:`ipu_partition.cost.graph.Work`); '' where the op is ignored."""
    saves: str = ""
    """What backward needs. `inputs`, `output`, `first` (first operand), `indices` (all but the first), `partners` (each
    operand whose partner needs a gradient), `positions` (the second result), `copy` (one more tensor as large as the
    first operand, and the second operand); '' nothing."""
    view: bool = False
    """The result shares the memory of the first operand."""
    reason: str = ""
    """Why it is ignored."""
    flops: str = ""
    """Name of the formula in :mod:`ipu_partition.cost.flops`."""
    differentiable: bool = True


def _table() -> dict[str, Rule]:
    table: dict[str, Rule] = {}

    def add(names: str, rule: Rule) -> None:
        table.update(dict.fromkeys(names.split(), rule))

    add(
        "view reshape _unsafe_view flatten unflatten permute transpose t numpy_T mT movedim swapaxes unsqueeze squeeze "
        "expand expand_as view_as slice select narrow split split_with_sizes tensor_split chunk unbind getitem alias "
        "detach detach_ contiguous clone lift_fresh_copy as_strided diagonal unfold view_as_real view_as_complex "
        "real imag swapdims adjoint requires_grad_ resolve_conj",
        Rule("", view=True, reason=VIEW),
    )
    add(
        "_assert_tensor_metadata _assert_scalar _assert_async sym_size sym_numel sym_stride sym_storage_offset "
        "sym_constrain_range sym_constrain_range_for_size item _local_scalar_dense eq_scalar ge_scalar le_scalar "
        "gt_scalar lt_scalar ne_scalar sym_not sym_max sym_min _set_grad_enabled _enter_autocast _exit_autocast",
        Rule("", reason=CHECK, differentiable=False),
    )
    add("linear", Rule("matmul", "partners", flops="linear"))
    add("matmul mm bmm mv dot", Rule("matmul", "partners", flops="matmul"))
    add("addmm baddbmm addbmm", Rule("matmul", "partners", flops="addmm"))
    add("einsum", Rule("matmul", "partners", flops="einsum"))
    add("scaled_dot_product_attention", Rule("matmul", "inputs", flops="attention"))
    add("_grouped_mm grouped_mm transformers.grouped_mm_fallback", Rule("matmul", "partners", flops="matmul"))
    add("conv1d conv2d conv3d convolution", Rule("conv", "partners", flops="conv"))
    add("conv_transpose1d conv_transpose2d conv_transpose3d", Rule("conv", "partners", flops="conv_transpose"))
    add("embedding embedding_bag", Rule("embedding", "indices"))
    add("gather index index_select take_along_dim take one_hot", Rule("gather", "indices"))
    add("scatter scatter_add scatter_reduce index_put index_add index_copy masked_scatter", Rule("gather", "indices"))
    add("softmax _softmax log_softmax _log_softmax", Rule("softmax", "output"))
    add(
        "layer_norm native_layer_norm rms_norm group_norm native_group_norm instance_norm batch_norm "
        "native_batch_norm _native_batch_norm_legit_functional _weight_norm _weight_norm_interface normalize",
        Rule("norm", "first"),
    )
    add("cross_entropy_loss ctc_loss", Rule("loss", "copy"))
    add(
        "nll_loss nll_loss_nd nll_loss2d mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy "
        "binary_cross_entropy_with_logits kl_div cosine_similarity cosine_embedding_loss margin_ranking_loss "
        "soft_margin_loss multi_margin_loss",
        Rule("loss", "inputs"),
    )
    add(
        "add sub rsub neg addcmul lerp floor ceil round trunc sign cumsum diff copy clamp_ dropout", Rule("elementwise")
    )
    add(
        "native_dropout alpha_dropout feature_dropout bernoulli tril triu roll flip",
        Rule("elementwise"),
    )
    add("masked_fill", Rule("elementwise", "indices"))
    add("where", Rule("elementwise", "first"))
    add("to _to_copy type_as float half double long int bool", Rule("elementwise"))
    add(
        "mul div true_divide multiply divide floor_divide remainder fmod addcdiv xlogy", Rule("elementwise", "partners")
    )
    add("tanh sigmoid exp expm1 sqrt rsqrt reciprocal relu elu", Rule("elementwise", "output"))
    add(
        "gelu silu pow log log1p log2 abs square sin cos erf hardtanh relu6 leaky_relu mish softplus hardsigmoid "
        "hardswish log_sigmoid selu celu glu prelu logsumexp cumprod maximum minimum clamp clamp_min clamp_max "
        "logaddexp atan2 tan nan_to_num polar complex",
        Rule("elementwise", "first"),
    )
    add(
        "eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not "
        "bitwise_xor __and__ __or__ __xor__ isnan isinf isfinite any all argmax argmin nonzero bucketize searchsorted "
        "isin multinomial histc bincount wrap_with_set_grad_enabled exponential normal uniform "
        "randint_like rand_like randn_like bitwise_left_shift "
        "bitwise_right_shift",
        Rule("elementwise", differentiable=False),
    )
    add("sum mean amax amin", Rule("reduce"))
    add("max min var std var_mean std_mean norm linalg_vector_norm prod logcumsumexp", Rule("reduce", "first"))
    add(
        "max_pool1d max_pool2d max_pool2d_with_indices avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d "
        "adaptive_max_pool2d mean_pool upsample_nearest2d upsample_bilinear2d upsample_bicubic2d grid_sampler "
        "_upsample_bilinear2d_aa interpolate",
        Rule("reduce", "first"),
    )
    add(
        "cat stack pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad2d repeat repeat_interleave",
        Rule("move"),
    )
    add("im2col col2im pixel_shuffle pixel_unshuffle argsort", Rule("move", "indices"))
    add("sort topk", Rule("move", "positions"))
    add(
        "arange zeros ones full empty eye scalar_tensor zeros_like ones_like full_like empty_like new_ones new_zeros "
        "new_full new_empty linspace tril_indices randn rand randint randperm fill",
        Rule("elementwise", differentiable=False),
    )
    return table


RULES = _table()

IN_PLACE = {name + "_": name for name, rule in RULES.items() if rule.kind}
"""In-place forms: the same cost, the memory of the first operand."""
