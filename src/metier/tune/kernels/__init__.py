"""How the arithmetic is done: which kernels a machine has, and hand-written forward and backward
passes for the parts of a LoRA tune that cost most on a CPU."""
