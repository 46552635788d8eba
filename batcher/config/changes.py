"""What a flag of `resume` replaced, as sentences."""

from batcher.domain.settings import JobSettings, Limits
from batcher.policy.wording.url_secrets import shown_base_url

_Fact = tuple[str, str]


def remembered_changes(old: JobSettings, new: JobSettings) -> list[str]:
    """Return a sentence for each setting that differs, such as "rpm: 500, was 300".

    Settings that were removed come last.
    """
    before, after = dict(_facts(old)), dict(_facts(new))
    labels = dict.fromkeys([*after, *before])
    changes = []
    for label in labels:
        now, was = after.get(label, "not given"), before.get(label, "not given")
        if now != was:
            changes.append(f"{label}: {now}, was {was}")
    if new.base_url != old.base_url and shown_base_url(new.base_url) == shown_base_url(old.base_url):
        changes.append(f"base URL: {shown_base_url(new.base_url)} with another secret in it")
    return changes


def _facts(settings: JobSettings) -> list[_Fact]:
    """Return every setting as a label and the value to show.

    For a header, the variable is shown, never its value.
    """
    return [
        ("base URL", shown_base_url(settings.base_url)),
        ("key variable", settings.api_key_env),
        *((f"variable of the header {name}", value) for name, value in settings.headers.items()),
        *_limit_facts(settings.limits, ""),
        *(
            fact
            for model, limits in settings.model_limits.items()
            for fact in _limit_facts(limits, f" of {model}")
        ),
        ("most attempts", str(settings.max_attempts)),
        ("timeout", f"{settings.timeout:.15g} s"),
        ("longest wait", f"{settings.max_wait:.15g} s"),
        ("cost cap", "none" if settings.max_cost is None else f"${settings.max_cost:.15g}"),
        ("cache", str(settings.cache)),
        ("reuse of earlier answers", "reused" if settings.reuse_earlier else "not reused"),
        ("structured output", "validated" if settings.validate_output else "not validated"),
        ("truncated answers", "dead letters" if settings.fail_truncated else "delivered"),
        ("plain http with a key", "allowed" if settings.allow_http else "refused"),
        ("CA file", settings.ca_file or "the system's"),
        ("simulated provider", "yes" if settings.simulate else "no"),
    ]


def _limit_facts(limits: Limits, whose: str) -> list[_Fact]:
    given = (("rpm", limits.rpm), ("tpm", limits.tpm))
    return [(f"{name}{whose}", f"{limit:.15g}") for name, limit in given if limit is not None]
