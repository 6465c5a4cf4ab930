"""A replay without a word."""


class Silent:
    """A progress that says nothing."""

    def start(self, total: int) -> None: ...

    def moment(self, now: object) -> None: ...

    def run(self, reason: str) -> None: ...
