"""The report of a sweep: one page that answers its question, and tables to paste into a paper.

A function of the ledger and the sweep file, as the leaderboard is: it holds no time of writing, and the same ledger
gives the same bytes. Every number on it is read from the leaderboard's own table, so that the two cannot differ.
`experiments.report.writing` is the way in; it is not imported here, since it brings matplotlib and torch with it.
"""
