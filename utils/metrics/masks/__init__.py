"""What per-case metrics see: a pair of masks, their surfaces and their instances, each worked out once per case."""
