"""Data files and checkpoints of the campaign, each made of its kind and a number alone."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from graph_files import VALUES, dumped, walk

DATA_GRAPHS = [
    "parameters: {a: 1, b: 0}\nnodes: {r: a * x + b - y, f: mean(square(r))}\nminimize: f\n",
    "parameters: {a: 1}\nnodes: {f: sum(a * x)}\nminimize: f\n",
    "nodes: {m: max(x), n: min(x)}\n",
    "parameters: {w: {shape: [3], init: {type: zeros}}}\nnodes: {f: mean(square(X @ w - y))}\nminimize: f\n",
    "parameters: {a: 1}\nnodes: {r: a * x - y, f: sum(square(r))}\nminimize: f\nupdate: {type: lbfgs}\n",
]
CELLS = [
    *("1", "2.5", "-3", "0", "1e5", "", "nan", "inf", "x", "1_000", "9" * 30, "1e400", '"a"', '"', "a,b", "\t1 ", "é"),
    *("\0", "\u0661", "1,5", "0x10", "true", "2020-01-01", "9007199254740993", "\x1b[31m", "\u202e"),
]


FORMATS = [
    *[(".csv", "csv_file"), (".csv", "csv_file"), (".csv.gz", "csv_file"), (".tsv", "csv_file")],
    *[(".npz", "npz_file"), (".npz", "npz_file"), (".parquet", "parquet_file"), (".parquet", "parquet_file")],
]


def data(number: int) -> tuple[str, str, bytes]:
    """Return the text of a graph file, and the name and the bytes of the data file that it reads."""
    random = Random(f"data {number}")
    suffix, make = random.choice(FORMATS)
    content = globals()[make](random, suffix)
    if suffix.endswith(".gz") and random.random() < 0.9:
        content = gzip.compress(content, mtime=0)
    if random.random() < 0.5:
        content = damaged(random, content)
    section: dict[str, Any] = {"file": f"rows{suffix}"}
    text = random.choice(DATA_GRAPHS)
    if "X" in text or random.random() < 0.6:
        names = random.choice(["x*", ["x", "y", "z"], ["x", "y"], "*"])
        section["columns"] = {"x": column(random), "y": column(random), "X": {"columns": names}}
        for name in ("x", "y", "X"):
            if not re.search(rf"\b{name}\b", text) or random.random() < 0.02:
                del section["columns"][name]
    for key, values in {
        "batch_size": [1, 2, 3, 10, 10**9],
        "holdout": [
            *(0.1, 0.5, 0.99, 0),
            *({"share": 0.4, by: name} for by in ("stratify", "group", "time") for name in "xt"),
            {"share": 0.3, "seed": 7},
        ],
        "shuffle": [True, False],
        "missing": ["drop", "mean", "drop"],
        "header": [False, ["x", "y", "z"], True],
        "delimiter": [";", ",", "\t", " "],
        "comment": ["#", "1"],
        "decimal": [",", "."],
    }.items():
        if random.random() < (0.3 if key in ("batch_size", "holdout", "shuffle", "missing") else 0.05):
            section[key] = random.choice(values)
    return dumped({"data": section}) + text, section["file"], content


def column(random: Random) -> Any:
    """Draw how a column is declared."""
    name = random.choice([*"xxyyyz", "t"])
    more = random.choice(
        [
            {},
            {"standardize": True},
            {"categories": "auto"},
            {"categories": ["a", "x"]},
            {"categories": ["0", "1", "2", "3", "2.5", "-3"]},
            {"missing": "mean", "standardize": True},
            {"missing": "indicator"},
            {"categories": "auto", "missing": "indicator"},
            {"one_hot": True, "missing": "drop"},
            {"time": random.choice(["days", "years", "hour", "weekday"]), "missing": random.choice(["drop", "error"])},
            {"time": "month", "format": random.choice(["%Y", "%d%d", "%", "%d.%m.%y"])},
            {},
        ]
    )
    return name if not more else {"column": name, **more}


def csv_file(random: Random, suffix: str) -> bytes:
    """Make a table of cells, most of them numbers."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t" if suffix == ".tsv" else ",", lineterminator=random.choice(["\n", "\r\n"]))
    writer.writerow(
        random.choice([["x", "y", "z"], ["x", "y", "z", "t"], ["x", "x"], ["x"], [" x", "y"], ["", "y", "x"]])
    )
    plain = random.random() < 0.4
    for _ in range(random.choice([0, 1, 2, 5, 20, 300])):
        width = 3 if random.random() < 0.98 else random.randint(0, 5)
        writer.writerow([random.choice(CELLS[:5] if plain or random.random() < 0.9 else CELLS) for _ in range(width)])
    return out.getvalue().encode(random.choice(["utf-8"] * 8 + ["utf-16", "latin-1"]), "replace")


def array(random: Random) -> Any:
    """Make an array of any dtype and shape."""
    shape = random.choice([(5,), (5,), (5, 3), (20, 3), (1,), (0,), (), (3, 0), (5, 2, 2)])
    kind = random.choice(
        ["f8", "f8", "f4", "i8", "i4", "u8", "u1", "?", "U3", "S3", "c16", "M8[D]", "O", ">f8", "f2", "g", "V3"]
    )
    numbers = np.array([random.choice([0, 1, 2, 3]) for _ in range(int(np.prod(shape)))], "i8").reshape(shape)
    if kind == "V3":
        return np.zeros(shape, kind)
    made = numbers.astype(kind)
    if kind in ("f8", "f4", "f2", "g") and made.size and random.random() < 0.3:
        made[...] = random.choice([np.nan, np.inf, 1e30, 5e-324])
    return np.asfortranarray(made) if random.random() < 0.1 else made


def npz_file(random: Random, _suffix: str) -> bytes:
    """Make an archive of arrays; the header of one may claim what is not there."""
    out = io.BytesIO()
    method = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(out, "w", method) as archive:
        for name in random.choice([["x", "y", "X"], ["x", "y"], ["x"], []]):
            content = io.BytesIO()
            np.lib.format.write_array(content, array(random), allow_pickle=True)
            raw = content.getvalue()
            if random.random() < 0.2:
                claim = random.choice(
                    [b"(100000000000,)", b"(-1,)", b"(9,9)", b"()", b"(5.0,)", b"(" + b"1," * 65 + b")", b"x", b"((),)"]
                )
                header = b"{'descr': '<f8', 'fortran_order': False, 'shape': " + claim + b", }\n"
                raw = (
                    b"\x93NUMPY\x01\x00"
                    + struct.pack("<H", len(header))
                    + header
                    + b"\0" * random.choice([0, 40, 4000])
                )
            archive.writestr(
                random.choice([f"{name}.npy"] * 9 + [name]), raw if random.random() < 0.95 else damaged(random, raw)
            )
    return out.getvalue()


def parquet_file(random: Random, _suffix: str) -> bytes:
    """Make a Parquet file by DuckDB."""
    import duckdb

    kinds = [
        "DOUBLE",
        "FLOAT",
        "INTEGER",
        "BIGINT",
        "UBIGINT",
        "HUGEINT",
        "BOOLEAN",
        "VARCHAR",
        "DATE",
        "DECIMAL(9,2)",
        "BLOB",
        "INTEGER[]",
    ]
    rows = random.choice([0, 1, 5, 20, 3000])
    names = random.choice([["x", "y", "z"], ["x"], ["x", "y"], ["file_row_number", "x"]])
    columns = []
    for name in names:
        kind = random.choice(kinds[: random.choice([1, 4, len(kinds)])])
        cell = {
            "VARCHAR": "'a' || i",
            "DATE": "DATE '2020-01-01'",
            "BLOB": "'a'::BLOB",
            "INTEGER[]": "[1]",
            "BOOLEAN": "i = 1",
        }.get(kind, "i")
        if kind in ("DOUBLE", "FLOAT") and random.random() < 0.3:
            cell = random.choice(["NULL", "'nan'", "'inf'", "i / 3", "NULLIF(i, 2)"])
        columns.append(f'CAST({cell} AS {kind}) AS "{name}"')
    path = Path("made.parquet")
    codec = random.choice(["snappy", "zstd", "gzip", "uncompressed"])
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    rows_of = f"SELECT {', '.join(columns)} FROM range({rows}) t(i)"
    connection.execute(f"COPY ({rows_of}) TO 'made.parquet' (FORMAT parquet, COMPRESSION {codec})")
    connection.close()
    return path.read_bytes()


def damaged(random: Random, content: bytes) -> bytes:
    """Change some bytes: a few flipped, a part left out, doubled or at the end cut."""
    changed = bytearray(content)
    for _ in range(random.choice([1, 1, 1, 2, 5, 50])):
        if not changed:
            break
        at = random.randrange(len(changed))
        match random.randrange(6):
            case 0 | 1:
                changed[at] = random.randrange(256)
            case 2:
                changed[at] ^= 1 << random.randrange(8)
            case 3:
                del changed[at : at + random.randint(1, 9)]
            case 4:
                changed[at:at] = changed[at : at + random.randint(1, 9)]
            case _:
                if random.random() < 0.2:
                    del changed[at:]
                else:
                    changed[at : at + 4] = struct.pack("<i", random.choice([0, -1, 2**31 - 1, 2**20]))
    return bytes(changed)


# Checkpoints.

CHECKPOINT_GRAPHS = [
    "parameters: {a: 1, w: [[1, 2], [3, 4]]}\nnodes: {f: sum(a * w * w)}\nminimize: f\nupdate: {type: adam}\n",
    "parameters: {a: 1}\nnodes: {f: a * a}\nminimize: f\nstop: {patience: 3, change: 1e-9}\n",
    "parameters: {a: [1, 2]}\nnodes: {h: 'dropout(a, rate=0.5)', f: sum(h * h)}\nminimize: f\n"
    "update: {type: sgd, step_size: {type: cosine, start: 0.1, steps: 9}}\n",
    "parameters: {a: [1, 2]}\nnodes: {f: sum(a * a)}\nminimize: f\nupdate: {type: lbfgs}\n",
    "data: {file: rows.csv, batch_size: 2, columns: {x: {column: x, standardize: true}}}\n"
    "parameters: {a: 1}\nnodes: {f: sum(a * x)}\nminimize: f\n",
]


def checkpoint(number: int, whole: Callable[[str], bytes]) -> tuple[str, bytes]:
    """Return the text of a graph and a checkpoint for it, of which something is changed.

    Args:
        number: the number of the input.
        whole: gives the checkpoint of a graph as it was written.
    """
    random = Random(f"checkpoint {number}")
    text = random.choice(CHECKPOINT_GRAPHS)
    content = whole(text)
    if random.random() < 0.4:
        return text, damaged(random, content)
    if random.random() < 0.1:
        return text, whole(random.choice(CHECKPOINT_GRAPHS))
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    body = content[8 + size :]
    for _ in range(random.randint(1, 3)):
        record = header["__metadata__"].get("graphrun") if isinstance(header.get("__metadata__"), dict) else None
        if record is not None and random.random() < 0.6:
            header["__metadata__"]["graphrun"] = changed_record(random, record)
            continue
        places = list(walk(header))
        if places:
            owner, key = random.choice(places)
            if random.random() < 0.3:
                del owner[key]
            else:
                owner[key] = random.choice(
                    [*VALUES[:20], *VALUES[27:], "F64", "I64", "F32", "BOOL", [0, 8], [2, 2], [0], 10**12]
                )
    encoded = json.dumps(header).encode()
    return text, struct.pack("<Q", len(encoded)) + encoded + body


def changed_record(random: Random, text: Any) -> Any:
    """Change graphrun's own record, a text of JSON."""
    try:
        record = json.loads(text)
        places = list(walk(record))
        owner, key = random.choice(places)
        added = random.choice(["a", "watch", "step"]) if isinstance(owner, dict) else key
    except (ValueError, TypeError, IndexError, RecursionError):
        return text
    match random.randrange(5):
        case 0:
            del owner[key]
        case 1:
            owner[key] = random.choice(VALUES)
        case 2:
            return "[" * random.choice([10, 5000, 100_000])
        case 3:
            return text.replace("0", random.choice(["Infinity", "1e999", '"x"', "9" * 5000]), 1)
        case _:
            owner[added] = random.choice(VALUES)
    return json.dumps(record)
