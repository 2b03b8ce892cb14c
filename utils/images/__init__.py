"""Pixels: reading, preprocessing, augmenting and caching images and masks, and making them up."""
