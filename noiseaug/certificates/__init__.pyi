from .base import STANDARD_LOOKS, Certificate, Decision, Run, largest_radius
from .fixed import Cohen, TCertify, TCertifyPostHoc
from .registry import CERTIFICATES, make_certificate
from .sequential import ConfidenceSequence, FullRadius, MultiLook

__all__ = [
    "CERTIFICATES",
    "STANDARD_LOOKS",
    "Certificate",
    "Cohen",
    "ConfidenceSequence",
    "Decision",
    "FullRadius",
    "MultiLook",
    "Run",
    "TCertify",
    "TCertifyPostHoc",
    "largest_radius",
    "make_certificate",
]
