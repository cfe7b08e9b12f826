"""What the configured sources can ever supply, so that a policy which asks for more is noticed before it decides."""

from billingbot.core.policy.checks import Supply
from billingbot.evidence.config import EvidenceConfig, UsageHttp, UsageSection


def supply_of(config: EvidenceConfig) -> Supply:
    """What these sources can tell, by their configuration alone; nobody is asked."""
    return Supply(
        usage=bool(config.usage),
        usage_times=any(_tells_times(section) for section in config.usage),
        support=bool(config.support),
    )


def _tells_times(section: UsageSection) -> bool:
    """A JSON endpoint tells what is mapped; queries, files and pushes may carry every field."""
    if not isinstance(section, UsageHttp):
        return True
    mapped = section.map
    return any((mapped.first_at, mapped.last_at, mapped.tag_installed_at, mapped.api_connected_at))
