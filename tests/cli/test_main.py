"""What all verbs share: one JSON document whatever happens, and output that cannot be written."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
import zarr
from click.testing import CliRunner

from zarr_shard_codec.cli import main

PROGRAM = "from zarr_shard_codec.cli import main; main()"


@pytest.fixture
def source(tmp_path):
    """An array of four chunks."""
    array = zarr.create_array(str(tmp_path / "source"), shape=(8,), chunks=(2,), dtype="u1")
    array[...] = 1
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pack", "a", "--json"], "Missing argument"),
        (["verify", "a", "--json", "--fast"], "No such option"),
        (["inspect", "a", "b", "--json"], "unexpected extra argument"),
        (["pack", "--json", "a", "b", "--order", "spiral"], "'spiral' is not one of"),
        (["mend", "--json"], "No such command"),
        (["--json", "verify", "a"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_a_document_too(arguments, words):
    """A program that reads standard output finds the reason there; people find it where it always was."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert (error["reason"], words in error["message"]) == ("invalid_argument", True)
    assert words in result.stderr
    words_alone = CliRunner().invoke(main, [argument for argument in arguments if argument != "--json"])
    assert words_alone.stdout == ""


def _run(*arguments, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("verb", ["--help", "inspect", "verify", "pack"])
def test_a_full_output_is_said_in_one_line(tmp_path, source, verb):
    """No traceback, and no second complaint at the end."""
    rest = {"--help": [], "pack": [source, tmp_path / "target", "--shard-shape", "4"]}.get(verb, [source])
    with Path("/dev/full").open("w") as full:
        result = _run(verb, *rest, stdout=full)
        assert result.stderr == "error: cannot write to standard output: No space left on device\n"
        assert result.returncode == 2
        if rest:
            assert len(_run(verb, *rest, "--json", stdout=full).stderr.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_arrows(tmp_path, source, encoding):
    """What an encoding does not have is replaced, and nothing else is lost."""
    for arguments in (["pack", source, tmp_path / "→", "--shard-shape", "4"], ["inspect", source]):
        result = _run(*arguments, PYTHONIOENCODING=encoding)
        assert (result.returncode, result.stderr) == (0, "")
        assert ("2 objects: chunks of 2" if "pack" in arguments else "Encoded size") in result.stdout


def test_the_c_locale(tmp_path):
    """It has no more than ASCII, and Python is ready for bytes there, not for what we print."""
    zarr.create_array(str(tmp_path), shape=(4, 4), shards=(4, 4), chunks=(2, 2), dtype="u1")[...] = 1
    for arguments in ([], ["--shard", "0,0"]):
        result = _run("inspect", tmp_path, *arguments, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("verb", ["inspect", "verify", "--help"])
def test_an_output_that_is_closed(source, closed, verb):
    """What goes there goes nowhere, and the status is what it would be."""
    for broken in (False, True):
        if broken:
            (source / "c/1").write_bytes(b"")
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", PROGRAM, verb, str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == int(broken and verb == "verify")
        assert result.stderr == ""


@pytest.mark.parametrize("verb", ["inspect", "verify", "--help"])
def test_an_output_that_nobody_reads(source, verb):
    """Not the status of findings, and nothing is said of it."""
    ours, theirs = os.pipe()
    os.close(ours)
    result = _run(verb, source, stdout=theirs)
    os.close(theirs)
    assert (result.returncode, result.stderr) == (141, "")


def test_ctrl_c(monkeypatch, source):
    """Not the status of findings."""

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("zarr_shard_codec.array.surveys.Verifier.run", interrupted)
    result = CliRunner().invoke(main, ["verify", str(source)])
    assert (result.exit_code, result.stderr) == (130, "\nAborted!\n")


def test_no_colour_where_none_is_wanted(tmp_path, source, terminal):
    """NO_COLOR takes colours from findings and errors, on a terminal, too."""
    (source / "c/1").write_bytes(b"")
    shown = terminal("verify", source, TERM="xterm-256color")
    assert "\x1b[31m" in shown
    for arguments in (["verify", source], ["verify", tmp_path / "nothing"], ["inspect", source]):
        assert not re.search(
            r"\x1b\[[0-9;]*[34][0-9]", terminal(*arguments, NO_COLOR="1", TERM="xterm-256color")
        )


def test_a_terminal_gets_lines_broken_between_words(tmp_path, source, terminal):
    """Numbers and paths stay whole; nothing is broken in a pipe."""
    shown = terminal("pack", source, tmp_path / "target", "--shard-shape", "16000000000000", NO_COLOR="1")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)  # a bar came and went
    lines = shown.splitlines()
    assert len(lines) > 3
    assert all(len(line) < 80 or str(tmp_path) in line for line in lines)
    found = _run("pack", source, tmp_path / "target", "--shard-shape", "16000000000000").stderr
    assert found.split() == shown.split()
    assert len(found.splitlines()) == 2


@pytest.fixture
def terminal():
    """Run the command in a terminal of 80 columns; give what it shows."""

    def run(*arguments, **environment):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, **environment}
        environment.pop("COLUMNS", None)
        done = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
        )
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the end of a terminal is an error
            while piece := os.read(ours, 4096):
                shown += piece
        os.close(ours)
        done.wait()
        return shown.decode()

    return run
