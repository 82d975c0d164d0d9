"""python -m sparksmith is the command."""

from sparksmith.cli.main import main

if __name__ == "__main__":
    main()
