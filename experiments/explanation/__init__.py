"""What a network looks at when it diagnoses and segments: class activation and attention maps, and their share inside
the lesion.
"""

from experiments.explanation.activation import ActivationMaps, Aim, Method
from experiments.explanation.attention import attention_maps
from experiments.explanation.explanation import Explainer, Explanation, energy_inside

__all__ = ["ActivationMaps", "Aim", "Explainer", "Explanation", "Method", "attention_maps", "energy_inside"]
