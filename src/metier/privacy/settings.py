"""The ``[data] deidentify`` section: profile, operators, how far surrogates reach."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from metier.core.errors import UserError
from metier.core.section import Section
from metier.privacy.operators import ASSIGNED, Operator, OperatorSetting, Redact, operator_table
from metier.privacy.profiles import ProfileName, profile
from metier.privacy.vault import Scope

Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]


class DeidentifyConfig(Section):
    """What is taken out of texts before anything is stored in clear."""

    profile: ProfileName = "patterns"
    """patterns: e-mail, phone, card, IBAN and the like become placeholders; safe-harbor: the 18
    categories of HIPAA, frozen only with a signed check; expert-determination: the same kinds with
    surrogates and shifted dates, frozen only with an expert's statement; none: nothing."""
    operators: dict[str, OperatorSetting] = Field(default_factory=dict)
    """What stands in place of a kind, where not the profile's own choice: redact, mask, hash,
    keep, surrogate, shift; e.g. { person = "surrogate", ssn = { type = "mask", keep_last = 4 } }.
    """
    scope: Scope = "group"
    """How far a surrogate reaches: the same person is the same surrogate within a record, within a
    group (a record of no group is one of its own) or in the whole project."""

    languages: list[Language] = Field(default=["en"], min_length=1)
    """Languages of the texts (ISO 639-1); text that is clearly in another one, or in one that no
    recogniser reads, goes to quarantine (not under patterns)."""

    @model_validator(mode="after")
    def _operators_fit(self) -> Self:
        try:
            operator_table(profile(self.profile), self.operators)
        except UserError as error:
            raise ValueError(str(error).replace("\n", "; ")) from error
        return self

    @property
    def table(self) -> dict[str, Operator]:
        """The operator of every kind that is looked for."""
        return operator_table(profile(self.profile), self.operators)

    @property
    def is_plain(self) -> bool:
        """Whether all that is found by the classic patterns becomes a placeholder."""
        operators = self.table.values()
        return self.profile == "patterns" and all(isinstance(one, Redact) for one in operators)

    @property
    def needs_vault(self) -> bool:
        """Whether surrogates are assigned."""
        return any(one.type == "surrogate" for one in self.table.values())

    @property
    def needs_keys(self) -> bool:
        """Whether an operator works with a key of the workspace."""
        return any(one.type in ("hash", *ASSIGNED) for one in self.table.values())
