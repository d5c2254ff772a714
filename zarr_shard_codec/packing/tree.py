"""What is to be done with all of a source: every array planned before anything is written.

Owns the walk over the source, and the gathering of all that stands in the way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from zarr_shard_codec.array.group import GroupMetadata
from zarr_shard_codec.array.metadata import ArrayMetadata, ForeignMetadata
from zarr_shard_codec.array.nodes import (
    V3_DOCUMENT,
    Node,
    find_foreign,
    find_node,
    join_key,
    nothing_here,
    walk_readable,
)
from zarr_shard_codec.errors import (
    MetadataError,
    NodeNotFoundError,
    Problem,
    StoreError,
    UsageError,
    ZarrShardError,
)
from zarr_shard_codec.packing.attributes import attributes_for_v3
from zarr_shard_codec.packing.plan import ArrayPlan
from zarr_shard_codec.stores.protocols import Store


class PlanArray(Protocol):
    """Plans one array."""

    def __call__(self, path: str, metadata: ArrayMetadata, *, alone: bool) -> ArrayPlan:
        """Plan the array at a path, which is alone or in a tree. Raises what stands in the way."""
        ...


@dataclass(frozen=True, slots=True)
class TreePlan:
    """A source, planned.

    Attributes
    ----------
    arrays
        In order of their paths.
    groups
        What each group becomes, by path; parents first.
    consolidated
        Paths of the source's groups whose consolidated metadata does not come along.
    """

    arrays: tuple[ArrayPlan, ...]
    groups: Mapping[str, GroupMetadata]
    consolidated: tuple[str, ...]

    @property
    def nodes(self) -> dict[str, Node | ForeignMetadata]:
        """All that the target will have, by path."""
        return {**self.groups, **{plan.path: plan.target for plan in self.arrays}}

    def fingerprint(self, source: str) -> str:
        """Name the work: equal for equal sources, parameters and metadata, and for nothing else."""
        content = [
            source,
            [(path, group.to_json()) for path, group in self.groups.items()],
            [
                (
                    plan.path,
                    plan.action,
                    plan.source.zarr_format,
                    plan.source.to_json(),
                    plan.target.to_json(),
                    plan.chunk_order,
                )
                for plan in self.arrays
            ],
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def plan_tree(store: Store, plan_array: PlanArray) -> TreePlan:
    """Plan an array, or all arrays of a tree of groups.

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is neither an array nor a group, or no array in the group.
    ZarrShardError
        What stands in the way. Where several arrays do: a `MetadataError` with all problems of all of them; a
        `UsageError`, if it is what was asked for that none of them can have.
    """
    try:
        root = find_node(store)
    except MetadataError:
        root = None  # the walk meets it again
    else:
        if root is None:
            raise nothing_here(store, "there is no Zarr array or group")
    if isinstance(root, ArrayMetadata):
        try:
            return TreePlan((plan_array("", root, alone=True),), {}, ())
        except ZarrShardError as error:
            raise _all_of([("", error)], store) from error.__cause__
    arrays: list[ArrayPlan] = []
    groups: dict[str, GroupMetadata] = {}
    consolidated: list[str] = []
    obstacles: list[tuple[str, ZarrShardError]] = []
    lacking: list[tuple[str, ZarrShardError]] = []
    for path, node in walk_readable(store):
        if isinstance(node, GroupMetadata):
            try:
                groups[path] = GroupMetadata(attributes=attributes_for_v3(node), extra=node.extra)
            except MetadataError as error:
                obstacles.append((path, error))
            if node.consolidated:
                consolidated.append(path)
        elif isinstance(node, ArrayMetadata):
            try:
                arrays.append(plan_array(path, node, alone=False))
            except ZarrShardError as error:
                obstacles.append((path, error))
        elif (foreign := _foreign(store, path, node)) is not None:
            try:
                arrays.append(ArrayPlan(path, "copy", foreign, foreign))
                lacking.append((path, node))
            except MetadataError as error:
                obstacles.append((path, error))
        else:
            obstacles.append((path, node))
    only_foreign = len(lacking) == len(arrays)
    if only_foreign:  # they go along with others; alone there is nothing to do for them
        obstacles += lacking
    if obstacles:
        raise _all_of(obstacles, store)
    if not arrays:
        raise NodeNotFoundError("not_found", f"there is no array in the group {store}")
    return TreePlan(tuple(arrays), groups, tuple(consolidated))


def _foreign(store: Store, path: str, error: ZarrShardError) -> ForeignMetadata | None:
    """Whether what cannot be read is an array that can be copied."""
    is_lacking = isinstance(error, MetadataError) and error.lacking is not None
    return find_foreign(store, path) if is_lacking and error.key == join_key(path, V3_DOCUMENT) else None


def _all_of(obstacles: list[tuple[str, ZarrShardError]], store: Store) -> ZarrShardError:
    for _, error in obstacles:
        if isinstance(error, StoreError):
            raise error  # nothing is known of the rest
    if len(obstacles) == 1:
        path, error = obstacles[0]
        if path:
            return error.at(key=path)
        # Of the root, a key alone (".zarray") tells nobody which array is meant.
        error.key = join_key(str(store), error.key) if error.key else str(store)
        return error
    if all(isinstance(error, UsageError) for _, error in obstacles):
        lines = "".join(f"\n  {path or '/'}: {error.message}" for path, error in obstacles)
        first = obstacles[0][1]
        return UsageError(first.reason, f"{len(obstacles)} arrays stand in the way:{lines}", hint=first.hint)
    problems: list[Problem] = []
    for path, error in obstacles:
        if isinstance(error, MetadataError):
            problems += [
                Problem(f"{error.key or path or '/'}: {problem.path}", problem.reason, problem.message)
                for problem in error.problems
            ]
        else:
            problems.append(Problem(path or "/", error.reason, error.message))
    return MetadataError(problems)
