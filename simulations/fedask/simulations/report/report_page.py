"""The report of a comparison: one HTML file that needs nothing but a browser.

Called by ``fedask compare`` at its end, also after an interruption. The page makes no
request and runs no script; it shows what ``summary.json`` holds and computes no result
of its own. Its tables are in ``report.tables``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from fedask.common.errors import StoreError
from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.curve import curves_of, in_focus
from fedask.simulations.report.figure_tables import TERMS, figure_tables, paired_table
from fedask.simulations.report.headline import caveats, outcomes
from fedask.simulations.report.html import (
    Html,
    element,
    esc,
    join,
    page,
    paragraph,
    section,
    terms,
)
from fedask.simulations.report.palette import hues
from fedask.simulations.report.quantity import duration, percent, plural
from fedask.simulations.report.ranking import left_out
from fedask.simulations.report.svg import NARROW, WIDE, Drawing, swatch
from fedask.simulations.report.tables import (
    accuracy_table,
    arm_table,
    digest_table,
    heat_tables,
    key_table,
    ledger_table,
    machine_table,
    setting_tables,
    wire_table,
)

_INTRO = (
    "Every device holds unlabelled samples and has people who can label a few of them. "
    "An arm decides which samples are worth asking about: by a policy, a scorer, a "
    "batcher, or other settings. What no arm sets was the same for all, and so were "
    "the seeds; the fewer labels an arm needs for the same accuracy, the better."
)
_LEDGER = (
    ("bought", "labels that were granted to the fleet, over all cycles"),
    ("spent", "samples that people were asked about, without the expired ones"),
    ("answered", "asked, and labelled by a person"),
    ("skipped", "asked, and declined by a person; never asked again"),
    ("expired", "asked, but nobody answered in time; may be asked again"),
    ("returned", "granted but not spent in that cycle, so granted again later"),
)
_MODEL_HOLDS = "down and up: the weights of the model, as in any federated run"
_ASK_HOLDS = (
    "down: cycle and round, whether to score, and the cut: per group the lowest score "
    "bin to buy, how the last bin is shared, a number to break ties"
)
_REPORT_HOLDS = (
    "up: the device's pseudonym, how many samples were asked, answered, skipped and "
    "expired, labels per class; the grid counts its best scores per group and bin"
)
_RECORDS = (
    ("model arrays", _MODEL_HOLDS),
    ("ask", _ASK_HOLDS),
    ("report + grid", _REPORT_HOLDS),
)
_NEVER = (
    "Samples, their ids (uids) and single scores never leave a device: no record has a "
    "field for them. Counts do leave, per device, and so does each model update; "
    "whoever runs the server can read both."
)


def write_report(summary: Mapping[str, Any], path: Path) -> None:
    """Write the report of a comparison.

    Parameters
    ----------
    summary
        As in ``summary.json``; ``summary.Summary`` has its shape.
    path
        The HTML file; replaced if it exists.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    data = cast("ComparisonSummary", summary)
    text = page(f"{data['name']}: fedask report", _body(data))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        msg = f"cannot write {path}: {err}"
        raise StoreError(msg) from err


def _body(summary: ComparisonSummary) -> Html:
    sections = [
        section("Learning curves", *_curves(summary)),
        section("Key figures", key_table(summary)),
        section("Seed by seed", paired_table(summary)),
        section("Key figures per cycle", figure_tables(summary), terms(TERMS)),
        section("Who labelled what", *_heats(summary)),
        section("Where the labels went", ledger_table(summary), terms(_LEDGER)),
        section("What went over the wire", *_wire(summary)),
        section("How it was made", *_making(summary)),
    ]
    return join([_opening(summary), element("main", join(sections)), _closing(summary)])


def _opening(summary: ComparisonSummary) -> Html:
    first, *others = outcomes(summary)
    facts = [
        plural(len(summary["seeds"]), "seed"),
        plural(summary["devices"], "device"),
        plural(len(summary["classes"]), "class", "classes"),
        f"{summary['runtime']} runtime",
        duration(summary["seconds"]),
    ]
    parts = [element("p", esc(note), "warning") for note in caveats(summary)]
    parts.append(element("h1", esc(f"fedask comparison: {summary['name']}")))
    parts.append(paragraph(first, "headline"))
    if others:
        items = join(element("li", esc(other)) for other in others)
        parts.append(element("ul", items, "others"))
    parts.append(paragraph(" \N{MIDDLE DOT} ".join(facts), "facts"))
    parts.append(paragraph(_INTRO, "intro"))
    return element("header", join(parts))


def _curves(summary: ComparisonSummary) -> list[Html]:
    curves = curves_of(summary)
    if not curves:
        return [paragraph("No cycle was finished, so there is no curve yet.")]
    seeds, some = len(summary["seeds"]), left_out(summary)
    over = f"Lines are means over {seeds} seeds, bands their lowest to highest value."
    text = over if seeds > 1 else "Lines show the only seed."
    if summary["target_accuracy"] is not None:
        goal = percent(summary["target_accuracy"])
        text += f" Rings mark where an arm reached {goal}, the dashed line."
    if some:
        text += f" Drawn are {some}; the key figures below are of all."
    table = hues(summary)
    if len(in_focus(curves, table)) < len(curves):
        text += " Bands and rings are those of the best arm and of the reference alone."
    drawings = [
        Html(Drawing(frame, curves, table, summary["target_accuracy"]).render())
        for frame in (WIDE, NARROW)
    ]
    legend = join(
        Html(f"<li>{swatch(table[c.name])}{esc(c.name)} {percent(c.mean[-1])}</li>")
        for c in curves
    )
    figure = element("figure", join([element("ul", legend, "legend"), *drawings]))
    return [paragraph(text), figure, accuracy_table(summary, curves)]


def _heats(summary: ComparisonSummary) -> list[Html]:
    text = (
        "Labels per device and class in the first seed; the stronger the colour, the "
        "more. Where devices hold different data, a good arm asks them unequally."
    )
    return [paragraph(text), heat_tables(summary)]


def _wire(summary: ComparisonSummary) -> list[Html]:
    extra = sum(arm["extra_messages"] for arm in summary["policies"].values())
    text = (
        "Active learning sent no message of its own: it rode on the train messages "
        "that federated learning sends anyway."
        if extra == 0
        else f"Active learning sent {plural(extra, 'message')} beside the train "
        "messages that federated learning sends anyway."
    )
    never = element("p", element("strong", esc(_NEVER)))
    return [paragraph(text), wire_table(summary), terms(_RECORDS), never]


def _making(summary: ComparisonSummary) -> list[Html]:
    seeds = ", ".join(str(seed) for seed in summary["seeds"])
    return [
        element("pre", element("code", esc(summary["command"]))),
        paragraph(f"Seeds: {seeds}."),
        arm_table(summary),
        machine_table(summary),
        digest_table(summary),
        element("h3", esc("Scenario")),
        setting_tables(summary),
    ]


def _closing(summary: ComparisonSummary) -> Html:
    version = summary["machine"]["fedask"]
    text = f"Made by fedask {version} from summary.json, which lies beside this page."
    return element("footer", paragraph(text))
