"""All certificates by name."""

from __future__ import annotations

from noiseaug.certificates.base import Certificate
from noiseaug.certificates.fixed import Cohen, TCertify, TCertifyPostHoc
from noiseaug.certificates.sequential import ConfidenceSequence, FullRadius, MultiLook

__all__ = ["CERTIFICATES"]

CERTIFICATES: dict[str, type[Certificate]] = {
    rule.name: rule for rule in (Cohen, TCertify, TCertifyPostHoc, MultiLook, FullRadius, ConfidenceSequence)
}
"""Every rule by name; a new one is one class and one entry here."""
