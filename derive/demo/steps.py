"""`derive demo`: from the LSTM's equations to a trained network, with everything in between shown and checked."""

from __future__ import annotations

import importlib
import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from derive.demo import forecast, toy
from derive.errors import DeriveError
from derive.terminal import tables as display

CELL = "lstm"
MODULES = ("lstm", "lstm_toy", "lstm_readout")
SEEDS = 5


def run(console: Console, output: Path) -> bool:
    """Run the whole demonstration and write the plot to `output`; return whether every check passed."""
    if not output.parent.is_dir():
        raise DeriveError(f"cannot write the plot to {output}: there is no folder {output.parent}")
    began = time.perf_counter()
    show_equations(console)
    show_derivation(console)
    modules = compiled(console)
    passed = show_checks(console)
    passed = show_toy(console, modules["lstm_toy"]) and passed
    show_forecast(console, modules["lstm_readout"], output)
    console.print(f"\nAll of it took {time.perf_counter() - began:.0f} s.")
    return passed


def heading(console: Console, title: str) -> None:
    """Print the title of a section."""
    console.print()
    console.rule(Text(title, "bold"), align="left")


def show_equations(console: Console) -> None:
    """Print the cell as its file states it."""
    from derive.registry import cell

    heading(console, "1  The equations")
    display.equations(console, cell(CELL))


def show_derivation(console: Console) -> None:
    """Derive the backward pass and print its first steps and its equations' number."""
    from derive.passes.adjoint import vjp
    from derive.registry import cell

    heading(console, "2  The derivation")
    began = time.perf_counter()
    program = cell(CELL).program()
    adjoint = vjp(program)
    seconds = time.perf_counter() - began
    state = program.facts.states[-1]
    console.print(
        "Each equation is differentiated on its own, and the Kronecker deltas are contracted. "
        f"Everything that reads {state}:\n"
    )
    shown = [step for step in adjoint.steps if step.read.startswith(f"{state}[")]
    for step in shown:
        for line in str(step).splitlines():
            console.print(Text("  " + line), soft_wrap=True)
    rest = len(adjoint.steps) - len(shown)
    console.print(f"\n  ... and {rest} more steps, for any T and any size, in {seconds:.2f} s.")
    console.print(f"  `derive latex {CELL} --format text` prints the derived equations.", highlight=False)


def compiled(console: Console) -> dict[str, Any]:
    """Import the compiled modules, compiling the committed C first where that has not happened yet."""
    heading(console, "3  The C")
    modules = {}
    with display.progress_bar(console) as bar:
        task = bar.add_task("compiling", total=len(MODULES))
        for name in MODULES:
            modules[name] = load(name)
            bar.advance(task)
    for module in modules.values():
        folder = Path(module.__file__).parent
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in folder.glob("*.c"))
        console.print(f"  {module.__name__}: {lines} lines of generated C, compiled", highlight=False)
    return modules


def load(name: str) -> Any:
    """Import one generated module; compile it in place if its extension module is not there."""
    try:
        return importlib.import_module(f"derive.generated.{name}")
    except ImportError:
        from derive.toolchain.compiler import compile_folder

        spec = importlib.util.find_spec("derive.generated")
        places = list(spec.submodule_search_locations or ()) if spec else []
        folder = next((Path(place) / name for place in places if (Path(place) / name).is_dir()), None)
        if folder is None:
            raise DeriveError(f"there is no generated module {name}: run `derive build {name}` first") from None
        compile_folder(folder)
        importlib.invalidate_caches()
        return importlib.import_module(f"derive.generated.{name}")


def show_checks(console: Console) -> bool:
    """Print the table of numerical checks of the cell; return whether all of them passed."""
    from derive import check

    heading(console, "4  The checks")
    with console.status("checking the compiled gradients against independent references"):
        rows = check.run(CELL)
    console.print(display.checks(rows))
    return all(row.ok for row in rows)


def show_toy(console: Console, cell: Any) -> bool:
    """Train the toy and compare it with what its author's own program prints; return whether it learned."""
    heading(console, "5  A toy, against a program written by hand")
    steps = 100
    with display.progress_bar(console) as bar:
        task = bar.add_task("gradient descent", total=steps)
        losses = toy.learn(cell, steps, progress=lambda _loss: bar.advance(task))
    for name, (first, last) in (
        ("nicodjimenez/lstm, hand-written", toy.WITNESS),
        ("lstm_toy, derived and compiled", (losses[0], losses[-1])),
    ):
        console.print(f"  {name:32}  loss {first:.3e} -> {last:.3e} in {steps} steps", highlight=False)
    return losses[-1] < 1e-5


def show_forecast(console: Console, cell: Any, output: Path) -> None:
    """Train on the sunspot numbers, print the held-out errors, write the plot."""
    heading(console, "6  A real series: yearly sunspot numbers")
    data, recipe = forecast.series(), forecast.Recipe()
    console.print(
        f"  training {data.years[0]}-{data.train}, validation {data.train + 1}-{data.validation}, "
        f"held out {data.validation + 1}-{data.years[-1]}; {SEEDS} networks of {recipe.hidden} units, averaged",
        highlight=False,
    )
    began = time.perf_counter()
    fits = train(console, cell, data, recipe)
    seconds = time.perf_counter() - began
    mean = np.mean([fit.predicted for fit in fits], axis=0)
    single = [data.error(fit.predicted, "held-out") for fit in fits]
    plain_order, plain = forecast.best_autoregression(data, roots=False)
    roots_order, roots = forecast.best_autoregression(data, roots=True)
    predictions = {
        f"LSTM, mean of {SEEDS}": mean,
        f"linear AR({roots_order}) on square roots": roots,
        f"linear AR({plain_order})": plain,
        "persistence": forecast.persistence(data),
    }
    rows = [(name, data.error(p, "validation"), data.error(p, "held-out")) for name, p in predictions.items()]
    console.print(display.errors(rows))
    console.print(
        f"  The networks alone: {min(single):.2f} to {max(single):.2f} held out. Trained in {seconds:.1f} s "
        f"({len(fits) * recipe.steps} steps of {recipe.batch} windows of {recipe.window} years). "
        "Stopping step and AR order were chosen on the validation years.",
        highlight=False,
    )
    draw(console, data, predictions, output)


def train(console: Console, cell: Any, data: forecast.Series, recipe: forecast.Recipe) -> list[forecast.Fit]:
    """Train one network per seed, with one progress bar over all of them."""
    fits = []
    with display.progress_bar(console) as bar:
        task = bar.add_task("training", total=SEEDS * recipe.steps)
        for seed in range(SEEDS):

            def advance(step: int, loss: float, seed: int = seed) -> None:
                words = f"training network {seed + 1} of {SEEDS}, loss {loss:.3f}" if step % 10 == 0 else None
                bar.update(task, advance=1, description=words)

            fits.append(forecast.train(cell, data, recipe, seed, advance))
    return fits


def draw(console: Console, data: forecast.Series, predictions: dict[str, forecast.Floats], output: Path) -> None:
    """Write the plot, or say how to get it where matplotlib is missing."""
    from derive.demo import plot

    shown = {name: predictions[name] for name in list(predictions)[:2]} | {"persistence": predictions["persistence"]}
    errors = {name: data.error(predicted, "held-out") for name, predicted in shown.items()}
    try:
        plot.forecast(data, shown, errors, output)
    except ImportError:
        words = "  No plot: matplotlib is not installed. `pip install 'lstm-derive[demo]'` brings it."
        console.print(words, markup=False, soft_wrap=True)
        return
    console.print(Text(f"  Plot written to {output}"), soft_wrap=True)
