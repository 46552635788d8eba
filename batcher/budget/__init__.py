"""The limits in force: rates on aiolimiter, requests in flight, cool-downs. `LaneBudgets` is the adapter."""
