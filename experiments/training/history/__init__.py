"""What the epochs of a run have come to, and what they took."""
