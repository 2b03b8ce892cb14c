"""The torch modules behind the registry; each is imported only when a bottleneck is built."""
