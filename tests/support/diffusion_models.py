"""Names and shapes of tiny models of diffusers, and folders that hold them as a pipeline.

The names, shapes and configurations are those of diffusers 0.42.1
(https://github.com/huggingface/diffusers) for four classes made with the configurations below,
which was compared once: they are the same. Weights are drawn as
torch.nn draws them, as diffusers leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Shapes = dict[str, tuple[int, ...]]

WIDTHS = (32, 64)
CONTEXT = 48
GROUPS = 8
_TIME = 128
_LATENT = 4

UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "_diffusers_version": "0.42.1",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": list(WIDTHS),
    "cross_attention_dim": CONTEXT,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": GROUPS,
    "only_cross_attention": False,
    "resnet_time_scale_shift": "default",
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "use_linear_projection": False,
}
VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.42.1",
    "act_fn": "silu",
    "block_out_channels": list(WIDTHS),
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
    "latent_channels": _LATENT,
    "layers_per_block": 1,
    "norm_num_groups": GROUPS,
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"],
}
FLUX: dict[str, Any] = {
    "_class_name": "FluxTransformer2DModel",
    "_diffusers_version": "0.42.1",
    "attention_head_dim": 16,
    "axes_dims_rope": [4, 4, 8],
    "guidance_embeds": True,
    "in_channels": _LATENT,
    "joint_attention_dim": CONTEXT,
    "num_attention_heads": 4,
    "num_layers": 2,
    "num_single_layers": 2,
    "patch_size": 1,
    "pooled_projection_dim": 40,
}
SD3: dict[str, Any] = {
    "_class_name": "SD3Transformer2DModel",
    "_diffusers_version": "0.42.1",
    "attention_head_dim": 16,
    "caption_projection_dim": 64,
    "in_channels": _LATENT,
    "joint_attention_dim": CONTEXT,
    "num_attention_heads": 4,
    "num_layers": 2,
    "out_channels": _LATENT,
    "patch_size": 2,
    "pooled_projection_dim": 40,
    "pos_embed_max_size": 12,
    "sample_size": 8,
}
INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def _map(path: str, outputs: int, inputs: int, kernel: int = 0, bias: bool = True) -> Shapes:
    """A linear map, or a convolution with a square kernel."""
    shapes: Shapes = {f"{path}.weight": (outputs, inputs, *([kernel] * 2 if kernel else []))}
    return shapes | ({f"{path}.bias": (outputs,)} if bias else {})


def _norm(path: str, width: int) -> Shapes:
    return {f"{path}.weight": (width,), f"{path}.bias": (width,)}


def _resnet(path: str, inputs: int, outputs: int, time: int = 0) -> Shapes:
    """A residual block of two convolutions."""
    return {
        **_norm(f"{path}.norm1", inputs),
        **_map(f"{path}.conv1", outputs, inputs, 3),
        **(_map(f"{path}.time_emb_proj", outputs, time) if time else {}),
        **_norm(f"{path}.norm2", outputs),
        **_map(f"{path}.conv2", outputs, outputs, 3),
        **(_map(f"{path}.conv_shortcut", outputs, inputs, 1) if inputs != outputs else {}),
    }


def _attention(path: str, width: int, context: int, bias: bool) -> Shapes:
    return {
        **_map(f"{path}.to_q", width, width, bias=bias),
        **_map(f"{path}.to_k", width, context, bias=bias),
        **_map(f"{path}.to_v", width, context, bias=bias),
        **_map(f"{path}.to_out.0", width, width),
    }


def _transformer(path: str, width: int) -> Shapes:
    """Attention of a picture to itself and to a prompt, and a gated feed-forward block."""
    block = f"{path}.transformer_blocks.0"
    return {
        **_norm(f"{path}.norm", width),
        **_map(f"{path}.proj_in", width, width, 1),
        **_norm(f"{block}.norm1", width),
        **_attention(f"{block}.attn1", width, width, bias=False),
        **_norm(f"{block}.norm2", width),
        **_attention(f"{block}.attn2", width, CONTEXT, bias=False),
        **_norm(f"{block}.norm3", width),
        **_map(f"{block}.ff.net.0.proj", 8 * width, width),
        **_map(f"{block}.ff.net.2", width, 4 * width),
        **_map(f"{path}.proj_out", width, width, 1),
    }


def unet_shapes() -> Shapes:
    """The tensors of the tiny `UNet2DConditionModel`."""
    low, high = WIDTHS
    return {
        **_map("conv_in", low, _LATENT, 3),
        **_map("time_embedding.linear_1", _TIME, low),
        **_map("time_embedding.linear_2", _TIME, _TIME),
        **_transformer("down_blocks.0.attentions.0", low),
        **_resnet("down_blocks.0.resnets.0", low, low, _TIME),
        **_map("down_blocks.0.downsamplers.0.conv", low, low, 3),
        **_resnet("down_blocks.1.resnets.0", low, high, _TIME),
        **_resnet("up_blocks.0.resnets.0", 2 * high, high, _TIME),
        **_resnet("up_blocks.0.resnets.1", high + low, high, _TIME),
        **_map("up_blocks.0.upsamplers.0.conv", high, high, 3),
        **_transformer("up_blocks.1.attentions.0", low),
        **_transformer("up_blocks.1.attentions.1", low),
        **_resnet("up_blocks.1.resnets.0", high + low, low, _TIME),
        **_resnet("up_blocks.1.resnets.1", 2 * low, low, _TIME),
        **_transformer("mid_block.attentions.0", high),
        **_resnet("mid_block.resnets.0", high, high, _TIME),
        **_resnet("mid_block.resnets.1", high, high, _TIME),
        **_norm("conv_norm_out", low),
        **_map("conv_out", _LATENT, low, 3),
    }


def _middle(path: str, width: int) -> Shapes:
    return {
        **_norm(f"{path}.attentions.0.group_norm", width),
        **_attention(f"{path}.attentions.0", width, width, bias=True),
        **_resnet(f"{path}.resnets.0", width, width),
        **_resnet(f"{path}.resnets.1", width, width),
    }


def vae_shapes() -> Shapes:
    """The tensors of the tiny `AutoencoderKL`."""
    low, high = WIDTHS
    return {
        **_map("encoder.conv_in", low, 3, 3),
        **_resnet("encoder.down_blocks.0.resnets.0", low, low),
        **_map("encoder.down_blocks.0.downsamplers.0.conv", low, low, 3),
        **_resnet("encoder.down_blocks.1.resnets.0", low, high),
        **_middle("encoder.mid_block", high),
        **_norm("encoder.conv_norm_out", high),
        **_map("encoder.conv_out", 2 * _LATENT, high, 3),
        **_map("decoder.conv_in", high, _LATENT, 3),
        **_resnet("decoder.up_blocks.0.resnets.0", high, high),
        **_resnet("decoder.up_blocks.0.resnets.1", high, high),
        **_map("decoder.up_blocks.0.upsamplers.0.conv", high, high, 3),
        **_resnet("decoder.up_blocks.1.resnets.0", high, low),
        **_resnet("decoder.up_blocks.1.resnets.1", low, low),
        **_middle("decoder.mid_block", high),
        **_norm("decoder.conv_norm_out", low),
        **_map("decoder.conv_out", 3, low, 3),
        **_map("quant_conv", 2 * _LATENT, 2 * _LATENT, 1),
        **_map("post_quant_conv", _LATENT, _LATENT, 1),
    }


_WIDTH = 64
_POOLED = 40
_WAVES = 256


def _embedder(path: str, inputs: int) -> Shapes:
    return {
        **_map(f"{path}.linear_1", _WIDTH, inputs),
        **_map(f"{path}.linear_2", _WIDTH, _WIDTH),
    }


def _joint(path: str, last: bool, normed: bool) -> Shapes:
    """A block in which picture and prompt attend to each other; the last may drop the prompt."""
    norms = ("norm_q", "norm_k", "norm_added_q", "norm_added_k") if normed else ()
    shapes: Shapes = {
        **_map(f"{path}.norm1.linear", 6 * _WIDTH, _WIDTH),
        **_map(f"{path}.norm1_context.linear", (2 if last else 6) * _WIDTH, _WIDTH),
        **{f"{path}.attn.{norm}.weight": (16,) for norm in norms},
        **_attention(f"{path}.attn", _WIDTH, _WIDTH, bias=True),
    }
    for name in ("add_q_proj", "add_k_proj", "add_v_proj", *(() if last else ("to_add_out",))):
        shapes |= _map(f"{path}.attn.{name}", _WIDTH, _WIDTH)
    for name in ("ff",) if last else ("ff", "ff_context"):
        shapes |= _map(f"{path}.{name}.net.0.proj", 4 * _WIDTH, _WIDTH)
        shapes |= _map(f"{path}.{name}.net.2", _WIDTH, 4 * _WIDTH)
    return shapes


def _single(path: str) -> Shapes:
    """A block of attention and feed-forward part side by side."""
    attention = _attention(f"{path}.attn", _WIDTH, _WIDTH, bias=True)
    return {
        **_map(f"{path}.norm.linear", 3 * _WIDTH, _WIDTH),
        **_map(f"{path}.proj_mlp", 4 * _WIDTH, _WIDTH),
        **_map(f"{path}.proj_out", _WIDTH, 5 * _WIDTH),
        **{f"{path}.attn.{norm}.weight": (16,) for norm in ("norm_q", "norm_k")},
        **{name: shape for name, shape in attention.items() if ".to_out." not in name},
    }


def flux_shapes() -> Shapes:
    """The tensors of the tiny `FluxTransformer2DModel`."""
    shapes: Shapes = {
        **_embedder("time_text_embed.timestep_embedder", _WAVES),
        **_embedder("time_text_embed.guidance_embedder", _WAVES),
        **_embedder("time_text_embed.text_embedder", _POOLED),
        **_map("context_embedder", _WIDTH, CONTEXT),
        **_map("x_embedder", _WIDTH, _LATENT),
        **_map("norm_out.linear", 2 * _WIDTH, _WIDTH),
        **_map("proj_out", _LATENT, _WIDTH),
    }
    for k in range(2):
        shapes |= _joint(f"transformer_blocks.{k}", last=False, normed=True)
        shapes |= _single(f"single_transformer_blocks.{k}")
    return shapes


def sd3_shapes() -> Shapes:
    """The tensors of the tiny `SD3Transformer2DModel`."""
    return {
        "pos_embed.pos_embed": (1, 144, _WIDTH),
        **_map("pos_embed.proj", _WIDTH, _LATENT, 2),
        **_embedder("time_text_embed.timestep_embedder", _WAVES),
        **_embedder("time_text_embed.text_embedder", _POOLED),
        **_map("context_embedder", _WIDTH, CONTEXT),
        **_joint("transformer_blocks.0", last=False, normed=False),
        **_joint("transformer_blocks.1", last=True, normed=False),
        **_map("norm_out.linear", 2 * _WIDTH, _WIDTH),
        **_map("proj_out", 4 * _LATENT, _WIDTH),
    }


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Draws the tensors: maps uniform in ±1/√fan_in, gains 1, other vectors 0."""
    rng = np.random.default_rng(seed)
    return {name: _draw(rng, name, shape) for name, shape in shapes.items()}


def _draw(
    rng: np.random.Generator, name: str, shape: tuple[int, ...]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    if len(shape) == 1:
        return np.full(shape, float(name.endswith(".weight")), np.float32)
    bound = float(np.prod(shape[1:])) ** -0.5
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def write_component(
    folder: Path,
    config: Mapping[str, Any] | None,
    tensors: Mapping[str, Any],
    name: str = "diffusion_pytorch_model.safetensors",
) -> Path:
    """Writes a component's folder; returns the weight file."""
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    save_file(dict(tensors), folder / name)
    return folder / name


def write_pipeline(folder: Path, seed: int = 0) -> Path:
    """Writes a pipeline of a text encoder, a UNet and an autoencoder, and what lies beside."""
    from support.model_folders import write_model

    write_component(folder / "unet", UNET, drawn(unet_shapes(), seed))
    write_component(folder / "vae", VAE, drawn(vae_shapes(), seed + 1))
    write_model(folder / "text_encoder", "clip_text_model", "Model", seed)
    for name, file in _WITHOUT_WEIGHTS:
        (folder / name).mkdir()
        (folder / name / file).write_text("{}")
    write_index(folder, INDEX)
    return folder


_WITHOUT_WEIGHTS = (
    ("scheduler", "scheduler_config.json"),
    ("tokenizer", "tokenizer_config.json"),
)


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Writes the ``model_index.json`` of a pipeline."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(index))


def names_of(shapes: Mapping[str, tuple[int, ...]], component: str) -> Iterator[str]:
    """The names that a pipeline gives to a component's tensors."""
    return (f"{component}.{name}" for name in shapes)
