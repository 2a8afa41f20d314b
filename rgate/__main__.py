"""The command where nothing is installed into a path of programs: `python -m rgate`."""

from rgate.cli.main import run

if __name__ == "__main__":
    run()
