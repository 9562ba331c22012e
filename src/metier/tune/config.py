"""The ``[tune]`` section: what is trained, how fast, and how long. Imports no torch.

[tune]
method = { type = "lora", r = 8, alpha = 16, targets = "all-linear" }
lr = 2e-4
epochs = 3
batch_tokens = 2048
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from metier.core.objective import Section

Fraction = Annotated[float, Field(ge=0, lt=1)]


Scale = Annotated[float, Field(gt=0, le=1)]


class LowRank(Section):
    """What every low-rank adapter has, whatever the precision of the base beneath it."""

    r: int = Field(default=8, ge=1, le=1024)
    """Rank of the adapter's matrices."""
    alpha: float = Field(default=16, gt=0)
    """Scale of the adapter: its output is multiplied by alpha / r."""
    dropout: Fraction = 0.0
    """Fraction of the adapter's inputs dropped while training; 0 is fastest."""
    targets: str | list[str] = "all-linear"
    """Layers that get an adapter: all-linear, or a list of module names."""
    scale: Scale = 1.0
    """Part of what was learned that the run leaves (alpha is multiplied by it); under 1 gives up
    some of the task for what the base could do before."""


class Lora(LowRank):
    """Train a low-rank adapter beside the frozen base (LoRA, arXiv 2106.09685)."""

    type: Literal["lora"] = "lora"
    """Which method this table sets up."""


class Qlora(LowRank):
    """LoRA over a base held in 4 bits (QLoRA, arXiv 2305.14314); needs the extra `quant`."""

    type: Literal["qlora"] = "qlora"
    """Which method this table sets up."""
    quant: Literal["nf4", "fp4"] = "nf4"
    """Levels of the 4-bit numbers: nf4 (for weights that are normally distributed) or fp4."""
    double_quant: bool = True
    """Also hold the blocks' scales in 8 bits: 0.37 bit less per weight."""


class Peft(Section):
    """Any adapter that PEFT knows and that leaves the prompt as it is."""

    type: Literal["peft"] = "peft"
    """Which method this table sets up."""
    peft: dict[str, Any]
    """PEFT's own settings: peft_type (IA3, VERA, OFT, LOKR, LORA, ...) and that type's keys."""

    @field_validator("peft")
    @classmethod
    def _names_its_type(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(given.get("peft_type"), str):
            raise ValueError('needs peft_type, e.g. { peft_type = "IA3" }')
        return given


class Full(Section):
    """Train every weight of the base. The result is a whole model, not an adapter."""

    type: Literal["full"] = "full"
    """Which method this table sets up."""
    scale: Scale = 1.0
    """Part of the way from the base's weights to the tuned ones at which the run's model lies
    (WiSE-FT, arXiv 2109.01903); 1: the tuned ones."""


class HostedHyperparameters(Section):
    """What a host is asked for; auto leaves it to the host."""

    n_epochs: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Passes over the training rows."""
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Examples per optimiser step."""
    learning_rate_multiplier: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """What the host's own learning rate is multiplied by."""


class Hosted(Section):
    """Send the rows to an OpenAI-compatible fine-tuning API, once [privacy.egress] permits it."""

    type: Literal["hosted"] = "hosted"
    """Which method this table sets up."""
    url: str = Field(default="https://api.openai.com/v1", min_length=1)
    """Address of the API, up to and with /v1."""
    model: str = Field(min_length=1)
    """Model to tune, by its name at the host."""
    key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key."""
    suffix: str = Field(default="", max_length=64)
    """Ending for the tuned model's name at the host; empty: none."""
    hyperparameters: HostedHyperparameters = HostedHyperparameters()
    """What the host is asked for."""
    poll_s: float = Field(default=5.0, gt=0, le=600)
    """Seconds between two questions how the job stands; more while nothing changes, up to 60."""


Method = Annotated[Lora | Qlora | Peft | Full | Hosted, Field(discriminator="type")]


class Replay(Section):
    """General examples among the task's, against forgetting (rehearsal)."""

    source: str = "general"
    """general (rows that come with metier), or a JSONL file of conversations."""
    share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the loss that the general examples have."""


class Sft(Section):
    """Learn the wanted replies token by token (supervised fine-tuning)."""

    type: Literal["sft"] = "sft"
    """Which algorithm this table sets up."""
    loss_share: Literal["tokens", "fields"] = "tokens"
    """What weighs the same in the loss: every supervised token, or (structured tasks) every field
    of the reply, so that a label of two tokens is not drowned by a text of forty."""
    turns: Literal["all", "last"] = "all"
    """Which assistant turns are learned: all (but those of weight 0), or only the last."""
    replay: Replay | None = None
    """General examples mixed in against forgetting; absent: none."""
    boilerplate: Literal["refuse", "allow"] = "refuse"
    """Whether to train where nearly all replies begin or end with the same long words."""


class Pretrain(Section):
    """Go on with pre-training on raw text of the domain: every token is supervised."""

    type: Literal["pretrain"] = "pretrain"
    """Which algorithm this table sets up."""
    texts: list[str] = Field(default=[])
    """Text, Markdown or JSONL (text) files to read; empty: the texts of the version's rows."""
    window: int = Field(default=512, ge=16)
    """Longest window in tokens that a text is cut into (never above max_tokens)."""
    new_tokens: int = Field(default=0, ge=0, le=20_000)
    """Most words of the domain that become tokens of their own; 0: the vocabulary stays."""
    held_out: Fraction = 0.1
    """Share of the texts kept for the perplexity where the version has no validation split."""
    replay: Replay | None = None
    """General examples mixed in against forgetting; absent: none."""


class ScorerReward(Section):
    """A scorer, or one of the objective's checks, as a reward: what it gives the reply."""

    type: Literal["scorer"] = "scorer"
    """Which reward this table sets up."""
    name: str
    """Name of the scorer (``metier metrics`` lists them) or check."""
    weight: float = 1.0
    """What its value is multiplied by; negative: the less the better."""


class ModelReward(Section):
    """A reward model, tuned on preferences or ratings with ``algorithm = { type = "reward" }``."""

    type: Literal["model"] = "model"
    """Which reward this table sets up."""
    run: str
    """The run that left the reward model."""
    weight: float = 1.0
    """What its score is multiplied by."""


RewardTerm = Annotated[ScorerReward | ModelReward, Field(discriminator="type")]


class Grpo(Section):
    """Learn from the model's own replies by their rewards (GRPO, arXiv 2402.03300)."""

    type: Literal["grpo"] = "grpo"
    """Which algorithm this table sets up."""
    reward: list[RewardTerm]
    """What replies are worth: the sum of these."""
    group: int = Field(default=8, ge=2, le=256)
    """Replies drawn to each prompt; each is judged against the mean of its group."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Most tokens of a drawn reply."""
    temperature: float = Field(default=1.0, gt=0, le=5)
    """Temperature at which replies are drawn."""
    beta: float = Field(default=0.0, ge=0)
    """Weight of the KL term that holds the model near its start; 0: none."""
    scale: Literal["group", "none"] = "group"
    """Advantages in standard deviations of the group, or in points of the reward
    (arXiv 2503.20783, section 3.1: dividing favours prompts whose replies are nearly alike)."""


class Dpo(Section):
    """Learn from pairs of replies which one is preferred (DPO, arXiv 2305.18290)."""

    type: Literal["dpo"] = "dpo"
    """Which algorithm this table sets up."""
    beta: float = Field(default=0.1, gt=0)
    """How strongly the model is held near its reference; the larger, the nearer."""
    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    """sigmoid (DPO), or ipo (arXiv 2310.12036), which does not push sure pairs ever further."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """sigmoid only: share of pairs believed to be the wrong way round (arXiv 2403.00409)."""
    sft_weight: float = Field(default=0.0, ge=0)
    """Weight of the chosen replies' own loss (nats per token) beside that of the pairs; 1 keeps
    their likelihood up (arXiv 2404.19733)."""
    reference: Literal["start", "base"] = "start"
    """What the model is held near: itself as training starts, or the base without any adapter."""

    @model_validator(mode="after")
    def _smoothing_fits(self) -> Self:
        if self.label_smoothing and self.loss != "sigmoid":
            raise ValueError('label_smoothing goes with loss = "sigmoid"')
        return self


class Kto(Section):
    """Learn from replies that were wanted or not, in pairs or alone (KTO, arXiv 2402.01306)."""

    type: Literal["kto"] = "kto"
    """Which algorithm this table sets up."""
    beta: float = Field(default=0.1, gt=0)
    """How strongly the model is held near its reference; the larger, the nearer."""
    desirable_weight: float = Field(default=1.0, ge=0)
    """Weight of wanted replies in the loss."""
    undesirable_weight: float = Field(default=1.0, ge=0)
    """Weight of unwanted replies in the loss."""
    verdict: str | None = None
    """Slice that says of rows with one reply whether it was wanted: yes, good, up, 1, true or no,
    bad, down, 0, false (absent: only pairs are learned from)."""
    reference: Literal["start", "base"] = "start"
    """What the model is held near: itself as training starts, or the base without any adapter."""


class Reward(Section):
    """Learn to score replies from pairs: a reward model (Bradley and Terry, arXiv 2203.02155)."""

    type: Literal["reward"] = "reward"
    """Which algorithm this table sets up."""
    margin: bool = False
    """Whether scores must differ by the pair's margin in rating points (arXiv 2307.09288, section
    3.2.2)."""
    center: float = Field(default=0.01, ge=0)
    """Weight that holds a pair's scores around zero (arXiv 2312.09244, section 2); 0: none."""


Algorithm = Annotated[Sft | Pretrain | Grpo | Dpo | Kto | Reward, Field(discriminator="type")]


class Schedule(Section):
    """How the learning rate moves over the run."""

    type: Literal["linear", "cosine", "constant"] = "linear"
    """Shape after the warm-up: down to zero in a line or a half cosine, or flat."""
    warmup: Fraction = 0.03
    """Fraction of all optimiser steps over which the rate rises from zero."""


OF_HOSTED = frozenset({"method", "algorithm", "eval_examples", "seed"})
"""Settings that a hosted method has, too."""


class TuneConfig(Section):
    """How the base model is fine-tuned on a frozen data version."""

    method: Method = Lora()
    """What is trained: lora, qlora or peft (an adapter), or full (every weight)."""
    algorithm: Algorithm = Sft()
    """What is learned from, and by which loss: sft (wanted replies) or pretrain (raw text)."""
    start_from: str | None = None
    """Run, release or folder whose weights the tune begins with; absent: the base's own."""
    lr: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = 2e-4
    """Peak learning rate; auto takes one from the model's width (very small models want more)."""
    epochs: float = Field(default=3.0, gt=0, le=1000)
    """Passes over the training split; 1.5 is one and a half."""
    batch_tokens: int = Field(default=2048, ge=16)
    """Most real (not padding) tokens in one optimiser step; longer examples go alone."""
    micro_batch_tokens: int | None = Field(default=None, ge=16)
    """Most tokens in one forward pass, to save memory (absent: the whole step in one pass)."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Compute activations twice to hold fewer: slower, less memory; auto: only where the forecast
    says that it does not fit otherwise."""
    attention: Literal["auto", "sdpa", "varlen", "flash", "flex"] = "auto"
    """Kernel for the attention of packed rows: auto (what the machine does best), or a named one;
    all but sdpa need a GPU."""
    schedule: Schedule = Schedule()
    """How the learning rate moves over the run."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Gradients are scaled down to this norm; 0 leaves them alone."""
    max_tokens: int = Field(default=1024, ge=8)
    """Longest example in tokens (never above what the base takes); longer prompts are shortened."""
    eval_every: int = Field(default=0, ge=0)
    """Optimiser steps between validation losses; 0: after every epoch."""
    eval_examples: int = Field(default=500, ge=1)
    """Validation examples measured each time, drawn once under the seed when there are more."""
    eval_task_examples: int = Field(default=64, ge=0)
    """Validation examples that the weights of the moment answer each time, drawn once under the
    seed, so that the task's own metric is seen while training; 0: none."""
    best_by: str = "auto"
    """What makes a validation the best: auto (the task's metric where replies are measured, else
    the loss), loss, or a metric's name. Ties, within a standard error, go to the lower loss."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many validations in a row without a new best; 0: never stop early."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Optimiser steps between checkpoints, beside the one at each validation."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints kept on disk; the best is kept besides."""
    disk_gb: float | None = Field(default=None, gt=0)
    """Most gigabytes (1e9 bytes) that a run's checkpoints take, the one being written included:
    older ones go first, never the newest whole one nor the best (absent: what the disk has)."""
    mlflow: str | None = None
    """MLflow tracking URI to send settings and series to (sqlite:///…, file:… or http(s)://…, which
    needs an entry in [privacy.egress]); needs the extra `mlflow` (absent: none)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the adapter's start, the order of examples and dropout."""

    @model_validator(mode="after")
    def _a_host_decides_the_rest(self) -> Self:
        if not isinstance(self.method, Hosted):
            return self
        usual = type(self).model_fields
        changed = [
            name
            for name, value in self
            if name not in OF_HOSTED and value != usual[name].get_default(call_default_factory=True)
        ]
        learned = type(self.algorithm).model_fields
        changed += [
            f"algorithm.{name}"
            for name, value in self.algorithm
            if name not in ("type", "beta") and value != learned[name].default
        ]
        if changed:
            raise ValueError(
                f"a hosted method takes no {', '.join(changed)}: what the host is asked for stands "
                "in method.hyperparameters"
            )
        return self
