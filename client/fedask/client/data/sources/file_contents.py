"""The samples that were found in a file, column by column. Kept by the index."""

from array import array
from dataclasses import dataclass, field

from fedask.client.base.regular_file import Broken
from fedask.client.data.sources.reader import FoundSample

MAX_BROKEN = 1000  # kept per file; a file of nothing else must not fill the disk


@dataclass(slots=True)
class FileContents:
    """The samples of a file, or of many, column by column; 40 bytes a sample."""

    uids: bytearray = field(default_factory=bytearray)  # 16 bytes each
    places: "array[int]" = field(default_factory=lambda: array("q"))  # 2 each
    forms: "array[int]" = field(default_factory=lambda: array("i"))  # ids of forms
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    broken: list[Broken] = field(default_factory=list)
    left_out: int = 0  # broken ones beyond MAX_BROKEN

    @classmethod
    def of(
        cls, uids: bytes, places: bytes, forms: bytes, keys: bytes
    ) -> "FileContents | None":
        """Rebuild the contents from bytes of the index; None if they are damaged."""
        lengths = {len(uids), len(places), 4 * len(forms), 2 * len(keys)}
        if len(lengths) > 1 or len(uids) % 16:
            return None
        contents = cls(uids=bytearray(uids))
        contents.places.frombytes(places)
        contents.forms.frombytes(forms)
        contents.keys.frombytes(keys)
        return contents

    def __len__(self) -> int:
        return len(self.forms)

    def add(self, found: FoundSample, form: int) -> None:
        """Add a sample; ``form`` is the id of its form."""
        self.uids += bytes.fromhex(found.uid)
        self.places.extend(found.place)
        self.forms.append(form)
        self.keys.append(found.key)

    def set_aside(self, broken: Broken) -> None:
        """Add a broken sample, up to a limit."""
        if len(self.broken) < MAX_BROKEN:
            reason = broken.reason.encode("utf-8", "backslashreplace").decode()
            self.broken.append(Broken(broken.name, reason))
        else:
            self.left_out += 1

    def without(self, uid: bytes) -> "FileContents":
        """Return the samples without the given one."""
        kept = FileContents()
        for row in range(len(self)):
            if self.uids[16 * row : 16 * row + 16] != uid:
                kept.uids += self.uids[16 * row : 16 * row + 16]
                kept.places.extend(self.places[2 * row : 2 * row + 2])
                kept.forms.append(self.forms[row])
                kept.keys.append(self.keys[row])
        return kept

    def extend(self, other: "FileContents") -> None:
        """Add the samples of another file; its broken ones stay out."""
        self.uids += other.uids
        self.places.extend(other.places)
        self.forms.extend(other.forms)
        self.keys.extend(other.keys)
