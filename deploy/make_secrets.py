"""Makes the secrets that compose and Kubernetes mount: python deploy/make_secrets.py [DIRECTORY]

    agent-bus-password, broker-bus-password    accounts of the bus
    mosquitto-passwords                        the same, hashed, for Mosquitto
    token-secret                               signs viewers' tokens (HS256); for a trial, use a public key later

Standard library only. A directory that has any of the files is left alone. The directory is for its owner only; the
files in it are readable for others, because compose mounts them with the modes that they have here.
"""

import base64
import hashlib
import os
import secrets
import sys
from pathlib import Path

ROUNDS = 20_000


def mosquitto_line(user: str, password: str) -> str:
    """As mosquitto_passwd writes it: PBKDF2 with SHA-512, `$7$rounds$salt$hash`."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, 64)
    return f"{user}:$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def make(directory: Path) -> None:
    """Raises `FileExistsError` rather than overwrite a secret."""
    agent, broker = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    contents = {
        "agent-bus-password": agent,
        "broker-bus-password": broker,
        "mosquitto-passwords": mosquitto_line("agent", agent) + mosquitto_line("broker", broker),
        "token-secret": secrets.token_urlsafe(48),
    }
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in contents:
        if (directory / name).exists():
            raise FileExistsError(directory / name)
    for name, content in contents.items():
        with (directory / name).open("x") as file:
            file.write(content)
        (directory / name).chmod(0o444)


def main(arguments: list[str]) -> int:
    directory = Path(arguments[0]) if arguments else Path(__file__).parent / "secrets"
    try:
        make(directory)
    except FileExistsError as error:
        sys.stderr.write(f"{error} exists already; remove the directory to make new secrets\n")
        return 1
    sys.stdout.write(f"made four secrets in {directory}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
