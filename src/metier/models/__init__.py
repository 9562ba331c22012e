"""Base models, prompts, engines, classical models: everything that answers a conversation.

Import from the module that owns the name: ``base`` loads, ``prompt`` writes and reads, ``answer``
asks, ``engines`` run, ``classical`` fits without a language model, ``adapters`` keeps LoRA.
"""

__all__: list[str] = []
