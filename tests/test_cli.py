"""The command line as a user types it: what it prints, what it refuses, and with which exit code."""

import csv
import gc
import io
import json
import subprocess
import sys

import pytest
from PIL import Image

SMALL = ["--backbone", "resnet8", "--image-size", 8, "--precision", "float32", "--set", "batch_size=16"]
NARROW = ["--axis", "squeeze=none,avg,max"]


def search(attnas, tree, *more):
    return attnas("search", "--data", f"folder:{tree}", *SMALL, "--epochs", 1, *NARROW, *more)


@pytest.fixture
def searched(attnas, tree):
    done = search(attnas, tree, "--trials", 4)
    assert done.code == 0, done.err
    return done


HEAVY = {"torch", "timm", "pandas", "numpy", "optuna", "sqlalchemy", "fvcore"}
OTHERS = {"search.cli_search", "search.cli_studies", "search.cli_explain"}


@pytest.mark.parametrize(
    "words, unwanted, said",
    [(["--help"], HEAVY, ("search", "results")), (["results", "columns"], OTHERS, ("accuracy",))],
    ids=["help, nothing heavy", "a command, none of the others"],
)
def test_a_command_imports_what_it_needs_alone(words, unwanted, said):
    """Half a second is for benchmarks; that torch and friends are not even imported is a fact."""
    code = (
        f"import sys; sys.argv = ['attnas', *{words}]\n"
        "from search.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"found = {unwanted} & sys.modules.keys()\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in said)


def test_a_database_can_be_asked_before_pandas_is_imported():
    """Both take a third of a second, and they do so at once."""
    asked = "import sys, search.asking, search.cli_look, results.store; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def test_garbage_is_collected_by_what_goes_on_for_long_and_not_by_a_question(attnas):
    gc.disable()  # as `search.__main__` begins
    try:
        assert attnas("results", "columns").code == 0 and not gc.isenabled()
        assert attnas("space", "--count").code == 0 and gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "command",
    [
        *("search", "train", "cost", "space", "retrain", "dashboard", "results top", "results query"),
        *("study list", "study show", "study rename", "study delete"),
    ],
)
def test_every_command_has_help_with_an_example(attnas, command):
    done = attnas(*command.split(), "--help")
    assert done.code == 0 and f"attnas {command}" in done.out and "Example" in done.out


def test_the_scripted_search_and_query_of_the_readme_give_the_promised_columns(attnas, tmp_path):
    url = f"sqlite:///{tmp_path}/mine.db"
    options = ["--backbone", "resnet8", "--epochs", 1, "--trials", 2, "--seed", 0, "--storage", url]
    options += ["--image-size", 16, "--precision", "float32", "--no-fuse"]  # so that nothing is measured first
    assert attnas("search", "--data", "synthetic", *options).code == 0
    done = attnas("results", "query", "accuracy >= 0", "--storage", url, "--json")
    rows = json.loads(done.out)
    promised = {"key", "design", "data", "split", "backbone", "recipe", "epochs", "seed", "status"}
    promised |= {"accuracy", "loss", "macs", "params", "seconds"}
    assert len(rows) == 2 and all(promised <= row.keys() for row in rows)
    assert {(row["data"], row["split"], row["epochs"], row["status"]) for row in rows} == {
        ("synthetic", "validation", 1, "complete")
    }


def test_a_search_reports_trials_and_the_best_so_far_and_says_what_to_type_next(searched):
    assert searched.out == ""  # progress belongs on stderr
    assert "trial 4/4" in searched.err and "best so far" in searched.err and "attnas results top" in searched.err


def test_the_same_command_trains_nothing_again(attnas, tree, searched):
    again = search(attnas, tree, "--trials", 4)
    assert again.code == 0 and "4 of 4 trials already in the storage" in again.err and "trial 1/4" not in again.err


def test_top_and_pareto_print_tables_under_the_true_name_of_the_data(attnas, searched):
    for command in (["top", "-n", "2"], ["pareto", "--minimise", "params"]):
        done = attnas("results", *command)
        assert done.code == 0
        assert "folder:little-images at 8 px, validation split, resnet8" in done.out
        assert ("accuracy %" in done.out and "of 2 have one seed" in done.out) or "have one seed" in done.out
    assert len(json.loads(attnas("results", "top", "-n", "2", "--json").out)) == 2


def test_csv_is_csv(attnas, searched):
    lines = list(csv.DictReader(io.StringIO(attnas("results", "query", "seed == 0", "--csv").out)))
    assert len(lines) == 4 and {line["backbone"] for line in lines} == {"resnet8"}


def test_show_prints_every_evaluation_of_a_design_with_its_curve(attnas, tree, searched):
    trained = ["train", "se", "eca", "--seeds", 2, "--data", f"folder:{tree}", *SMALL, "--epochs", 1]
    assert attnas(*trained).code == 0
    done = attnas("results", "show", "se")
    assert "avg/mlp-r16 (se)  key avg/mlp-r16" in done.out and done.out.count("epoch   1") >= 2
    found = json.loads(attnas("results", "show", "avg/mlp-r16", "--json").out)
    assert {row["seed"] for row in found} >= {0, 1}


def test_noise_prints_the_ratio_of_the_variances(attnas, tree):
    attnas("train", "none", "eca", "--seeds", 2, "--data", f"folder:{tree}", *SMALL, "--epochs", 1)
    done = attnas("results", "noise", "--json")
    assert done.code == 0 and json.loads(done.out)[0]["runs"] == 4


def test_show_finds_a_design_trained_under_another_spelling_of_the_same_network(attnas, tree):
    attnas("train", "avg/conv1d-k3", "--data", f"folder:{tree}", *SMALL, "--epochs", 1)
    again = attnas("train", "eca", "--data", f"folder:{tree}", *SMALL, "--epochs", 1)
    assert "1 of 1 training already in the storage" in again.err
    assert "from its row" in again.err and "training 1/1" not in again.err
    assert "avg/conv1d-k3" in attnas("results", "show", "eca").out
    assert attnas("results", "show", "avg/conv1d-k5").code == 2


def refused(done, *words):
    assert done.code == 2, (done.code, done.err)
    assert "Traceback" not in done.err and done.err.splitlines()[-1].startswith("error: ")
    assert all(word in done.err for word in words), done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cost", "haar-d3-al/mlp-r16"], ["haar-d3-al", "Nearest valid spelling: haar-d3-all/mlp-r16"]),
        (["cost", "senet"], ["Nearest valid spelling: se", "Presets: none, se"]),
        (["cost", "haar-d4-all/affine"], ["depth", "8x8", "1 to 3"]),
        (["cost", "avg/mlp-r64"], ["reduction", "16 channels"]),
        (["cost", "se", "--backbone", "resnot"], ["resnot", "resnet20"]),
        (["cost", "se", "--placement", "somewhere"], ["placement", "after-norm, before-norm"]),
        (["cost", "se@mid", "--placement", "before-norm"], ["before-norm", "avg/mlp-r16@mid"]),
        (["cost", "cbam-r"], ["Nearest valid spelling: cbam-r16"]),
        (["cost", "avg"], ["Nearest valid spelling: avg/mlp-r16"]),
        (["cost", "se", "--convention", "guess"], ["guess", "layers+squeeze"]),
        (["space", "show", "se", "--plot", "picture"], ["picture", ".png"]),
        (["cost", "se", "--latency", "--precision", "int4"], ["int4", "bfloat16"]),
        (["cost", "se | se", "--backbone", "resnet8"], ["2 joined by |", "3, one for each place"]),
        (["cost", "ema", "--backbone", "resnet8"], ["groups", "16 channels"]),
        (["space", "show", "std/affine", "--plot", "x.png"], ["no basis", "dct"]),
        (["space", "show", "fca-ts", "--plot", "/no/such/folder/x.png"], ["/no/such/folder", ".png"]),
        (
            ["space", "--count", "--axis", "squeeze=avg", "--axis", "excitation=mlp,mlp-shared"],
            ["mlp-shared", "several"],
        ),
        (["search", "--data", "synthetic", "--trials", 0], ["trials", "1 or more"]),
        (["search", "--data", "synthetic", "--trials", -1], ["trials"]),
        (["search", "--data", "mnist"], ["mnist", "cifar100, folder:PATH"]),
        (["search", "--data", "synthetic", "--storage", "mysql://x/y"], ["mysql"]),
        (["search", "--data", "synthetic", "--storage", "sqlite:////no/such/folder/x.db"], ["/no/such/folder"]),
        (["search", "--data", "synthetic", "--engine", "magic"], ["magic", "optuna"]),
        (["search", "--data", "synthetic", "--storage", "sqlite://"], ["memory", "sqlite:///attnas.db"]),
        (["search", "--data", "synthetic", "--max-macs", "nan"], ["max macs", "above 0"]),
        (["search", "--data", "synthetic", "--seed", 2**70], ["seed", "2^63"]),
        (["search", "--data", "synthetic", "--device", "abacus"], ["device", "abacus"]),
        (["search", "--data", "synthetic", "--precision", "int4"], ["int4", "bfloat16"]),
        (["train", "se", "--data", "synthetic", "--first-seed", -1], ["seed"]),
        (["search", "--data", "synthetic", "--axis", "depth=0"], ["depth", "0"]),
        (["search", "--data", "synthetic", "--axis", "colour=red"], ["colour", "squeeze"]),
        (["search", "--data", "synthetic", "--recipe", "haute"], ["haute", "proxy"]),
        (["search", "--data", "synthetic", "--epochs", 0], ["epochs"]),
        (["search", "--data", "synthetic", "--space", "nothing.toml"], ["nothing.toml"]),
        (["search", "--data", "synthetic", "--max-macs", 10, "--backbone", "resnet8"], ["no design", "10"]),
        (["results", "top", "--storage", "sqlite:///none.db"], ["none.db", "attnas search"]),
        (["results", "query", "__import__('os')", "--storage", "STORAGE"], ["call"]),
        (["results", "query", "acuracy > 1", "--storage", "STORAGE"], ["accuracy"]),
        (["results", "top", "--by", "beauty", "--storage", "STORAGE"], ["beauty", "accuracy"]),
        (["results", "show", "fca-ts", "--storage", "STORAGE"], ["dct-top16/mlp-r16"]),
        (["results", "noise", "--storage", "STORAGE"], ["two seeds"]),
    ],
)
def test_bad_input_gets_one_clear_error_exit_code_2_and_no_traceback(attnas, tmp_path, words, said):
    from results import open_store

    url = f"sqlite:///{tmp_path}/empty.db"
    open_store(url).close()
    refused(attnas(*(url if word == "STORAGE" else word for word in words)), *said)


def test_an_option_that_is_no_number_is_refused_too(attnas):
    done = attnas("search", "--trials", "many")
    assert done.code == 2 and "--trials" in done.err and "Traceback" not in done.err


def test_bad_image_trees_are_refused_by_name(attnas, tree, tmp_path):
    (tmp_path / "empty" / "train" / "only").mkdir(parents=True)
    refused(search(attnas, tmp_path / "empty"), "empty")
    refused(search(attnas, tmp_path / "missing"), "missing")
    for image in (tree / "train" / "class1").iterdir():
        image.unlink()
    refused(search(attnas, tree), "class1")


def test_a_corrupt_image_is_named_and_refused_unless_skipping_is_asked_for(attnas, tree):
    broken = tree / "train" / "class0" / "0.jpg"
    Image.new("RGB", (12, 12)).save(broken)
    broken.write_bytes(broken.read_bytes()[:200])
    refused(search(attnas, tree, "--trials", 1), "class0/0.jpg", "--skip-corrupt")
    assert search(attnas, tree, "--trials", 1, "--skip-corrupt").code == 0


def test_cifar100_without_the_archive_and_without_a_network_says_where_to_put_it(attnas, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    done = attnas("search", "--data", "cifar100", "--data-dir", tmp_path)
    refused(done, "cifar-100-python.tar.gz", "https://", str(tmp_path))


def test_nothing_is_lost_when_a_storage_is_of_a_newer_version(attnas, tree, tmp_path, searched):
    import sqlite3

    with sqlite3.connect(tmp_path / "attnas.db") as database:
        database.execute("UPDATE meta SET value = '99'")
    before = (tmp_path / "attnas.db").read_bytes()
    refused(search(attnas, tree, "--trials", 6), "99", "newer")
    assert (tmp_path / "attnas.db").read_bytes() == before


def test_a_refused_command_makes_no_storage(attnas, tmp_path, monkeypatch):
    for words in (["--data", "nope"], ["--data", "synthetic", "--backbone", "nope"]):
        refused(attnas("search", *words), "nope")
    refused(attnas("search", "--data", "synthetic", "--set", "batch_size=100000"), "batch size", "100000")
    refused(attnas("search", "--data", "synthetic", "--max-params", 10), "over max params 10.")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "search.ray_engine", raising=False)
    refused(attnas("search", "--data", "synthetic", "--engine", "ray"), "attnas[ray]", "--engine optuna")
    assert not (tmp_path / "attnas.db").exists()


def test_a_cache_that_cannot_be_written_is_a_users_error(attnas, tree, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ATTNAS_CACHE", str(tmp_path / "file"))
    refused(search(attnas, tree, "--trials", 1), "ATTNAS_CACHE")


def test_a_password_is_never_printed():
    from search.storage import without_password

    assert without_password("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert without_password("sqlite:///a.db") == "sqlite:///a.db"
    assert without_password("postgresql://me:a@b@host/db") == "postgresql://me:***@host/db"
    assert (
        without_password("postgresql:///db?user=me&password=secret&x=1") == "postgresql:///db?user=me&password=***&x=1"
    )


def test_ctrl_c_ends_with_130_and_a_word_on_what_was_kept(attnas, tree, monkeypatch):
    from search import objective

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(objective, "train", interrupted)
    done = search(attnas, tree, "--trials", 2)
    assert done.code == 130 and "the same command goes on" in done.err and "Traceback" not in done.err
