"""The torch modules behind the registry; each is imported only when attention is built."""
