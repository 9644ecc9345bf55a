"""The command `compress`: one stage, several methods, each with options of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.options import FOLDER, data_options, example, option, out_options, training_options
from replank.cli.rendering import Command
from replank.cli.stages import required_data, show, source_for
from replank.data.examples import DataConfig
from replank.system.errors import UsageError

# Which options are whose; an option of another method is refused, not passed over.
_SCHEDULE = ("schedule", "base_rate", "ramp")
_KD = ("temperature", "soft_weight")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "theseus": (*_SCHEDULE, "second_phase"),
    "truncate": (),
    "kd": _KD,
    "pkd": (*_KD, "patient_weight", "patient_layers"),
}


class _Model(click.ParamType[str | Path]):
    """A hub name, or a folder, of which a manifest keeps the name only."""

    name = "model"

    def convert(self, value: Any, param: Any, context: Any) -> str | Path:
        return Path(value) if Path(value).exists() else str(value)


class _Grouping(click.ParamType[tuple[int, ...]]):
    name = "sizes"

    def convert(self, value: Any, param: Any, context: Any) -> tuple[int, ...]:
        try:
            return tuple(int(size) for size in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of sizes; expected something like 1,2,3,6", param, context)


@click.command(
    cls=Command,
    short_help="Predecessor to successor of fewer layers.",
    epilog=example("replank compress predecessor successor --layers 6 --task sst2"),
)
@click.argument("predecessor")
@click.argument("out", type=FOLDER)
@option("--layers", type=click.IntRange(1), help="Layers of the successor. [default: half]")
@option("--grouping", type=_Grouping(), help="Layers that each of its layers replaces, such as 1,2,3,6.")
@option(
    "--init-from",
    type=_Model(),
    help="Hub name or folder of the model whose layers it starts from. [default: the predecessor]",
)
@option(
    "--init-layers",
    type=click.Choice(["first", "spread"]),
    help="Which of them: the first, or the first of each group. [default: theseus spread, others first]",
)
@option(
    "--method",
    type=click.Choice(list(_OPTIONS)),
    default="theseus",
    help="theseus replaces progressively; the others are baselines: fine-tuning of the truncated model, knowledge "
    "distillation, patient knowledge distillation.",
)
@option(
    "--schedule",
    type=click.Choice(["linear", "constant", "anti-curriculum"]),
    help="theseus: how the replacing rate goes in the first phase. [default: linear]",
)
@option("--base-rate", type=float, help="theseus: the rate it starts from. [default: 0.3; constant 0.5]")
@option("--ramp", type=float, help="theseus: length of the first phase, a part or a number of steps. [default: 0.5]")
@option(
    "--second-phase",
    type=click.Choice(["all", "head", "layers", "none"]),
    help="theseus: what learns once all is replaced; none ends before. [default: all]",
)
@option("--temperature", type=float, help="kd, pkd: of the soft labels. [default: 2]")
@option("--soft-weight", type=float, help="kd, pkd: their part of the loss. [default: 0.5]")
@option("--patient-weight", type=float, help="pkd: weight of the hidden states' distance. [default: 100]")
@option("--patient-layers", type=click.Choice(["skip", "last"]), help="pkd: the predecessor's layers. [default: skip]")
@data_options
@training_options(epochs=5.0, learning_rate="theseus 0.0002, others 0.0001")
@out_options
def compress(predecessor: str, out: Path, data: DataConfig | None, force: bool, as_json: bool, **settings: Any) -> None:
    """Make a successor: replace the layers of PREDECESSOR, a fine-tuned model, by fewer, into the folder OUT.

    Interrupted, the same command resumes from the last checkpoint, kept in OUT.work.
    """
    source, known_data = source_for(out, predecessor, force), required_data(data)
    config = config_of(**settings)
    from replank_compress.successor import compress as stage

    show(stage(source, out, config, known_data, force=force), as_json)


def config_of(method: str, **settings: Any) -> Any:
    """The configuration of a method from the command line's values, ``None`` where nothing was said.

    :raises UsageError: an option of another method was given.
    """
    from replank_compress.methods import METHODS
    from replank_compress.methods.schedule import SCHEDULES

    settings = {name: value for name, value in settings.items() if value is not None}
    special = {name for names in _OPTIONS.values() for name in names}
    for name in sorted(settings.keys() & special - set(_OPTIONS[method])):
        methods = " and ".join(method for method, names in _OPTIONS.items() if name in names)
        raise UsageError(f"--{name.replace('_', '-')} is an option of --method {methods}, not of {method}")
    if method == "theseus":
        schedule = {name: settings.pop(name) for name in _SCHEDULE if name in settings}
        settings["schedule"] = SCHEDULES[schedule.pop("schedule", "linear")](**schedule)
    return METHODS[method](**settings)
