"""The chart for a terminal: within its bounds, with its axes, its marks and its one line of what matters."""

from __future__ import annotations

import re
import unicodedata

import pytest

from api.charts import Curve, to_text
from api.charts.lettering import width as cells
from tests.api.drawn_curves import (
    HOSTILE_NAMES,
    NAN,
    diverged,
    hard_to_draw,
    not_begun,
    one_epoch,
    overfitted,
    without_validation,
)

ANSI = re.compile("\x1b\\[[0-9;]*m")
DOTS = re.compile("[\u2801-\u28ff]")


def plot_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r" *[0-9.,e-]* [│┤]", line)]


def dots(text: str) -> list[tuple[int, int]]:
    """(column, row) of every cell with dots."""
    return [(match.start(), row) for row, line in enumerate(plot_rows(text)) for match in DOTS.finditer(line)]


def test_the_whole_chart_of_a_short_job() -> None:
    series: dict[str, list[float | None]] = {"train_loss": [1.0, 0.5, 0.25], "val_loss": [1.0, 0.75, 1.0]}
    curve = Curve("job_1", "seed", [1, 2, 3], series, 2, (3, "early_stopping"))
    assert to_text([curve], width=44, height=15).splitlines() == [
        "seed",
        "best epoch 2 · val_loss 0.7500 · gap 0.2500",
        "",
        "loss             ╍╍ train_loss   ━━ val_loss",
        "1.0 ┤⠲⠤⠤⣀⣀          ┊          ⣀⣀⠤⠤⠒ val",
        "    │   ⠑⠄⠉⠉⠒⠢⠤⢄⣀⡀  ┊  ⣀⣀⠤⠤⠒⠒⠉⠉",
        "    │      ⠉⠂ ⡀  ⠈⠉⠑●⠉⠉",
        "    │         ⠈⠁ ⣀  ┊",
        "0.5 ┤             ⠁ ⠤⡀",
        "    │               ┊  ⠉⠁ ⠒⠄ ⣀⡀",
        "    │               ┊           ⠉⠂ ⠤ train",
        "    └┬──────────────▲──────────────■",
        "     1              2              3   epoch",
        "▲ best epoch 2",
        "■ stopped at epoch 3: early stopping",
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (60, 16), (120, 40), (40, 24)])
def test_the_chart_fits_and_says_what_matters(width: int, height: int) -> None:
    text = to_text([overfitted()], width=width, height=height)
    lines = text.splitlines()
    assert max(cells(line) for line in lines) <= width
    assert len(lines) <= height
    assert text.endswith("\n")
    assert lines[0] == "digits-cocktail"
    assert "best epoch 15 · val_loss 0.2148" in text
    assert "gap 0.1500" in text
    assert "stopped at epoch 40: early stopping" in text
    assert len(plot_rows(text)) >= height - 9


def test_the_chart_is_plain_unless_color_is_asked_for() -> None:
    plain, colored = to_text([overfitted()]), to_text([overfitted()], color=True)
    assert "\x1b" not in plain
    assert "\x1b[38;5;33m" in colored
    assert "\x1b[38;5;166m" in colored
    bare = ANSI.sub("", colored)
    assert "\x1b" not in bare
    assert bare.splitlines()[-3:] == plain.splitlines()[-3:]


def test_without_color_training_is_dashed_and_lines_are_named_where_they_end() -> None:
    text = to_text([overfitted()])
    assert "╍╍ train_loss   ━━ val_loss" in text
    rows = plot_rows(text)
    ends = {
        name: next(row for row, line in enumerate(rows) if line.endswith(f" {name}"))
        for name in ("val", "train")
    }
    assert ends["val"] < ends["train"]
    solid = to_text([overfitted()], color=True)
    assert len(dots(text)) < len(dots(ANSI.sub("", solid)))


def test_a_falling_curve_falls_from_left_to_right() -> None:
    values: list[float | None] = [3.0 - 0.1 * epoch for epoch in range(20)]
    text = to_text([Curve("job_1", "", list(range(1, 21)), {"val_loss": values})])
    found = sorted(dots(text))
    assert [row for _, row in found] == sorted(row for _, row in found)
    assert found[0][1] <= 1
    assert found[-1][1] >= len(plot_rows(text)) - 2


def test_marks_stand_on_the_axis_above_their_epochs() -> None:
    lines = to_text([overfitted()]).splitlines()
    axis = next(line for line in lines if "└" in line)
    labels = lines[lines.index(axis) + 1]
    assert abs(axis.index("▲") - (labels.index("10") + labels.index("20")) / 2) <= 2
    assert abs(axis.index("■") - labels.index("40")) <= 1
    assert any("●" in line for line in lines)
    assert {line[axis.index("▲")] for line in plot_rows("\n".join(lines))} <= {
        "┊",
        "●",
        *"".join(DOTS.findall("\n".join(lines))),
    }


def test_epochs_of_stacked_panels_lie_beneath_each_other() -> None:
    series = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "penalty_l1"]
    lines = to_text([overfitted()], series, height=40).splitlines()
    assert len(lines) <= 40
    axes = [line for line in lines if "└" in line]
    assert len(axes) == 3
    assert len({line.index("▲") for line in axes}) == 1
    assert any(re.search(r"^accuracy +val_accuracy 0\.\d+ · gap 0\.\d+$", line) for line in lines)


def test_divergence_is_said_and_the_line_has_a_gap() -> None:
    text = to_text([diverged()])
    assert "× diverged at epoch 7" in text
    assert "loss (log scale)" in text
    axis = next(line for line in text.splitlines() if "└" in line)
    assert max(column for column, _ in dots(text)) < axis.index("×") - 2


def test_a_point_between_gaps_is_shown() -> None:
    series: dict[str, list[float | None]] = {"val_loss": [1.0, NAN, 2.0, NAN, 1.5, 1.4]}
    text = to_text([Curve("job_1", "", [1, 2, 3, 4, 5, 6], series)])
    assert text.count("•") == 2


def test_several_jobs_have_a_letter_each_and_the_name_comes_last() -> None:
    curves = [overfitted("plain"), overfitted("שלום", best=20, job="job_0009ccccdddd"), diverged()]
    lines = to_text(curves, width=60).splitlines()
    assert lines[0] == "3 jobs compared"
    assert lines[-3:] == [
        "A  0.2148 at epoch 15 · gap 0.1500          plain",
        "B  0.2028 at epoch 20 · gap 0.1500          שלום",
        "C  0.7000 at epoch 3 · diverged at epoch 7  too hot",
    ]


def test_twenty_jobs_keep_their_rows() -> None:
    curves = [overfitted(f"run {index}", best=8 + index, job=f"job_{index:012}") for index in range(20)]
    lines = to_text(curves).splitlines()
    assert [line[0] for line in lines[-20:]] == list("ABCDEFGHIJKLMNOPQRST")
    assert lines[-1].endswith("run 19")


def test_nothing_recorded_is_said() -> None:
    assert to_text([not_begun()]) == "not begun\nno epochs yet\nNothing has been recorded yet.\n\n"


def test_one_epoch_and_no_validation() -> None:
    assert "best epoch 1 · val_loss 0.6000 · gap 0.1000" in to_text([one_epoch()])
    assert "best epoch 2 · train_loss 0.4000" in to_text([without_validation()])


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("color", [False, True])
def test_hostile_names_steer_no_terminal(name: str, color: bool) -> None:
    for curves in ([overfitted(name)], [overfitted(name), overfitted(name, job="job_2")]):
        text = ANSI.sub("", to_text(curves, width=60, color=color))
        assert not {unicodedata.category(character) for character in text.replace("\n", "")} & {
            "Cc",
            "Cf",
            "Cs",
        }
        assert max(cells(line) for line in text.splitlines()) <= 60


@pytest.mark.parametrize("curve", hard_to_draw())
def test_no_number_breaks_an_axis(curve: Curve) -> None:
    text = to_text([curve], list(curve.series))
    assert max(cells(line) for line in text.splitlines()) <= 80
    assert to_text([curve, overfitted()], width=60)


def test_sizes_out_of_bounds_are_brought_within_them() -> None:
    assert to_text([overfitted()], width=1, height=1) == to_text([overfitted()], width=40, height=12)
    assert max(cells(line) for line in to_text([overfitted()], width=10**9).splitlines()) == 400
