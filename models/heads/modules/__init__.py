"""The torch modules behind the registry; each is imported only when a head is built."""
