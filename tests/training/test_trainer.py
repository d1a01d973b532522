"""The trainer: what a step does, what a checkpoint keeps, and that a killed run ends as one that was not."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rag.errors import InvalidInput, ModelError
from rag.training import trainer_checkpoint
from rag.training.schedule import Schedule
from rag.training.text_objectives import causal_language_modelling
from rag.training.trainer import Trainer, TrainerProgress
from rag.training.trainer_config import TrainerConfig, new_optimizer
from rag.training.training_objective import BatchLoss, evaluate

SCRIPT = Path(__file__).with_name("small_run.py")


def _load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("small_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


small_run = _load_script()
CONFIG: TrainerConfig = small_run.CONFIG


def _curve(folder: Path) -> list[dict[str, Any]]:
    """The points of a run without what the clock decides."""
    points = small_run.new_trainer(folder).log.read()
    return [{"step": p.step, **{k: v for k, v in p.values().items() if k != "elapsed_s"}} for p in points]


def _last(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "last.pt", weights_only=True)
    return state


def _assert_same_end(folder: Path, other: Path) -> None:
    assert _curve(folder) == _curve(other)
    for name in ("last.pt", "best.pt"):
        one, two = (torch.load(f / name, weights_only=True) for f in (folder, other))
        assert one["step"] == two["step"]
        assert all(torch.equal(one["model"][key], two["model"][key]) for key in two["model"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run from beginning to end, in one go."""
    folder = tmp_path_factory.mktemp("whole")
    small_run.new_trainer(folder).run()
    return folder


def test_run_learns_and_its_curve_is_complete(whole: Path) -> None:
    curve = _curve(whole)
    due = {s for s in range(1, 151) if s % 7 == 0 or s % 20 == 0 or s == 150}
    assert [point["step"] for point in curve] == sorted(due)
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    validated = {p["step"]: p["validation_accuracy"] for p in curve if "validation_accuracy" in p}
    assert validated[140] > validated[20] > 0
    assert list(validated) == [20, 40, 60, 80, 100, 120, 140, 150]


def test_killed_process_ends_as_if_nothing_had_been(whole: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    process = subprocess.Popen([sys.executable, SCRIPT, tmp_path, "0.02"])
    try:
        deadline = time.monotonic() + 300
        while not log.is_file() or log.read_text().count("\n") < 10:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert 30 <= _last(tmp_path)["step"] < 150
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True, timeout=300)
    _assert_same_end(tmp_path, whole)


@pytest.mark.parametrize("last_step", [3, 31, 59, 141])
def test_run_stopped_anywhere_ends_as_if_nothing_had_been(whole: Path, tmp_path: Path, last_step: int) -> None:
    class Stopped(Exception):
        pass

    def stop(model: nn.Module, batch: Any) -> BatchLoss:
        if model.training and first.step == last_step:
            raise Stopped
        return causal_language_modelling(model, batch)

    first = small_run.new_trainer(tmp_path)
    first._objective = stop
    with pytest.raises(Stopped):
        first.run()
    second = small_run.new_trainer(tmp_path)
    assert second.resume() == last_step // 30 * 30
    second.run()
    _assert_same_end(tmp_path, whole)


def test_finished_run_resumes_at_its_end(whole: Path) -> None:
    before = _curve(whole)
    again = small_run.new_trainer(whole)
    assert again.resume() == 150
    again.run()
    assert _curve(whole) == before


def test_line_cut_short_by_a_kill_is_no_point(tmp_path: Path) -> None:
    trainer = small_run.new_trainer(tmp_path, replace(CONFIG, num_steps=40))
    trainer.run()
    whole_log = trainer.log.path.read_text()
    trainer.log.path.write_text(whole_log + '{"step": 42, "lo')
    assert small_run.new_trainer(tmp_path, replace(CONFIG, num_steps=40)).resume() == 40
    assert trainer.log.path.read_text() == whole_log


def test_other_seed_makes_another_run(whole: Path, tmp_path: Path) -> None:
    small_run.new_trainer(tmp_path, replace(CONFIG, num_steps=20, seed=2)).run()
    assert _curve(tmp_path)[0] != _curve(whole)[0]


def test_generator_of_the_caller_is_left_as_it_was(tmp_path: Path) -> None:
    trainer = small_run.new_trainer(tmp_path, replace(CONFIG, num_steps=2))
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    trainer.run()
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("num_parts", [2, 3, 8])
def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path: Path, num_parts: int) -> None:
    # The texts differ in length: a mean of the parts' means would be something else.
    ends = []
    for parts in (1, num_parts):
        config = replace(CONFIG, num_steps=5, num_parts=parts)
        trainer = small_run.new_trainer(tmp_path / str(parts), config)
        trainer._model.dropout.p = 0.0
        trainer.run()
        ends.append(_last(tmp_path / str(parts)))
        ends[-1]["curve"] = _curve(tmp_path / str(parts))
    for name, tensor in ends[0]["model"].items():
        torch.testing.assert_close(ends[1]["model"][name], tensor, atol=1e-5, rtol=1e-4)
    assert ends[1]["curve"][0]["loss"] == pytest.approx(ends[0]["curve"][0]["loss"], rel=1e-5)
    assert ends[1]["curve"][0]["gradient_norm"] == pytest.approx(ends[0]["curve"][0]["gradient_norm"], rel=1e-4)


def test_bfloat16_learns_while_weights_stay_in_float32(whole: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, num_steps=100, dtype="bfloat16")
    trainer = small_run.new_trainer(tmp_path, config)
    seen: set[torch.dtype] = set()
    trainer._model.output.register_forward_hook(lambda *a: seen.add(a[2].dtype))
    trainer.run()
    assert seen == {torch.bfloat16}
    assert {x.dtype for x in _last(tmp_path)["model"].values()} == {torch.float32}
    assert _curve(tmp_path)[-1]["loss"] == pytest.approx(
        next(p["loss"] for p in _curve(whole) if p["step"] == 98), rel=0.3
    )


def test_step_is_no_longer_than_the_clipped_gradient(tmp_path: Path) -> None:
    trainer = small_run.new_trainer(tmp_path, replace(CONFIG, num_steps=1, clip_norm=1e-3))
    trainer.run()
    squares = sum(float(x.grad.square().sum()) for x in trainer._model.parameters())
    assert squares**0.5 == pytest.approx(1e-3, rel=1e-3)
    assert trainer.log.read()[0].gradient_norm > 1e-2  # told as it was before clipping


def test_decay_is_for_matrices_and_rates_follow_the_schedule() -> None:
    model = small_run.PairModel()
    config = replace(CONFIG, rate_scales={"embedding.": 0.25})
    groups = new_optimizer(model, config).param_groups
    by_parameter = {id(p): group for group in groups for p in group["params"]}
    assert len(by_parameter) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        group = by_parameter[id(parameter)]
        assert group["weight_decay"] == (0.1 if parameter.ndim == 2 else 0.0)
        assert group["scale"] == (0.25 if name.startswith("embedding.") else 1.0)


def test_rate_of_each_step_is_the_schedule_s(tmp_path: Path) -> None:
    config = replace(CONFIG, num_steps=30, report_every=1, rate_scales={"output.": 0.5})
    trainer = small_run.new_trainer(tmp_path, config)
    used: list[set[float]] = []

    def watch(_: TrainerProgress) -> None:
        used.append({group["lr"] / group["scale"] for group in trainer._optimizer.param_groups})

    trainer.run(watch)
    wanted = [1e-2 * config.schedule.share_at(step, 30) for step in range(30)]
    assert [max(rates) for rates in used] == pytest.approx(wanted)
    assert [min(rates) for rates in used] == pytest.approx(wanted)
    assert [point.learning_rate for point in trainer.log.read()] == wanted


def _failing_at(step: int, spoil: Callable[[BatchLoss, nn.Module], Tensor]) -> Callable[..., BatchLoss]:
    calls = iter(range(1_000))

    def objective(model: nn.Module, batch: Any) -> BatchLoss:
        loss = causal_language_modelling(model, batch)
        spoilt = model.training and next(calls) == step
        return BatchLoss(spoil(loss, model), loss.num_targets) if spoilt else loss

    return objective


def _infinite_gradient(loss: BatchLoss, model: nn.Module) -> Tensor:
    weight = next(model.parameters())
    return loss.total + (weight - weight.detach()).clamp(min=0).sum().sqrt()


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda loss, _: loss.total * float("nan"), "loss at step 51 is nan"),
        (lambda loss, _: loss.total * float("inf"), "loss at step 51 is inf"),
        (_infinite_gradient, "norm of the gradients at step 51 is inf"),
    ],
)
def test_run_stops_before_a_step_that_is_not_finite(
    tmp_path: Path, spoil: Callable[[BatchLoss, nn.Module], Tensor], what: str
) -> None:
    trainer = small_run.new_trainer(tmp_path)
    trainer._objective = _failing_at(50, spoil)
    with pytest.raises(InvalidInput, match=rf"{what}.*peak_rate.*last.pt is the last good checkpoint"):
        trainer.run()
    assert _last(tmp_path)["step"] == 30
    assert all(x.isfinite().all() for x in trainer._model.parameters())
    assert [point["step"] for point in _curve(tmp_path)][-1] == 49  # nothing after the last whole step


def test_divergence_before_the_first_checkpoint_says_that_there_is_none(tmp_path: Path) -> None:
    trainer = small_run.new_trainer(tmp_path)
    trainer._objective = _failing_at(3, lambda loss, _: loss.total * float("nan"))
    with pytest.raises(InvalidInput, match="no checkpoint was written yet"):
        trainer.run()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 2}, "seed"), ({"peak_rate": 1.0}, "peak_rate"), ({"num_steps": 200}, "num_steps")],
)
def test_checkpoint_of_a_run_with_other_settings_is_refused(whole: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=f"holds a run with another {named};"):
        small_run.new_trainer(whole, replace(CONFIG, **change)).resume()


def test_checkpoint_of_another_model_is_refused(whole: Path) -> None:
    trainer = small_run.new_trainer(whole)
    trainer._model.output = nn.Linear(16, 12)
    with pytest.raises(InvalidInput, match="holds a run of another model"):
        trainer.resume()


def test_validation_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    def objective(model: nn.Module, batch: Any) -> BatchLoss:
        loss = causal_language_modelling(model, batch)
        return loss if model.training else BatchLoss(loss.total * float("nan"), loss.num_targets)

    trainer = small_run.new_trainer(tmp_path)
    trainer._objective = objective
    with pytest.raises(InvalidInput, match="validation loss at step 20 is nan"):
        trainer.run()


def test_file_that_torch_can_read_but_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"something": 1}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="not a checkpoint"):
        small_run.new_trainer(tmp_path).resume()


def test_checkpoint_of_a_run_on_other_data_is_refused(whole: Path) -> None:
    trainer = small_run.new_trainer(whole)
    trainer._identity["data"] = "other"
    with pytest.raises(InvalidInput, match="another data;"):
        trainer.resume()


def test_run_can_be_made_longer_while_its_rate_stands_still(tmp_path: Path) -> None:
    schedule = Schedule(decay="warmup_stable_decay", num_warmup=10, decay_share=0.5)
    short = replace(CONFIG, num_steps=80, schedule=schedule)
    longer = replace(short, num_steps=160)

    class Stopped(Exception):
        pass

    def stop(progress: TrainerProgress) -> None:
        if progress.point.step == 35:
            raise Stopped

    with pytest.raises(Stopped):
        small_run.new_trainer(tmp_path / "parts", short).run(stop)
    resumed = small_run.new_trainer(tmp_path / "parts", longer)
    assert resumed.resume() == 30
    resumed.run()
    small_run.new_trainer(tmp_path / "whole", longer).run()
    _assert_same_end(tmp_path / "parts", tmp_path / "whole")
    with pytest.raises(InvalidInput, match="another num_steps"):
        small_run.new_trainer(tmp_path / "parts", short).resume()


def test_best_weights_are_those_with_the_lowest_validation_loss(whole: Path) -> None:
    trainer = small_run.new_trainer(whole)
    step = trainer.load_best()
    validated = {p["step"]: p["validation_loss"] for p in _curve(whole) if "validation_loss" in p}
    assert step == min(validated, key=lambda s: validated[s])
    found = evaluate(trainer._model, causal_language_modelling, trainer._validation)
    assert found["loss"] == validated[step]


def test_without_validation_there_is_no_best(tmp_path: Path) -> None:
    trainer = small_run.new_trainer(tmp_path, replace(CONFIG, num_steps=3))
    trainer._validation = ()
    trainer.run()
    assert not (tmp_path / "best.pt").exists()
    with pytest.raises(InvalidInput, match="train with validation data first"):
        trainer.load_best()


def test_evaluation_is_without_dropout_and_keeps_the_mode(whole: Path) -> None:
    trainer = small_run.new_trainer(whole)
    trainer._model.train()
    first, second = (evaluate(trainer._model, causal_language_modelling, trainer._validation) for _ in range(2))
    assert first == second
    assert trainer._model.training
    with pytest.raises(InvalidInput, match="nothing to predict"):
        evaluate(trainer._model, causal_language_modelling, [])


def test_progress_tells_speed_and_time_left(tmp_path: Path) -> None:
    seen: list[TrainerProgress] = []
    small_run.new_trainer(tmp_path, replace(CONFIG, num_steps=70, validate_every=70)).run(seen.append)
    assert [progress.point.step for progress in seen] == list(range(7, 71, 7))
    assert all(progress.examples_per_second > 0 for progress in seen)
    assert all(progress.seconds_left > 0 for progress in seen[:-1])
    assert seen[-1].seconds_left == 0
    first = seen[0]
    assert first.seconds_left == pytest.approx(7 * 8 / first.examples_per_second / 7 * 63)
    elapsed = [progress.point.elapsed_s for progress in seen]
    assert elapsed == sorted(elapsed)


def test_checkpoint_is_whole_or_that_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    trainer_checkpoint.save_checkpoint(path, {"step": 1})

    def fail(_: object, file: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(InvalidInput, match="No space left on device"):
        trainer_checkpoint.save_checkpoint(path, {"step": 2})
    assert trainer_checkpoint.load_checkpoint(path, keys=["step"], device=torch.device("cpu")) == {"step": 1}


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"something else"])
def test_damaged_checkpoint_is_an_error_that_names_it(
    whole: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "last.pt").write_bytes(damage((whole / "last.pt").read_bytes()))
    with pytest.raises(ModelError, match=r"last.pt is not a checkpoint that can be read"):
        small_run.new_trainer(tmp_path).resume()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1"),
        ({"num_parts": 0}, "num_parts"),
        ({"peak_rate": 0.0}, "peak_rate must be above 0"),
        ({"clip_norm": float("nan")}, "clip_norm"),
        ({"dtype": "float16"}, "float32 or bfloat16"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(CONFIG, **change)


def test_trainer_needs_no_particular_model(tmp_path: Path) -> None:
    class Numbers:
        def __len__(self) -> int:
            return 4

        def batch(self, step: int) -> "Numbers":  # noqa: ARG002
            return self

        def split(self, num_parts: int) -> "list[Numbers]":  # noqa: ARG002
            return [self]

        def to(self, device: torch.device) -> "Numbers":  # noqa: ARG002
            return self

    def squares(model: nn.Linear, _: Numbers) -> BatchLoss:
        return BatchLoss((model(torch.ones(4, 2)) - 3).square().sum(), 4, {"twice": 8.0})

    config = TrainerConfig(num_steps=200, peak_rate=0.1, report_every=100, schedule=Schedule(num_warmup=0))
    trainer = Trainer(nn.Linear(2, 1), squares, Numbers(), config=config, folder=tmp_path)
    trainer.run()
    assert trainer.log.read()[-1].loss < 0.01
    assert trainer.log.read()[-1].metrics == {"twice": 2.0}
