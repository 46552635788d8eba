"""The limits in force. `LaneBudgets` is the adapter.

lanes ─► lane_gate ─► cooling, concurrency_slots, limiter (aiolimiter)   cool-downs, requests in flight, rates
                      concurrency_search                                 how many in flight while no limit is known
                      reservation                                        what an admitted request has taken
                      tokens ─► estimates, charging_model                what a request costs, as replies teach it
                      rate_search                                        the pace while no limit is known
                      daily_quota                                        requests and tokens per day
                      blockers                                           why the next request has to wait

limits combines the limits that were given with those that the provider announces.
"""
