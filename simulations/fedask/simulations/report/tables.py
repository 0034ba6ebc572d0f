"""The report's tables. Called by the report; each function reads the summary only."""

import math
from collections.abc import Callable, Sequence

from fedask.common.sections import Scalar
from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary
from fedask.simulations.report.curve import Curve
from fedask.simulations.report.html import (
    Html,
    cell,
    element,
    esc,
    folded,
    join,
    paragraph,
    row,
    table,
)
from fedask.simulations.report.palette import hues
from fedask.simulations.report.quantity import (
    change,
    count,
    duration,
    percent,
    plural,
    size,
)
from fedask.simulations.report.ranking import drawn, mean_area, ranked
from fedask.simulations.report.svg import BLANK, swatch

_MOST_ROWS = 40  # devices shown one by one; the others become one row
_LONG_NAME = 4  # letters; longer class names are written upright
_DEEPEST = 0.62  # opacity of the fullest cell, so that its number stays readable
_APART = 0.05  # arms whose labels differ by a larger share have theirs told
_DIGEST = 12  # characters shown


def key_table(summary: ComparisonSummary) -> Html:
    """Show the figures to compare arms by."""
    needed = [p["labels_to_target"] for p in summary["policies"].values()]
    fewest = min((labels for labels in needed if labels is not None), default=None)
    target = summary["target_accuracy"]
    reach = "labels to target" if target is None else f"labels to {percent(target)}"
    head = ["arm", "AULC", "final accuracy", reach, "labels saved"]
    head += ["added per device and cycle", "extra messages", "time"]
    rows = []
    for name in ranked(summary):
        arm = summary["policies"][name]
        labels = arm["labels_to_target"]
        best = labels is not None and labels == fewest
        cells = [
            named(summary, name),
            esc(percent(mean_area(arm))),
            cell(percent(arm["final_accuracy"]), _range(arm)),
            esc("not reached" if labels is None else count(labels)),
            esc(_saved(summary, name)),
            esc(size(arm["bytes_per_device_per_cycle"])),
            esc(count(arm["extra_messages"])),
            esc(duration(arm["seconds"])),
        ]
        rows.append(row(cells, "best" if best and len(needed) > 1 else ""))
    return table(esc(_key_caption(summary)), head, rows)


def _key_caption(summary: ComparisonSummary) -> str:
    text = ""
    target, reference = summary["target_accuracy"], summary["reference"]
    rival = summary["policies"].get(reference)
    if target is not None:
        text = f"The target is {percent(target)}"
        if rival and math.isclose(rival["final_accuracy"], target, abs_tol=1e-6):
            text += f", where {reference} ended"
        text += ". "
    if len(summary["seeds"]) > 1:
        text += "Accuracy is the mean over the seeds; below it, lowest to highest. "
    if summary["aulc_labels"] is not None:
        text += "The largest area under the curve (AULC) comes first. "
    return text + "Added are the bytes of active learning, without the model."


def accuracy_table(summary: ComparisonSummary, curves: Sequence[Curve]) -> Html:
    """Show the numbers of the learning curves, one row per cycle."""
    rows = []
    for cycle in range(max(len(curve.labels) for curve in curves)):
        here = [c.labels[cycle] for c in curves if cycle < len(c.labels)]
        low, high = min(here), max(here)
        span = count(low) if low == high else f"{low:,} to {high:,}"
        cells = [esc(span)]
        cells += [
            _accuracy(
                curve, cycle, len(summary["seeds"]), told=high - low > _APART * high
            )
            for curve in curves
        ]
        rows.append(row(cells))
    told = "Accuracy by labels bought"
    if len(summary["seeds"]) > 1:
        told += ": mean \N{PLUS-MINUS SIGN} standard deviation over the seeds"
    return table(esc(told), ["labels", *(curve.name for curve in curves)], rows)


def heat_tables(summary: ComparisonSummary) -> Html:
    """Show labels per device and class, one table per arm on one scale."""
    arms = summary["policies"].values()
    held = (counts for arm in arms for counts in arm["labels_by_device"].values())
    most = max((max(counts, default=0) for counts in held), default=0)
    return per_arm(summary, lambda name: _heat(summary, name, most), "heats")


def ledger_table(summary: ComparisonSummary) -> Html:
    """Show what was bought and what became of it."""
    head = ["arm", "bought", "spent", "answered", "skipped", "expired", "returned"]
    rows = []
    for name in ranked(summary):
        arm = summary["policies"][name]
        books = arm["ledger"]
        sums = [books["bought"], books["spent"], books["answered"]]
        sums += [books["skipped"], books["expired"], books["returned"]]
        rows.append(row([named(summary, name), *(esc(count(n)) for n in sums)]))
    told = f"The server's ledger, over {_all_seeds(summary)}"
    return table(esc(told), head, rows)


def wire_table(summary: ComparisonSummary) -> Html:
    """Show bytes per record and the number of messages."""
    head = ["arm", "model arrays", "ask", "report + grid", "messages"]
    head.append("extra messages")
    rows = []
    for name in ranked(summary):
        arm = summary["policies"][name]
        cells = [
            named(summary, name),
            esc(size(arm["model_bytes_per_device_per_cycle"])),
            esc(size(arm["ask_bytes_per_device_per_cycle"])),
            esc(size(arm["report_bytes_per_device_per_cycle"])),
            esc(count(arm["messages"])),
            esc(count(arm["extra_messages"])),
        ]
        rows.append(row(cells))
    told = "Bytes per device and cycle by record, down and up together; messages "
    told += f"over {_all_seeds(summary)}"
    return table(esc(told), head, rows)


def machine_table(summary: ComparisonSummary) -> Html:
    """Show versions and the machine."""
    machine = summary["machine"]
    pairs = {
        "fedask": machine["fedask"],
        "flwr": machine["flwr"],
        "torch": machine["torch"],
        "Python": machine["python"],
        "cores": machine["cores"],
        "system": machine["system"],
        "runtime": summary["runtime"],
        "time": duration(summary["seconds"]),
    }
    rows = [row([esc(name), esc(value)]) for name, value in pairs.items()]
    return table(esc("Versions and machine"), [], rows, "text")


def digest_table(summary: ComparisonSummary) -> Html:
    """Show what another run of the same command must give again."""
    rows = []
    for name in ranked(summary):
        arm = summary["policies"][name]
        pairs = zip(arm["selected_digest"], arm["model_digest"], strict=False)
        for seed, pair in zip(summary["seeds"], pairs, strict=False):
            codes = [element("code", esc(digest[:_DIGEST])) for digest in pair]
            rows.append(row([named(summary, name), esc(seed), *codes]))
    told = "Digests, shortened: with the same versions, on the same kind of machine, "
    told += "the command gives the same ones again"
    found = table(esc(told), ["arm", "seed", "samples asked", "final model"], rows)
    return folded("Digests", found) if len(rows) > _MOST_ROWS else found


def arm_table(summary: ComparisonSummary) -> Html:
    """Show what each arm replaces in the scenario."""
    rows = []
    for name in ranked(summary):
        settings = summary["policies"][name]["settings"]
        codes = (
            element("code", esc(f"{key} = {_shown(value)}"))
            for key, value in settings.items()
        )
        told = join(codes, "<br>") or esc("the scenario as it is")
        rows.append(row([named(summary, name), told]))
    return table(esc("Arms: what each sets"), [], rows, "text arms")


def setting_tables(summary: ComparisonSummary) -> Html:
    """Show the scenario's settings, one small table per section."""
    sections: dict[str, list[Html]] = {}
    for key, value in summary["scenario"].items():
        group, dot, name = key.rpartition(".")
        pair = [esc(name if dot else key), element("code", esc(_shown(value)))]
        sections.setdefault(group or "general", []).append(row(pair))
    small = (table(esc(group), [], rows, "text") for group, rows in sections.items())
    return element("div", join(small), "pairs")


def named(summary: ComparisonSummary, name: str) -> Html:
    """Write an arm's name, after a piece of its line if it is drawn."""
    hue = hues(summary).get(name)
    mark = " (reference)" if name == summary["reference"] else ""
    return Html((swatch(hue) if hue is not None else BLANK) + esc(name + mark))


def per_arm(
    summary: ComparisonSummary, show: Callable[[str], Html], kind: str = ""
) -> Html:
    """Show something of every arm, the best first; of many, fold those not drawn."""
    first = drawn(summary)
    rest = [name for name in ranked(summary) if name not in first]
    if not first:
        first, rest = rest, []
    whole = element("div", join(show(name) for name in first), kind)
    if not rest:
        return whole
    others = element("div", join(show(name) for name in rest), kind)
    return join([whole, folded(plural(len(rest), "other arm"), others)])


def _shown(value: Scalar) -> str:
    """Write the value of a setting as it is given."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text or '""'


def _all_seeds(summary: ComparisonSummary) -> str:
    seeds = len(summary["seeds"])
    return f"all {seeds} seeds" if seeds > 1 else "the one seed"


def _range(arm: ArmSummary) -> str:
    last = [seed[-1] for seed in arm["accuracy"] if seed]
    if len(last) < 2:  # noqa: PLR2004  (one seed has no range)
        return ""
    return f"{percent(min(last))} to {percent(max(last))}"


def _saved(summary: ComparisonSummary, name: str) -> str:
    if name == summary["reference"]:
        return "reference"
    saved = summary["policies"][name]["labels_saved"]
    if saved is None:
        return change(None)
    return f"{percent(saved, 0)}" if saved >= 0 else f"{percent(-saved, 0)} more"


def _accuracy(curve: Curve, cycle: int, seeds: int, *, told: bool) -> Html:
    if cycle >= len(curve.labels):
        return Html("")
    text, spread = percent(curve.mean[cycle]), curve.spread[cycle]
    if not math.isnan(spread):
        mean = f"{100 * curve.mean[cycle]:.1f}"
        text = f"{mean} \N{PLUS-MINUS SIGN} {percent(spread)}"
    notes = [plural(curve.labels[cycle], "label")] if told else []
    if curve.seeds[cycle] < seeds:
        notes.append(f"{curve.seeds[cycle]} of {seeds} seeds")
    return cell(text, ", ".join(notes))


def _heat(summary: ComparisonSummary, name: str, most: int) -> Html:
    held = summary["policies"][name]["labels_by_device"]
    classes = summary["classes"]
    if not held:
        return paragraph(f"{name}: no labels yet.", "quiet")
    ranked = sorted(held, key=lambda device: (-sum(held[device]), device))
    shown = sorted(ranked[:_MOST_ROWS])
    rows = [_heat_row(device, held[device], most) for device in shown]
    rest = ranked[_MOST_ROWS:]
    if rest:
        sums = _sums([held[device] for device in rest], len(classes))
        rows.append(_heat_row(f"{len(rest)} others", sums, 0))
    total = _sums(list(held.values()), len(classes))
    rows.append(_heat_row("all", total, 0, kind="sum"))
    told = f"{plural(sum(total), 'label')}; per class {min(total, default=0)} to "
    told += f"{max(total, default=0)}, per device {sum(held[ranked[-1]])} to "
    told += f"{sum(held[ranked[0]])}"
    caption = Html(f"<b>{named(summary, name)}</b><br>{esc(told)}")
    long = any(len(label) > _LONG_NAME for label in classes)
    kind = "heat long" if long else "heat"
    return table(caption, ["device", *classes, "all"], rows, kind)


def _heat_row(device: str, counts: Sequence[int], most: int, kind: str = "") -> Html:
    cells = [f'<th scope="row">{esc(device)}</th>']
    for number in counts:
        depth = _DEEPEST * math.sqrt(min(1.0, number / most)) if most else 0.0
        style = f' style="--a:{depth:.2f}"' if depth else ""
        empty = "" if number else "zero"
        classes = f' class="{kind or empty}"' if kind or empty else ""
        cells.append(f"<td{classes}{style}>{number}</td>")
    cells.append(f'<td class="sum">{sum(counts)}</td>')
    return element("tr", Html("".join(cells)))


def _sums(rows: Sequence[Sequence[int]], width: int) -> list[int]:
    return [sum(counts[index] for counts in rows) for index in range(width)]
