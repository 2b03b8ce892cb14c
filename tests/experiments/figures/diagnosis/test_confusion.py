from __future__ import annotations

import numpy as np

from experiments.figures.diagnosis.confusion import shares_of_rows


def test_rows_add_up_to_one_and_a_class_without_a_case_has_no_share() -> None:
    shares = shares_of_rows(np.array([[3, 1], [0, 0]]))
    assert shares[0].tolist() == [0.75, 0.25] and np.isnan(shares[1]).all()
