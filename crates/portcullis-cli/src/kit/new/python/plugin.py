"""A plugin that says how many files are not committed."""

import portcullis


@portcullis.plugin
def main(args: list[str]) -> str:
    status = portcullis.run(["git", "status", "--porcelain"], check=True, text=True)
    return f"{len(status.stdout.splitlines())} not committed"
