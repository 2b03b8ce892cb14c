"""The torch modules behind the registry; each is imported only when a latent augmentation is built."""
