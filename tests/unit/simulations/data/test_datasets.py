import gzip
import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.common.errors import ConfigError, DataError, FedaskError
from fedask.common.sections import DataConfig
from fedask.simulations.data import datasets
from fedask.simulations.data.datasets import Dataset, load_dataset
from fedask.simulations.data.idx import decode_idx
from fedask.simulations.data.readers import FASHION_MNIST_CLASSES, FASHION_MNIST_SHA256

IDX_STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
TRAIN_IMAGES = np.arange(6 * 2 * 3, dtype=np.uint8).reshape(6, 2, 3)
TRAIN_LABELS = np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)
TEST_IMAGES = TRAIN_IMAGES[:3] + np.uint8(100)
TEST_LABELS = np.array([2, 1, 0], dtype=np.uint8)


@pytest.fixture(autouse=True)
def _empty_caches() -> Iterator[None]:
    yield
    datasets._limited.cache_clear()
    datasets._whole.cache_clear()


def pack(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)  # no time: parameters must keep their names


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(folder: Path, *, packed: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    for stem, array in zip(IDX_STEMS, arrays, strict=True):
        raw = encode_idx(array)
        if packed:
            (folder / f"{stem}.gz").write_bytes(pack(raw))
        else:
            (folder / stem).write_bytes(raw)
    return folder


def write_sums(folder: Path) -> Path:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder / "SHA256SUMS"


def write_npz(path: Path, **arrays: Any) -> DataConfig:  # noqa: ANN401
    np.savez(path, **arrays)
    return DataConfig(source="npz", folder=str(path))


def put_digits(raw: bytes | None, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if raw is not None:
        (root / "digits.csv.gz").write_bytes(raw)
    monkeypatch.setattr(resources, "files", lambda _name: root)


def parts(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    good = {
        "name": "made-up",
        "train_x": np.zeros((4, 2), dtype=np.float32),
        "train_y": np.array([0, 1, 2, 0]),
        "test_x": np.ones((3, 2), dtype=np.float32),
        "test_y": np.array([2, 1, 0]),
        "classes": ("a", "b", "c"),
    }
    return good | changes


UserModule = Callable[..., None]


@pytest.fixture
def user_module(monkeypatch: pytest.MonkeyPatch) -> UserModule:
    def define(**attrs: object) -> None:
        module = ModuleType("user_data")
        vars(module).update(attrs)
        monkeypatch.setitem(sys.modules, "user_data", module)

    return define


USER = DataConfig(source="user_data:load", test_share=0.25)


# --- Dataset ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_y": np.array([0, 1, 2])}, r"train has samples of shape \(4, 2\)"),
        ({"test_y": np.array([0])}, r"test has samples of shape \(3, 2\)"),
        ({"train_x": np.zeros((0, 2)), "train_y": np.zeros(0, int)}, "one or more"),
        ({"test_x": np.zeros((0, 2)), "test_y": np.zeros(0, int)}, "one or more"),
        ({"train_x": np.float32(3.0)}, "one label for each"),
        ({"train_y": np.zeros((4, 1), dtype=int)}, "one label for each"),
        (
            {"train_y": np.array([0, 1, 3, 7])},
            "made-up: train row 2 has label 3, not one of 3 classes",
        ),
        ({"test_y": np.array([0, -1, 9])}, "test row 1 has label -1, not one of 3"),
        ({"test_y": np.array([0.0, 1.0, 2.0])}, "labels must be integers"),
        ({"train_y": np.array([True, False, True, True])}, "labels must be integers"),
        ({"train_x": np.array([[None], [1], [2], [3]])}, "anything but objects"),
        (
            {"train_x": np.array([[0, 1], [2, 3], [4, np.nan], [np.inf, 5]])},
            "train row 2 holds NaN or infinity",
        ),
        ({"test_x": np.full((3, 2), -np.inf)}, "test row 0 holds NaN or infinity"),
        ({"test_x": np.ones((3, 5))}, r"shape \(2,\), test samples \(5,\)"),
        ({"classes": ()}, "not one of 0 classes"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Dataset(**parts(**changes))


def test_labels_of_any_integer_type_become_int64() -> None:
    dataset = Dataset(**parts(train_y=np.array([0, 1, 2, 0], dtype=np.uint8)))

    assert dataset.train_y.dtype == np.int64
    assert dataset.train_y.tolist() == [0, 1, 2, 0]


def test_nobody_can_write_to_a_data_set_but_its_maker() -> None:
    mine = np.zeros((4, 2), dtype=np.float32)
    dataset = Dataset(**parts(train_x=mine))

    for array in (dataset.train_x, dataset.train_y, dataset.test_x, dataset.test_y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    mine[0] = 1.0


# --- digits ---


def test_digits_are_those_of_scikit_learn() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    known = sklearn_datasets.load_digits()

    digits = load_dataset(DataConfig(), 0)

    x = np.concatenate([digits.train_x, digits.test_x])
    y = np.concatenate([digits.train_y, digits.test_y])
    ours = sorted(zip(y.tolist(), map(np.ndarray.tobytes, x), strict=True))
    scans = (known.images / 16.0).astype(np.float32)
    pairs = zip(known.target.tolist(), map(np.ndarray.tobytes, scans), strict=True)
    assert ours == sorted(pairs)
    assert digits.train_x.shape == (1438, 8, 8)
    assert digits.test_x.shape == (359, 8, 8)
    assert digits.classes == tuple("0123456789")


def test_digits_do_not_import_scikit_learn() -> None:
    code = (
        "import sys\n"
        "from fedask.common.config import DataConfig\n"
        "from fedask.simulations.data.datasets import load_dataset\n"
        "load_dataset(DataConfig(), 0)\n"
        "sys.exit('sklearn' in sys.modules or 'torch' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(  # noqa: S603  (our own interpreter and code)
        [sys.executable, "-c", code], env=environment, check=False
    )

    assert done.returncode == 0


@pytest.mark.parametrize(
    "raw", [None, b"", b"no gzip", pack(b"1,2,3\n"), pack(b"a,b\n")]
)
def test_damaged_digits_are_refused(
    raw: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_digits(raw, tmp_path, monkeypatch)

    with pytest.raises(DataError, match=r"digits\.csv\.gz"):
        load_dataset(DataConfig(), 0)


# --- the test split and the limit ---


@pytest.mark.parametrize(("test_share", "held"), [(0.2, 359), (0.5, 898), (0.01, 18)])
def test_the_test_part_has_its_share_of_every_class(
    test_share: float, held: int
) -> None:
    digits = load_dataset(DataConfig(test_share=test_share), 0)

    in_test = np.bincount(digits.test_y, minlength=10)
    in_all = in_test + np.bincount(digits.train_y, minlength=10)
    assert len(digits.test_y) == held
    assert np.abs(in_test - test_share * in_all).max() <= 1.0


def test_every_seed_is_measured_on_the_same_test_samples() -> None:
    first = load_dataset(DataConfig(limit=100), 0)
    datasets._whole.cache_clear()  # as in another process
    second = load_dataset(DataConfig(limit=100), 1)

    np.testing.assert_array_equal(first.test_x, second.test_x)
    np.testing.assert_array_equal(first.test_y, second.test_y)


def test_the_test_split_is_not_one_end_of_the_file() -> None:
    x = np.arange(400).reshape(400, 1)
    train, test = datasets._split(x, np.zeros(400, dtype=np.int64), 0.25)

    assert len(test[0]) == 100
    assert np.intersect1d(train[0], test[0]).size == 0
    assert 150 < test[0].mean() < 250


def test_a_limit_keeps_every_class_in_proportion() -> None:
    labels = np.repeat([5, 0, 2], [60, 30, 10])
    rng = np.random.default_rng(0)

    rows = datasets._stratified(labels, 50, rng)

    assert np.unique(labels[rows], return_counts=True)[1].tolist() == [15, 5, 30]
    assert (np.diff(rows) > 0).all()


def test_a_limited_set_is_part_of_the_whole_and_its_test_part_stays_whole() -> None:
    whole = load_dataset(DataConfig(), 3)
    limited = load_dataset(DataConfig(limit=50), 3)

    known = {x.tobytes() for x in whole.train_x}
    assert {x.tobytes() for x in limited.train_x} <= known
    assert np.bincount(limited.train_y).tolist() == [5] * 10
    np.testing.assert_array_equal(limited.test_x, whole.test_x)


def test_the_limited_subset_follows_the_seed() -> None:
    first = load_dataset(DataConfig(limit=50), 0)
    datasets._limited.cache_clear()
    again = load_dataset(DataConfig(limit=50), 0)
    other = load_dataset(DataConfig(limit=50), 1)

    np.testing.assert_array_equal(first.train_x, again.train_x)
    assert (first.train_x != other.train_x).any()


def test_a_smaller_limit_is_part_of_a_larger_one() -> None:
    labels = np.arange(200) % 7
    small = datasets._stratified(labels, 20, np.random.default_rng(0))
    large = datasets._stratified(labels, 60, np.random.default_rng(0))

    assert set(small.tolist()) <= set(large.tolist())


@pytest.mark.parametrize("limit", [1438, 10_000])
def test_a_limit_above_the_size_keeps_all(limit: int) -> None:
    assert load_dataset(DataConfig(limit=limit), 0) is load_dataset(DataConfig(), 0)


# --- finding and caching ---


def test_a_data_set_is_read_once(user_module: UserModule) -> None:
    calls = []

    def load() -> tuple[NDArray[Any], NDArray[Any]]:
        calls.append(1)
        return np.arange(8.0).reshape(8, 1), np.arange(8) % 2

    user_module(load=load)

    assert load_dataset(USER, 0) is load_dataset(USER, 0)
    load_dataset(USER, 1)
    assert len(calls) == 1


def test_the_cache_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path / "one" / "idx", packed=True)
    config = DataConfig(source="idx")

    monkeypatch.setenv("FEDASK_DATA", str(tmp_path / "one"))
    assert len(load_dataset(config, 0).train_y) == 6
    monkeypatch.setenv("FEDASK_DATA", str(tmp_path / "two"))
    with pytest.raises(DataError, match="two"):
        load_dataset(config, 0)


def test_a_folder_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path / "scans", packed=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert len(load_dataset(DataConfig(source="idx", folder="~/scans"), 0).test_y) == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DataConfig(source="digit"), r"unknown data source 'digit' .*'digits'"),
        (DataConfig(source="fashion_mnist"), "did you mean 'fashion-mnist'"),
        (DataConfig(source="no_such_module:load"), "cannot import 'no_such_module'"),
        (DataConfig(source="npz"), r"data\.folder must name the \.npz file"),
        (DataConfig(source="idx", folder="a\0b"), "is no path"),
    ],
)
def test_a_wrong_configuration_is_refused(
    config: DataConfig, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEDASK_DATA", raising=False)

    with pytest.raises(ConfigError, match=message):
        load_dataset(config, 0)


@pytest.mark.parametrize("source", ["idx", "fashion-mnist"])
def test_without_a_folder_the_message_names_the_variable(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEDASK_DATA", raising=False)

    with pytest.raises(DataError, match=r"FEDASK_DATA is not set.*data\.folder"):
        load_dataset(DataConfig(source=source), 0)


# --- idx ---


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_plain_or_packed(packed: bool, tmp_path: Path) -> None:
    folder = write_idx(tmp_path, packed=packed)

    dataset = load_dataset(DataConfig(source="idx", folder=str(folder)), 0)

    np.testing.assert_array_equal(dataset.train_x, TRAIN_IMAGES)
    np.testing.assert_array_equal(dataset.train_y, TRAIN_LABELS)
    np.testing.assert_array_equal(dataset.test_x, TEST_IMAGES)
    np.testing.assert_array_equal(dataset.test_y, TEST_LABELS)
    assert dataset.train_x.dtype == np.uint8
    assert dataset.classes == ("0", "1", "2")


IMAGES = encode_idx(TRAIN_IMAGES)
HUGE = bytes([0, 0, 8, 3]) + b"\xff" * 12 + bytes(36)
LARGE = bytes([0, 0, 8, 3]) + np.array([100, 100, 100], dtype=">u4").tobytes()


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a", b"", "begins with nothing"),
        ("a", IMAGES[:9], "and 3 sizes"),
        ("a", b"\x00\x00\x0d\x03" + IMAGES[4:], "begins with 00000d03, not 00000803"),
        ("a", encode_idx(TRAIN_LABELS), "begins with 00000801, not 00000803"),
        ("a", IMAGES[:-1], r"declares 36 bytes \(6, 2, 3\) but holds 35"),
        ("a", IMAGES + b"\0", "declares 36 bytes .* but holds more"),
        ("a", HUGE, "declares 79228162458924105385300197375 bytes, more than it can"),
        ("a.gz", HUGE, "cannot unpack a.gz: Not a gzipped file"),
        ("a.gz", pack(HUGE), "more than it can hold"),
        ("a.gz", pack(LARGE), r"declares 1000000 bytes, more than it can"),
        ("a.gz", pack(IMAGES)[:-9], "cannot unpack a.gz"),
        ("a.gz", pack(IMAGES[:-1]), "but holds 35"),
        ("a.gz", pack(IMAGES + b"\0"), "but holds more"),
        ("a.gz", pack(IMAGES)[:-6] + bytes(6), "cannot unpack a.gz: CRC"),
        ("a.gz", pack(IMAGES)[:10] + b"\xff" * 30, "cannot unpack a.gz"),
        ("a.gz", b"", "begins with nothing"),
    ],
)
def test_a_damaged_idx_file_is_refused(name: str, raw: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_idx(raw, name, 3)


@pytest.mark.parametrize("declared", [36, 2**31])
def test_a_packed_bomb_is_not_unpacked(declared: int) -> None:
    header = bytes([0, 0, 8, 1]) + np.array([declared], dtype=">u4").tobytes()
    raw = pack(header + bytes(20_000_000))

    tracemalloc.start()
    with pytest.raises(DataError, match="declares"):
        decode_idx(raw, "bomb.gz", 1)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 2_000_000


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path, packed=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()

    with pytest.raises(DataError, match=r"cannot read .*t10k-labels-idx1-ubyte\.gz"):
        load_dataset(DataConfig(source="idx", folder=str(tmp_path)), 0)


def test_idx_files_that_match_their_checksums_are_read(tmp_path: Path) -> None:
    write_sums(write_idx(tmp_path, packed=True))

    dataset = load_dataset(DataConfig(source="idx", folder=str(tmp_path)), 0)

    np.testing.assert_array_equal(dataset.train_x, TRAIN_IMAGES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "0" * 64 + text[64:], "expected 0{64}"),
        (lambda text: text.split("\n", 1)[1], "no SHA-256 is known for .*t10k-images"),
        (lambda _text: "", "no SHA-256 is known"),
        (lambda _text: "garbage", "no SHA-256 is known"),
    ],
)
def test_idx_files_that_do_not_match_their_checksums_are_refused(
    change: Callable[[str], str], message: str, tmp_path: Path
) -> None:
    sums = write_sums(write_idx(tmp_path, packed=True))
    sums.write_text(change(sums.read_text()))

    with pytest.raises(DataError, match=message):
        load_dataset(DataConfig(source="idx", folder=str(tmp_path)), 0)


# --- Fashion-MNIST ---


@pytest.mark.data
def test_fashion_mnist_is_the_original() -> None:
    folder = Path(os.environ["FEDASK_DATA"]) / "fashion-mnist"

    fashion = load_dataset(DataConfig(source="fashion-mnist", folder=str(folder)), 0)

    assert fashion.train_x.shape == (60_000, 28, 28)
    assert fashion.test_x.shape == (10_000, 28, 28)
    assert fashion.train_x.dtype == np.uint8
    assert np.bincount(fashion.train_y).tolist() == [6000] * 10
    assert fashion.train_y[:5].tolist() == [9, 0, 0, 3, 0]
    assert fashion.classes == FASHION_MNIST_CLASSES


@pytest.mark.data
def test_fashion_mnist_is_found_through_the_environment() -> None:
    fashion = load_dataset(DataConfig(source="fashion-mnist", limit=1000), 0)

    assert np.bincount(fashion.train_y).tolist() == [100] * 10
    assert len(fashion.test_y) == 10_000


def test_fashion_mnist_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = write_idx(tmp_path, packed=True)
    first = folder / "train-images-idx3-ubyte.gz"
    found = hashlib.sha256(first.read_bytes()).hexdigest()
    expected = FASHION_MNIST_SHA256[first.name]

    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(source="fashion-mnist", folder=str(folder)), 0)

    assert str(caught.value) == f"{first} has SHA-256 {found}, expected {expected}"


def test_missing_fashion_mnist_says_where_to_get_it(tmp_path: Path) -> None:
    config = DataConfig(source="fashion-mnist", folder=str(tmp_path / "gone"))

    with pytest.raises(DataError) as caught:
        load_dataset(config, 0)

    for word in ("gone", "FEDASK_DATA", "data.folder", "zalandoresearch/fashion-mnist"):
        assert word in str(caught.value)


# --- npz ---


X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 3


def test_an_npz_file_with_a_test_part_keeps_it(tmp_path: Path) -> None:
    config = write_npz(
        tmp_path / "own.npz",
        x=X,
        y=Y,
        x_test=X[:2],
        y_test=Y[:2],
        classes=np.array(["cat", "dog", "owl"]),
    )

    dataset = load_dataset(config, 0)

    np.testing.assert_array_equal(dataset.train_x, X)
    np.testing.assert_array_equal(dataset.test_x, X[:2])
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.name == "own.npz"


def test_an_npz_file_without_a_test_part_is_split(tmp_path: Path) -> None:
    dataset = load_dataset(write_npz(tmp_path / "own.npz", x=X, y=Y), 0)

    assert len(dataset.test_y) == 2
    assert len(dataset.train_y) == 10
    both = np.concatenate([dataset.train_x, dataset.test_x])
    assert sorted(both.tolist()) == X.tolist()
    assert dataset.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "lacks y"),
        ({"samples": X}, "lacks x and y"),
        ({"x": X, "y": Y, "x_test": X}, "lacks y_test"),
        ({"x": X, "y": Y, "y_test": Y}, "lacks x_test"),
        ({"x": X[:5], "y": Y}, r"own\.npz has samples of shape \(5, 2\)"),
        ({"x": X, "y": Y - 1}, "row 0 has label -1"),
        ({"x": X, "y": Y * 10**6}, "row 1 has label 1000000, not one of 65536"),
        ({"x": X, "y": Y, "classes": np.array(["a", "b"])}, "row 2 has label 2"),
        ({"x": X, "y": Y, "classes": np.array([1, 2, 3])}, "classes must be a row"),
        ({"x": X, "y": Y, "classes": np.array("abc")}, "classes must be a row"),
        ({"x": X[:1], "y": Y[:1]}, "one or more"),
        ({"x": X, "y": Y, "x_test": X[:0], "y_test": Y[:0]}, "test has samples"),
        ({"x": np.array([None] * 12), "y": Y}, "cannot read arrays .* allow_pickle"),
    ],
)
def test_an_npz_file_that_does_not_fit_is_refused(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = write_npz(tmp_path / "own.npz", **arrays)

    with pytest.raises(DataError, match=message):
        load_dataset(config, 0)


@pytest.mark.parametrize("raw", [None, b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00"])
def test_a_file_that_is_no_npz_is_refused(raw: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    if raw is not None:
        path.write_bytes(raw)

    with pytest.raises(DataError, match=r"cannot read arrays from .*own\.npz"):
        load_dataset(DataConfig(source="npz", folder=str(path)), 0)


# --- a user's own function ---


def test_a_users_data_set_is_taken_as_it_is(user_module: UserModule) -> None:
    dataset = Dataset(**parts())
    user_module(load=lambda: dataset)

    assert load_dataset(USER, 0) is dataset


def test_a_users_samples_and_labels_are_split(user_module: UserModule) -> None:
    user_module(load=lambda: (X, Y))

    dataset = load_dataset(USER, 0)

    assert np.bincount(dataset.test_y).tolist() == [1, 1, 1]
    assert dataset.name == "user_data:load"
    assert dataset.classes == ("0", "1", "2")


def test_a_users_two_parts_are_kept(user_module: UserModule) -> None:
    user_module(load=lambda: (X.tolist(), Y.tolist(), X[:3], Y[:3] + 1))

    dataset = load_dataset(USER, 0)

    np.testing.assert_array_equal(dataset.train_x, X)
    np.testing.assert_array_equal(dataset.test_y, Y[:3] + 1)
    assert dataset.classes == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("load", "error", "message"),
    [
        (X, ConfigError, "must be a function without arguments"),
        (lambda: None, DataError, "returned NoneType, not a Dataset"),
        (lambda: (X, Y, X), DataError, "returned tuple, not a Dataset"),
        (lambda: ([[1], [2, 3]], [0, 1]), DataError, "must be arrays"),
        (lambda: (X, Y[:4]), DataError, "user_data:load has samples of shape"),
    ],
)
def test_a_users_wrong_function_is_refused(
    load: object, error: type[FedaskError], message: str, user_module: UserModule
) -> None:
    user_module(load=load)

    with pytest.raises(error, match=message):
        load_dataset(USER, 0)
