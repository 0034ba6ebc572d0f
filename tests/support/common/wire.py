"""Flower's own serialisation, in memory: what a message meets between two machines."""

from typing import cast

from flwr.app import RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import (
    inflate_object_from_contents,
    validate_object_content,
)


def transport(content: RecordDict) -> RecordDict:
    """Deflate every object to bytes, check them as a SuperLink does, inflate anew."""
    objects = get_all_nested_objects(content)
    contents = {name: item.deflate() for name, item in objects.items()}
    for deflated in contents.values():
        validate_object_content(deflated)
    return cast("RecordDict", inflate_object_from_contents(content.object_id, contents))


def wire_size(content: RecordDict) -> int:
    """Count the bytes that a content has between two machines."""
    objects = get_all_nested_objects(content)
    return sum(len(item.deflate()) for item in objects.values())
