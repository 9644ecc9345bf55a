"""The choice between threads that spin and threads that sleep while they wait for each other, by measurement."""

from __future__ import annotations

from dataclasses import dataclass

# Batches over which the share of processor time is taken.
NOTICED_BATCHES = 32
# A thread that spins while it waits always runs, unless others do.
FREE_SHARE = 0.9
# Batches of each quarter of a trial. The first of each is not counted: the threads of the other way still spin.
QUARTER_BATCHES = 8
# Sleeping must be faster by this factor, so that chance does not choose it on a machine without other work.
SLEEPING_GAIN = 0.9
TRIAL_SECONDS, MOST_TRIAL_SECONDS = 10.0, 60.0


@dataclass
class _Sum:
    """Sums over batches.

    :param of: what ``seconds`` are divided by: tokens, or seconds too.
    """

    seconds: float = 0.0
    of: float = 0.0

    def add(self, seconds: float, of: float) -> None:
        """Add a batch."""
        self.seconds += seconds
        self.of += of

    @property
    def ratio(self) -> float:
        """The quotient of the sums."""
        return self.seconds / self.of


class _Trial:
    """Batches in both ways, spinning at the beginning and at the end, so that a trend favours neither."""

    def __init__(self) -> None:
        self._batches = 0
        self._costs = {True: _Sum(), False: _Sum()}

    @property
    def spins(self) -> bool:
        """The way of the next batch."""
        return self._batches // QUARTER_BATCHES in (0, 3)

    @property
    def is_over(self) -> bool:
        """Whether all of its batches ran."""
        return self._batches == 4 * QUARTER_BATCHES

    @property
    def sleeping_of_spinning(self) -> float:
        """The time of a token while threads sleep, over that while they spin."""
        return self._costs[False].ratio / self._costs[True].ratio

    def record(self, seconds: float, tokens: int) -> None:
        """Record the next batch."""
        if self._batches % QUARTER_BATCHES:
            self._costs[self.spins].add(seconds, tokens)
        self._batches += 1


class SpinningPolicy:
    """Spinning is the rule: it is fastest on a machine of one's own.

    When batches get clearly less processor time than they last, the next ones are run in both ways, and the faster way
    stays; while threads sleep, that is repeated from time to time, since others may have ended. It reads no clock: it
    is told all times.

    :ivar spins: the way in use.
    :ivar gain: of the last trial, the time of a token while threads sleep, over that while they spin.
    """

    def __init__(self) -> None:
        self.spins = True
        self.gain = 1.0
        self._share = _Sum()
        self._batches = 0
        self._is_busy = False
        self._trial: _Trial | None = None
        self._next_trial = 0.0
        self._wait = TRIAL_SECONDS

    @property
    def next_spins(self) -> bool:
        """Whether threads spin in the next batch."""
        return self._trial.spins if self._trial else self.spins

    def wants_trial(self, now: float) -> bool:
        """Whether it is time to begin a trial."""
        return not self._trial and now >= self._next_trial and (self._is_busy or not self.spins)

    def begin_trial(self) -> None:
        """Run the next batches in both ways."""
        self._trial = _Trial()

    def record(self, tokens: int, seconds: float, processor_seconds: float, now: float) -> bool:
        """Record a batch.

        :param tokens: what the time of a batch grows with.
        :param processor_seconds: of the thread that ran it.
        :returns: whether a trial ended with it.
        """
        if self._trial:
            self._trial.record(seconds, tokens)
            if self._trial.is_over:
                self._decide(self._trial.sleeping_of_spinning, now)
                return True
        elif self.spins:
            self._notice(processor_seconds, seconds)
        return False

    def _notice(self, processor_seconds: float, seconds: float) -> None:
        self._share.add(processor_seconds, seconds)
        self._batches += 1
        if self._batches == NOTICED_BATCHES:
            self._is_busy = self._share.ratio < FREE_SHARE
            self._share, self._batches = _Sum(), 0

    def _decide(self, gain: float, now: float) -> None:
        spins = gain > (SLEEPING_GAIN if self.spins else 1)
        # The less often, the longer nothing changes.
        self._wait = min(2 * self._wait, MOST_TRIAL_SECONDS) if spins == self.spins else TRIAL_SECONDS
        self._next_trial = now + self._wait
        self.spins, self.gain, self._trial, self._is_busy = spins, gain, None, False
