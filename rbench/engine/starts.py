"""Which start of which sample comes next, and in which order what they found counts."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from rbench.engine.slots import Start


@dataclass
class _Sample:
    """Where a sample stands: how many of its starts have begun, how many count already, and the start that fooled it."""

    begun: int = 0
    counted: int = 0
    fooled: int | None = None


class Starts:
    """Hands out the starts of N samples; one that follows another begins when that one has ended, or earlier where places are free.

    What a start finds counts only once all starts before it have ended, so the outcome is that of one start after another. A sample that
    is fooled in one start has none after it.

    Args:
        rows: the samples.
        runs: starts of a sample that survives them all.
        together: starts of one sample may be active at the same time.
    """

    def __init__(self, rows: Iterable[int], runs: int, *, together: bool) -> None:
        self.runs, self.together = runs, together
        self.samples = {row: _Sample() for row in rows}
        self.waiting: deque[Start] = deque()
        for row in self.samples:
            self._begin(row)

    def take(self, free: int, active: int, fill: int) -> list[Start]:
        """The next starts.

        Args:
            free: how many may begin at most.
            active: how many are active.
            fill: up to how many may be active because starts of one sample run together.
        """
        taken = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
        ahead = min(free, fill - active) - len(taken) if self.together else 0
        while ahead > 0:
            more = [row for row, sample in self.samples.items() if self._open(sample)][:ahead]
            if not more:
                break
            for row in more:
                self._begin(row)
            taken += [self.waiting.popleft() for _ in more]
            ahead -= len(more)
        return taken

    def ended(self, start: Start, *, fooled: bool) -> None:
        """Takes note that a start has ended; without success the next one of the sample is put at the end of the line."""
        sample = self.samples[start.row]
        if fooled:
            sample.fooled = start.run if sample.fooled is None else min(start.run, sample.fooled)
            if self.together:
                self.waiting = deque(one for one in self.waiting if one.row != start.row or one.run < start.run)
        elif self._open(sample):
            self._begin(start.row)

    def needless(self, start: Start) -> bool:
        """Whether an earlier start has fooled the sample."""
        sample = self.samples.get(start.row)
        return sample is None or (sample.fooled is not None and sample.fooled < start.run)

    def counts(self, start: Start) -> bool:
        """Whether all starts before it are counted."""
        return self.samples[start.row].counted == start.run

    def count(self, start: Start) -> bool:
        """Takes note that a start is counted; returns whether it was the last of its sample."""
        sample = self.samples[start.row]
        sample.counted += 1
        done = sample.fooled == start.run or sample.counted == self.runs
        if done:
            del self.samples[start.row]
        return done

    def _open(self, sample: _Sample) -> bool:
        return sample.fooled is None and sample.begun < self.runs

    def _begin(self, row: int) -> None:
        sample = self.samples[row]
        self.waiting.append(Start(row, sample.begun))
        sample.begun += 1
