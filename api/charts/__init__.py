"""Learning curves to look at: thinned, as CSV, as pictures, as terminal charts. No SQL and no web in here."""

from __future__ import annotations

from api.charts.curve import Curve
from api.charts.picture import to_png, to_svg
from api.charts.table import to_csv, write_csv
from api.charts.text import to_text
from api.charts.thinning import kept_rows, least_points, thin

__all__ = ["Curve", "kept_rows", "least_points", "thin", "to_csv", "to_png", "to_svg", "to_text", "write_csv"]
