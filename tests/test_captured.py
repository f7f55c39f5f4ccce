"""Schedulers whose clock, tables and values live beside the parameters."""

import copy
import io
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

import cadence as cd
from cases import CASES
from strategies import resolved

PLAN = cd.Warmup(5) >> cd.Cosine(end=cd.absolute(1e-3))


def adamw(groups=1, **options):
    return torch.optim.AdamW(
        [
            {"params": [torch.nn.Parameter(torch.ones(3))], "lr": 0.1 * (i + 1)}
            for i in range(groups)
        ],
        **options,
    )


def captured(optimizer=None, lr=PLAN, *, total_steps=40, **options):
    return cd.Scheduler(
        adamw() if optimizer is None else optimizer,
        lr=lr,
        total_steps=total_steps,
        capturable=True,
        **options,
    )


def rates(scheduler):
    return [float(rate) for rate in scheduler.get_last_lr()]


def rounded(value):
    """A value as the rates' float32 holds it."""
    return float(torch.tensor(value, dtype=torch.float64).float())


def agrees(rate, value, scale):
    """Whether a rate is a value, but for the last bit before it is rounded to float32."""
    return (
        math.isclose(rate, rounded(value), rel_tol=1.2e-7, abs_tol=1e-15 * scale) or rate == value
    )


class NoReading(TorchDispatchMode):
    """Refuses whatever would wait for a device, if the tensors were on one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "equal", "nonzero", "is_nonzero"), name
        assert not (kwargs or {}).get("device"), f"{name} moves something between devices"
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # any plan, any run
@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.plan))
def test_every_plan_has_the_values_of_the_host(case):
    """To the precision of the rates, from the first step to past the end."""
    steps = min(case.moves_until, 150)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=case.base)
    scheduler = captured(optimizer, case.plan, total_steps=steps + 10)
    base = float(torch.tensor(case.base, dtype=torch.float64))
    scale = max(abs(case.plan(t, base)) for t in range(steps + 1))
    for t in range(steps + 10):
        assert agrees(rates(scheduler)[0], case.plan(t, base), scale), t
        scheduler.step()
    assert scheduler.last_epoch == steps + 10


@pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # any plan, any run
@given(chosen=resolved(), data=st.data())
@settings(deadline=None, max_examples=40)
def test_random_plans_have_the_values_of_the_host(chosen, data):
    plan = chosen[1]
    base = data.draw(st.sampled_from([1.0, 0.25, 0.0]))
    optimizer = torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.ones(1, dtype=torch.float64))]}],
        lr=torch.tensor(base, dtype=torch.float64),
    )
    scheduler = captured(optimizer, plan, total_steps=60)
    values = [plan(t, base) for t in range(60)]
    scale = max(1.0, *map(abs, values))
    for t, value in enumerate(values):
        assert math.isclose(rates(scheduler)[0], value, rel_tol=1e-9, abs_tol=1e-12 * scale), t
        scheduler.step()


def test_groups_keep_their_bases_and_plans():
    optimizer = adamw(3)
    for group, name in zip(optimizer.param_groups, "abc", strict=True):
        group["name"] = name
    plans = {"a": PLAN, "b": cd.Linear(), "c": PLAN}
    scheduler = captured(optimizer, plans, beta1=cd.Linear(end=0.9))
    resolved = {name: plan.resolve(40) for name, plan in plans.items()}
    for t in range(45):
        for i, name in enumerate("abc"):
            group = optimizer.param_groups[i]
            assert float(group["lr"]) == pytest.approx(resolved[name](t, 0.1 * (i + 1)), rel=1e-6)
            assert float(group["betas"][0]) == pytest.approx(cd.Linear(40, end=0.9)(t, 0.9))
            assert group["betas"][1] == 0.999
        scheduler.step()


def test_a_repeated_plan_begins_anew():
    scheduler = captured(lr=cd.Linear(), total_steps=4, past_end="repeat")
    seen = []
    for _ in range(10):
        seen.append(round(rates(scheduler)[0], 6))
        scheduler.step()
    assert seen == [0.1, 0.075, 0.05, 0.025] * 2 + [0.1, 0.075]
    assert scheduler.last_epoch == 10


def test_the_values_are_written_in_place():
    scheduler = captured(beta1=cd.Linear(end=0.9))
    group = scheduler.optimizer.param_groups[0]
    rate, beta = group["lr"], group["betas"][0]
    for _ in range(50):
        scheduler.step()
    scheduler.seek(10)
    scheduler.adjust(0.5)
    assert group["lr"] is rate
    assert group["betas"][0] is beta


def test_a_tensor_that_is_there_already_is_kept():
    rate = torch.tensor(0.1, dtype=torch.float64)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))], lr=rate)
    scheduler = captured(optimizer)
    scheduler.seek(20)
    assert optimizer.param_groups[0]["lr"] is rate
    assert float(rate) == PLAN.resolve(40)(20, 0.1)


def test_a_rate_of_one_dimension_is_written():
    rate = torch.tensor([0.1])
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))], lr=rate)
    scheduler = captured(optimizer)
    scheduler.step()
    assert rate.tolist() == [rounded(PLAN.resolve(40)(1, float(torch.tensor(0.1))))]


def test_nothing_is_read_in_a_step():
    """No operation waits for the device, with several groups, plans and keys."""
    scheduler = captured(adamw(12), beta1=cd.Linear(end=0.9))
    with NoReading():
        for _ in range(50):
            scheduler.step()
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoReading():
        scheduler.last_epoch  # noqa: B018 - the mode would notice a read


class TestCompiled:
    """One graph, however long the plan."""

    @pytest.fixture(autouse=True)
    def _fresh(self):
        torch.compiler.reset()
        counters.clear()
        yield
        torch.compiler.reset()

    def test_the_step_itself(self):
        scheduler = captured(adamw(3), beta1=cd.Linear(end=0.9), total_steps=1_000)
        step = torch.compile(scheduler.step, fullgraph=True, backend="aot_eager")
        for _ in range(1_000):
            step()
        assert counters["stats"]["unique_graphs"] == 1
        assert scheduler.last_epoch == 1_000
        assert rates(scheduler) == [rounded(1e-3)] * 3

    def test_the_step_and_the_optimizers_together(self):
        """The rates that the updates use are those of a loop that is not compiled."""

        def run(*, compiled):
            torch.manual_seed(0)
            optimizer = adamw(2)
            scheduler = captured(optimizer)
            parameters = [group["params"][0] for group in optimizer.param_groups]

            def update():
                optimizer.step()
                scheduler.step()

            once, used = torch.compile(update, backend="aot_eager") if compiled else update, []
            for _ in range(60):
                for parameter in parameters:
                    parameter.grad = torch.randn(3)
                used.append(rates(scheduler))
                once()
            return used, torch.stack([parameter.detach() for parameter in parameters])

        used, trained = run(compiled=True)
        expected, reference = run(compiled=False)
        assert used == expected
        assert torch.allclose(trained, reference, atol=1e-4)  # compiled, Adam rounds otherwise

    @pytest.mark.parametrize("follow", [False, True])
    @pytest.mark.parametrize(
        "plans",
        [
            {"lr": PLAN},
            {"lr": cd.Hold(5) >> cd.StepDecay(3)},
            {"lr": cd.sgdr(10)},
            {"lr": cd.one_cycle().lr, "beta1": cd.one_cycle().momentum},
        ],
        ids=str,
    )
    def test_an_optimizers_step_is_traced_once(self, plans, follow):
        """Torch's schedulers need two graphs where betas move, since these are floats."""
        scheduler = captured(**plans, total_steps=60)
        if follow:
            scheduler.follow()
        optimizer = scheduler.optimizer
        step = torch.compile(optimizer.step, backend="aot_eager")
        for _ in range(70):
            optimizer.param_groups[0]["params"][0].grad = torch.randn(3)
            step()
            scheduler.step()
        assert counters["stats"]["unique_graphs"] == 1
        assert scheduler.last_epoch == 70

    def test_rates_that_are_tensors_suffice_for_the_host(self):
        """Betas that are scheduled follow the rates' example."""
        rate, cycle = torch.tensor(0.1), cd.one_cycle()
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))], lr=rate)
        scheduler = cd.Scheduler(optimizer, lr=cycle.lr, beta1=cycle.momentum, total_steps=60)
        scheduler.follow()
        step = torch.compile(optimizer.step, backend="aot_eager")
        for t in range(60):
            optimizer.param_groups[0]["params"][0].grad = torch.randn(3)
            betas = optimizer.param_groups[0]["betas"]
            assert float(betas[0]) == rounded(scheduler.value_at(t, "beta1"))
            step()
        assert counters["stats"]["unique_graphs"] == 1
        assert scheduler.last_epoch == 60

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::cadence.errors.ScheduleWarning")  # any plan, any run
    @pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.plan))
    def test_every_plan_keeps_to_one_graph(self, case):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))], lr=case.base)
        scheduler = captured(optimizer, case.plan, total_steps=1_000)
        step = torch.compile(optimizer.step, backend="eager")
        for _ in range(1_000):
            optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
            step()
            scheduler.step()
        assert counters["stats"]["unique_graphs"] == 1


class TestState:
    def test_it_resumes_exactly(self):
        ours = captured(adamw(2), beta1=cd.Linear(end=0.9))
        for _ in range(17):
            ours.step()
        state = pickle.loads(pickle.dumps(ours.state_dict()))
        theirs = captured(adamw(2), beta1=cd.Linear(end=0.9))
        theirs.load_state_dict(state)
        for _ in range(30):
            assert rates(theirs) == rates(ours)
            ours.step()
            theirs.step()
        assert theirs.state_dict() == ours.state_dict()

    @pytest.mark.parametrize("order", ["optimizer first", "scheduler first"])
    def test_the_order_of_loading_does_not_matter(self, order):
        ours = captured()
        for _ in range(17):
            ours.step()
        buffer = io.BytesIO()
        torch.save([ours.optimizer.state_dict(), ours.state_dict()], buffer)
        buffer.seek(0)
        saved, state = torch.load(buffer, weights_only=True)
        theirs = captured()
        if order == "optimizer first":
            theirs.optimizer.load_state_dict(saved)
        theirs.load_state_dict(state)
        if order == "scheduler first":
            theirs.optimizer.load_state_dict(saved)
        for _ in range(30):
            assert rates(theirs) == rates(ours)
            ours.step()
            theirs.step()
        assert theirs.last_epoch == ours.last_epoch == 47

    def test_a_host_and_a_device_read_each_others_states(self):
        device, host = captured(), cd.Scheduler(adamw(), lr=PLAN, total_steps=40)
        device.seek(12)
        host.load_state_dict(device.state_dict())
        assert host.last_epoch == 12
        host.step()
        device.load_state_dict(host.state_dict())
        assert device.last_epoch == 13
        assert rates(device)[0] == pytest.approx(rates(host)[0], rel=1e-6)

    def test_a_copy_goes_its_own_way(self):
        scheduler = captured()
        scheduler.seek(12)
        other = copy.deepcopy(scheduler)
        other.step()
        assert (scheduler.last_epoch, other.last_epoch) == (12, 13)
        assert float(other.optimizer.param_groups[0]["lr"]) == rates(other)[0]
        assert rates(scheduler)[0] == rounded(PLAN.resolve(40)(12, 0.1))

    def test_a_later_scheduler_finds_the_base(self):
        scheduler = captured()
        for _ in range(20):
            scheduler.step()
        with pytest.warns(cd.errors.TakeoverWarning):
            later = cd.Scheduler(scheduler.optimizer, lr=cd.Linear(10))
        assert later.base_lrs == scheduler.base_lrs == [0.1]
        with pytest.raises(cd.errors.SupersededError):
            scheduler.step()


class TestChanges:
    """Whatever changes the plan is written into the tensors that a graph may hold."""

    @staticmethod
    def held(scheduler):
        table = scheduler._binding.tables[0]
        return [t.data_ptr() for t in (table.clock, table.bases, table.columns, table.p, table.q)]

    def test_an_adjustment(self):
        scheduler = captured(adamw(2))
        scheduler.seek(10)
        held = self.held(scheduler)
        scheduler.adjust(0.5, group=1)  # the second group's base is now the first one's
        assert len(set(rates(scheduler))) == 1
        scheduler.step()
        after = PLAN.resolve(40)(11, 0.1)
        assert rates(scheduler) == pytest.approx([after, after], rel=1e-6)
        assert self.held(scheduler) == held

    def test_a_decision(self):
        scheduler = captured(lr=cd.Constant(1.0), feedback=cd.Plateau(patience=0, factor=0.5))
        held = self.held(scheduler)
        for loss in (1.0, 1.0, 1.0):
            scheduler.step(loss)
        assert rates(scheduler) == [rounded(0.025)]
        assert scheduler.last_epoch == 3
        assert self.held(scheduler) == held

    def test_a_cool_down_and_a_shorter_run(self):
        scheduler = captured(lr=cd.Constant(1.0))
        scheduler.seek(10)
        held = self.held(scheduler)
        scheduler.cooldown(4, shape=cd.Linear)
        assert self.held(scheduler) == held
        seen = []
        for _ in range(6):
            seen.append(round(rates(scheduler)[0], 6))
            scheduler.step()
        assert seen == [0.1, 0.075, 0.05, 0.025, 0.0, 0.0]

    def test_a_longer_run_says_that_graphs_are_out_of_date(self):
        scheduler = captured()
        scheduler.seek(10)
        with pytest.warns(cd.errors.RecaptureWarning, match="record again"):
            scheduler.extend(80, "stretch")
        scheduler.seek(79)
        assert rates(scheduler)[0] == rounded(scheduler.value_at(79))

    def test_groups_that_are_added(self):
        scheduler = captured()
        scheduler.seek(10)
        scheduler.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
        scheduler.step()
        assert scheduler.last_epoch == 11
        own = PLAN.resolve(40)
        assert rates(scheduler) == pytest.approx([own(11, 0.1), own(11, 1e-3)], rel=1e-6)

    def test_what_others_write_is_overridden(self):
        scheduler = captured()
        scheduler.optimizer.param_groups[0]["lr"].fill_(7.0)
        scheduler.step()
        assert rates(scheduler)[0] == rounded(PLAN.resolve(40)(1, 0.1))


def test_an_update_that_a_fused_optimizer_skips_is_not_counted():
    """The optimizer runs its hooks all the same; it is the device that knows."""
    optimizer = adamw(fused=True)
    scheduler = captured(optimizer).follow()
    optimizer.grad_scale = torch.tensor(1.0)
    counted = 0
    for skipped in (0.0, 1.0, 0.0, 0.0, 1.0):
        optimizer.found_inf = torch.tensor(skipped)
        optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
        optimizer.step()
        scheduler.step()
        counted += not skipped
        assert scheduler.last_epoch == counted


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"past_end": "raise"}, "past_end='raise' needs the host"),
            ({"external": "error"}, "external='error' needs the host"),
            ({"also": {"dropout": (lambda value: None, cd.Linear())}}, "'also' calls functions"),
            ({"weight_decay": cd.Linear()}, "cannot hold 'weight_decay'"),
            ({"lr": cd.InverseSqrt(10), "total_steps": None}, "has no end; give total_steps"),
            ({"total_steps": 10**9}, "leave capturable out"),
        ],
    )  # fmt: skip
    def test_what_the_host_would_be_needed_for(self, options, match):
        optimizer = adamw()
        with pytest.raises(cd.errors.ArgumentError, match=match):
            captured(optimizer, **options)
        assert optimizer.param_groups[0]["lr"] == 0.1
        assert isinstance(optimizer.param_groups[0]["lr"], float)

    def test_betas_of_a_fused_optimizer(self):
        with pytest.raises(cd.errors.ArgumentError, match="fused optimizer"):
            captured(adamw(fused=True), beta1=cd.Linear(end=0.9))

    def test_a_function_that_raises_leaves_the_optimizer_alone(self):
        def fails(step):
            if step == 30:
                raise ValueError("no value")
            return 1.0

        optimizer = adamw()
        with pytest.raises(ValueError, match="no value"):
            captured(optimizer, cd.Function(fails))
        assert isinstance(optimizer.param_groups[0]["lr"], float)
