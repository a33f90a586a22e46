"""Timestamps that wrap, fall back and leap; a file read no faster than it was recorded."""

from __future__ import annotations

import threading

import pytest
from live_streams import HandClock

from affekt.live.clocks import Pace, SteadyClock
from affekt.live.feeds import Thinned
from affekt.live.latency import Delays
from affekt.live.mailbox import Mailbox


def _times(stamps, clock=None, stream='pictures'):
    clock = clock or SteadyClock()
    return [clock.at(stamp, stream, 0.0) for stamp in stamps]


def test_times_count_from_the_first_stamp_whatever_it_is():
    assert _times([95443.70, 95443.74, 95443.78]) == pytest.approx([0.0, 0.04, 0.08])


def test_stamps_that_wrap_go_on_one_usual_step_later():
    # 33 bits of 90 kHz wrap at 95443.718 s
    times = _times([95443.60, 95443.64, 95443.68, 0.002, 0.042])
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16], abs=1e-6)


def test_a_repeated_stamp_and_one_a_little_back_are_left_out():
    assert _times([1.0, 1.04, 1.04, 1.02, 1.08]) == pytest.approx([0.0, 0.04, None, None, 0.08])


def test_a_sender_that_begins_again_shortly_after_is_followed_from_its_fourth_stamp():
    times = _times([1.4, 1.44, 1.48, 1.4, 1.4, 1.41, 1.42, 1.46])
    assert times == pytest.approx([0.0, 0.04, 0.08, None, None, None, 0.12, 0.16])


def test_a_leap_that_no_clock_has_seen_is_no_time():
    assert _times([1.0, 1.04, 5000.0, 5000.04]) == pytest.approx([0.0, 0.04, 0.08, 0.12])


def test_a_leap_that_the_clock_has_seen_too_is_a_pause():
    clock = SteadyClock()
    clock.at(1.0, 'pictures', 0.0)
    assert clock.at(61.0, 'pictures', 60.0) == pytest.approx(60.0)


def test_sound_and_pictures_share_the_new_count():
    clock = SteadyClock()
    for number in range(5):
        clock.at(10 + 0.04 * number, 'pictures', 0.0)
        clock.at(10 + 0.04 * number, 'sound', 0.0)
    assert clock.at(0.0, 'pictures', 0.0) == pytest.approx(0.2)
    assert clock.at(10.2, 'sound', 0.0) == pytest.approx(0.2)  # what was sent before the change still counts as before
    assert clock.at(0.04, 'sound', 0.0) == pytest.approx(0.24)


def test_pictures_of_before_a_restart_that_sound_has_seen_keep_their_times():
    # sound is sent ahead: it begins again at 0 while pictures of the second before are still to come
    clock = SteadyClock()
    for number in range(3):
        clock.at(2.8 + 0.04 * number, 'pictures', 0.0)
        clock.at(2.84 + 0.04 * number, 'sound', 0.0)
    assert clock.at(0.0, 'sound', 0.0) == pytest.approx(0.16)
    late = [clock.at(stamp, 'pictures', 0.0) for stamp in (2.92, 2.96, 0.0, 0.04)]
    assert late == pytest.approx([0.12, 0.16, None, 0.20])  # the third would be of 0.16 again
    assert clock.at(0.08, 'sound', 0.0) == pytest.approx(0.24)
    # who has come to the new count does not go back to the one before, although a pause would fit it
    assert clock.at(2.96, 'pictures', 3.0) == pytest.approx(3.12)


def test_a_single_picture_before_a_restart_of_sound_is_enough_to_keep_the_count_of_pictures():
    clock = SteadyClock()
    for number in range(5):
        clock.at(2.8 + 0.04 * number, 'sound', 0.0)
    assert clock.at(2.8, 'pictures', 0.0) == pytest.approx(0.0)
    assert clock.at(0.0, 'sound', 0.0) == pytest.approx(0.2)
    assert clock.at(2.84, 'pictures', 0.0) == pytest.approx(0.04)


def test_stamps_that_are_missing_go_on_at_the_usual_step():
    assert _times([2.0, 2.1, None, None]) == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_another_connection_begins_when_it_is_said_to():
    clock = SteadyClock()
    _times([7.0, 7.04], clock)
    clock.begin(3.0)
    assert _times([900.0, 900.04], clock) == pytest.approx([3.0, 3.04])


def test_a_connection_that_comes_back_counts_the_silence_before_its_loss_was_seen():
    clock = SteadyClock()
    clock.at(7.0, 'pictures', 100.0)
    clock.at(7.04, 'pictures', 100.04)
    clock.begin_again(110.04)  # after a silence of 10 s
    assert clock.at(900.0, 'pictures', 110.04) == pytest.approx(10.04)
    fresh = SteadyClock()
    fresh.begin_again(50.0)
    assert fresh.at(3.0, 'pictures', 50.0) == 0.0


def test_a_file_waits_for_its_times_and_a_late_one_does_not_hurry():
    clock, stop = HandClock(), threading.Event()
    pace = Pace(clock)
    assert [pace.keep(time_s, stop) for time_s in (0.0, 0.04, 0.08)] == [False, True, True]
    assert clock.waits == pytest.approx([0.04, 0.04])
    clock.time_s += 5.0  # the machine slept
    assert pace.keep(0.12, stop) is False
    assert pace.keep(0.16, stop) is True
    assert clock.waits[-1] == pytest.approx(0.04)


def test_what_comes_in_bursts_may_be_ahead_by_its_slack():
    clock, stop = HandClock(), threading.Event()
    pace = Pace(clock, slack_s=1.0)
    assert not any(pace.keep(number / 25, stop) for number in range(26))
    assert pace.keep(1.04, stop)


def test_thinned_pictures_are_the_first_after_each_time_of_the_grid():
    thinned = Thinned(10)
    assert [number for number in range(11) if thinned.takes(number / 25)] == [0, 3, 5, 8, 10]


def test_the_newest_wins_and_what_it_replaces_is_counted():
    box = Mailbox()
    assert [box.put(number) for number in range(4)] == [None, 0, 1, 2]
    assert (box.take(0.0), box.take(0.0), box.dropped) == (3, None, 3)


def test_a_patient_box_loses_nothing():
    box, taken = Mailbox(2, is_patient=True), []

    def take() -> None:
        while not box.is_over:
            item = box.take(0.01)
            taken.extend([] if item is None else [item])

    thread = threading.Thread(target=take)
    thread.start()
    for number in range(50):
        box.put(number)
    box.close()
    thread.join()
    assert (taken, box.dropped) == (list(range(50)), 0)


def test_a_closed_box_gives_what_it_has_and_takes_nothing():
    box = Mailbox(3)
    box.put(1)
    box.close()
    box.put(2)
    assert (box.is_over, box.take(0.0), box.take(0.0), box.is_over) == (False, 1, None, True)


def test_delays_are_told_to_half_a_millisecond():
    delays = Delays()
    for number in range(1, 101):
        delays.add(number / 1000)
    assert delays.quantile(0.5) == pytest.approx(0.05)
    assert delays.quantile(0.95) == pytest.approx(0.095)
    assert delays.quantile(0.99) == pytest.approx(0.099)
    assert Delays().quantile(0.5) != Delays().quantile(0.5)
