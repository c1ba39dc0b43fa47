"""A trained model in a file, used again while it is fresh enough; else trained anew and written."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from forecast import (
    Forecast,
    Known,
    ModelOfOtherVersion,
    ModelRefused,
    Panel,
    Trained,
    load,
    refresh,
    save,
)
from planning.tables import InputRefused


class KeptModel:
    """Forecasts as `forecast.forecast` does, by the model in a file; tells what it did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.update = ""  # "full" or "quick", once it has forecast
        self.why = ""  # all was trained anew

    def forecast(
        self, panel: Panel, horizon: int, *, n_paths: int, **known: Unpack[Known]
    ) -> Forecast:
        """Forecast by a quick update where the file's model allows it, else train and write it.

        Raises
        ------
        planning.tables.InputRefused
            When the file is damaged or no model: it may be something else, so it is left alone.
        """
        trained, other = self._found()
        found = refresh(panel, horizon, trained=trained, n_paths=n_paths, **known)
        self.why = found.why and (other or found.why)
        self.update = "full" if found.why else "quick"
        if found.why:
            save(found.trained, self.path)
        return found.forecast

    def words(self) -> str:
        """What was done, for people."""
        if self.update == "quick":
            return f"quick update by the model in {self.path}"
        return f"trained in full and written to {self.path}: {self.why}"

    def as_json(self) -> dict[str, str]:
        """The same for programs."""
        return {"file": str(self.path.resolve()), "update": self.update, "why": self.why}

    def _found(self) -> tuple[Trained | None, str]:
        """The file's model, or why it can't be used."""
        try:
            return load(self.path), ""
        except FileNotFoundError:
            return None, "there was no such file"
        except ModelOfOtherVersion as error:
            return None, str(error)
        except ModelRefused as error:
            raise InputRefused([str(error)]) from error
