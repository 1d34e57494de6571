"""One run of a command: its result, its environment, its files, and its errors."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import time
from pathlib import Path

import cloudpickle
import pytest

from autohpo import CommandError, CommandObjective, InvalidPerfError, OptionError
from autohpo.commands.keeper import shared
from autohpo.commands.output import HEAD_BYTES, TAIL_BYTES
from autohpo.made_with import made_with
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task, TrialState

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commands need groups of processes")


@pytest.fixture(autouse=True)
def _no_helper_is_left():
    """The helper process ends with each test."""
    yield
    shared.close()


def sh(text, **options):
    """An objective that a shell reads, with JSON in single quotes: its braces are none of ours."""
    options.setdefault("metric", "acc")
    return CommandObjective(["sh", "-c", text.replace("{", "{{").replace("}", "}}")], **options)


def run(f, hp=None, *, task=None, answer=lambda fidelity: True, mode="max", folder=""):
    """The outcome of an attempt, and its reports."""
    reports = []

    def report(fidelity, perf, metrics=None):
        reports.append((fidelity, perf, dict(metrics or {})))
        return answer(fidelity)

    task = task or Task(3, 1, hp or {}, seed=11, checkpoint_dir=str(folder))
    evaluator = Evaluator(Objective.of(f, mode=mode))
    return evaluator.run(task, report), reports


def test_the_last_line_is_the_result_and_metrics_keep_their_extremes(tmp_path):
    """Also that of a line without its end."""
    f = sh("""echo start; echo '{"acc": 0.9, "loss": 3}'; echo noise >&2; printf '{"acc": 0.5, "loss": 4}'""")
    outcome, reports = run(f, folder=tmp_path / "c")
    assert (outcome.state, outcome.perf, reports) == (TrialState.COMPLETE, 0.5, [])
    assert outcome.metrics == {
        "acc": 0.5,
        "acc.min": 0.5,
        "acc.max": 0.9,
        "loss": 4.0,
        "loss.min": 3.0,
        "loss.max": 4.0,
    }
    assert not (tmp_path / "c").exists()  # empty, so it is removed


def test_extremes_of_lines_without_a_fidelity_count_beside_those_of_reports(tmp_path):
    """The report of the log and the result of the trial agree on the last value."""
    lines = ['{"loss": 9}', '{"loss": 0.5}', '{"epoch": 1, "acc": 0.9, "loss": 3}', '{"loss": 1}']
    f = sh("; ".join(f"echo '{line}'" for line in lines))
    outcome, reports = run(f, folder=tmp_path / "c")
    assert reports == [(1, 0.9, {"loss": 3.0})]
    assert outcome.metrics["loss"] == 1.0
    assert (outcome.metrics["loss.min"], outcome.metrics["loss.max"]) == (0.5, 9.0)


def test_a_report_that_is_answered_with_no_ends_the_command(tmp_path):
    """What it would have printed later is no report, and it leaves nothing running."""
    f = sh("""for i in 1 2 3 4 5; do echo "{\\"epoch\\": $i, \\"acc\\": 0.$i}"; done; sleep 600""")
    outcome, reports = run(f, answer=lambda fidelity: fidelity < 3, folder=tmp_path / "c")
    assert (outcome.state, outcome.perf, outcome.reached) == (TrialState.STOPPED, 0.3, 3)
    assert [fidelity for fidelity, _, _ in reports] == [1, 2, 3]
    assert outcome.advice == ""


def test_a_command_that_does_not_know_its_fidelity_is_ended_there(tmp_path):
    """In order: it may save its state when it is asked to end."""
    script = """trap 'echo saved > $AUTOHPO_CHECKPOINT_DIR/state; exit 3' TERM
i=0; while true; do i=$((i+1)); echo "{\\"epoch\\": $i, \\"acc\\": 0.$i}"; sleep 0.05; done"""
    f = sh(script)
    assert f.takes_fidelity
    assert not f.is_told_fidelity
    outcome, reports = run(f, task=Task(0, 1, {}, fidelity=2.0, checkpoint_dir=str(tmp_path)))
    assert (outcome.state, outcome.perf, outcome.reached) == (TrialState.COMPLETE, 0.2, 2)
    assert len(reports) == 2
    assert (tmp_path / "state").read_text() == "saved\n"


def test_a_command_that_knows_its_fidelity_ends_by_itself(tmp_path):
    """It may have a checkpoint to save after its last report; what it prints beyond its fidelity ends it."""
    f = sh("""echo '{"epoch": 2, "acc": 0.2}'; sleep 0.2; echo late > $AUTOHPO_CHECKPOINT_DIR/state""", uses_env=True)
    task = Task(0, 1, {}, fidelity=2.0, checkpoint_dir=str(tmp_path))
    outcome, _ = run(f, task=task)
    assert (outcome.state, outcome.perf) == (TrialState.COMPLETE, 0.2)
    assert (tmp_path / "state").exists()
    f = sh("""echo '{"epoch": 2, "acc": 0.2}'; echo '{"epoch": 3, "acc": 0.3}'; sleep 600""", uses_env=True)
    outcome, reports = run(f, task=task)
    assert (outcome.state, outcome.perf, outcome.advice) == (TrialState.COMPLETE, 0.2, "")
    assert [report[0] for report in reports] == [2]


def test_a_command_that_goes_on_from_a_checkpoint_is_known_by_its_first_report(tmp_path):
    """So what an attempt trained is known, and what it may train is a limit; one that begins anew counts in full."""
    script = """i=$(cat state || echo 0); test "$1" = anew && i=0; while [ $i -lt $2 ]; do i=$((i+1)); echo $i > state
echo "{\\"epoch\\": $i, \\"acc\\": 0.$i}"; done"""
    script = f"cd $0; {script}".replace("{", "{{").replace("}", "}}")
    seen = []
    for how, fidelity, most in (("", 2.0, None), ("", 5.0, 3.0), ("anew", 6.0, None), ("", 9.0, 2.0)):
        f = CommandObjective(["sh", "-c", script, "{checkpoint_dir}", how, "{fidelity}"], metric="acc")
        outcome, reports = run(f, task=Task(0, 1, {}, fidelity=fidelity, most=most, checkpoint_dir=str(tmp_path / "c")))
        seen.append((outcome.state.value, outcome.trained if most else None, [report[0] for report in reports]))
    assert seen == [
        ("COMPLETE", None, [1, 2]),
        ("COMPLETE", 3, [3, 4, 5]),
        ("COMPLETE", None, [1, 2, 3, 4, 5, 6]),
        ("STOPPED", 2, [7, 8]),
    ]


def test_a_fidelity_that_nobody_can_know_is_an_error(tmp_path):
    """Neither told to the command nor named in its lines: each trial would be trained in full."""
    outcome, _ = run(sh("""echo '{"acc": 0.2}'"""), task=Task(0, 1, {}, fidelity=2.0, checkpoint_dir=str(tmp_path)))
    assert outcome.state is TrialState.FAILED
    assert "was to train up to fidelity 2, but was not told so" in outcome.error
    pattern = sh("echo acc=0.2", pattern="acc=(.*)")
    assert (pattern.takes_fidelity, pattern.can_report) == (False, False)


def test_the_environment_says_what_the_trial_is(tmp_path):
    """Without a fidelity there is no variable for it, also where one is inherited."""
    program = "import os, json; print(json.dumps({'acc': 1, **{k: v for k, v in os.environ.items() if 'HPO' in k}}))"
    f = CommandObjective(
        [sys.executable, "-S", "-c", program.replace("{", "{{").replace("}", "}}")],
        metric="acc",
        output_dir=tmp_path / "logs",
        env={"HPO_LR": "lr is {lr}", "HPO_NO": "{momentum}", "HPO_GONE": None},
    )
    os.environ |= {"HPO_GONE": "here", "AUTOHPO_FIDELITY": "9"}
    try:
        run(f, {"lr": 0.5}, folder=tmp_path / "c")
        without = json.loads((tmp_path / "logs" / "trial-3.log").read_text().split("\n")[1])
        run(f, task=Task(4, 1, {"lr": 0.5, "momentum": 2}, fidelity=3.0, seed=11, checkpoint_dir=str(tmp_path / "c")))
        given = json.loads((tmp_path / "logs" / "trial-4.log").read_text().split("\n")[1])
    finally:
        del os.environ["HPO_GONE"], os.environ["AUTOHPO_FIDELITY"]
    assert "AUTOHPO_FIDELITY" not in without
    assert "HPO_NO" not in without
    assert "HPO_GONE" not in without
    assert without["HPO_LR"] == "lr is 0.5"
    assert json.loads(without["AUTOHPO_CONFIG"]) == {"lr": 0.5}
    assert (without["AUTOHPO_TRIAL"], without["AUTOHPO_SEED"]) == ("3", "11")
    assert without["AUTOHPO_CHECKPOINT_DIR"] == str(tmp_path / "c")
    assert (given["AUTOHPO_FIDELITY"], given["HPO_NO"]) == ("3", "2")


def test_a_configuration_may_come_in_a_file(tmp_path):
    """Which is gone afterwards; a long one does not fit into a variable, and is left out there."""
    f = CommandObjective(["sh", "-c", 'cat "$0"; echo; echo "${{AUTOHPO_CONFIG-none}}"', "{config_file}"], metric="acc")
    assert f({"acc": 0.25})["perf"] == 0.25
    (tmp_path / "mine").write_text("")
    outcome, _ = run(f, {"acc": 0.25, "long": "x" * 200_000}, folder=tmp_path)
    assert outcome.perf == 0.25
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    outcome, _ = run(CommandObjective("echo {json}", metric="acc"), {"acc": 1, "long": "x" * 200_000}, folder=tmp_path)
    assert "too long for the system; use {config_file}" in outcome.error


def test_placeholders_without_a_value_say_what_to_do(tmp_path):
    """A fidelity where the search gives none, a GPU where there is none."""
    for name, part in (("fidelity", "give CommandObjective(full_fidelity=...)"), ("device", "give optimize(gpus=...)")):
        outcome, _ = run(CommandObjective(f"echo {{{name}}}", metric="acc"), folder=tmp_path / "c")
        assert outcome.state is TrialState.FAILED
        assert part in outcome.error
    f = CommandObjective("echo {fidelity}", metric="n", pattern="(.*)", full_fidelity=27)
    assert f({})["perf"] == 27


def test_the_result_may_be_one_document_in_a_file(tmp_path):
    """The output is not read then; the file of an earlier trial does not count."""
    command = [
        "sh",
        "-c",
        """echo '{{"acc": 9}}'; test -z "$1" || echo '{{"acc": 0.5, "val": {{"loss": 2}}}}' > $1""",
        "x",
    ]
    f = CommandObjective([*command, "{result_file}"], metric="acc", result_file="{checkpoint_dir}/result.json")
    outcome, _ = run(f, folder=tmp_path)
    assert outcome.perf == 0.5
    assert outcome.metrics["val/loss"] == 2.0
    assert not f.is_continued  # the folder is only where the result lies
    silent = CommandObjective(command, metric="acc", result_file=str(tmp_path / "result.json"))
    outcome, _ = run(silent, folder=tmp_path / "d")
    assert outcome.state is TrialState.FAILED
    assert f"did not write its result to {tmp_path}/result.json" in outcome.error


def test_a_file_of_lines_is_followed_while_the_command_runs(tmp_path):
    """So a scheduler can stop the command; what an earlier training wrote there does not count."""
    (tmp_path / "log.jsonl").write_text('{"epoch": 7, "acc": 7}\n')
    line = """echo "{\\"epoch\\": $i, \\"acc\\": 0.$i}" >> $AUTOHPO_CHECKPOINT_DIR/log.jsonl"""
    script = f"for i in 1 2; do {line}; done; sleep 600"
    f = sh(script, result_file="{checkpoint_dir}/log.jsonl")
    outcome, reports = run(f, answer=lambda fidelity: fidelity < 2, folder=tmp_path)
    assert (outcome.state, outcome.perf) == (TrialState.STOPPED, 0.2)
    assert [fidelity for fidelity, _, _ in reports] == [1, 2]


def test_a_file_of_lines_that_is_written_anew_is_followed_from_its_beginning(tmp_path):
    """Whether it is shorter than before, or longer."""
    for before in ('{"epoch": 7, "acc": 7}\n' * 9, '{"epoch": 7, "acc": 7}\n', ""):
        (tmp_path / "log.jsonl").write_text(before)
        line = """echo "{\\"epoch\\": $i, \\"acc\\": 0.$i}" """
        script = f"cd $AUTOHPO_CHECKPOINT_DIR; (for i in 1 2; do {line}; done) > log.jsonl; sleep 600"
        f = sh(script, result_file="{checkpoint_dir}/log.jsonl")
        outcome, reports = run(f, answer=lambda fidelity: fidelity < 2, folder=tmp_path)
        assert (outcome.state, outcome.perf) == (TrialState.STOPPED, 0.2)
        assert [fidelity for fidelity, _, _ in reports] == [1, 2]


def test_lines_in_a_json_file_and_a_list_are_read_in_the_end(tmp_path):
    """The last one is the result."""
    for text in ('{"epoch": 1, "acc": 1}\\n{"epoch": 2, "acc": 2}', '[{"epoch": 1, "acc": 1}, {"epoch": 2, "acc": 2}]'):
        outcome, _ = run(
            sh(f"printf '{text}' > {tmp_path}/r.json", result_file=tmp_path / "r.json"), folder=tmp_path / "c"
        )
        assert (outcome.perf, outcome.metrics["acc.min"]) == (2.0, 1.0)
        (tmp_path / "r.json").unlink()
    f = sh(f"echo acc=3 > {tmp_path}/r.txt", result_file=tmp_path / "r.txt", pattern="acc=(.*)")
    assert run(f, folder=tmp_path / "c")[0].perf == 3.0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("echo bad news >&2; exit 3", ["ended with exit code 3: bad news; the last lines of its errors:\nbad news"]),
        ("echo out; exit 1", ["ended with exit code 1; the last lines of its output:\nout"]),
        ("exit 1", ["ended with exit code 1; it printed nothing"]),
        ("kill -9 $$", ["was ended by SIGKILL: perhaps by the system for lack of memory"]),
        ("kill -SEGV $$", ["was ended by SIGSEGV"]),
        ("nosuchprogram", ["ended with exit code 127: a program in it is not found", "nosuchprogram"]),
        ("""echo '{"acc": 1}'; exit 4""", ["ended with exit code 4"]),
        ("echo acc 3", ["ended without a value of the metric 'acc'; its output was read for lines of JSON", "\nacc 3"]),
        ("""echo '{"Acc": 3, "loss": 1}'""", ["for lines of JSON, which have Acc, loss; did you mean 'Acc'?"]),
    ],
)
def test_a_failed_command_says_what_it_was_and_how_it_ended(tmp_path, text, parts):
    """With the end of what it printed; no line of ours, and no traceback."""
    outcome, _ = run(sh(text), folder=tmp_path / "c")
    assert outcome.state is TrialState.FAILED
    assert "autohpo.errors.CommandError: the command `sh -c " in outcome.error
    for part in parts:
        assert part in outcome.error, outcome.error
    assert "autohpo/commands" not in outcome.error
    with pytest.raises(CommandError):
        sh(text)({})


def test_the_last_20_lines_of_the_errors_are_told(tmp_path):
    """Of more of them, only those."""
    outcome, _ = run(sh("seq 100 >&2; exit 1"), folder=tmp_path / "c")
    assert outcome.error.strip().endswith("\n".join(map(str, range(81, 101))))
    assert "\n80\n" not in outcome.error


@pytest.mark.parametrize(
    ("command", "options", "part"),
    [
        ("nosuchprogram -x", {}, "command: there is no program 'nosuchprogram' in PATH"),
        ("./nosuchprogram", {}, "command: there is no program './nosuchprogram' under this path"),
        ("/", {}, "command: '/' is not executable"),
        ("true", {"cwd": "/nosuchfolder"}, "cwd: there is no folder /nosuchfolder"),
        ("sh {x}", {}, "x: a word of a command line must have no NUL character"),
    ],
)
def test_a_command_that_cannot_be_started_is_one_clear_error(tmp_path, command, options, part):
    """The text says what to check."""
    outcome, _ = run(CommandObjective(command, metric="acc", **options), {"x": "a\0b"}, folder=tmp_path / "c")
    assert outcome.state is TrialState.FAILED
    assert part in outcome.error


def test_a_file_without_a_first_line_is_no_program(tmp_path):
    """The system does not know what reads it."""
    (tmp_path / "train").write_text("print(1)")
    (tmp_path / "train").chmod(0o755)
    with pytest.raises(CommandError, match="is no program, and has no first line such as #!/bin/sh"):
        CommandObjective([tmp_path / "train"], metric="acc")({})


@pytest.mark.parametrize("text", ['{"acc": NaN}', '{"epoch": 1, "acc": NaN}', '{"epoch": 1, "acc": "inf"}'])
def test_a_metric_that_is_not_finite_makes_the_trial_invalid(tmp_path, text):
    """As a report, and as the result."""
    outcome, _ = run(sh(f"echo '{text}'"), folder=tmp_path / "c")
    assert outcome.state is TrialState.INVALID
    assert "the metric 'acc' of the command `sh -c" in outcome.error
    with pytest.raises(InvalidPerfError):
        sh(f"echo '{text}'")({})


def test_streams_may_be_read_together_or_the_errors_alone(tmp_path):
    """Loggers write to standard error."""
    text = """echo '{"acc": 1}'; sleep 0.05; echo '{"acc": 2}' >&2"""
    assert [run(sh(text, stream=s), folder=tmp_path / "c")[0].perf for s in ("stdout", "stderr", "both")] == [1, 2, 2]


def test_much_output_on_both_streams_ends_in_no_deadlock(tmp_path):
    """Megabytes that no newline cuts, bytes that are no UTF-8, and progress bars; the log keeps head and tail."""
    program = (
        "import sys; o, e = sys.stdout.buffer, sys.stderr.buffer\n"
        "o.write(b'HEAD\\n')\n"
        "for i in range(40): o.write(b'\\xff' * 100_000); e.write(b'\\r%d' % i * 10_000)\n"
        "o.write(b'\\nTAIL\\n' + b'{\"epoch\": 1, \"acc\": 0.5}\\r'); o.flush()"
    )
    f = CommandObjective(
        [sys.executable, "-S", "-c", program.replace("{", "{{").replace("}", "}}")], metric="acc", output_dir=tmp_path
    )
    outcome, reports = run(f, folder=tmp_path / "c")
    assert (outcome.perf, len(reports)) == (0.5, 1)
    log = (tmp_path / "trial-3.log").read_bytes()
    assert len(log) <= HEAD_BYTES + 2 * TAIL_BYTES + 200
    assert log.startswith(b"$ ")
    assert b"\nHEAD\n" in log[:1000]
    assert b"bytes left out" in log
    assert log.endswith(b"\n[ended with exit code 0]\n")
    assert b"TAIL\n" in log[-200_000:]


def test_a_log_of_several_attempts_has_all_of_them(tmp_path):
    """The first begins a new file."""
    f = sh("echo attempt; echo '{\"acc\": 1}'", output_dir=tmp_path)
    for attempt in (1, 1, 2):
        run(f, task=Task(3, attempt, {}, checkpoint_dir=str(tmp_path / "c")))
    assert (tmp_path / "trial-3.log").read_text().count("\nattempt\n") == 2


def test_a_log_that_cannot_be_written_does_not_end_the_trial(tmp_path, caplog):
    """It is said in the log of autohpo."""
    (tmp_path / "file").write_text("")
    outcome, _ = run(sh("echo '{\"acc\": 1}'", output_dir=tmp_path / "file"), folder=tmp_path / "c")
    assert outcome.perf == 1
    assert "output_dir: " in caplog.text


def test_a_shell_reads_a_command_that_is_meant_for_it():
    """Pipes and variables work, and values are quoted."""
    f = CommandObjective("echo acc={x} | tr a A; echo {y}", metric="acc", pattern="Acc=(.*)", shell=True)
    assert f({"x": 0.5, "y": "$(exit 1); '"})["perf"] == 0.5


def test_the_working_directory_may_be_that_of_the_training():
    """A relative file of results lies there."""
    f = sh("echo '{\"acc\": 4}' > out.json", cwd="{checkpoint_dir}", result_file="out.json")
    assert f({})["perf"] == 4


def test_several_metrics_are_one_result():
    """A dict by objective where these have names, else in order."""
    f = sh("""echo '{"acc": 0.9, "time": {"ms": 12}}'""", metric={"acc": "acc", "latency": "time/ms"})
    outcome, _ = run(f, mode={"latency": "min", "acc": "max"})
    assert outcome.perfs == (12.0, 0.9)
    outcome, _ = run(f, mode=["max", "min"])
    assert outcome.perfs == (0.9, 12.0)
    outcome, _ = run(sh("""echo '{"acc": 0.9, "cost": -1, "perf": 3}'"""), mode={"accuracy": "max"})
    assert outcome.perfs == (0.9,)
    assert outcome.cost > 0  # a metric of the name `cost` is no cost of the trial
    outcome, _ = run(sh("""echo '{"acc": 0.9}'"""), mode={"a": "max", "b": "min"})
    assert outcome.state is TrialState.INVALID


def test_the_digest_of_the_objective_follows_its_options():
    """So that a resumed search can say that its command has changed."""
    digests = [made_with(CommandObjective(c, metric="acc", env={"A": "1"}))["f"] for c in ("a {x}", "a {x}", "b {x}")]
    assert digests[0] == digests[1] != digests[2]
    f = CommandObjective("a {x}", metric="acc", env={"A": "1"})
    f.check([__import__("autohpo").RangeHP("x", 0, 1)])
    assert made_with(f)["f"] == digests[0]  # use does not change it


def test_the_objective_can_be_carried_to_other_processes():
    """By both kinds of pickle."""
    f = CommandObjective("a {x}", metric=["acc", "ms"], pattern=re.compile("(?P<acc>.) (?P<ms>.)", re.IGNORECASE))
    assert pickle.loads(pickle.dumps(f)) == cloudpickle.loads(cloudpickle.dumps(f)) == f


def test_whether_a_training_is_continued_is_in_the_command():
    """Where it, or a variable, has the checkpoint folder."""
    assert CommandObjective("a {checkpoint_dir}", metric="acc").is_continued
    assert CommandObjective("a {--resume:checkpoint_dir}", metric="acc").is_continued
    assert CommandObjective("a", env={"C": "{checkpoint_dir}/x"}, metric="acc").is_continued
    assert not CommandObjective("a {x}", metric="acc", cwd="{checkpoint_dir}").is_continued


def test_tried_out_alone_a_command_leaves_no_folder(tmp_path, monkeypatch):
    """Its checkpoints lie in a temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert sh("touch $AUTOHPO_CHECKPOINT_DIR/x; echo '{\"acc\": 4}'")({})["acc"] == 4
    assert list(Path(tmp_path).iterdir()) == []


def test_a_command_that_closes_its_streams_is_waited_for(tmp_path):
    """Its end is its end, and not that of its output."""
    began = time.monotonic()
    outcome, _ = run(sh("""echo '{"acc": 1}'; exec >&- 2>&-; sleep 0.4; exit 5"""), folder=tmp_path / "c")
    assert "exit code 5" in outcome.error
    assert time.monotonic() - began >= 0.4


def test_an_option_that_the_search_gives_wrong_is_no_fault_of_the_command(tmp_path):
    """An inactive parameter by its plain name, where nobody checked the space."""
    outcome, _ = run(CommandObjective("echo {x}", metric="acc"), folder=tmp_path / "c")
    assert "OptionError: command: {x} has no value: x is not active in this configuration; write {--x}" in outcome.error
    with pytest.raises(OptionError):
        CommandObjective("echo {x}", metric="acc").command_of({})
