"""The page itself: sections, charts and scripts put together into one file that asks nothing of any network."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any, Final

from hpo.printable import printable
from hpo.results.report.calibration_chart import reliability
from hpo.results.report.comparison import comparison_charts, comparison_table
from hpo.results.report.facts import StudyFacts
from hpo.results.report.hard_texts import hard_text_sections
from hpo.results.report.headline import caveats, figures, headline
from hpo.results.report.outcome_charts import against_seconds, confusion, time_spent
from hpo.results.report.parts import Chart
from hpo.results.report.search_charts import curves, history, importance, parallel, slices
from hpo.results.report.tables import as_html, label_table, leaderboard_table
from hpo.results.report.times import times_of
from hpo.version import __version__

_SLICES: Final = 6
# The browser itself then keeps the page from asking for anything. Plotly compiles its shaders' calls.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def report_page(studies: Sequence[StudyFacts]) -> str:
    """The report as HTML.

    Args:
        studies: One, or several that are put side by side first.
    """
    page = _Page()
    names = [facts.name for facts in studies]
    title = f"Study {names[0]}" if len(names) == 1 else f"{len(names)} studies"
    sections = [_side_by_side(page, studies)] if len(studies) > 1 else []
    sections += [_study(page, facts, index, len(studies)) for index, facts in enumerate(studies)]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>",
            f"<style>\n{_beside('page.css')}</style></head>",
            f"<body><header><h1>{_text(title)}</h1>{_links(names)}</header>",
            f"<main>{''.join(sections)}</main>",
            f"<footer>{_text(_made())}</footer>",
            f'<script type="application/json" id="charts">{in_script(page.charts)}</script>',
            f"<script>{_plotly()}</script>",
            f"<script>\n{_beside('page.js')}</script></body></html>\n",
        ]
    )


def in_script(document: object) -> str:
    """JSON that nothing in it can end the script element with, and that has no NaN."""
    text = json.dumps(_finite(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&":  # in JSON they stand within strings alone
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


@dataclass
class _Page:
    """The charts of a page as far as it is written, in order."""

    charts: list[dict[str, Any]] = field(default_factory=list)

    def place(self, chart: Chart) -> str:
        """The chart's place in the page."""
        self.charts.append({"traces": chart.traces, "layout": chart.layout, "height": chart.height})
        box = (
            f'<div class="plot" data-chart="{len(self.charts) - 1}" '
            f'style="height:{chart.height}px"></div>'
        )
        wide = " wide" if chart.wide else ""
        note = f'<p class="note">{_text(chart.note)}</p>' if chart.note else ""
        return (
            f'<figure class="panel{wide} {chart.kind}"><figcaption><h3>{_text(chart.title)}</h3>'
            f'{note}</figcaption><div class="scroll">{box}</div></figure>'
        )

    def grid(self, charts: Sequence[Chart], kind: str = "") -> str:
        """Charts side by side."""
        places = "".join(map(self.place, charts))
        return f'<div class="grid {kind}">{places}</div>' if charts else ""


def _side_by_side(page: _Page, studies: Sequence[StudyFacts]) -> str:
    table = as_html(comparison_table(studies), "plain")
    return (
        f'<section><h2>Side by side</h2><div class="panel">{table}</div>'
        f"{page.grid(comparison_charts(studies))}</section>"
    )


def _study(page: _Page, facts: StudyFacts, index: int, count: int) -> str:
    spec = facts.spec
    title = f'<h2 id="study-{index}">{_text(facts.name)}</h2>' if count > 1 else ""
    searched = f"searched with {spec.search.sampler.name}, pruned by {spec.search.pruner.name}"
    about = f"{spec.model.name} on {spec.data.source}, {searched}"
    described = f'<p class="about">{_text(spec.study.description)}</p>' * bool(
        spec.study.description
    )
    remarks = "".join(f"<li>{_text(line)}</li>" for line in caveats(facts))
    return (
        f'<section>{title}{described}<p class="about">{_text(about)}</p>'
        f'<p class="headline">{_text(headline(facts))}</p>{_tiles(facts)}'
        + (f'<ul class="caveats">{remarks}</ul>' if remarks else "")
        + _charts(page, facts, folded=count > 1)
        + "</section>"
    )


def _charts(page: _Page, facts: StudyFacts, *, folded: bool) -> str:
    if not facts.scored:
        return _board(facts) if facts.trials else ""
    times = times_of(facts)
    outcomes = [confusion(facts), reliability(facts)]
    outcomes += [time_spent(times), against_seconds(facts)] if times else []
    outcomes += [importance(facts)] if facts.importances else []
    return "".join(
        [
            page.grid([history(facts), curves(facts)]),
            _board(facts),
            page.grid([chart for chart in outcomes if chart is not None]),
            _labels(facts),
            hard_text_sections(facts),
            _parameters(page, facts, folded=folded) if facts.parameters else "",
        ]
    )


def _parameters(page: _Page, facts: StudyFacts, *, folded: bool) -> str:
    """Of several studies folded away: browsers draw parallel coordinates of a few only at a time."""
    charts = page.grid([parallel(facts)]) + _slices(page, facts)
    return f"<details><summary>Parameters</summary>{charts}</details>" if folded else charts


def _slices(page: _Page, facts: StudyFacts) -> str:
    charts = [slices(facts, name) for name in facts.parameters]
    first = page.grid(charts[:_SLICES], "small")
    rest = charts[_SLICES:]
    note = "Each searched parameter against the score, pruned trials faded."
    if facts.no_importances is not None:
        note += f" Which of them matter is not told: {facts.no_importances}."
    first = f'<h3>Parameter by parameter</h3><p class="note">{_text(note)}</p>{first}'
    if not rest:
        return first
    more = f"<summary>{len(rest)} more parameters</summary>{page.grid(rest, 'small')}"
    return f"{first}<details>{more}</details>"


def _board(facts: StudyFacts) -> str:
    states = [state for state in ("complete", "pruned", "failed", "running") if facts.count(state)]
    options = "".join(f'<option value="{state}">{state}</option>' for state in states)
    return (
        '<div class="panel board"><h3>Leaderboard</h3><div class="tools">'
        '<input type="search" placeholder="Filter: words or values" aria-label="Filter">'
        f'<select aria-label="State"><option value="">all states</option>{options}</select>'
        '<span class="told"></span><button type="button" class="more" hidden></button></div>'
        f"{as_html(leaderboard_table(facts), 'leaderboard')}</div>"
    )


def _labels(facts: StudyFacts) -> str:
    table = label_table(facts)
    if table is None:
        return ""
    shown = as_html(table, "plain")
    return f'<div class="panel"><h3>Label by label, on the test split</h3>{shown}</div>'


def _tiles(facts: StudyFacts) -> str:
    tiles = "".join(
        f'<dl class="tile"><dt>{_text(each.label)}</dt><dd class="number">{_text(each.number)}</dd>'
        f'<dd class="meaning">{_text(each.meaning)}</dd></dl>'
        for each in figures(facts)
    )
    return f'<div class="tiles">{tiles}</div>'


def _links(names: Sequence[str]) -> str:
    if len(names) == 1:
        return ""
    links = "".join(f'<a href="#study-{i}">{_text(name)}</a>' for i, name in enumerate(names))
    return f"<nav>{links}</nav>"


def _made() -> str:
    """By what and when."""
    return f"Made by hpo {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(text: str) -> str:
    return escape(printable(text))


def _beside(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _plotly() -> str:
    """Plotly's script, as its package brings it."""
    return files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8")
