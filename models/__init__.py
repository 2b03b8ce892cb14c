"""What is trained: encoders, bottlenecks, decoders, heads, and the network they make together.

Knows the parts in `utils` (registry, errors) but no sweep. Importing a registry here costs torch at most
(about one second): smp, timm and torchvision are imported inside the functions that build something, so that
checking a sweep file stays quick.
"""
