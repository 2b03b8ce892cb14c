"""The torch modules behind the registry that smp does not have; each is imported only when a decoder is built."""
