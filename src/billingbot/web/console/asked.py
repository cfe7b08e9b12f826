"""What a page is asked for: the parameters of its address and the fields of its forms, validated."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator

# What every address and every form of ours may carry beside its own.
_NEVER_MEANT: Final = frozenset({"csrf", "said"})


class Asked(BaseModel):
    """Parameters of an address, or fields of a form. A field that was left empty was not filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value != "" and name not in _NEVER_MEANT}

    @property
    def given(self) -> dict[str, str]:
        """What was filled in, as it stands in an address."""
        return {name: str(value) for name, value in self.model_dump(mode="json", exclude_none=True).items()}
