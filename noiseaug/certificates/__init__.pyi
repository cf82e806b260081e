from .base import MOST_VOTES, STANDARD_LOOKS, Certificate, CertificationSetting, Decision, VoteBudget, largest_radius
from .fixed import Cohen, TCertify, TCertifyPostHoc
from .partition import ClassPartition
from .registry import CERTIFICATES, make_certificate
from .runner_up import RunnerUp
from .sequential import ConfidenceSequence, FullRadius, MultiLook
from .stopping import OptimalStopping

__all__ = [
    "CERTIFICATES",
    "MOST_VOTES",
    "STANDARD_LOOKS",
    "Certificate",
    "CertificationSetting",
    "ClassPartition",
    "Cohen",
    "ConfidenceSequence",
    "Decision",
    "FullRadius",
    "MultiLook",
    "OptimalStopping",
    "RunnerUp",
    "TCertify",
    "TCertifyPostHoc",
    "VoteBudget",
    "largest_radius",
    "make_certificate",
]
