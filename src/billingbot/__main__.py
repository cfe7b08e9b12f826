"""`python -m billingbot`: the same as the command `billingbot`."""

from billingbot.cli import main

if __name__ == "__main__":
    main()
