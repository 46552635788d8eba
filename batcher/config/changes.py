"""What a flag of `resume` replaced, as sentences."""

from typing import Any

from batcher.config.limits import figures_of
from batcher.config.setting import Setting
from batcher.config.table import BASE_URL, JOB_SETTINGS
from batcher.domain.settings import JobSettings
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
        changes.append(f"{BASE_URL.label}: {shown_base_url(new.base_url)} with another secret in it")
    return changes


def _facts(settings: JobSettings) -> list[_Fact]:
    """Return every setting as a label and the value to show.

    For a header, the variable is shown, never its value.
    """
    facts = [fact for setting in JOB_SETTINGS for fact in _facts_of(setting, settings)]
    return [*facts, ("reuse of earlier answers", "reused" if settings.reuse_earlier else "not reused")]


def _facts_of(setting: Setting[Any], settings: JobSettings) -> list[_Fact]:
    if setting.is_per_model:
        figures = figures_of(setting.name, settings.limits, settings.model_limits)
        return [
            (setting.label if model is None else f"{setting.label} of {model}", setting.shown(figure))
            for model, figure in figures.items()
        ]
    value = getattr(settings, setting.name)
    if isinstance(value, dict):
        return [(f"{setting.label} {key}", setting.shown(each)) for key, each in value.items()]
    return [(setting.label, setting.shown(value))]
