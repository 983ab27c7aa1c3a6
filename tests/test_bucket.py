"""Results shared through a bucket, on a server that speaks S3, by the commands of the README."""

import os
import re
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.project import ROOT, STAGES, Project, files, outs, ran

KEY, SECRET = "key-of-the-tests", "-".join(("secret", "of", "the", "tests"))  # not in one piece: git knows this file
ACCESS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
# DVC's options of remotes that let someone in
SECRETS = {"access_key_id", "secret_access_key", "session_token", "sse_customer_key", "password"}


class Team(NamedTuple):
    laptop: Project  # has pushed; its keys are in .dvc/config.local
    machine: Project  # a clone with nothing; its keys are in its environment


def stranger(project: Project) -> dict[str, str]:
    """The environment of someone whom no bucket lets in."""
    kept = {name: value for name, value in project.environment.items() if not name.startswith("AWS_")}
    nowhere = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), "no-such-file")
    return kept | nowhere | {"AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def team(ready: Project, server: str, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A bucket with all results, and two who know it."""
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=server, **keys).create_bucket(Bucket="results")
    folder = tmp_path_factory.mktemp("bucket")
    laptop = ready.clone(folder / "laptop")
    laptop.environment = stranger(laptop)
    laptop.git("remote", "set-url", "origin", str(folder / "origin"))
    laptop.git("init", "-q", "--bare", "-b", "main", str(folder / "origin"))
    laptop.dvc("cache", "dir", "--local", str(ready.folder / ".dvc/cache"))
    laptop.dvc("remote", "add", "-d", "bucket", "s3://results/sentidog")
    laptop.dvc("remote", "modify", "bucket", "endpointurl", server)
    laptop.dvc("remote", "modify", "--local", "bucket", "access_key_id", KEY)
    laptop.dvc("remote", "modify", "--local", "bucket", "secret_access_key", SECRET)
    laptop.git("commit", "-q", "-m", "Our bucket", ".dvc/config")
    laptop.dvc("push", "-q")
    laptop.git("push", "-q", "origin", "main")
    laptop.git("clone", "-q", str(folder / "origin"), str(folder / "machine"))
    machine = Project(folder / "machine", laptop.environment | ACCESS | {"SENTIDOG_CACHE": str(folder / "cache")})
    machine.configure_git()
    return Team(laptop, machine)


def test_another_clone_gets_the_results_and_trains_nothing(ready: Project, team: Team) -> None:
    machine = team.machine
    assert machine.repro("--pull") == []
    assert files(machine.folder, *outs(*STAGES)) == files(ready.folder, *outs(*STAGES))
    assert machine.changed() == set()
    assert not Path(machine.environment["SENTIDOG_CACHE"]).exists()


def test_an_experiment_of_one_is_anothers(team: Team) -> None:
    laptop, machine = team
    machine.repro("--pull")
    said = machine.dvc("exp", "run", "--name", "other", "-S", "train_linear.c=1", "train_linear")
    assert ran(said) == ["train_linear"]
    machine.dvc("exp", "push", "origin", "other")
    laptop.dvc("exp", "pull", "origin", "other")
    laptop.dvc("exp", "apply", "other")
    model = "artifacts/linear/model.safetensors"
    assert (laptop.folder / model).read_bytes() == (machine.folder / model).read_bytes()
    laptop.git("checkout", "-q", ".")


def test_who_has_no_key_is_told_so(team: Team, tmp_path: Path) -> None:
    clone = team.laptop.clone(tmp_path / "clone")
    clone.environment = stranger(clone)
    done = clone.run(sys.executable, "-m", "dvc", "pull")
    assert done.returncode != 0
    assert "Unable to locate credentials" in done.stderr


def test_git_never_sees_the_keys(team: Team) -> None:
    laptop = team.laptop
    assert SECRET in (laptop.folder / ".dvc/config.local").read_text(encoding="utf-8")
    assert laptop.changed() == set()
    assert laptop.run("git", "grep", "--quiet", SECRET, "HEAD").returncode == 1


def test_no_file_in_git_holds_a_key() -> None:
    config = ConfigParser()
    config.read(ROOT / ".dvc/config", encoding="utf-8")
    assert config.has_section("core")
    assert {option for section in config.values() for option in section} & SECRETS == set()
    tracked = Project(ROOT, dict(os.environ)).git("ls-files", "-z").split("\0")
    key = re.compile(rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b")  # as Amazon's begin
    held = [path for name in tracked if (path := ROOT / name).is_file() and key.search(path.read_bytes())]
    assert held == []
