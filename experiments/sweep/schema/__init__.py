"""What may be said in a sweep file: its sections, their keys, and the parts that keys may name."""
