"""Plans as text in the configurations of other libraries.

What a reader types is on the page docs/configs.md, which runs too.
"""

import json
import os
import subprocess
import sys
import tomllib
from textwrap import dedent

import pytest
import torch
from hypothesis import given

import cadence as cd
from cadence.integrations.jsonargparse import register
from strategies import plans

pytestmark = pytest.mark.peers


def parser_for(annotation, **options):
    """A parser with one argument."""
    from jsonargparse import ArgumentParser

    register()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--plan", type=annotation, **options)
    return parser


@given(plans(max_depth=3))
def test_jsonargparse_takes_any_plan(plan):
    """As text, as an object, and as a default, which it takes apart; and it writes text."""
    parser = parser_for(cd.Schedule, default=plan)
    given_nothing = parser.parse_args([])
    assert given_nothing.plan == plan
    assert parser.parse_args([f"--plan={plan!r}"]).plan == plan
    assert parser.parse_object({"plan": plan}).plan == plan
    assert parser.parse_string(parser.dump(given_nothing)).plan == plan


@pytest.mark.parametrize(
    ("annotation", "text", "found"),
    [
        (cd.Schedule | None, "Linear(5)", cd.Linear(5)),
        (cd.Schedule | None, "null", None),
        (dict[str, cd.Schedule], '{"body": "Linear(5)"}', {"body": cd.Linear(5)}),
        (list[cd.Schedule], '["Linear(5)", "Cosine(3)"]', [cd.Linear(5), cd.Cosine(3)]),
    ],
)
def test_jsonargparse_takes_plans_within(annotation, text, found):
    """One that may be missing, one for each group, and a list."""
    parser = parser_for(annotation)
    value = parser.parse_args([f"--plan={text}"])
    assert value.plan == found
    assert parser.parse_string(parser.dump(value)).plan == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Warmup(2) >> Cosin()", r"unknown schedule 'Cosin'; did you mean 'Cosine'\?"),
        ("Linear(-5)", "'steps' must be >= 0"),
        ('{"class_path": "os.system", "init_args": {}}', "must be given as text"),
        ('{"steps": 5}', "must be given as text"),
    ],
)
def test_jsonargparse_tells_what_is_wrong(text, told):
    """When arguments are parsed, with the message of the text form; and nothing is imported."""
    from jsonargparse import ArgumentError

    with pytest.raises(ArgumentError, match=told):
        parser_for(cd.Schedule).parse_args([f"--plan={text}"])


@given(plans(max_depth=3))
def test_text_survives_every_format(plan):
    """YAML, JSON, TOML and OmegaConf hand the text on as it was written."""
    import yaml
    from omegaconf import OmegaConf

    text = repr(plan)
    assert cd.parse(yaml.safe_load(f"plan: {text}")["plan"]) == plan
    assert cd.parse(json.loads(json.dumps({"plan": text}))["plan"]) == plan
    assert cd.parse(tomllib.loads(f'plan = """{text}"""')["plan"]) == plan
    config = OmegaConf.create(f"plan: {text}\nagain: ${{plan}}")
    assert cd.parse(config.again) == plan


def test_hydra_takes_plans_by_group(tmp_path):
    """Its own lists and dicts serve as Python's do."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    config = OmegaConf.create("""
        _target_: cadence.Scheduler
        _partial_: true
        lr: [Linear(), Cosine(end=0.5)]
        momentum: {body: Linear(end=0.5), head: 1}
        total_steps: 10
    """)
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], "name": name} for name in ("body", "head")
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.8)
    scheduler = instantiate(config)(optimizer)
    assert scheduler.value_at(10, group="head") == 0.05
    assert scheduler.value_at(10, "momentum", "body") == 0.4


def test_hydra_on_the_command_line(tmp_path):
    """A plan is quoted twice, once for the shell and once for Hydra."""
    (tmp_path / "train.yaml").write_text("plan: Linear()\n")
    (tmp_path / "train.py").write_text(
        dedent("""
            import cadence as cd
            import hydra


            @hydra.main(version_base=None, config_path=".", config_name="train")
            def main(config):
                print(repr(cd.parse(config.plan)))


            main()
        """)
    )
    plan = cd.Warmup("5%") >> cd.Linear(end=0.1)
    done = subprocess.run(
        [sys.executable, "train.py", 'plan="Warmup(5%) >> Linear(end=0.1)"', "hydra.run.dir=out"],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert cd.parse(done.stdout.strip()) == plan
