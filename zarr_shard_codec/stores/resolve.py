"""Which store a path or a URL means.

Owns the schemes. Options of a remote service (credentials, region, endpoint) come from the environment, as
obstore reads it (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …): whoever needs more makes an
obstore store and passes that.
"""

from __future__ import annotations

import os
from typing import Any, Final
from urllib.parse import urlsplit

from zarr_shard_codec.errors import StoreError, UsageError
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store

_REMOTE: Final = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "http", "https")


def resolve(target: Any) -> Store:
    """Find the store that `target` means: its root is what `target` names.

    Parameters
    ----------
    target
        A path of the local file system; a `file://`, `s3://`, `gs://`, `az://` (and Azure's other names),
        `http://` or `https://` URL; a `Store`; or a store of obstore.

    Raises
    ------
    UsageError
        `invalid_argument`: none of these.
    StoreError
        `missing_extra`: a remote store, and obstore is not installed; `store_failure`: obstore cannot make
        one of this URL (a missing account, a wrong bucket name).
    """
    if isinstance(target, Store):
        return target
    if isinstance(target, os.PathLike):
        return LocalStore(os.fspath(target))
    if isinstance(target, str):
        scheme, separator, _ = target.partition("://")
        if not separator:
            if not target:
                raise UsageError("invalid_argument", "expected a path or a URL, found an empty string")
            return LocalStore(target)
        if scheme == "file":
            return LocalStore(_local_path(target))
        if scheme in _REMOTE:
            return _remote(scheme, target)
        known = ", ".join(("file", *_REMOTE))
        raise UsageError("invalid_argument", f"{target}: unknown scheme {scheme!r}; known ones: {known}")
    if type(target).__module__.partition(".")[0] == "obstore":
        from zarr_shard_codec.stores.object_store import ObjectStore

        return ObjectStore(target)
    raise UsageError(
        "invalid_argument", f"expected a path, a URL or a store, found {type(target).__name__}: {target!r}"
    )


def _local_path(url: str) -> str:
    from urllib.request import url2pathname  # brings half of the standard library's network code

    try:
        parts = urlsplit(url)
    except ValueError as error:  # brackets, which stand around IPv6 addresses
        raise UsageError("invalid_argument", f"{url}: {error}") from None
    if parts.netloc not in ("", "localhost"):
        raise UsageError("invalid_argument", f"{url}: file:// names files of this machine: file:///path")
    return url2pathname(parts.path)


def _remote(scheme: str, url: str) -> Store:
    from zarr_shard_codec.stores.object_store import ObjectStore, import_obstore

    obstore = import_obstore()
    # http:// says that plain HTTP is meant; obstore wants to hear it twice.
    options = {"client_options": {"allow_http": True}} if scheme == "http" else {}
    try:
        return ObjectStore(obstore.store.from_url(url.rstrip("/"), **options))
    except (obstore.exceptions.BaseError, ValueError) as error:
        words = str(error).partition("\n\nDebug source")[0]
        raise StoreError("store_failure", f"cannot open {url}: {words}") from error
