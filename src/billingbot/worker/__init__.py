"""Workers: the doorbell, the runner behind it, and the schedule; jobs live in Postgres, Redis carries ids."""
