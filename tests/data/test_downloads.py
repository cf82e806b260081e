"""How missing files get to where they are read."""

from __future__ import annotations

import io
import pickle
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from noiseaug.data import DATASETS, describe, fetch, load_images
from tests.helpers.errors import complaint, full_disk
from tests.helpers.library import IMAGES, LABELS, published
from tests.helpers.running import content as everything
from tests.helpers.running import start

# --- downloads, from servers on this machine


class Server:
    """A mirror; ``files`` maps names to bytes, to a status, or to ``(bytes, promised length)``."""

    def __init__(self, files):
        self.files, self.asked = files, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.removeprefix("/some/folder/")
                mirror.asked.append(name)
                answer = mirror.files.get(name, 404)
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                body, length = answer if isinstance(answer, tuple) else (answer, len(answer))
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/some/folder/"


@contextmanager
def serving(*mirrors):
    servers = [Server(files) for files in mirrors]
    threads = [threading.Thread(target=server.http.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.http.shutdown()
            server.http.server_close()
            thread.join()


@pytest.fixture
def network(monkeypatch, library):
    """Mirrors on this machine instead of those of a data set."""
    pytest.importorskip("pooch")
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)

    @contextmanager
    def use(name, *mirrors):
        with serving(*mirrors) as servers:
            library.replace(name, mirrors=tuple(server.address for server in servers))
            yield servers

    return use


def by_name(library):
    return {path.rpartition("/")[2]: body for path, body in library.contents.items()} | {
        "cifar-10-python.tar.gz": library.archive
    }


def test_only_what_is_missing_is_downloaded(network, library, tmp_path, capfd):
    library.fill(tmp_path, "MNIST/raw/t10k-images-idx3-ubyte.gz")
    with network("mnist", by_name(library), by_name(library)) as (first, second):
        found = load_images("mnist", "test", root=tmp_path)
        np.testing.assert_array_equal(found.labels, LABELS["test"])
        assert first.asked == ["t10k-labels-idx1-ubyte.gz"]
        paths = fetch("mnist", root=tmp_path, progress=False)
        assert first.asked[1:] == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
        assert [path.read_bytes() for path in paths] == [library.contents[str(p.relative_to(tmp_path))] for p in paths]
        assert len(paths) == 4
        load_images("mnist", "train", root=tmp_path)
        fetch("mnist", root=tmp_path)
        assert len(first.asked) == 3
        assert second.asked == []
    assert describe("mnist", tmp_path).complete
    assert len([name for name, kind in everything(tmp_path).items() if kind != "folder"]) == 4  # and nothing besides
    assert "Downloading data from" not in capfd.readouterr().err


@pytest.mark.parametrize("fault", ["missing", "broken", "other bytes", "cut off", "nobody there"])
def test_the_next_mirror_is_tried(network, library, tmp_path, fault):
    good = by_name(library)
    bad = {
        "missing": {},
        "broken": dict.fromkeys(good, 503),
        "other bytes": {name: body[:-1] + b"!" for name, body in good.items()},
        "cut off": {name: (body[:20], len(body)) for name, body in good.items()},
        "nobody there": {},
    }[fault]
    with network("mnist", bad, good) as (first, second):
        if fault == "nobody there":
            with serving({}) as (gone,):
                pass
            library.replace("mnist", mirrors=(gone.address, second.address))
        np.testing.assert_array_equal(load_images("mnist", "test", root=tmp_path).inputs, IMAGES["test"][:, None])
        assert len(second.asked) == 2
        assert len(first.asked) == (0 if fault == "nobody there" else 2)


def test_where_no_mirror_has_it(network, library, tmp_path):
    good = by_name(library)
    labels = "t10k-labels-idx1-ubyte.gz"
    wrong = dict.fromkeys(good, b"<html>")
    torn = {labels: (good[labels][:9], len(good[labels]))}
    with serving({}) as (gone,):
        pass
    with network("mnist", {}, wrong, torn) as servers:
        mirrors = (*DATASETS["mnist"].mirrors, gone.address)
        library.replace("mnist", mirrors=mirrors)
        library.fill(tmp_path, "MNIST/raw/t10k-images-idx3-ubyte.gz")
        before = everything(tmp_path)
        message = complaint(lambda: load_images("mnist", "test", root=tmp_path))
        assert everything(tmp_path) == before
        assert [len(server.asked) for server in servers] == [1, 1, 1]
    reasons = ("HTTP status 404", "not the published bytes", "cut off", "no connection")
    tried = ", ".join(f"{mirror} ({reason})" for mirror, reason in zip(mirrors, reasons, strict=True))
    assert message == (
        f"{labels} could not be downloaded from {tried}; put {labels} into {tmp_path / 'MNIST/raw'} by hand"
    )


def test_an_archive_is_unpacked_and_nothing_else_of_it(network, library, tmp_path):
    root = tmp_path / "deep" / "root"
    with network("cifar10", by_name(library)) as (mirror,):
        assert len(load_images("cifar10", "train", root=root)) == 20
        assert len(load_images("cifar10", "test", root=root, download=False)) == 4
        assert mirror.asked == ["cifar-10-python.tar.gz"]
        names = {name for name, kind in everything(tmp_path).items() if kind != "folder"}
        batches = {path for path in library.contents if path.startswith("cifar")}
        assert names == {f"deep/root/{path}" for path in batches | {"cifar-10-python.tar.gz"}}
        # a file that is lost comes back from the archive that is there
        (root / "cifar-10-batches-py/data_batch_2").unlink()
        assert describe("cifar10", root).download_bytes == 0
        assert len(load_images("cifar10", "train", root=root)) == 20
        assert mirror.asked == ["cifar-10-python.tar.gz"]


def test_an_archive_that_lies(network, library, tmp_path):
    """Members are checked one by one, whatever the archive's own hash says."""
    for change, message in [
        (b"X", "does not have its published sha256"),
        (None, "lacks cifar-10-batches-py/test_batch"),
    ]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path in (path for path in library.contents if path.startswith("cifar")):
                body = library.contents[path]
                if path.endswith("test_batch"):
                    if change is None:
                        continue
                    body = change + body[1:]
                member = tarfile.TarInfo(path)
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
        library.replace("cifar10", archive=published("cifar-10-python.tar.gz", buffer.getvalue()))
        with network("cifar10", {"cifar-10-python.tar.gz": buffer.getvalue()}):
            assert message in complaint(lambda: load_images("cifar10", "test", root=tmp_path))
        assert not (tmp_path / "cifar-10-batches-py/test_batch").exists()
    for body in (b"no archive", library.archive[:3000]):
        library.replace("cifar10", archive=published("cifar-10-python.tar.gz", body))
        with network("cifar10", {"cifar-10-python.tar.gz": body}):
            assert "cannot be unpacked" in complaint(lambda: load_images("cifar10", "test", root=tmp_path))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_fetch_replaces_what_is_damaged_and_takes_up_where_it_was_killed(network, library, root, name):
    """A download that was killed leaves a temporary file, a copy that was killed half a file."""
    file = DATASETS[name].files["train"][0]
    path = root / file.path
    path.write_bytes(path.read_bytes()[:60])
    stray = path.with_name("tmpabc")
    stray.write_bytes(b"half")
    with network(name, by_name(library)) as (mirror,):
        complaint(lambda: load_images(name, "train", root=root))
        assert mirror.asked == []
        fetch(name, root=root, progress=False)
        assert mirror.asked == ["cifar-10-python.tar.gz" if name == "cifar10" else path.name]
    assert path.read_bytes() == library.contents[file.path]
    assert stray.read_bytes() == b"half"
    assert len(load_images(name, "train", root=root, download=False)) > 10


def test_fetch_keeps_the_damaged_file_until_it_has_a_better_one(network, library, root):
    path = root / DATASETS["mnist"].files["train"][0].path
    path.write_bytes(b"torn")
    with network("mnist", {}):
        assert "HTTP status 404" in complaint(lambda: fetch("mnist", root=root))
    assert path.read_bytes() == b"torn"


def test_what_was_finished_is_kept_and_the_rest_is_named(network, library, tmp_path):
    mirror = by_name(library)
    del mirror["train-labels-idx1-ubyte.gz"]
    with network("mnist", mirror) as (server,):
        message = complaint(lambda: fetch("mnist", root=tmp_path))
        rest = "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"
        assert message.endswith(f"; put {rest} into {tmp_path / 'MNIST/raw'} by hand")
        server.files = by_name(library)
        fetch("mnist", root=tmp_path)
        assert server.asked.count("train-images-idx3-ubyte.gz") == 1


def test_a_full_disk_leaves_no_half_of_a_batch(library, tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(library.archive)
    with full_disk():
        message = complaint(lambda: load_images("cifar10", "test", root=tmp_path))
    assert message.startswith(f"cannot write {tmp_path / 'cifar-10-batches-py'}")
    assert "No space left on device" in message
    assert list((tmp_path / "cifar-10-batches-py").iterdir()) == []
    assert len(load_images("cifar10", "test", root=tmp_path)) == 4


def test_a_root_that_cannot_be_written(network, library, tmp_path):
    (tmp_path / "MNIST").write_text("a file where a folder should be")
    (tmp_path / "cifar-10-batches-py").write_text("as well")
    for name in ("mnist", "cifar10"):
        with network(name, by_name(library)):
            message = complaint(lambda name=name: load_images(name, "test", root=tmp_path))
        assert message.startswith(f"cannot write {tmp_path}")
        assert "choose another data root (NOISEAUG_DATA)" in message


def test_an_interrupt_leaves_nothing_half_written(network, library, tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")

    def interrupted(self, url, output_file, pooch):
        Path(output_file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.get_logger(), "level", 7)
    with network("mnist", by_name(library)):
        with monkeypatch.context() as patch:
            patch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fetch("mnist", root=tmp_path)
        assert set(everything(tmp_path).values()) == {"folder"}
        assert pooch.get_logger().level == 7
        assert len(fetch("mnist", root=tmp_path, progress=False)) == 4


def test_progress_is_shown_on_standard_error(network, library, tmp_path, capfd):
    with network("mnist", {}, by_name(library)):
        fetch("mnist", root=tmp_path / "a", progress=False)
        quiet = capfd.readouterr()
        fetch("mnist", root=tmp_path / "b", progress=True)
        loud = capfd.readouterr()
    assert (quiet.out, quiet.err, loud.out) == ("", "", "")
    assert "train-images-idx3-ubyte.gz: 100%" in loud.err


def test_two_processes_at_once(network, library, tmp_path):
    """Both get everything, whoever comes first, and what is there afterwards is whole."""
    code = (
        "import pickle, sys; from noiseaug.data import DATASETS, fetch, load_images\n"
        "DATASETS['cifar10'] = pickle.load(sys.stdin.buffer)\n"
        f"fetch('cifar10', root={str(tmp_path / 'root')!r}, progress=False)\n"
        f"print(load_images('cifar10', 'train', root={str(tmp_path / 'root')!r}, download=False).digest)"
    )
    with network("cifar10", by_name(library)) as (mirror,):
        described = pickle.dumps(DATASETS["cifar10"])
        inputs = {"stdin": -1, "text": False, "encoding": None}
        with start("-c", code, **inputs) as one, start("-c", code, **inputs) as two:
            for process in (one, two):
                process.stdin.write(described)
                process.stdin.close()
                process.stdin = None
            outcomes = [process.communicate(timeout=60) for process in (one, two)]
    assert [err for _, err in outcomes] == [b"", b""]
    digest = load_images("cifar10", "train", root=tmp_path / "root", download=False).digest
    assert {out.decode().strip() for out, _ in outcomes} == {digest}
    assert 1 <= len(mirror.asked) <= 2
    leftovers = [path.name for path in (tmp_path / "root").rglob("*") if path.name.startswith((".", "tmp"))]
    assert leftovers == []
