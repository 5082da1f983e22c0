"""Progress of loops: what listeners hear, what stands in a log."""

import io
import logging
from collections.abc import Sequence

import pytest

from hcga.runs import progress
from hcga.runs.progress import Level, Progress, listening, track
from hcga.wording import counted, duration


def test_listeners_hear_every_step_of_nested_loops() -> None:
    heard: list[list[tuple[str, int, int]]] = []

    def note(levels: Sequence[Level]) -> None:
        heard.append([(level.what, level.done, level.total) for level in levels])

    with listening(note):
        for number in track(range(2), "training", 2, "epoch", shown=False):
            assert list(track("ab", f"epoch {number}", 2, "batch")) == ["a", "b"]
    assert heard == [
        [("training", 0, 2)],
        *([("training", 0, 2), ("epoch 0", done, 2)] for done in (0, 1, 2)),
        [("training", 1, 2)],
        *([("training", 1, 2), ("epoch 1", done, 2)] for done in (0, 1, 2)),
        [("training", 2, 2)],
    ]
    list(track(range(1), "unheard", 1, "thing"))
    assert len(heard) == 9


def test_a_loop_that_fails_is_forgotten() -> None:
    heard: list[Sequence[Level]] = []
    with pytest.raises(ValueError, match="broken"), Progress("first", 1, "thing"):
        raise ValueError("broken")
    with listening(heard.append):
        list(track(range(1), "second", 1, "thing"))
    assert [[level.what for level in levels] for levels in heard] == [["second"], ["second"]]


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 20.0, 40.0, 60.0, 80.0])  # the start, no step yet, four steps
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        list(track(range(4), "co-parsing", 4, "identity"))
    assert caplog.messages == [
        "co-parsing: 2 of 4 identities, about 40 s left",
        "co-parsing: 4 of 4 identities, about 0 s left",
    ]
    assert capsys.readouterr() == ("", "")  # no bar where there is no terminal


def test_time_left_goes_by_what_was_done_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter([0.0, 0.0, 60.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO), Progress("preparing", 50, "image", done=20) as loop:
        loop.update(10)
    assert caplog.messages == ["preparing: 30 of 50 images, about 2 min 0 s left"]


def test_a_terminal_has_a_bar_and_no_lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    clock = iter(range(0, 1000, 100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("sys.stderr", terminal)
    with caplog.at_level(logging.INFO):
        list(track(range(4), "co-parsing", 4, "identity"))
    assert "co-parsing: 100%" in terminal.getvalue()
    assert not caplog.messages


def test_what_is_not_shown_says_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    clock = iter(range(0, 1000, 100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO):
        list(track(range(4), "training", 4, "epoch", shown=False))
    assert not caplog.messages


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (7325, "2 h 2 min"), (90000, "1 d 1 h"), (3599.9, "1 h 0 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_numbers_of_things() -> None:
    told = [counted(number, unit) for number, unit in ((1, "batch"), (2, "batch"), (40, "identity"), (0, "epoch"))]
    assert told == ["1 batch", "2 batches", "40 identities", "0 epochs"]
