"""`test --write`: makes a file of routing cases from what is true now (behaviour 9)."""

from argparse import Namespace

from rgate.cli.case_results import told
from rgate.cli.config_file import load_config
from rgate.cli.explaining import made_here
from rgate.cli.looking import look
from rgate.cli.text import say
from rgate.cli.writing import write_new
from rgate.core.cannot_tell import CannotTell
from rgate.core.case_writing import as_yaml, cases_of
from rgate.core.cases import Told
from rgate.core.explain import Asked
from rgate.core.reasons import Reason

_COMMENT = """\
Routing cases, made by `rgate test --write` from what was true of {place}.
For each route: its prefix, a path below it, and paths and hosts that are just outside; then a path that no
route matches. `rgate test {file}` runs them. Remove what may change, such as names of containers."""


def write_cases(options: Namespace) -> int:
    """Write the file. Returns the exit status, 0. Raises CannotTell."""
    if options.files or options.k or options.junit or options.json:
        raise CannotTell("--write makes a file of cases, and runs none: leave out what runs some")
    if options.gateway is not None:
        raise CannotTell("--write reads the routes in --config: leave --gateway out")
    config = load_config(options.config)
    explain = made_here(config, look(options, config))

    def tell(asked: Asked) -> Told:
        document = explain(asked)
        if document.reason is Reason.DOCKER_UNAVAILABLE:
            raise CannotTell(f"nothing is written, as what is true is not known: {document.detail}")
        return told(document)

    groups = list(cases_of(config, tell))
    place = f"{options.config} and {options.snapshot or 'Docker'}"
    comment = _COMMENT.format(place=place, file=options.write)
    write_new(options.write, as_yaml(groups, comment).encode())
    say(f"{options.write}: {sum(len(group.cases) for group in groups)} cases")
    return 0
