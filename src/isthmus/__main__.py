"""`python -m isthmus`, which torchrun can start: torchrun -m isthmus train trainer=ddp."""

import sys

from isthmus.cli.main import main

sys.exit(main())
