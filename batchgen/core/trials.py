"""Whose fault a refused create is: that of a reference which the server forgot, or of the request itself.

The vendor does not say how long an upload lives, nor with which code a create with a forgotten one is refused. So a
refusal accuses the uploads of earlier runs, the server is asked about them, and what it no longer knows is uploaded
again. Uploads of this run are no suspects: that ends every round of accusing.
"""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.core.answers import Answer, Fault, StoredFile, Verdict
from batchgen.core.desk import Desk
from batchgen.core.live import Live
from batchgen.core.messages import CheckUpload, UploadForgotten
from batchgen.core.model import Upload
from batchgen.core.uploads import Uploads


@dataclass(slots=True)
class Accused:
    """A task whose create was refused, with the uploads that may be the cause. It is innocent once one of them was forgotten."""

    live: Live
    fault: Fault
    references: set[str]
    innocent: bool = False


class Trials:
    """The refused tasks about which the server is being asked."""

    def __init__(self, desk: Desk, uploads: Uploads) -> None:
        """Begin with none."""
        self._desk = desk
        self._uploads = uploads
        self._accused: list[Accused] = []

    @property
    def open(self) -> bool:
        """True while a verdict is due."""
        return bool(self._accused)

    def outdated(self, live: Live) -> bool:
        """True if a reference was forgotten or uploaded again after this create was written: its refusal says nothing any more."""
        contents = [r.sha256 for r in live.due.task.spec.references if r.sha256]
        return any(self._renewed(sha256, live) for sha256 in contents)

    def _renewed(self, sha256: str, live: Live) -> bool:
        upload = self._uploads.known.get(sha256)
        return upload is None or (sha256 in self._uploads.fresh and upload.uploaded_at > live.submitted_at)

    def suspects(self, live: Live) -> list[Upload]:
        """Return the uploads of an attempt that come from an earlier run: the server may have forgotten them."""
        used = (self._uploads.known.get(r.sha256) for r in live.due.task.spec.references if r.sha256)
        return [upload for upload in used if upload is not None and upload.sha256 not in self._uploads.fresh]

    def accuse(self, live: Live, fault: Fault, suspects: list[Upload]) -> None:
        """Find out whether a create was refused because the server no longer knows a reference."""
        self._accused.append(Accused(live, fault, {upload.sha256 for upload in suspects}))
        live.lane.waiting += 1
        for upload in suspects:
            if not upload.file_id:
                self._forget(upload)  # it cannot be asked about, and uploading again costs nothing
            elif upload.sha256 not in self._uploads.checking:
                self._uploads.checking[upload.sha256] = upload
                self._uploads.checks.append(upload)

    def checked(self, request: CheckUpload, answer: Answer[StoredFile]) -> None:
        """Take the answer about an upload. Anything but a clear yes means: upload it again."""
        self._uploads.airborne -= 1
        self._uploads.checking.pop(request.upload.sha256, None)
        if answer.verdict is Verdict.OK:
            self._uploads.fresh.add(request.upload.sha256)
        else:
            self._forget(request.upload)

    def _forget(self, upload: Upload) -> None:
        for accused in self._accused:
            accused.innocent = accused.innocent or upload.sha256 in accused.references
        self._uploads.known.pop(upload.sha256, None)
        self._desk.write(UploadForgotten(upload.sha256, self._desk.now))

    def judged(self) -> list[Accused]:
        """Return those about whom all is known now, innocent or not."""
        accused, self._accused = self._accused, []
        done = []
        for one in accused:
            if one.innocent or not one.references & self._uploads.checking.keys():
                one.live.lane.waiting -= 1
                done.append(one)
            else:
                self._accused.append(one)
        return done
