"""The picture at the end of the demo. Needs matplotlib, which only the extra `demo` brings."""

from __future__ import annotations

from pathlib import Path

from derive.demo.forecast import Floats, Series


def forecast(data: Series, predictions: dict[str, Floats], errors: dict[str, float], target: Path) -> None:
    """Write a PNG: the series with its split above, the held-out years with the predictions below.

    Raises ImportError where matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(10, 7), height_ratios=(1, 2), layout="constrained")
    first, last = data.years[0], data.years[-1]
    above.plot(data.years, data.values, color="black", linewidth=0.9)
    for begin, end, name, colour in (
        (first, data.train, "training", "#ffffff"),
        (data.train, data.validation, "validation", "#f2ead8"),
        (data.validation, last, "held out", "#dbe8f4"),
    ):
        above.axvspan(begin, end, color=colour, zorder=0)
        above.text((begin + end) / 2, data.values.max() * 1.02, name, ha="center", va="bottom", fontsize=9)
    above.set(xlim=(first, last), ylim=(0, data.values.max() * 1.15), ylabel="sunspot number")
    above.set_title("Yearly sunspot numbers", loc="left", fontweight="bold")

    cut = data.cuts[1]
    years = data.years[cut:]
    below.plot(years, data.values[cut:], color="black", linewidth=1.6, marker="o", markersize=3, label="observed")
    styles = (("#c0392b", "-", 1.8), ("#2e6da4", "--", 1.2), ("#7f8c8d", ":", 1.2))
    for (name, predicted), (colour, dash, width) in zip(predictions.items(), styles, strict=False):
        label = f"{name}: RMSE {errors[name]:.1f}"
        below.plot(years, predicted[cut - 1 :], color=colour, linestyle=dash, linewidth=width, label=label)
    top = 1.2 * max(data.values[cut:].max(), *(predicted[cut - 1 :].max() for predicted in predictions.values()))
    below.set(xlim=(years[0] - 0.5, years[-1] + 0.5), ylim=(0, top), xlabel="year", ylabel="sunspot number")
    below.set_title("Held-out years, predicted one year ahead", loc="left", fontweight="bold")
    below.legend(frameon=False, loc="upper right", ncols=2)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=120, format="png")
    plt.close(figure)
