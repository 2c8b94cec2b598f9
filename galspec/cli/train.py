"""`python -m galspec train vae|cnn`: train on a survey, in a run folder, resumable.

`torchrun --nproc-per-node N -m galspec train cnn ...` trains one network with N processes (docs/training.md).
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from galspec.training.distributed import Processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the verb."""
    kinds = parser.add_subparsers(dest="what", metavar="vae|cnn", required=True)
    vae = kinds.add_parser("vae", help="the autoencoder of spectra, whose latents the networks predict")
    cnn = kinds.add_parser("cnn", help="a network that predicts the latents from images")
    for one in (vae, cnn):
        one.add_argument("--survey", type=Path, required=True, help="survey folder")
        one.add_argument("--out", type=Path, required=True, help="run folder; an interrupted run in it continues")
        one.add_argument("--config", type=Path, help="TOML file with a table [vae] or [cnn]; options below win over it")
        one.add_argument("--epochs", type=int, help="passes through the train split")
        one.add_argument("--batch-size", type=int, help="galaxies a batch")
        one.add_argument("--seed", type=int, help="initial weights and shuffling")
        one.add_argument("--max-galaxies", type=int, default=0, help="use the first N galaxies of the survey")
        one.add_argument("--restart", action="store_true", help="start anew instead of continuing")
    vae.add_argument(
        "--search",
        type=int,
        metavar="N",
        help="instead of training, try N random widths and lambdas (table [search] of the config); the published "
        "widths are the first; OUT/search.csv",
    )
    _add_cnn_arguments(cnn)


def _add_cnn_arguments(cnn: argparse.ArgumentParser) -> None:
    cnn.add_argument("--vae", type=Path, help="VAE bundle (default: the shipped one)")
    cnn.add_argument(
        "--start", type=Path, metavar="BUNDLE", help="start from the weights of this predictor instead of random ones"
    )
    cnn.add_argument("--model", help="network (default xresnet18-hybrid)")
    cnn.add_argument("--passes", type=int, help="images to train on in all, instead of --epochs; rounded up to epochs")
    cnn.add_argument("--max-lr", type=float, help="peak learning rate (default: the paper's for the network)")
    cnn.add_argument("--precision", choices=("bf16", "fp32"), help="default bf16")
    cnn.add_argument(
        "--ship", choices=("last", "best"), help="weights of the bundle: last epoch (default) or best on valid"
    )
    cnn.add_argument("--ema-decay", type=float, help="average the weights over steps, e.g. 0.99 (default 0 = off)")
    cnn.add_argument("--early-stopping", type=int, help="stop after N epochs without improvement (default 0 = off)")
    cnn.add_argument(
        "--recalibrate", type=int, dest="n_recalibration", help="batches to measure statistics anew at the end"
    )
    cnn.add_argument(
        "--samples", type=int, default=0, help="keep the latents of N valid galaxies at each epoch (metrics.jsonl)"
    )
    cnn.add_argument("--threads", type=int, dest="num_threads", help="threads of torch on the CPU")
    cnn.add_argument("--compile", action="store_true", default=None, help="use torch.compile")
    cnn.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    cnn.add_argument(
        "--cache-images", action="store_true", help="unpack images into the cache: faster epochs, 0.5 MB a galaxy"
    )
    cnn.add_argument("--jobs", type=int, default=0, help="processes that render images (default: all cores)")
    _add_ablations(cnn)


def _add_ablations(cnn: argparse.ArgumentParser) -> None:
    group = cnn.add_argument_group("ablations", "what differs from the published network and recipe (docs/training.md)")
    group.add_argument("--deconv-iterations", type=int, help="Newton-Schulz iterations of FastDeconv (default 5)")
    group.add_argument("--deconv-eps", type=float, help="added to the diagonal of its covariance (default 1e-5)")
    group.add_argument("--activation", help="mish (default) or relu")
    group.add_argument("--self-attention", action=argparse.BooleanOptionalAction, default=None, help="default: on")
    group.add_argument("--groups", type=int, help="groups of the first convolution of each block (default 64)")
    group.add_argument("--squeeze-excite", action=argparse.BooleanOptionalAction, default=None, help="default: on")
    group.add_argument("--optimiser", help="ranger (default) or adam")
    group.add_argument("--image-scaling", help="linear (default) or arcsinh")
    group.add_argument("--image-form", help="full (default), colour (aperture fluxes only) or grey (shapes only)")


#: Options that are fields of the settings dataclasses under the same name.
_SHARED = {"epochs": "n_epochs", "batch_size": "batch_size", "seed": "seed"}
_CNN_ONLY = (
    "model",
    "max_lr",
    "precision",
    "ship",
    "ema_decay",
    "early_stopping",
    "n_recalibration",
    "num_threads",
    "compile",
    "deconv_iterations",
    "deconv_eps",
    "activation",
    "self_attention",
    "groups",
    "squeeze_excite",
    "optimiser",
    "image_scaling",
    "image_form",
)


def run(args: argparse.Namespace) -> int:
    """Train; SIGTERM or Ctrl-C writes a checkpoint and ends with code 130."""
    from galspec.training.memory import keep_freed_memory
    from galspec.training.run_folder import RunStopped, stop_on_signals

    keep_freed_memory()
    train = _train_vae if args.what == "vae" else _train_cnn
    try:
        with stop_on_signals() as stop:
            bundle = train(args, stop)
    except RunStopped as stopped:
        print(f"stopped: {stopped}.")
        return 130
    print(f"{'table' if bundle.is_file() else 'bundle'}: {bundle}")
    return 0


def _settings(cls: type[Any], args: argparse.Namespace, options: dict[str, str]) -> dict[str, Any]:
    """Return the settings of the file, if any, overridden by the options that were given."""
    import dataclasses

    from galspec.training.config import load_config

    given = {field: getattr(args, option) for option, field in options.items() if getattr(args, option) is not None}
    base = dataclasses.asdict(load_config(cls, args.config, args.what)) if args.config else {}
    return {**base, **given}


def _train_cnn(args: argparse.Namespace, stop: Callable[[], bool]) -> Path:
    from galspec.training.config import CnnConfig
    from galspec.training.distributed import join_processes

    settings = _settings(CnnConfig, args, {**_SHARED, **{name: name for name in _CNN_ONLY}})
    CnnConfig(**settings)  # bad settings are refused before the survey is read
    with join_processes(args.device) as processes:
        return _train_together(args, settings, stop, processes)


def _train_together(
    args: argparse.Namespace, settings: dict[str, Any], stop: Callable[[], bool], processes: "Processes"
) -> Path:
    from galspec.core.home import shipped_weights_dir
    from galspec.models.bundle import load_predictor_bundle, load_vae_bundle
    from galspec.store.survey import open_survey
    from galspec.training.cnn import train_cnn
    from galspec.training.config import CnnConfig
    from galspec.training.survey_set import training_set

    survey = open_survey(args.survey)
    vae = load_vae_bundle(args.vae or shipped_weights_dir() / "vae6")
    start = load_predictor_bundle(args.start, fold=False) if args.start else None
    if not processes.is_first:
        processes.wait()  # the first process renders the images that the others then find in the cache
    is_silent = not processes.is_first or (survey.has_images and not args.cache_images)
    with tqdm(unit="block", desc="images", disable=is_silent) as bar:
        data = training_set(survey, vae, args.max_galaxies, args.cache_images, args.jobs, _show_blocks(bar))
    if processes.is_first:
        processes.wait()
    if args.passes:
        settings["n_epochs"] = max(1, math.ceil(args.passes / len(data.rows("train"))))
    config = CnnConfig(**settings)
    n_batches = config.n_epochs * max(1, len(data.rows("train")) // config.batch_size)
    with tqdm(total=n_batches, unit="batch", desc=config.model, disable=not processes.is_first) as bar:
        return train_cnn(
            data,
            vae,
            config,
            args.out,
            _show_metrics(bar) if processes.is_first else None,
            not args.restart,
            stop,
            args.device,
            start=start,
            processes=processes,
            n_samples=args.samples,
        )


def _train_vae(args: argparse.Namespace, stop: Callable[[], bool]) -> Path:
    from galspec.store.survey import open_survey
    from galspec.training.survey_set import spectrum_set
    from galspec.training.vae import train_vae
    from galspec.training.vae_data import VaeConfig

    config = VaeConfig(**_settings(VaeConfig, args, _SHARED))
    data = spectrum_set(open_survey(args.survey), args.max_galaxies)
    if args.search is not None:
        return _search_vae(args, data, config, stop)
    with tqdm(total=config.n_epochs, unit="epoch", desc="vae") as bar:

        def show(row: dict[str, Any]) -> None:
            bar.set_postfix_str(f"valid loss {row['valid_loss']:.3f}, best epoch {row['best_epoch']}", refresh=False)
            bar.update(row["epoch"] - bar.n)

        return train_vae(data, config, args.out, show, not args.restart, stop)


def _search_vae(args: argparse.Namespace, data: Any, config: Any, stop: Callable[[], bool]) -> Path:
    from galspec.training.config import config_from_table, load_config
    from galspec.training.vae_search import TABLE, SearchConfig, search_vae

    search = (
        load_config(SearchConfig, args.config, "search") if args.config else config_from_table(SearchConfig, {}, "")
    )
    with tqdm(total=args.search, unit="trial", desc="search") as bar:

        def show(row: dict[str, Any]) -> None:
            bar.update(row["trial"] + 1 - bar.n)

        rows = search_vae(data, config, search, args.out, args.search, show, stop, not args.restart)
    best = rows[0]
    print(
        f"best of {len(rows)} trials: lambda {best['mmd_lambda']:g}, hidden {best['hidden1']}-{best['hidden2']}, "
        f"loss without discrepancy {best['valid_elbo']:.2f}; the published widths "
        f"{next(row['valid_elbo'] for row in rows if row['trial'] == 0):.2f}"
    )
    path: Path = args.out / TABLE
    return path


def _show_blocks(bar: "tqdm[Any]") -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def _show_metrics(bar: "tqdm[Any]") -> Callable[[dict[str, Any]], None]:
    latest = ""

    def show(row: dict[str, Any]) -> None:
        nonlocal latest
        if row["kind"] == "epoch":
            latest = f", valid MSE {row['valid_mse']:.4f} after epoch {row['epoch']}"
            bar.write(
                f"epoch {row['epoch']}: train MSE {row['train_mse']:.4f}{latest}, best epoch {row['best_epoch']}; "
                f"{row['epoch_seconds']:.0f} s, {row['images_per_s']:.0f} images/s"
            )
        else:
            bar.set_postfix_str(
                f"MSE {row['train_mse']:.4f}, {row['images_per_s']:.1f} images/s{latest}", refresh=False
            )
        bar.update(row["step"] - bar.n)

    return show
