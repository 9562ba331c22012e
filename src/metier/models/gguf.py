"""GGUF: a Llama-, Mistral- or Qwen2-shaped model as one file that llama.cpp and Ollama read.

    save_gguf(merged, path, "q8_0")     # then verify_gguf(merged, path)

The layout is that of llama.cpp's convert_hf_to_gguf.py (github.com/ggml-org/llama.cpp): names from
the ``gguf`` package's own tables, the rows of query and key reordered for Llama's rotary layout,
vectors in float32. What the file cannot hold faithfully is refused in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError, ModelUnavailable, out_of_space
from metier.models.base import Base
from metier.models.gguf_tokens import Vocabulary, read_vocabulary

Precision = Literal["f32", "f16", "q8_0"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ARCHITECTURES = {"llama": "LLAMA", "mistral": "LLAMA", "qwen2": "QWEN2"}
"""transformers' model type -> the architecture's name in ``gguf.MODEL_ARCH``."""
ROTATED = {"llama", "mistral"}
"""Types whose query and key rows llama.cpp wants in the interleaved rotary order."""
BLOCK = 32  # values that share a scale in q8_0


@dataclass(frozen=True, slots=True)
class Verified:
    """A file read back beside the model: ``tensors`` compared, the ``largest`` difference of a
    weight, and its share of the largest weight of that tensor (``relative``)."""

    tensors: int
    values: int
    largest: float
    relative: float


def library() -> Any:
    """Return the ``gguf`` package. Raises ModelUnavailable where it is not installed."""
    try:
        import gguf
    except ImportError as error:
        raise ModelUnavailable(
            "the gguf package, which writes GGUF files",
            got="it is not installed",
            remedy="pip install 'metier[gguf]'",
        ) from error
    return gguf


def save_gguf(base: Base, path: Path, precision: Precision = "f16", *, name: str = "") -> Path:
    """Write a whole model (adapter merged in) with tokenizer and chat template; return ``path``.

    Vectors stay float32; in q8_0 a matrix whose rows do not divide into blocks of 32 is float16.

    Raises:
        InputError: a shape, tokenizer or rotary scaling that is not covered.
        ModelUnavailable: the gguf package is not installed.
    """
    gguf = library()
    kind = _kind(base)
    vocabulary = read_vocabulary(base)
    writer = gguf.GGUFWriter(path=None, arch=gguf.MODEL_ARCH_NAMES[_architecture(gguf, kind)])
    _add_shape(gguf, writer, base, name or base.name, precision)
    _add_vocabulary(writer, vocabulary)
    for title, values in tensors(base):
        stored, form = _stored(gguf, values, precision)
        writer.add_tensor(title, stored, raw_dtype=form)
    with out_of_space("writing the GGUF file"):
        writer.write_header_to_file(path=path)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return path


def verify_gguf(base: Base, path: Path) -> Verified:
    """Read a file back, dequantise it, and compare every tensor with the model's own.

    Raises InputError when a tensor is missing, too many, or lies outside what its precision
    allows (half a step of its scale in q8_0, float16's rounding).
    """
    gguf = library()
    reader = gguf.GGUFReader(path)
    stored = {one.name: one for one in reader.tensors}
    largest, relative, values, count = 0.0, 0.0, 0, 0
    for title, wanted in tensors(base):
        one = stored.pop(title, None)
        if one is None:
            raise _broken(path, f"no tensor {title}")
        found = gguf.quants.dequantize(one.data, one.tensor_type).reshape(wanted.shape)
        gap, most = float(np.abs(found - wanted).max()), float(np.abs(wanted).max())
        if gap > _allowed(gguf, one.tensor_type) * max(most, 1e-6):
            raise _broken(path, f"{title} differs by {gap:.3g}, its largest value being {most:.3g}")
        largest, relative = max(largest, gap), max(relative, gap / most if most else 0.0)
        values, count = values + wanted.size, count + 1
    if stored:
        raise _broken(path, f"further tensors: {', '.join(sorted(stored)[:3])}")
    return Verified(count, values, largest, relative)


def tensors(base: Base) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield name and float32 values of every tensor of the file, in llama.cpp's order of rows."""
    gguf = library()
    config, kind = base.model.config, _kind(base)
    names = gguf.get_tensor_name_map(_architecture(gguf, kind), config.num_hidden_layers)
    tied = bool(getattr(config, "tie_word_embeddings", False))
    for key, tensor in base.model.state_dict().items():
        if key == "lm_head.weight" and tied:
            continue  # llama.cpp takes the embedding where there is no head of its own
        title = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if title is None:
            raise InputError(
                "a model whose every tensor has a name in GGUF",
                got=f"{key} of {base.name}",
                remedy="export it merged, and convert it with llama.cpp's own script",
            )
        values = tensor.detach().float().cpu().numpy()
        if kind in ROTATED and (".q_proj." in key or ".k_proj." in key):
            heads = config.num_attention_heads if ".q_proj." in key else _kv_heads(config)
            values = rotary_rows(values, heads)
        yield title, np.ascontiguousarray(values)
    factors = _rotary_factors(config)
    if factors is not None:
        yield "rope_freqs.weight", factors


def rotary_rows(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Reorder the rows of a query or key projection (or its bias): transformers keeps the two
    halves of a head apart, llama.cpp pairs neighbouring rows."""
    shape = (heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    found: NDArray[np.float32] = values.reshape(shape).swapaxes(1, 2).reshape(values.shape)
    return found


def _kind(base: Base) -> str:
    kind = str(base.model.config.model_type)
    if kind not in ARCHITECTURES:
        raise InputError(
            f"a model of the shape {', '.join(ARCHITECTURES)}",
            got=f"{base.name} of type {kind}",
            remedy="export it merged, and convert it with llama.cpp's own script",
        )
    return kind


def _architecture(gguf: Any, kind: str) -> Any:
    return getattr(gguf.MODEL_ARCH, ARCHITECTURES[kind])


def _kv_heads(config: Any) -> int:
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


def _head_dim(config: Any) -> int:
    own = getattr(config, "head_dim", None)
    return int(own or config.hidden_size // config.num_attention_heads)


def _stored(gguf: Any, values: NDArray[np.float32], precision: Precision) -> tuple[Any, Any]:
    """Return the bytes of a tensor and their type; vectors stay in float32."""
    types = gguf.GGMLQuantizationType
    form = types.F32 if values.ndim == 1 or precision == "f32" else types.F16
    if precision == "q8_0" and values.ndim > 1 and values.shape[-1] % BLOCK == 0:
        form = types.Q8_0
    return gguf.quants.quantize(values, form), form


def _allowed(gguf: Any, form: Any) -> float:
    """Largest difference of a value, as a share of the largest in its tensor."""
    types = gguf.GGMLQuantizationType
    # q8_0: half of 1/127, and the scale itself is a float16; float16: 2^-11, twice for denormals.
    return {types.F32: 0.0, types.F16: 2.0**-10}.get(form, 0.5 / 127 + 2.0**-10)


def _add_shape(gguf: Any, writer: Any, base: Base, name: str, precision: Precision) -> None:
    config = base.model.config
    writer.add_name(name)
    writer.add_context_length(_context(base))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(_kv_heads(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    for add in (writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count):
        add(_head_dim(config))
    rotary = _rotary(config)
    writer.add_rope_freq_base(float(rotary.get("rope_theta", 10_000.0)))
    if rotary.get("rope_type", "default") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rotary["factor"]))
    kinds = gguf.LlamaFileType
    forms = {"f32": kinds.ALL_F32, "f16": kinds.MOSTLY_F16, "q8_0": kinds.MOSTLY_Q8_0}
    writer.add_file_type(forms[precision])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _context(base: Base) -> int:
    """The context length; no longer than a sliding window, which llama.cpp's graph of these shapes
    does not have: up to there both are the same model."""
    config = base.model.config
    window = getattr(config, "sliding_window", None)
    if not window or getattr(config, "use_sliding_window", True) is False:
        return base.max_tokens
    return min(base.max_tokens, int(window))


def _rotary(config: Any) -> Mapping[str, Any]:
    found = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = found.get("rope_type", "default")
    if kind not in ("default", "linear", "llama3"):
        raise InputError(
            "rotary positions without scaling, or scaled as linear or llama3",
            got=f"rope_type {kind!r}",
            remedy="export it merged, and convert it with llama.cpp's own script",
        )
    return dict(found)


def _rotary_factors(config: Any) -> NDArray[np.float32] | None:
    """Divisors of the rotary frequencies of Llama 3.1 and later (transformers'
    modeling_rope_utils.py, _compute_llama3_parameters), None where there are none."""
    rotary = _rotary(config)
    if rotary.get("rope_type") != "llama3":
        return None
    dim = _head_dim(config)
    theta, factor = float(rotary["rope_theta"]), float(rotary["factor"])
    low, high = float(rotary["low_freq_factor"]), float(rotary["high_freq_factor"])
    old = float(rotary["original_max_position_embeddings"])
    lengths = 2 * np.pi * theta ** (np.arange(0, dim, 2, dtype=np.float64) / dim)
    smooth = (old / lengths - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    found = np.where(lengths < old / high, 1.0, np.where(lengths > old / low, factor, between))
    return found.astype(np.float32)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_eos_token_id(vocabulary.end_of_turn)
    writer.add_eot_token_id(vocabulary.end_of_turn)
    if vocabulary.bos is not None:
        writer.add_bos_token_id(vocabulary.bos)
    if vocabulary.pad is not None:
        writer.add_pad_token_id(vocabulary.pad)
    writer.add_add_bos_token(vocabulary.begins_with_bos)
    writer.add_add_eos_token(False)
    writer.add_chat_template(vocabulary.template)


def _broken(path: Path, what: str) -> InputError:
    return InputError(
        f"{path.name} to hold the model it was made from",
        got=what,
        remedy="export it again; if it stays so, the file system or the converter is at fault",
    )


__all__ = [
    "PRECISIONS",
    "Precision",
    "Verified",
    "library",
    "rotary_rows",
    "save_gguf",
    "tensors",
    "verify_gguf",
]
