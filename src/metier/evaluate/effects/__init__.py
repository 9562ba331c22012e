"""What tuning did beside the task: forgetting, memorisation, calibration, robustness, parity."""
