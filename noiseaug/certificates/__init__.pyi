from .base import MOST_VOTES, STANDARD_LOOKS, Certificate, CertificationSetting, Decision, VoteBudget, largest_radius
from .fixed import Cohen, TCertify, TCertifyPostHoc
from .registry import CERTIFICATES, make_certificate
from .sequential import ConfidenceSequence, FullRadius, MultiLook

__all__ = [
    "CERTIFICATES",
    "MOST_VOTES",
    "STANDARD_LOOKS",
    "Certificate",
    "CertificationSetting",
    "Cohen",
    "ConfidenceSequence",
    "Decision",
    "FullRadius",
    "MultiLook",
    "TCertify",
    "TCertifyPostHoc",
    "VoteBudget",
    "largest_radius",
    "make_certificate",
]
