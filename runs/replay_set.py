"""Make the bundled general examples of ``[tune] algorithm.replay``: what a base should not forget.

Exercises as the bundled base was made with (``instructions.py``, under a seed of their own), short
passages of plain English, and questions anybody can answer (``replay_set.toml``). None of them is
an item or a text that ``metier probe forgetting`` measures with: a test holds the two apart.

    python runs/replay_set.py > src/metier/tune/tokens/general.jsonl
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from instructions import conversations

EXERCISES, SEED, LONGEST = 320, 977, 600


def main() -> None:
    words = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    rows: list[object] = [{"text": text} for text in words["passages"]]
    rows += [
        {"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]}
        for ask, answer in words["questions"]
    ]
    rows += [
        {"messages": chat}
        for chat in conversations(EXERCISES, SEED)
        if sum(len(turn["content"]) for turn in chat) <= LONGEST
    ]
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
