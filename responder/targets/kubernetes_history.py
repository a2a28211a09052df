"""What a deployment was before: its revisions, kept by its replica sets, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from responder.targets.kubernetes_objects import Managed, Workload, condition
from responder.targets.kubernetes_rollout import CHANGE_CAUSE, HASH_LABEL, RESTARTED_AT, REVISION

Template = dict[str, Any]

_DIGEST_SHOWN = 12
_EARLIER = "deployment.kubernetes.io/revision-history"
_EARLIER_READ = 50


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a deployment's pods. ``made`` is when its replica set was made, at the first of its numbers.

    Where a state comes back, its replica set gets the next number; ``earlier`` are those that it had before.
    """

    number: int
    earlier: tuple[int, ...] = ()
    template: Template
    made: datetime | None
    cause: str | None


class LastChange(msgspec.Struct, frozen=True, kw_only=True):
    """When a deployment's template was last changed, and by which program, where the server knows."""

    at: datetime | None
    by: str = ""


def revisions(deployment: Workload, replica_sets: Iterable[Workload]) -> tuple[Revision, ...]:
    """The revisions that are kept, oldest first. Another deployment's replica sets are left out, whatever their labels."""
    return tuple(sorted(_revisions(deployment, replica_sets), key=lambda one: one.number))


def _revisions(deployment: Workload, replica_sets: Iterable[Workload]) -> Iterator[Revision]:
    for one in replica_sets:
        number = one.metadata.annotations.get(REVISION, "")
        mine = any(owner.uid == deployment.metadata.uid for owner in one.metadata.owner_references)
        if mine and number.isdecimal():
            yield Revision(
                number=int(number),
                template=plain(one.spec.template),
                earlier=_numbers(one.metadata.annotations.get(_EARLIER, "")),
                made=one.metadata.creation_timestamp,
                cause=one.metadata.annotations.get(CHANGE_CAUSE),
            )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(",")[-_EARLIER_READ:] if one.isdecimal())


def current_revision(deployment: Workload) -> int:
    """The revision that is rolled out, or being rolled out; 0 where its controller has not said."""
    number = deployment.metadata.annotations.get(REVISION, "")
    return int(number) if number.isdecimal() else 0


def plain(template: Mapping[str, Any]) -> Template:
    """A template without the label that tells replica sets apart, and without what is null."""
    cleaned: Template = _without_null(template)
    labels = cleaned.get("metadata", {}).get("labels", {})
    labels.pop(HASH_LABEL, None)
    return cleaned


def _without_null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_null(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_null(one) for one in value]
    return value


def differences(before: Template, after: Template) -> list[str]:
    """What differs, in words; the values of images only, since others may be secrets."""
    found = []
    old, new = (_containers(one) for one in (before, after))
    for name in new:
        if name not in old:
            found.append(f"container {name} is new")
        elif old[name] != new[name]:
            found += _container_differences(name, old[name], new[name], alone=len(new) == 1)
    found += [f"container {name} is gone" for name in old if name not in new]
    spec_before, spec_after = before.get("spec", {}), after.get("spec", {})
    found += [f"{key} changed" for key in _changed(spec_before, spec_after) if key not in _CONTAINERS]
    meta_before, meta_after = before.get("metadata", {}), after.get("metadata", {})
    annotations = _changed(meta_before.get("annotations", {}), meta_after.get("annotations", {}))
    if RESTARTED_AT in annotations:
        found.append("restarted")
    if set(annotations) - {RESTARTED_AT} or meta_before.get("labels") != meta_after.get("labels"):
        found.append("labels or annotations changed")
    return found


def only_restarted(before: Template, after: Template) -> bool:
    """Whether nothing differs, or nothing but that the pods were started anew."""
    return set(differences(before, after)) <= {"restarted"}


_CONTAINERS = ("containers", "initContainers")


def _containers(template: Template) -> dict[str, Template]:
    spec = template.get("spec", {})
    return {one.get("name", ""): one for key in _CONTAINERS for one in spec.get(key, ())}


def _container_differences(name: str, old: Template, new: Template, *, alone: bool) -> Iterator[str]:
    of = "" if alone else f" of {name}"
    if old.get("image") != new.get("image"):
        before, after = _images(str(old.get("image", "")), str(new.get("image", "")))
        yield f"image{of} {before} -> {after}"
    yield from (f"{key}{of} changed" for key in _changed(old, new) if key != "image")


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _images(before: str, after: str) -> tuple[str, str]:
    """Two images by what differs: their tags, where the rest is the same."""
    (old_name, old_tag), (new_name, new_tag) = _image(before), _image(after)
    if old_name == new_name and old_tag and new_tag:
        return old_tag, new_tag
    return f"{old_name}:{old_tag}".rstrip(":"), f"{new_name}:{new_tag}".rstrip(":")


def _image(reference: str) -> tuple[str, str]:
    """Name and tag, or the beginning of the digest. A colon before the last slash is a port's."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    algorithm, _, value = digest.partition(":")
    return f"{folder}{slash}{last}", tag or (f"{algorithm}:{value[:_DIGEST_SHOWN]}" if value else "")


def last_change(deployment: Workload) -> LastChange:
    """When the template was last changed: as the managed fields say, else when its rollout last moved."""
    managed = deployment.metadata.managed_fields
    setters = [(one.time, one.manager) for one in managed if one.time is not None and _sets_template(one)]
    if setters:
        at, by = max(setters)
        return LastChange(at=at, by=by)
    progressing = condition(deployment.status.conditions, "Progressing")
    return LastChange(at=progressing.last_update_time if progressing else None)


def _sets_template(managed: Managed) -> bool:
    spec = managed.fields.get("f:spec") if isinstance(managed.fields, dict) else None
    return not managed.subresource and isinstance(spec, dict) and "f:template" in spec
