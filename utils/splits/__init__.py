"""Splits that do not leak: which cases belong together, which are fit for use, and the folds drawn from them.

`duplicates` finds copies and near-copies, `audit` opens every file, forms the groups and reports `findings`,
`folds` draws or reads the folds over whole groups, by means of `shares`.
"""
