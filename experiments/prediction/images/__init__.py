"""Folders of images: found, predicted in batches, written, and taken up again where it was stopped."""
