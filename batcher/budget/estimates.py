"""Learns the size of requests from replies: prompt tokens, and output tokens if no maximum is stated."""

from batcher.domain.lanes import Charge
from batcher.policy.rate.charging import Need

#: Weight of the past per reply for prompts, and of a new reply for outputs.
_KEEP_PROMPTS, _OUTPUT_WEIGHT = 0.98, 0.05
#: Bounds of the ratio: outside them the usage counts something else (images, cached prompts).
_LEAST_RATIO, _MOST_RATIO = 0.2, 5.0


class Estimates:
    """Prompt tokens counted by the provider per token estimated, and the mean output of a request."""

    __slots__ = ("_counted", "_estimated", "output", "ratio")

    def __init__(self, *, ratio: float = 1.0, output: float | None = None) -> None:
        self.ratio = ratio
        self.output = output
        self._counted = self._estimated = 0.0

    def need(self, charge: Charge) -> Need:
        """Return what a request will probably take."""
        given = float(charge.output_tokens)
        output = self.output
        if output is None:
            return Need(charge.input_tokens * self.ratio, given, given, charge.counted)
        most = given if charge.bounded else output
        return Need(charge.input_tokens * self.ratio, most, min(output, most), charge.counted)

    def learn(self, charge: Charge, *, counted: int | None, produced: int | None) -> None:
        """Learn from a reply's input tokens, as far as they count toward a limit, and its output tokens."""
        if counted and charge.input_tokens:
            self._counted = _KEEP_PROMPTS * self._counted + counted
            self._estimated = _KEEP_PROMPTS * self._estimated + charge.input_tokens
            self.ratio = min(_MOST_RATIO, max(_LEAST_RATIO, self._counted / self._estimated))
        if produced is not None and charge.output_tokens:
            last = float(produced) if self.output is None else self.output
            self.output = last + _OUTPUT_WEIGHT * (produced - last)
