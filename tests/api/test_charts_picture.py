"""PNG and SVG: the right size, the right marks, the same bytes, and nothing that a name could break."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from api.charts import Curve, to_png, to_svg
from api.charts.palette import THEMES
from tests.api.drawn_curves import (
    HOSTILE_NAMES,
    diverged,
    hard_to_draw,
    not_begun,
    one_epoch,
    overfitted,
    without_validation,
)

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
TRAINING, VALIDATION = THEMES["light"].hues[:2]


def decoded(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image.convert("RGB")


def colors(image: Image.Image) -> Counter[str]:
    found = image.getcolors(1 << 24) or []
    return Counter({"#{:02x}{:02x}{:02x}".format(*color): count for count, color in found})


def words(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_shows_both_losses_on_white() -> None:
    image = decoded(to_png([overfitted()]))
    assert image.size == (1440, 795)
    found = colors(image)
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert found[TRAINING] > 500
    assert found[VALIDATION] > 500


def test_validation_lies_above_training_where_the_network_overfits() -> None:
    image = decoded(to_png([overfitted()]))
    column = [image.getpixel((1200, y)) for y in range(200, image.height)]
    rows = {name: [y for y, color in enumerate(column) if color == rgb] for name, rgb in (
        ("training", (0, 114, 178)), ("validation", (213, 94, 0))
    )}  # fmt: skip
    assert rows["validation"][0] < rows["training"][0]
    between = column[(rows["validation"][-1] + rows["training"][0]) // 2]
    assert between not in ((255, 255, 255), (0, 114, 178), (213, 94, 0)), "the gap is shaded"


def test_each_quantity_has_a_panel_and_the_picture_grows_with_them() -> None:
    series = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "penalty_l1"]
    assert decoded(to_png([overfitted()], series)).size == (1440, 1235)
    found = words(to_svg([overfitted()], series))
    assert {"loss", "accuracy", "penalty"} <= set(found)
    assert any(text.startswith("val_accuracy 0.") and "gap" in text for text in found)
    assert found.count("epoch") == 3


def test_the_words_of_one_job() -> None:
    found = words(to_svg([overfitted()]))
    assert {
        "digits-cocktail",
        "best · epoch 15",
        "stopped · epoch 40",
        "train_loss",
        "val_loss",
        "gap",
    } <= set(found)
    assert "best epoch 15 · val_loss 0.2148 · gap 0.1500" in found
    assert "stopped at epoch 40: early stopping" in found


def test_divergence_is_said_on_an_axis_of_ratios() -> None:
    found = words(to_svg([diverged()]))
    assert {"diverged at epoch 7", "diverged · epoch 7", "loss (log scale)", "best · epoch 3"} <= set(found)
    assert not any("stopped" in text for text in found)


def test_several_jobs_are_told_apart_by_color_and_name() -> None:
    curves = [overfitted("plain"), overfitted("", best=20, job="job_0009ccccdddd"), not_begun()]
    found = words(to_svg(curves))
    assert {"3 jobs compared", "plain", "job …ccccdddd", "not begun", "no epochs yet"} <= set(found)
    assert "0.2148 at epoch 15 · gap 0.1500" in found
    seen = colors(decoded(to_png(curves)))
    assert all(seen[hue] > 200 for hue in THEMES["light"].hues[:2])


def test_jobs_of_one_name_carry_their_ids() -> None:
    twins = [overfitted("twin", job="job_1111aaaa"), overfitted("twin", job="job_2222bbbb", best=20)]
    assert {"twin (…1111aaaa)", "twin (…2222bbbb)"} <= set(words(to_svg(twins)))


def test_more_jobs_than_hues_still_have_a_color_each() -> None:
    curves = [overfitted(f"run {index}", best=8 + index, job=f"job_{index:012}") for index in range(24)]
    strokes = ElementTree.fromstring(to_svg(curves)).iter(f"{SVG}path")
    styles = {path.get("style", "") for path in strokes}
    lines = {style.partition("stroke: ")[2][:7] for style in styles if "stroke-width: 2.4" in style}
    assert len(lines) == 24


@pytest.mark.parametrize("curve", [not_begun(), Curve("job_1", "", [1], {"val_loss": [None]})])
def test_nothing_recorded_is_said(curve: Curve) -> None:
    assert "Nothing has been recorded yet." in words(to_svg([curve]))
    assert colors(decoded(to_png([curve])))[VALIDATION] == 0


def test_one_epoch_is_two_points() -> None:
    found = colors(decoded(to_png([one_epoch()])))
    assert found[TRAINING] > 50
    assert found[VALIDATION] > 50


def test_without_validation_training_is_marked() -> None:
    found = words(to_svg([without_validation()]))
    assert "best epoch 2 · train_loss 0.4000" in found
    assert "val_loss" not in found


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_only_words(name: str) -> None:
    curve = overfitted(name)
    svg = to_svg([curve])
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()}
    assert not tags & {"img", "script", "a", "image", "foreignObject"}
    assert max(len(text) for text in words(svg)) <= 4 * 64


def test_hostile_names_are_drawn_beside_each_other() -> None:
    """All of them in one picture, in pairs that need their ids."""
    curves = [overfitted(name, job=f"job_{n}") for n, name in enumerate([*HOSTILE_NAMES] * 2)]
    assert decoded(to_png(curves)).width == 1440


def test_names_our_font_lacks_reach_the_svg_whole() -> None:
    found = words(
        to_svg([overfitted("数据"), overfitted("データ", job="job_2"), overfitted("□□", job="job_3")])
    )
    assert [text for text in found if text in ("数据", "データ", "□□")] == ["数据", "データ", "□□"]


def test_a_long_name_stays_on_the_paper() -> None:
    image = decoded(to_png([overfitted("W" * 64)]))
    margin = image.crop((image.width - 40, 0, image.width, image.height))
    assert set(colors(margin)) == {"#ffffff"}


@pytest.mark.parametrize("curve", hard_to_draw())
def test_no_number_breaks_an_axis(curve: Curve) -> None:
    ElementTree.fromstring(to_svg([curve], list(curve.series)))


def test_the_dark_theme_is_dark() -> None:
    assert decoded(to_png([overfitted()], theme="dark")).getpixel((0, 0)) == (15, 20, 25)
    assert to_svg([overfitted()], theme="dark") != to_svg([overfitted()])


def test_the_same_curve_is_the_same_bytes_whoever_else_is_drawing() -> None:
    curves = [overfitted(), diverged()] * 2
    with ThreadPoolExecutor(4) as threads:
        images = list(threads.map(lambda curve: to_png([curve]), curves))
        drawings = list(threads.map(lambda curve: to_svg([curve]), curves))
    assert len(set(images)) == 2
    assert len(set(drawings)) == 2


def test_another_process_draws_the_same_bytes_and_loads_no_pyplot() -> None:
    program = (
        "import hashlib, sys; from api.charts import to_png, to_svg;"
        "from tests.api.drawn_curves import overfitted;"
        "print(hashlib.sha256(to_png([overfitted()]) + to_svg([overfitted()]).encode()).hexdigest());"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    digest = hashlib.sha256(to_png([overfitted()]) + to_svg([overfitted()]).encode()).hexdigest()
    assert said_by(program) == f"{digest}\nFalse\n"


def test_importing_the_charts_loads_neither_matplotlib_nor_numpy() -> None:
    program = (
        "import sys, api.charts; heavy = {'matplotlib', 'numpy', 'torch', 'PIL'};"
        "print(heavy & {name.partition('.')[0] for name in sys.modules})"
    )
    assert said_by(program) == "set()\n"


def said_by(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
