"""How a sweep becomes results: sweep file, runs, scheduling, training, ledger, statistics, leaderboard, study."""
