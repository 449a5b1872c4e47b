"""The classes of diffusers whose conventions are known: one entry each (data).

What a `Convention` says is in `thermoscan.anatomy.conventions`. The facts are those of diffusers
0.42 (https://github.com/huggingface/diffusers), which draws nothing itself: weights start as
torch.nn draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from thermoscan.anatomy import draws, flows
from thermoscan.anatomy.conventions import STATED, Convention, Normed, Switch
from thermoscan.anatomy.model import Role
from thermoscan.anatomy.rules import Rule

#: ``act_fn`` of the configuration, which is SiLU where it is silent.
_STATED = f"{STATED}act_fn|silu"

#: Residual blocks of convolutions, and attention over the places of a picture. A block's second
#: convolution, its shortcut and the projected time step add to a sum; what opens the sum or changes
#: its resolution goes on in it, though a branch of the next block normalises and activates it too.
_AUTOENCODER = Convention(
    library="diffusers",
    draw=draws.TORCH,
    defaults={"norm_num_groups": 32.0},
    fires={
        "resnets.conv1": _STATED,
        **dict.fromkeys(
            (
                *("conv_in", "conv_out", "quant_conv", "post_quant_conv"),
                *("resnets.conv2", "resnets.conv_shortcut", "resnets.time_emb_proj"),
                *("downsamplers.conv", "upsamplers.conv"),
            ),
            "identity",
        ),
    },
    normed={"resnets.conv1": Normed("norm2", per_unit=False, groups="norm_num_groups")},
    # what the attention was called before diffusers 0.18
    words={"attentions.proj_attn": Rule(Role.ATTENTION_OUTPUT)},
)
#: The second map of a time step feeds the activation in front of every projection of it.
_UNET = replace(
    _AUTOENCODER,
    note="What a time step adds to the first convolution of a block, before the norm that follows, "
    "is left out.",
    # a feed-forward block is a GEGLU, whatever `act_fn` says
    activation="gelu",
    flows=(flows.DIFFUSION,),
    fires={
        **_AUTOENCODER.fires,
        "time_embedding.linear_1": _STATED,
        "time_embedding.linear_2": _STATED,
        "add_embedding.linear_1": "silu",
        "add_embedding.linear_2": _STATED,
        "attentions.proj_in": "identity",
        "attentions.proj_out": "identity",
    },
    words={
        **_AUTOENCODER.words,
        "ff.net.proj": Rule(Role.UP, (Role.UP, Role.GATE)),
        "ff.net": Rule(Role.DOWN),
    },
)

#: Picture and prompt in one attention. What modulates the norms, and the second map of each
#: embedding of time and prompt, add to a sum; norms have no gain of their own.
_JOINT = Convention(
    library="diffusers",
    activation="gelu_pytorch_tanh",
    draw=draws.TORCH,
    draws={"pos_embed.pos_embed": draws.COMPUTED},
    fires={
        **dict.fromkeys(
            (
                "timestep_embedder.linear_1",
                "guidance_embedder.linear_1",
                "text_embedder.linear_1",
            ),
            "silu",
        ),
        **dict.fromkeys(
            (
                *("timestep_embedder.linear_2", "guidance_embedder.linear_2"),
                *("text_embedder.linear_2", "x_embedder", "context_embedder", "pos_embed.proj"),
                *("norm.linear", "norm1.linear", "norm1_context.linear", "norm_out.linear"),
                "proj_out",
            ),
            "identity",
        ),
    },
    words={
        "attn.add_q_proj": Rule(Role.QUERY),
        "attn.add_k_proj": Rule(Role.KEY),
        "attn.add_v_proj": Rule(Role.VALUE),
        "attn.to_add_out": Rule(Role.ATTENTION_OUTPUT),
        "single_transformer_blocks.proj_mlp": Rule(Role.UP),
        **dict.fromkeys(("ff.net.proj", "ff_context.net.proj"), Rule(Role.UP)),
        **dict.fromkeys(("ff.net", "ff_context.net"), Rule(Role.DOWN)),
    },
)

DIFFUSION: Mapping[str, Convention | Switch] = {
    "AutoencoderKL": _AUTOENCODER,
    "FluxTransformer2DModel": _JOINT,
    "SD3Transformer2DModel": _JOINT,
    # otherwise a time step scales what the norm gives, or attention reads the prompt alone
    "UNet2DConditionModel": Switch(
        "resnet_time_scale_shift",
        "default",
        {"default": Switch("only_cross_attention", False, {False: _UNET})},
    ),
}
