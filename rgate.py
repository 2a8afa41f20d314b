"""The command: `python rgate.py --port 8080 --config config.yml`."""

from rgate.cli.main import run

if __name__ == "__main__":
    run()
