"""The limits in force. `LaneBudgets` is the adapter.

lanes ─► lane_gate ─► cooling, concurrency_slots, limiter (aiolimiter)   requests in flight, a minute, cool-downs
                      tokens ─► estimates, charging_model                what a request costs, as replies teach it
                      rate_search                                        the pace while no limit is known
                      daily_quota                                        requests and tokens a day
"""
