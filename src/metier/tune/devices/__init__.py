"""One tune on several devices: a process per device, replicas or shards of the model."""
