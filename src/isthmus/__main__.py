"""`python -m isthmus`, which torchrun can start: torchrun -m isthmus train trainer=ddp."""

import os
import sys

# Python looks for modules in the folder it is started in, which may be a stranger's, before all others.
# The command adds that folder by itself where the person says so.
if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]

from isthmus.cli.main import command

command()
