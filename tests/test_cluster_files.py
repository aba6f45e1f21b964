"""`cluster.yaml`, `jobs/rayjob.yaml` and the recipes in docs would be accepted as they stand.

Nothing is started. Each file is read by the code that would read it: Ray's cluster launcher, its
autoscaler for Kubernetes, boto3's model of EC2, and the parsers of `ray` and `ipseg`.
"""

import copy
import json
import re
import shlex
import subprocess
from pathlib import Path

import botocore.session
import botocore.validate
import click
import jsonschema
import pytest
import typer
import yaml

from jobs.cli import app

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "clusters.md").read_text()
CLUSTER = yaml.safe_load((ROOT / "cluster.yaml").read_text())
JOB = yaml.safe_load((ROOT / "jobs" / "rayjob.yaml").read_text())
RAY = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
SPOT, ON_DEMAND = ({"ray.io/market-type": name} for name in ("spot", "on-demand"))

RECIPES = [
    line.strip()
    for block in re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)
    for line in block.splitlines()
    if re.match(r"\s*(srun )?(ray|ipseg) ", line)
]


def parse_ipseg(words):
    """Parses `ipseg VERB ...` without running it; refuses what the command would refuse."""
    if words[:2] == ["env", "RAY_ADDRESS=auto"]:  # joins the Ray that runs around it
        words = words[2:]
    assert words[0] == "ipseg"
    command = typer.main.get_command(app).commands[words[1]]
    return command.make_context(words[1], words[2:]).params


def parse_ray(words):
    """Parses `ray VERB ...`, and what it would run after `--`."""
    from ray.scripts.scripts import cli as ray

    assert words[0] == "ray"
    own = words[1 : words.index("--")] if "--" in words else words[1:]
    name, rest, command = own[0], own[1:], ray.commands[own[0]]
    while isinstance(command, click.Group):
        name, rest, command = rest[0], rest[1:], command.commands[rest[0]]
    if "--" in words:
        entry = words[words.index("--") + 1 :]
        parse_ipseg(entry)
        rest = [*rest, "--", *entry]
    params = command.make_context(name, list(rest)).params
    if name == "symmetric-run":  # hands everything it does not know to `ray start`
        given = params["ray_args_and_entrypoint"]
        return parse_ray(["ray", "start", "--head", *given[: len(given) - len(entry)]])
    return params


def group(name):
    return next(
        g for g in JOB["spec"]["rayClusterSpec"]["workerGroupSpecs"] if g["groupName"] == name
    )


def images():
    found = re.findall(r"rayproject/ray:([\w.-]+)", GUIDE)
    for file in ("cluster.yaml", "jobs/rayjob.yaml"):
        here = re.findall(r"rayproject/ray:([\w.-]+)", (ROOT / file).read_text())
        assert here, file
        found += here
    return found


def test_every_image_has_the_ray_and_the_python_that_are_pinned():
    assert {tag.split("-")[0] for tag in images()} == {RAY}
    assert {tag.split("-")[1] for tag in images()} == {"py311"}
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert JOB["spec"]["rayClusterSpec"]["rayVersion"] == RAY
    assert f"Ray ({RAY})" in GUIDE


def test_the_cluster_fits_the_schema_that_ships_in_ray():
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(CLUSTER, schema)


def test_the_cluster_is_accepted_by_rays_own_launcher():
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(CLUSTER))
    validate_config(prepared)
    assert prepared["available_node_types"]["head"]["max_workers"] == 0
    assert prepared["head_setup_commands"][:2] == CLUSTER["setup_commands"]


@pytest.mark.parametrize("name", CLUSTER["available_node_types"])
def test_each_machine_is_a_valid_request_to_ec2(name):
    service = botocore.session.get_session().get_service_model("ec2")
    shape = service.operation_model("RunInstances").input_shape
    request = {**CLUSTER["available_node_types"][name]["node_config"], "MinCount": 1, "MaxCount": 1}
    report = botocore.validate.ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_head_does_no_work_and_some_workers_are_not_spot():
    types = CLUSTER["available_node_types"]
    assert types[CLUSTER["head_node_type"]]["resources"] == {"CPU": 0}
    for name, each in types.items():
        spot = "InstanceMarketOptions" in each["node_config"]
        assert each["labels"] == (SPOT if spot else ON_DEMAND), name
        assert spot == (name == "gpu_spot")
        if name != "head":
            assert each["resources"]["GPU"] == 1
            assert each["min_workers"] == each["max_workers"] > 0, "the plan is made once"
    assert sum(each.get("max_workers", 0) for each in types.values()) == CLUSTER["max_workers"]


def test_what_the_cluster_installs_is_in_the_project():
    for target, source in CLUSTER["file_mounts"].items():
        if source.startswith("~/.ray/"):
            continue
        assert (ROOT / source).exists(), source
        assert target == f"/home/ray/ipseg-source/{source}"
    mounted = set(CLUSTER["file_mounts"].values())
    packages = re.search(r"include = \[(.*)\]", (ROOT / "pyproject.toml").read_text())[1]
    assert {name.strip(' "*') for name in packages.split(",")} <= mounted
    extras = re.findall(r"ipseg\[(\w+)\]", " ".join(map(str, CLUSTER.values())))
    assert set(extras) == {"s3", "models"}


def commands():
    return [line for key, value in CLUSTER.items() if key.endswith("_commands") for line in value]


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_cluster_are_valid_shell(command):
    subprocess.run(["bash", "-n", "-c", command], check=True)


def start_options(kind):
    """Options of the last start command, with the memory that is kept back, as on cgroup v2."""
    line = CLUSTER[f"{kind}_start_ray_commands"][-1]
    kept = re.search(r"echo (--[^)]*)\)", line)
    start = line[line.index("ray start") :].replace("$reserve", kept[1] if kept else "")
    return parse_ray(shlex.split(start))


def test_start_commands_are_accepted_by_ray_start():
    head, worker = start_options("head"), start_options("worker")
    assert head["head"]
    assert head["dashboard_host"] == "127.0.0.1"
    assert worker["address"] == "$RAY_HEAD_IP:6379"
    assert worker["enable_resource_isolation"]
    assert worker["system_reserved_memory"] == 2 * 2**30
    assert worker["object_store_memory"] == 4 * 2**30
    # Ray refuses a reservation without isolation: without writable cgroups, neither is asked.
    assert "$reserve" in CLUSTER["worker_start_ray_commands"][-1]


def test_the_kubernetes_job_has_the_form_of_a_rayjob():
    spec = JOB["spec"]
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["backoffLimit"] > 0
    assert spec["rayClusterSpec"]["authOptions"]["mode"] == "token"


def test_the_kubernetes_job_runs_a_command_that_we_have():
    params = parse_ipseg(shlex.split(JOB["spec"]["entrypoint"]))
    assert params["out"].startswith("s3://")
    assert params["engine"] in ("auto", "ray")  # with RAY_ADDRESS it is Ray
    assert "overwrite" not in params or not params["overwrite"], (
        "a retry must go on, not start over"
    )


def test_the_groups_are_read_by_ray_as_they_are_meant():
    from ray.autoscaler._private.kuberay.autoscaling_config import (
        _derive_autoscaling_config_from_ray_cr,
    )

    resource = {
        "metadata": {"name": "ipseg", "namespace": "default"},
        "spec": JOB["spec"]["rayClusterSpec"],
    }
    types = _derive_autoscaling_config_from_ray_cr(resource)["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["gpu-spot"]["labels"] == SPOT
    assert types["gpu-on-demand"]["labels"] == ON_DEMAND
    for name in ("gpu-spot", "gpu-on-demand"):
        assert types[name]["resources"]["GPU"] == 1
        assert types[name]["min_workers"] == types[name]["max_workers"] > 0


@pytest.mark.parametrize("name", ["gpu-spot", "gpu-on-demand"])
def test_workers_have_room_for_their_object_store(name):
    worker = group(name)
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert any(mount["mountPath"] == "/dev/shm" for mount in container["volumeMounts"])  # noqa: S108
    shared = next(v["emptyDir"] for v in pod["volumes"] if v["name"] == "shared-memory")
    assert shared["medium"] == "Memory"
    assert int(shared["sizeLimit"].removesuffix("Gi")) * 2**30 > int(
        worker["rayStartParams"]["object-store-memory"]
    )
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_start_parameters_of_the_groups_are_options_of_ray_start():
    spec = JOB["spec"]["rayClusterSpec"]
    for each in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        options = [f"--{name}={value}" for name, value in each["rayStartParams"].items()]
        assert parse_ray(["ray", "start", *options])


def test_the_environment_of_the_job_is_accepted_by_ray():
    from ray.runtime_env import RuntimeEnv

    made = RuntimeEnv(**yaml.safe_load(JOB["spec"]["runtimeEnvYAML"]))
    assert made["working_dir"].endswith(".zip")
    assert "constraints.txt" in made["pip"]["packages"][0]


def test_the_guide_has_recipes_for_every_way():
    verbs = {" ".join(recipe.removeprefix("srun ").split()[:3]) for recipe in RECIPES}
    for wanted in ("ray up cluster.yaml", "ray job submit", "ray symmetric-run --address"):
        assert wanted in verbs
    assert "jobs/rayjob.yaml" in GUIDE


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_is_accepted_by_the_command_it_calls(recipe):
    # Numbers that SLURM knows are numbers.
    line = re.sub(r'"\$SLURM_\w+"', "4", recipe).removeprefix("srun ").removesuffix("&")
    words = shlex.split(line)
    assert (parse_ray if words[0] == "ray" else parse_ipseg)(words) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        "ray job submit --adress http://127.0.0.1:8265 -- ipseg segment --images a --out b",
        "ray job submit -- ipseg segment --images a --out b --no-such-option",
        "ray symmetric-run --address a:1 --no-such-option 3 -- ipseg segment --images a --out b",
        "ipseg status --no-such-option",
    ],
)
def test_a_wrong_recipe_would_be_noticed(wrong):
    words = shlex.split(wrong)
    usage_errors = (click.UsageError, typer.BadParameter.__base__)  # typer has a click of its own
    with pytest.raises(usage_errors):
        (parse_ray if words[0] == "ray" else parse_ipseg)(words)


def test_the_recipe_for_slurm_is_valid_shell():
    script = next(b for b in re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL) if "#SBATCH" in b)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
