"""What other trainers make of their data: their config and files in, rows with their mask out.

``inspect_config(path, choice)`` reads the config of LLaMA-Factory or Axolotl, encodes the files it
names as that trainer would, and runs metier's checks over the result. Nothing of the trainer has
to be installed, and nothing is fetched.

What each setting does was read in the trainers' documentation and sources, at these commits:
LLaMA-Factory ff6d4d12 (August 2026), Axolotl 067b021c (July 2026).
"""

from metier.tune.inspect.others.inspected import inspect_config

__all__ = ["inspect_config"]
