"""The limits in force. `LaneBudgets` is the adapter.

lanes ─► gate ─► cooling, slots, dimension (aiolimiter)      requests in flight, a minute, cool-downs
                 tokens ─► estimates, observer               what a request costs, learned from usage and headers
                 blind                                       the pace where nobody names a limit
"""
