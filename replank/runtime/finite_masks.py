"""torch's fused attention with masks of finite numbers, which define what a token gives that may see no other.

In a layer of local attention that is any token of padding so far from the text that its window holds none of it, and
some models answer by such a token: by the first, whatever pads it. transformers' eager attention lets it see all tokens
alike; its fused one gives zeros or anything else, by version and length.
"""

from __future__ import annotations

_NAME = "sdpa_with_finite_masks"


def finite_masks() -> str:
    """The name of this attention for transformers' ``attn_implementation``."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(_NAME, sdpa_attention_forward)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, eager_mask)
    return _NAME
