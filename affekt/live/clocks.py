"""Three clocks: the machine's, a stream's timestamps, and the pace at which a file is played."""

from __future__ import annotations

import threading
import time

STEP_BACK_S = 0.5
"""A timestamp further back than this, in seconds, starts a new count; less far back, the frame is left out."""
MOST_BACK = 3
"""After this many consecutive frames were left out, a new count starts too."""
LEAP_S = 10.0
"""A timestamp further ahead than this, and than the machine's clock, starts a new count."""
USUAL_STEP_S = 0.04
"""Step of a stream in seconds, until two of its times are known."""
BEHIND_S = 1.0
"""A file reader that is later than this, in seconds, stops trying to catch up."""


class MachineClock:
    """The machine's monotonic clock, as an object that tests can replace."""

    def now(self) -> float:
        """Seconds since an arbitrary fixed time."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Waits for this long, or until stopped."""
        stop.wait(seconds)


class SteadyClock:
    """A stream's timestamps as monotonic seconds from its start, without leaps.

    Timestamps that wrap, restart at 0, or leap without the machine's clock doing so start a new count, which continues
    where the previous one was. Audio and video of one stream share their counts: the first to reach a new one
    starts it, and the other joins once its own timestamps do.

    Args:
        leap_s: see LEAP_S; larger for files, in which a frame may last for minutes.
    """

    def __init__(self, leap_s: float = LEAP_S) -> None:
        self._leap_s = leap_s
        self._newest_offset: float | None = None  # offset that the newest count subtracts from timestamps
        self._offsets: dict[str, float] = {}  # offset of each stream's count, which may be the previous one
        self._last: dict[str, tuple[float, float]] = {}  # last time of each stream, and the machine's then
        self._steps: dict[str, float] = {}
        self._left_out: dict[str, int] = {}
        self._begin_s = 0.0

    def begin(self, at_s: float) -> None:
        """Starts a new connection, whose first timestamp counts as this time."""
        self._newest_offset = None
        self._offsets.clear()
        self._begin_s = at_s

    def begin_again(self, now_s: float) -> None:
        """Starts a new connection: its first time is the last one plus the seconds passed on the machine's clock."""
        time_s, read_s = max(self._last.values(), default=(0.0, now_s))
        self.begin(time_s + now_s - read_s)

    @property
    def latest_s(self) -> float:
        """The latest time of any stream; 0 before the first."""
        return max((time_s for time_s, _ in self._last.values()), default=0.0)

    def at(self, stamp_s: float | None, stream: str, now_s: float) -> float | None:
        """The time of a timestamp.

        Args:
            stamp_s: the source's timestamp; None if it has none.
            stream: the stream's name.
            now_s: the machine's clock.

        Returns:
            Seconds, later than the previous time of this stream; None for a frame that repeats or steps back a little.
        """
        if self._newest_offset is None and stamp_s is not None:
            self._newest_offset = stamp_s - self._begin_s
        last = self._last.get(stream)
        step_s = self._steps.get(stream, USUAL_STEP_S)
        if stamp_s is None or self._newest_offset is None:
            time_s = self._begin_s if last is None else last[0] + step_s
        elif last is None:
            self._offsets[stream] = self._newest_offset
            time_s = max(0.0, stamp_s - self._newest_offset)
        else:
            time_s = self._counted(stamp_s, stream, last, step_s, now_s)
            if time_s <= last[0]:
                self._left_out[stream] = self._left_out.get(stream, 0) + 1
                if self._left_out[stream] <= MOST_BACK:
                    return None
                time_s = self._start_count(stamp_s, stream, last[0], step_s)
            self._left_out[stream] = 0
            if time_s - last[0] < 1.0:
                self._steps[stream] = time_s - last[0]
        self._last[stream] = time_s, now_s
        return time_s

    def _counted(self, stamp_s: float, stream: str, last: tuple[float, float], step_s: float, now_s: float) -> float:
        """The timestamp by the count that brings it nearest to the one before; by a new one where none does."""
        most_s = max(self._leap_s, now_s - last[1] + 1.0)
        newest_offset = self._newest_offset if self._newest_offset is not None else stamp_s
        steps = {
            offset: stamp_s - offset - last[0] for offset in (newest_offset, self._offsets.get(stream, newest_offset))
        }
        fitting = {offset: abs(step - step_s) for offset, step in steps.items() if -STEP_BACK_S <= step <= most_s}
        if not fitting:
            return self._start_count(stamp_s, stream, last[0], step_s)
        self._offsets[stream] = min(fitting, key=fitting.__getitem__)
        return stamp_s - self._offsets[stream]

    def _start_count(self, stamp_s: float, stream: str, last_s: float, step_s: float) -> float:
        """The time of the first timestamp of a new count, one usual step after the one before."""
        self._newest_offset = self._offsets[stream] = stamp_s - last_s - step_s
        return last_s + step_s


class Pace:
    """Holds a source that can be read faster than real time to its recorded pace.

    Args:
        clock: the machine's clock.
        slack_s: maximum lead over the clock: 0 for files, more for live sources, which come in bursts.
    """

    def __init__(self, clock: MachineClock, slack_s: float = 0.0) -> None:
        self._clock, self._slack_s = clock, slack_s
        self._began_s: float | None = None

    def keep(self, time_s: float, stop: threading.Event) -> bool:
        """Waits until this time of the stream is reached; returns whether it had to wait."""
        now_s = self._clock.now()
        if self._began_s is None:
            self._began_s = now_s - time_s
        ahead_s = self._began_s + time_s - self._slack_s - now_s
        if ahead_s > 0:
            self._clock.wait(stop, ahead_s)
            return True
        if ahead_s < -BEHIND_S - self._slack_s:
            self._began_s = now_s - time_s
        return False
