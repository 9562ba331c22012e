"""Where it fails: slices, groups, clusters of failures, and the data to collect next."""
